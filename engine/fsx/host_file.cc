// SPDX-License-Identifier: GPL-2.0-only
#include "engine/fsx/host_file.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "engine/user_error.h"

namespace interleaf {
namespace {

std::int64_t result_of(std::int64_t result) { return result < 0 ? -errno : result; }

}  // namespace

FsxHostFile::FsxHostFile(const std::string& directory) : path_(directory + "/fsx.XXXXXX") {
  fd_ = ::mkostemp(path_.data(), O_CLOEXEC);
  if (fd_ < 0) {
    throw UserError("cannot make a file in " + directory + ": " + std::strerror(errno), "",
                    "name a directory that can be written to");
  }
  struct stat status {};
  if (::fstat(fd_, &status) == 0) block_size_ = static_cast<std::uint64_t>(status.st_blksize);
}

FsxHostFile::~FsxHostFile() {
  ::close(fd_);
  ::unlink(path_.c_str());
}

std::int64_t FsxHostFile::read(std::uint64_t offset, std::uint64_t length, std::uint8_t* to) {
  return result_of(::pread(fd_, to, length, static_cast<off_t>(offset)));
}

std::int64_t FsxHostFile::write(std::uint64_t offset, std::uint64_t length,
                                const std::uint8_t* from) {
  return result_of(::pwrite(fd_, from, length, static_cast<off_t>(offset)));
}

std::int64_t FsxHostFile::map_read(std::uint64_t offset, std::uint64_t length, std::uint8_t* to) {
  const std::uint64_t begin = offset / page_size() * page_size();
  const std::size_t bytes = offset + length - begin;
  void* at = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd_, static_cast<off_t>(begin));
  if (at == MAP_FAILED) return -errno;
  std::memcpy(to, static_cast<const std::uint8_t*>(at) + (offset - begin), length);
  return result_of(::munmap(at, bytes));
}

std::int64_t FsxHostFile::map_write(std::uint64_t offset, std::uint64_t length,
                                    const std::uint8_t* from, bool sync) {
  const std::uint64_t begin = offset / page_size() * page_size();
  const std::size_t bytes = offset + length - begin;
  void* at =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd_, static_cast<off_t>(begin));
  if (at == MAP_FAILED) return -errno;
  std::memcpy(static_cast<std::uint8_t*>(at) + (offset - begin), from, length);
  const std::int64_t synced = sync ? result_of(::msync(at, bytes, MS_SYNC)) : 0;
  const std::int64_t unmapped = result_of(::munmap(at, bytes));
  return synced != 0 ? synced : unmapped;
}

std::int64_t FsxHostFile::truncate(std::uint64_t size) {
  return result_of(::ftruncate(fd_, static_cast<off_t>(size)));
}

std::int64_t FsxHostFile::fallocate(int mode, std::uint64_t offset, std::uint64_t length) {
  return result_of(::fallocate(fd_, mode, static_cast<off_t>(offset), static_cast<off_t>(length)));
}

// Filesystems that cannot share say so in several ways.
std::int64_t FsxHostFile::clone(std::uint64_t offset, std::uint64_t length,
                                std::uint64_t destination) {
  file_clone_range range{fd_, offset, length, destination};
  const std::int64_t result = result_of(::ioctl(fd_, FICLONERANGE, &range));
  return result == -ENOTTY || result == -EINVAL || result == -ENOSYS ? -EOPNOTSUPP : result;
}

std::int64_t FsxHostFile::fsync() { return result_of(::fsync(fd_)); }

std::int64_t FsxHostFile::reopen() {
  ::close(fd_);
  fd_ = ::open(path_.c_str(), O_RDWR | O_CLOEXEC);
  return fd_ < 0 ? -errno : 0;
}

void FsxHostFile::drop_cache() { ::posix_fadvise(fd_, 0, 0, POSIX_FADV_DONTNEED); }

std::int64_t FsxHostFile::seek(std::uint64_t offset, int whence) {
  return result_of(::lseek(fd_, static_cast<off_t>(offset), whence));
}

std::uint64_t FsxHostFile::page_size() const {
  return static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

}  // namespace interleaf
