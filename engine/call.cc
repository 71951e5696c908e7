// SPDX-License-Identifier: GPL-2.0-only
#include "engine/call.h"

#include <cerrno>

#include "scheduler/check.h"

namespace interleaf {
namespace {

using P = ParameterKind;
using R = ResultKind;

constexpr bool kOptional = true;
constexpr bool kOneOf = true;

struct ErrnoName {
  std::string_view name;
  int value;
};

constexpr ErrnoName kErrnos[] = {
    {"EACCES", EACCES}, {"EAGAIN", EAGAIN},   {"EBADF", EBADF},           {"EBUSY", EBUSY},
    {"EEXIST", EEXIST}, {"EFAULT", EFAULT},   {"EFBIG", EFBIG},           {"EINTR", EINTR},
    {"EINVAL", EINVAL}, {"EIO", EIO},         {"EISDIR", EISDIR},         {"ENODEV", ENODEV},
    {"ENXIO", ENXIO},   {"EXDEV", EXDEV},     {"ENOENT", ENOENT},         {"ENOMEM", ENOMEM},
    {"ENOSPC", ENOSPC}, {"ENOSYS", ENOSYS},   {"EOPNOTSUPP", EOPNOTSUPP}, {"EPERM", EPERM},
    {"EROFS", EROFS},   {"ETXTBSY", ETXTBSY},
};

}  // namespace

// clang-format off
const std::vector<CallSignature>& call_signatures() {
  static const std::vector<CallSignature> signatures = {
    {"open",            Call::kOpen,          R::kFd,      {{"path", P::kPath}, {"flags", P::kOpenFlags}, {"mode", P::kMode, kOptional}}},
    {"close",           Call::kClose,         R::kStatus,  {{"fd", P::kFd}}},
    {"read",            Call::kRead,          R::kStatus,  {{"fd", P::kFd}, {"len", P::kBytes}}},
    {"write",           Call::kWrite,         R::kStatus,  {{"fd", P::kFd}, {"data", P::kData}, {"len", P::kBytes}}},
    {"pread",           Call::kPread,         R::kStatus,  {{"fd", P::kFd}, {"len", P::kBytes}, {"off", P::kBytes}}},
    {"pwrite",          Call::kPwrite,        R::kStatus,  {{"fd", P::kFd}, {"data", P::kData}, {"len", P::kBytes}, {"off", P::kBytes}}},
    {"pread_into",      Call::kPreadInto,     R::kStatus,  {{"fd", P::kFd}, {"addr", P::kAddress}, {"len", P::kBytes}, {"off", P::kBytes}}},
    {"ftruncate",       Call::kFtruncate,     R::kStatus,  {{"fd", P::kFd}, {"len", P::kBytes}}},
    {"truncate",        Call::kTruncate,      R::kStatus,  {{"path", P::kPath}, {"len", P::kBytes}}},
    {"fsync",           Call::kFsync,         R::kStatus,  {{"fd", P::kFd}}},
    {"fdatasync",       Call::kFdatasync,     R::kStatus,  {{"fd", P::kFd}}},
    {"sync_file_range", Call::kSyncFileRange, R::kStatus,  {{"fd", P::kFd}, {"off", P::kBytes}, {"len", P::kBytes}, {"flags", P::kSyncRangeFlags}}},
    {"fadvise",         Call::kFadvise,       R::kStatus,  {{"fd", P::kFd}, {"off", P::kBytes}, {"len", P::kBytes}, {"advice", P::kFadvise}}},
    {"fallocate",       Call::kFallocate,     R::kStatus,  {{"fd", P::kFd}, {"mode", P::kFallocateMode}, {"off", P::kBytes}, {"len", P::kBytes}}},
    {"mmap",            Call::kMmap,          R::kAddress, {{"fd", P::kFd}, {"off", P::kPageBytes}, {"len", P::kBytes}, {"prot", P::kProtection}, {"flags", P::kMapFlags}}},
    {"munmap",          Call::kMunmap,        R::kStatus,  {{"addr", P::kPageAddress}, {"len", P::kBytes}}},
    {"madvise",         Call::kMadvise,       R::kStatus,  {{"addr", P::kPageAddress}, {"len", P::kBytes}, {"advice", P::kMadvise}}},
    {"msync",           Call::kMsync,         R::kStatus,  {{"addr", P::kPageAddress}, {"len", P::kBytes}, {"flags", P::kMsyncFlags}}},
    {"touch",           Call::kTouch,         R::kStatus,  {{"addr", P::kAddress}, {"len", P::kBytes}}},
    {"load",            Call::kLoad,          R::kStatus,  {{"addr", P::kAddress}, {"len", P::kBytes}}},
    {"store",           Call::kStore,         R::kStatus,  {{"addr", P::kAddress}, {"data", P::kData}, {"len", P::kBytes}}},
    {"expect_read",     Call::kExpectRead,    R::kStatus,  {{"fd", P::kFd}, {"data", P::kData}, {"len", P::kBytes}, {"off", P::kBytes}}},
    {"expect_load",     Call::kExpectLoad,    R::kStatus,  {{"addr", P::kAddress}, {"data", P::kData}, {"len", P::kBytes}}},
    {"lseek",           Call::kLseek,         R::kStatus,  {{"fd", P::kFd}, {"off", P::kBytes}, {"whence", P::kWhence}}},
    {"reflink",         Call::kReflink,       R::kStatus,  {{"dst_fd", P::kFd}, {"src_fd", P::kFd}, {"src_off", P::kBytes}, {"len", P::kBytes}, {"dst_off", P::kBytes}}},
    {"drop_caches",     Call::kDropCaches,    R::kStatus,  {}},
    {"wait",            Call::kWait,          R::kStatus,  {{"task", P::kTask}}},
  };
  return signatures;
}

const std::vector<Flag>& flags_of(ParameterKind kind) {
  static const std::vector<Flag> open = {
    {"O_RDONLY", 0, kOneOf}, {"O_WRONLY", 01, kOneOf}, {"O_RDWR", 02, kOneOf},
    {"O_CREAT", 0100}, {"O_TRUNC", 01000}, {"O_APPEND", 02000}, {"O_DSYNC", 010000},
    {"O_DIRECT", 040000}, {"O_SYNC", 04010000},
  };
  static const std::vector<Flag> protection = {
    {"PROT_READ", 1}, {"PROT_WRITE", 2}, {"PROT_EXEC", 4},
  };
  static const std::vector<Flag> map = {
    {"MAP_SHARED", 1, kOneOf}, {"MAP_PRIVATE", 2, kOneOf},
  };
  static const std::vector<Flag> madvise = {
    {"MADV_WILLNEED", 3, kOneOf}, {"MADV_DONTNEED", 4, kOneOf}, {"MADV_HUGEPAGE", 14, kOneOf},
    {"MADV_NOHUGEPAGE", 15, kOneOf}, {"MADV_PAGEOUT", 21, kOneOf},
    {"MADV_POPULATE_READ", 22, kOneOf}, {"MADV_POPULATE_WRITE", 23, kOneOf},
    {"MADV_COLLAPSE", 25, kOneOf},
  };
  static const std::vector<Flag> fadvise = {
    {"POSIX_FADV_NORMAL", 0, kOneOf}, {"POSIX_FADV_RANDOM", 1, kOneOf},
    {"POSIX_FADV_SEQUENTIAL", 2, kOneOf}, {"POSIX_FADV_WILLNEED", 3, kOneOf},
    {"POSIX_FADV_DONTNEED", 4, kOneOf}, {"POSIX_FADV_NOREUSE", 5, kOneOf},
  };
  static const std::vector<Flag> sync_range = {
    {"SYNC_FILE_RANGE_WAIT_BEFORE", 1}, {"SYNC_FILE_RANGE_WRITE", 2},
    {"SYNC_FILE_RANGE_WAIT_AFTER", 4},
  };
  static const std::vector<Flag> fallocate = {
    {"FALLOC_FL_KEEP_SIZE", 1}, {"FALLOC_FL_PUNCH_HOLE", 2}, {"FALLOC_FL_COLLAPSE_RANGE", 8},
    {"FALLOC_FL_ZERO_RANGE", 16}, {"FALLOC_FL_INSERT_RANGE", 32}, {"FALLOC_FL_UNSHARE_RANGE", 64},
  };
  static const std::vector<Flag> msync = {
    {"MS_ASYNC", 1, kOneOf}, {"MS_SYNC", 4, kOneOf}, {"MS_INVALIDATE", 2},
  };
  static const std::vector<Flag> whence = {
    {"SEEK_SET", 0, kOneOf}, {"SEEK_CUR", 1, kOneOf}, {"SEEK_END", 2, kOneOf},
    {"SEEK_DATA", 3, kOneOf}, {"SEEK_HOLE", 4, kOneOf},
  };
  static const std::vector<Flag> none;
  switch (kind) {
    case P::kOpenFlags: return open;
    case P::kProtection: return protection;
    case P::kMapFlags: return map;
    case P::kMadvise: return madvise;
    case P::kFadvise: return fadvise;
    case P::kSyncRangeFlags: return sync_range;
    case P::kFallocateMode: return fallocate;
    case P::kMsyncFlags: return msync;
    case P::kWhence: return whence;
    default: return none;
  }
}
// clang-format on

std::string where(std::string_view file_name, SourcePosition position) {
  return std::string(file_name) + ":" + std::to_string(position.line) + ":" +
         std::to_string(position.column);
}

std::uint8_t data_byte(const DataSource& source, std::uint64_t index) {
  switch (source.kind) {
    case DataSource::Kind::kZeros:
      return 0;
    case DataSource::Kind::kPattern: {
      const std::uint64_t at = index % 255 + source.offset % 255;
      return static_cast<std::uint8_t>(1 + (131 * at + source.seed % 255) % 255);
    }
    case DataSource::Kind::kString:
      return index < source.text.size() ? static_cast<std::uint8_t>(source.text[index]) : 0;
  }
  CHECK(!"a kind of data that is not known");
  return 0;
}

std::string CallSignature::text() const {
  std::string text = std::string(name) + "(";
  for (const Parameter& parameter : parameters) {
    const std::string separator = &parameter == &parameters.front() ? "" : ", ";
    text += parameter.optional ? "[" + separator + std::string(parameter.name) + "]"
                               : separator + std::string(parameter.name);
  }
  return text + ")";
}

const CallSignature& signature_of(Call call) {
  const auto index = static_cast<std::size_t>(call);
  CHECK(index < call_signatures().size() && call_signatures()[index].call == call);
  return call_signatures()[index];
}

int errno_of(std::string_view name) {
  for (const ErrnoName& entry : kErrnos) {
    if (entry.name == name) return entry.value;
  }
  return 0;
}

std::vector<std::string> errno_names() {
  std::vector<std::string> names;
  for (const ErrnoName& entry : kErrnos) names.emplace_back(entry.name);
  return names;
}

}  // namespace interleaf
