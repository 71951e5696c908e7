// SPDX-License-Identifier: GPL-2.0-only
#include "engine/fsx/port_file.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>

#include "engine/kernel/machine.h"
#include "scheduler/check.h"

namespace interleaf {

using kernel::loff_t;

FsxPortFile::FsxPortFile(kernel::inode* node, std::uint64_t length_max)
    : node_(node),
      file_(kernel::do_open(node, O_RDWR | O_TRUNC)),
      mm_(new kernel::mm_struct("fsx",
                                static_cast<unsigned>(length_max / kernel::pmd_size()) + 4)) {
  CHECK(!kernel::IS_ERR(file_));
}

FsxPortFile::~FsxPortFile() {
  kernel::mmput(mm_);
  kernel::filp_close(file_);
}

std::int64_t FsxPortFile::read(std::uint64_t offset, std::uint64_t length, std::uint8_t* to) {
  return kernel::vfs_read(file_, static_cast<loff_t>(offset), to, length);
}

std::int64_t FsxPortFile::write(std::uint64_t offset, std::uint64_t length,
                                const std::uint8_t* from) {
  return kernel::vfs_write(file_, static_cast<loff_t>(offset), from, length);
}

template <typename Access>
std::int64_t FsxPortFile::mapped(std::uint64_t offset, std::uint64_t length, int prot, bool sync,
                                 Access access) {
  const std::uint64_t page = kernel::page_size();
  const std::uint64_t begin = offset / page * page;
  const std::uint64_t bytes = (offset + length - begin + page - 1) / page * page;
  const std::int64_t address =
      kernel::do_mmap(mm_, file_, static_cast<loff_t>(begin), bytes, prot, MAP_SHARED);
  if (address < 0) return address;
  const std::uint64_t first = static_cast<std::uint64_t>(address) + (offset - begin);
  std::int64_t error = 0;
  for (std::uint64_t done = 0; done < length && error == 0;) {
    const std::uint64_t part = std::min(length - done, page - (first + done) % page);
    error = access(first + done, done, part);
    done += part;
  }
  if (error == 0 && sync) {
    error = kernel::do_msync(mm_, static_cast<std::uint64_t>(address), bytes, MS_SYNC);
  }
  const std::int64_t unmapped = kernel::do_munmap(mm_, static_cast<std::uint64_t>(address), bytes);
  return error != 0 ? error : unmapped;
}

std::int64_t FsxPortFile::map_read(std::uint64_t offset, std::uint64_t length, std::uint8_t* to) {
  return mapped(offset, length, PROT_READ, false,
                [&](std::uint64_t address, std::uint64_t done, std::uint64_t part) {
                  return kernel::access_load(mm_, address, to + done, part);
                });
}

std::int64_t FsxPortFile::map_write(std::uint64_t offset, std::uint64_t length,
                                    const std::uint8_t* from, bool sync) {
  return mapped(offset, length, PROT_READ | PROT_WRITE, sync,
                [&](std::uint64_t address, std::uint64_t done, std::uint64_t part) {
                  return kernel::access_store(mm_, address, from + done, part);
                });
}

std::int64_t FsxPortFile::truncate(std::uint64_t size) {
  return kernel::do_ftruncate(file_, static_cast<loff_t>(size));
}

std::int64_t FsxPortFile::fallocate(int mode, std::uint64_t offset, std::uint64_t length) {
  return kernel::vfs_fallocate(file_, mode, static_cast<loff_t>(offset),
                               static_cast<loff_t>(length));
}

std::int64_t FsxPortFile::clone(std::uint64_t offset, std::uint64_t length,
                                std::uint64_t destination) {
  return kernel::ioctl_file_clone_range(file_, file_, static_cast<loff_t>(offset),
                                        static_cast<loff_t>(length),
                                        static_cast<loff_t>(destination));
}

std::int64_t FsxPortFile::fsync() { return kernel::vfs_fsync_range(file_, 0, INT64_MAX, false); }

std::int64_t FsxPortFile::reopen() {
  kernel::filp_close(file_);
  file_ = kernel::do_open(node_, O_RDWR);
  return kernel::IS_ERR(file_) ? kernel::PTR_ERR(file_) : 0;
}

void FsxPortFile::drop_cache() { kernel::drop_caches_sysctl_handler(); }

std::int64_t FsxPortFile::seek(std::uint64_t offset, int whence) {
  return kernel::vfs_llseek(file_, static_cast<loff_t>(offset), whence);
}

std::uint64_t FsxPortFile::page_size() const { return kernel::page_size(); }

}  // namespace interleaf
