// SPDX-License-Identifier: GPL-2.0-only
// A file of this machine under fsx.
#pragma once

#include <string>

#include "engine/fsx/exercise.h"

namespace interleaf {

class FsxHostFile final : public FsxFile {
 public:
  // Makes a file of its own in the directory; it is removed with this. Errors: UserError.
  explicit FsxHostFile(const std::string& directory);
  ~FsxHostFile() override;
  FsxHostFile(const FsxHostFile&) = delete;
  FsxHostFile& operator=(const FsxHostFile&) = delete;

  std::int64_t read(std::uint64_t offset, std::uint64_t length, std::uint8_t* to) override;
  std::int64_t write(std::uint64_t offset, std::uint64_t length, const std::uint8_t* from) override;
  std::int64_t map_read(std::uint64_t offset, std::uint64_t length, std::uint8_t* to) override;
  std::int64_t map_write(std::uint64_t offset, std::uint64_t length, const std::uint8_t* from,
                         bool sync) override;
  std::int64_t truncate(std::uint64_t size) override;
  std::int64_t fallocate(int mode, std::uint64_t offset, std::uint64_t length) override;
  std::int64_t clone(std::uint64_t offset, std::uint64_t length,
                     std::uint64_t destination) override;
  std::int64_t fsync() override;
  std::int64_t reopen() override;
  void drop_cache() override;  // posix_fadvise(POSIX_FADV_DONTNEED)
  std::int64_t seek(std::uint64_t offset, int whence) override;
  std::uint64_t page_size() const override;

  // What collapse and insert range count in here.
  std::uint64_t block_size() const { return block_size_; }

 private:
  std::string path_;
  int fd_ = -1;
  std::uint64_t block_size_ = 4096;
};

}  // namespace interleaf
