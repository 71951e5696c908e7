// SPDX-License-Identifier: GPL-2.0-only
// A file of the port under fsx, in a process of its own. Made and used inside one task of a run.
#pragma once

#include "engine/fsx/exercise.h"
#include "engine/kernel/fs.h"
#include "engine/kernel/mm.h"

namespace interleaf {

class FsxPortFile final : public FsxFile {
 public:
  // Opens the file, which is a point, and empties it. `length_max`: of what may be mapped.
  FsxPortFile(kernel::inode* node, std::uint64_t length_max);
  ~FsxPortFile() override;

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
  void drop_cache() override;
  std::int64_t seek(std::uint64_t offset, int whence) override;
  std::uint64_t page_size() const override;

 private:
  // Calls access(address, bytes done, length) for every page of a mapping of these bytes.
  template <typename Access>
  std::int64_t mapped(std::uint64_t offset, std::uint64_t length, int prot, bool sync,
                      Access access);

  kernel::inode* node_;
  kernel::file* file_;
  kernel::mm_struct* mm_;
};

}  // namespace interleaf
