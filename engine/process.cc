// SPDX-License-Identifier: GPL-2.0-only
#include "engine/process.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "engine/kernel/fs.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/uio.h"
#include "scheduler/check.h"
#include "scheduler/frame.h"
#include "scheduler/scheduler.h"

namespace interleaf {
namespace {

// The frame that a call shows in traces and tables: its own name.
const Function& function_of(Call call) {
  static constexpr Function kFunctions[] = {
      Function("open"),    Function("close"),       Function("read"),
      Function("write"),   Function("pread"),       Function("pwrite"),
      Function("pread"),   Function("ftruncate"),   Function("truncate"),
      Function("fsync"),   Function("fdatasync"),   Function("sync_file_range"),
      Function("fadvise"), Function("fallocate"),   Function("mmap"),
      Function("munmap"),  Function("madvise"),     Function("msync"),
      Function("touch"),   Function("load"),        Function("store"),
      Function("pread"),   Function("load"),        Function("lseek"),
      Function("ioctl"),   Function("drop_caches"), Function("wait"),
  };
  static_assert(std::size(kFunctions) == static_cast<std::size_t>(Call::kLoop));
  return kFunctions[static_cast<std::size_t>(call)];
}

std::size_t longest_read(const std::vector<Statement>& statements) {
  std::size_t bytes = 0;
  for (const Statement& statement : statements) {
    bytes = std::max(bytes, longest_read(statement.body));
    for (const Argument& argument : statement.arguments) {
      const bool reads = statement.call == Call::kRead || statement.call == Call::kPread ||
                         statement.call == Call::kExpectRead || statement.call == Call::kLoad ||
                         statement.call == Call::kExpectLoad;
      if (reads && argument.kind == ParameterKind::kBytes) {
        bytes = std::max<std::size_t>(bytes, argument.value);
        if (statement.call != Call::kExpectRead) break;  // the length comes first
      }
    }
  }
  return bytes;
}

std::size_t mappings(const std::vector<Statement>& statements) {
  std::size_t pmds = 0;
  for (const Statement& statement : statements) {
    if (statement.call == Call::kMmap) {
      pmds += 1 + statement.arguments[2].value / kernel::pmd_size();
    }
    pmds += mappings(statement.body) * std::max<std::uint64_t>(1, statement.times);
  }
  return pmds;
}

}  // namespace

Process::Process(const Configuration& configuration, std::size_t task,
                 const std::vector<Process*>& others)
    : configuration_(configuration),
      task_(configuration.scenario.tasks[task]),
      others_(others),
      variables_(task_.variables.size()) {
  const auto pmds = static_cast<unsigned>(mappings(task_.statements));
  if (pmds != 0) mm_ = new kernel::mm_struct(task_.name.c_str(), pmds + 2);
}

void Process::run() {
  execute(task_.statements);
  exit();
  CHECK(!ended_.peek_done());  // once: see Completion::wait_for_good()
  ended_.complete_all();
}

void Process::execute(const std::vector<Statement>& statements) {
  for (const Statement& statement : statements) {
    if (statement.call == Call::kLoop) {
      for (std::uint64_t i = 0; i < statement.times; ++i) execute(statement.body);
    } else {
      execute(statement);
    }
  }
}

void Process::execute(const Statement& statement) {
  Scheduler& s = *Scheduler::current();
  const Frame frame(function_of(statement.call));
  if (s.observed()) s.remark(statement.text);
  const std::int64_t result = call(statement);
  s.mix(static_cast<std::uint64_t>(result));
  if (statement.variable >= 0) {
    variables_[static_cast<std::size_t>(statement.variable)].value = result;
  }
  if (s.observed())
    s.remark(fmt::format(
        "= {}", result < 0 ? strerrorname_np(static_cast<int>(-result)) : std::to_string(result)));
  if (statement.returns.has_value() && *statement.returns != result) {
    s.report(FindingKind::kUnexpectedReturn, "call",
             fmt::format("{} returned {}, the scenario expects {} (line {})", statement.text,
                         result, *statement.returns, statement.position.line),
             false);
  }
}

const std::uint64_t& Process::number(const Statement& statement, std::size_t index) const {
  return statement.arguments[index].value;
}

kernel::file* Process::file(const Statement& statement, std::size_t index) const {
  return variables_[static_cast<std::size_t>(statement.arguments[index].variable)].file;
}

std::uint64_t Process::address(const Statement& statement, std::size_t index) const {
  const Argument& argument = statement.arguments[index];
  const auto base = variables_[static_cast<std::size_t>(argument.variable)].value;
  return static_cast<std::uint64_t>(base) + argument.value;
}

kernel::inode* Process::path(const Statement& statement, std::size_t index) const {
  const auto file = static_cast<std::size_t>(statement.arguments[index].file);
  return kernel::find_inode(configuration_.scenario.files[file].name);
}

std::uint8_t* Process::buffer(std::size_t bytes) {
  if (buffer_.size() < bytes) buffer_.resize(std::max(bytes, longest_read(task_.statements)));
  return buffer_.data();
}

std::int64_t Process::call(const Statement& statement) {
  switch (statement.call) {
    case Call::kOpen:
      return open(statement);
    case Call::kMmap: {
      kernel::file* f = file(statement, 0);
      if (f == nullptr) return -EBADF;
      return kernel::do_mmap(mm_, f, static_cast<kernel::loff_t>(number(statement, 1)),
                             number(statement, 2), static_cast<int>(number(statement, 3)),
                             static_cast<int>(number(statement, 4)));
    }
    case Call::kTruncate: {
      kernel::inode* node = path(statement, 0);
      if (node == nullptr) return -ENOENT;
      return kernel::vfs_truncate(node, static_cast<kernel::loff_t>(number(statement, 1)));
    }
    case Call::kMunmap:
      return kernel::do_munmap(mm_, address(statement, 0), number(statement, 1));
    case Call::kMadvise:
      return kernel::do_madvise(mm_, address(statement, 0), number(statement, 1),
                                static_cast<int>(number(statement, 2)));
    case Call::kMsync:
      return kernel::do_msync(mm_, address(statement, 0), number(statement, 1),
                              static_cast<int>(number(statement, 2)));
    case Call::kDropCaches:
      return kernel::drop_caches_sysctl_handler();
    case Call::kTouch:
      return touch(statement);
    case Call::kLoad:
      return load(address(statement, 0), number(statement, 1), buffer(number(statement, 1)));
    case Call::kExpectLoad:
      return expect_load(statement);
    case Call::kStore:
      return store(statement);
    case Call::kWait:
      others_[static_cast<std::size_t>(statement.arguments[0].task)]->ended().wait_for_good();
      return 0;
    default:
      break;
  }
  kernel::file* f = file(statement, 0);
  if (f == nullptr) return -EBADF;  // the open failed
  switch (statement.call) {
    case Call::kClose:
      return close(variables_[static_cast<std::size_t>(statement.arguments[0].variable)]);
    case Call::kRead:
      return read(statement, false);
    case Call::kPread:
      return read(statement, true);
    case Call::kExpectRead:
      return expect_read(statement);
    case Call::kWrite:
      return write(statement, false);
    case Call::kPwrite:
      return write(statement, true);
    case Call::kPreadInto:
      return read_into(statement);
    case Call::kFtruncate:
      return kernel::do_ftruncate(f, static_cast<kernel::loff_t>(number(statement, 1)));
    case Call::kFsync:
      return kernel::vfs_fsync_range(f, 0, INT64_MAX, false);
    case Call::kFdatasync:
      return kernel::vfs_fsync_range(f, 0, INT64_MAX, true);
    case Call::kSyncFileRange:
      return kernel::do_sync_file_range(f, static_cast<kernel::loff_t>(number(statement, 1)),
                                        static_cast<kernel::loff_t>(number(statement, 2)),
                                        static_cast<unsigned>(number(statement, 3)));
    case Call::kFadvise:
      return kernel::vfs_fadvise(f, static_cast<kernel::loff_t>(number(statement, 1)),
                                 static_cast<kernel::loff_t>(number(statement, 2)),
                                 static_cast<int>(number(statement, 3)));
    case Call::kFallocate:
      return kernel::vfs_fallocate(f, static_cast<int>(number(statement, 1)),
                                   static_cast<kernel::loff_t>(number(statement, 2)),
                                   static_cast<kernel::loff_t>(number(statement, 3)));
    case Call::kLseek:
      return kernel::vfs_llseek(f, static_cast<kernel::loff_t>(number(statement, 1)),
                                static_cast<int>(number(statement, 2)));
    case Call::kReflink: {
      kernel::file* source = file(statement, 1);
      if (source == nullptr) return -EBADF;
      return kernel::ioctl_file_clone_range(f, source,
                                            static_cast<kernel::loff_t>(number(statement, 2)),
                                            static_cast<kernel::loff_t>(number(statement, 3)),
                                            static_cast<kernel::loff_t>(number(statement, 4)));
    }
    default:
      CHECK(false);
  }
}

std::int64_t Process::open(const Statement& statement) {
  const auto flags = static_cast<int>(number(statement, 1));
  kernel::inode* node = path(statement, 0);
  if (node == nullptr) {
    if ((flags & O_CREAT) == 0) return -ENOENT;
    const auto index = static_cast<std::size_t>(statement.arguments[0].file);
    node = kernel::create_inode(configuration_.scenario.files[index].name);
  }
  kernel::file* f = kernel::do_open(node, flags);
  if (kernel::IS_ERR(f)) return kernel::PTR_ERR(f);
  if (statement.variable >= 0) {
    variables_[static_cast<std::size_t>(statement.variable)].file = f;
    return 3 + statement.variable;  // a number like a descriptor's; nothing depends on it
  }
  kernel::filp_close(f);  // nobody can name it
  return 0;
}

std::int64_t Process::close(Variable& variable) {
  kernel::file* f = variable.file;
  variable.file = nullptr;
  return kernel::filp_close(f);
}

namespace {

// Buffers of the task's own, which nobody else sees.
long read_own(kernel::file* f, kernel::loff_t pos, std::uint8_t* to, std::size_t length) {
  if ((f->f_flags & O_DIRECT) == 0) return kernel::vfs_read(f, pos, to, length);
  kernel::user_buffer buffer(to, length);
  return kernel::vfs_read_direct(f, pos, &buffer);
}

}  // namespace

// Only direct I/O can store into a mapping.
std::int64_t Process::read_into(const Statement& statement) {
  kernel::file* f = file(statement, 0);
  if ((f->f_flags & O_DIRECT) == 0) return -EOPNOTSUPP;
  kernel::user_buffer to(mm_, address(statement, 1), number(statement, 2));
  return kernel::vfs_read_direct(f, static_cast<kernel::loff_t>(number(statement, 3)), &to);
}

std::int64_t Process::read(const Statement& statement, bool positioned) {
  kernel::file* f = file(statement, 0);
  const std::size_t length = number(statement, 1);
  const auto pos = positioned ? static_cast<kernel::loff_t>(number(statement, 2)) : f->f_pos;
  const long got = read_own(f, pos, buffer(length), length);
  if (!positioned && got > 0) f->f_pos += got;
  return got;
}

std::int64_t Process::expect_read(const Statement& statement) {
  kernel::file* f = file(statement, 0);
  const std::size_t length = number(statement, 2);
  std::uint8_t* got = buffer(length);
  const long result = read_own(f, static_cast<kernel::loff_t>(number(statement, 3)), got, length);
  expect_bytes(statement, result, got, result > 0 ? static_cast<std::size_t>(result) : 0);
  return result;
}

// `got` bytes came with the call; they should be all that the statement names.
void Process::expect_bytes(const Statement& statement, std::int64_t result,
                           const std::uint8_t* bytes, std::size_t got) {
  const std::size_t length = number(statement, 2);
  const std::uint8_t* wanted = configuration_.bytes(statement.arguments[1].data, length);
  const std::size_t same =
      static_cast<std::size_t>(std::mismatch(bytes, bytes + got, wanted).first - bytes);
  if (same == length) return;
  std::size_t bad = length - got;
  std::size_t zeros = 0;
  for (std::size_t i = 0; i < got; ++i) {
    bad += bytes[i] != wanted[i];
    zeros += bytes[i] != wanted[i] && bytes[i] == 0;
  }
  Scheduler::current()->report(
      FindingKind::kUnexpectedReturn, "contents",
      result < 0 ? fmt::format("{} returned {}", statement.text, result)
                 : fmt::format("{} differs in {} of {} bytes, {} of which are zero; the first is "
                               "byte {} (line {})",
                               statement.text, bad, length, zeros, same, statement.position.line),
      false);
}

std::int64_t Process::write(const Statement& statement, bool positioned) {
  kernel::file* f = file(statement, 0);
  const std::size_t length = number(statement, 2);
  const std::uint8_t* data = configuration_.bytes(statement.arguments[1].data, length);
  const auto pos = positioned ? static_cast<kernel::loff_t>(number(statement, 3)) : f->f_pos;
  const long done = kernel::vfs_write(f, pos, data, length);
  if (!positioned && done > 0) f->f_pos += done;
  return done;
}

std::int64_t Process::touch(const Statement& statement) {
  const std::uint64_t begin = address(statement, 0);
  for (std::uint64_t at = 0; at < number(statement, 1); at += kernel::page_size()) {
    std::uint8_t byte = 0;
    const int error = kernel::access_load(mm_, begin + at, &byte, 1);
    if (error != 0) return error;
  }
  return 0;
}

std::int64_t Process::load(std::uint64_t begin, std::size_t length, std::uint8_t* to) {
  for (std::size_t at = 0; at < length;) {
    const std::size_t part = std::min<std::size_t>(
        length - at, kernel::page_size() - (begin + at) % kernel::page_size());
    const int error = kernel::access_load(mm_, begin + at, to + at, part);
    if (error != 0) return error;
    at += part;
  }
  return 0;
}

std::int64_t Process::expect_load(const Statement& statement) {
  const std::size_t length = number(statement, 2);
  std::uint8_t* got = buffer(length);
  const std::int64_t error = load(address(statement, 0), length, got);
  expect_bytes(statement, error, got, error == 0 ? length : 0);
  return error;
}

std::int64_t Process::store(const Statement& statement) {
  const std::uint64_t begin = address(statement, 0);
  const std::size_t length = number(statement, 2);
  const std::uint8_t* data = configuration_.bytes(statement.arguments[1].data, length);
  for (std::size_t at = 0; at < length;) {
    const std::size_t part = std::min<std::size_t>(
        length - at, kernel::page_size() - (begin + at) % kernel::page_size());
    const int error = kernel::access_store(mm_, begin + at, data + at, part);
    if (error != 0) return error;
    at += part;
  }
  return 0;
}

// What the kernel does for a process that ends: mappings first, then descriptors.
void Process::exit() {
  FRAME(do_exit);
  if (mm_ != nullptr) kernel::mmput(mm_);
  for (Variable& variable : variables_) {
    if (variable.file != nullptr) close(variable);
  }
}

}  // namespace interleaf
