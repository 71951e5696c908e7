// SPDX-License-Identifier: GPL-2.0-only
// Runs a sequence of fsx on a file and compares it with a byte array after every operation: what
// was read, the size, zeros behind the end of the last page, and where lseek() says that there is
// data.
//
// An operation that the file's system has not (-EOPNOTSUPP) is skipped. Any other error is a
// mismatch.
//
// Inside a run of a World nothing here takes memory but for a mismatch, which is kept outside the
// arena.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/fsx/file_model.h"
#include "engine/fsx/ops.h"

namespace interleaf {

// The open file. Results are counts or a negative errno.
class FsxFile {
 public:
  virtual ~FsxFile() = default;
  virtual std::int64_t read(std::uint64_t offset, std::uint64_t length, std::uint8_t* to) = 0;
  virtual std::int64_t write(std::uint64_t offset, std::uint64_t length,
                             const std::uint8_t* from) = 0;
  // Through a mapping of their own; 0 or an error. All of it lies in pages of the file.
  virtual std::int64_t map_read(std::uint64_t offset, std::uint64_t length, std::uint8_t* to) = 0;
  // `sync`: with msync(MS_SYNC).
  virtual std::int64_t map_write(std::uint64_t offset, std::uint64_t length,
                                 const std::uint8_t* from, bool sync) = 0;
  virtual std::int64_t truncate(std::uint64_t size) = 0;
  virtual std::int64_t fallocate(int mode, std::uint64_t offset, std::uint64_t length) = 0;
  virtual std::int64_t clone(std::uint64_t offset, std::uint64_t length,
                             std::uint64_t destination) = 0;
  virtual std::int64_t fsync() = 0;
  virtual std::int64_t reopen() = 0;
  // Clean pages leave the cache, if the caller may have that done.
  virtual void drop_cache() = 0;
  virtual std::int64_t seek(std::uint64_t offset, int whence) = 0;
  virtual std::uint64_t page_size() const = 0;
};

struct FsxMismatch {
  std::size_t op = 0;        // index in the sequence; its length: at the end of it
  std::string what;          // sentences, with offset, wanted and got
  bool lost = false;         // zeros where bytes were written
  bool stale = false;        // other bytes than zeros, and wrong
  std::uint64_t offset = 0;  // of the first wrong byte, if bytes are
};

struct FsxChecks {
  bool pollute = false;    // -e 1: garbage behind the end of the file where it is about to move
  bool seek_each = false;  // where there is data after every operation, not now and then
};

class FsxExercise {
 public:
  FsxExercise(const FsxLimits& limits, const FsxChecks& checks);

  // Runs ops [begin, end) on a file that is equal to the model. False after a mismatch.
  bool run(FsxFile& file, const std::vector<FsxOp>& ops, std::size_t begin, std::size_t end);
  // Makes an empty file equal to the model, and what it holds durable.
  bool restore(FsxFile& file, std::size_t op);
  // All of it is on disk and read back from there.
  bool check_durable(FsxFile& file, std::size_t op);

  const std::optional<FsxMismatch>& mismatch() const { return mismatch_; }
  const FsxModel& model() const { return model_; }
  std::size_t at() const { return at_; }  // index of the operation under way
  std::uint64_t done() const { return done_; }
  std::uint64_t skipped() const { return skipped_; }

 private:
  bool apply(FsxFile& file, FsxOp op);
  std::int64_t execute(FsxFile& file, const FsxOp& op);
  std::int64_t read_mapped(FsxFile& file, const FsxOp& op);
  std::uint64_t pollute(FsxFile& file, const FsxOp& op);
  bool check_bytes(std::uint64_t offset, std::uint64_t length, const char* how);
  bool check_result(const FsxOp& op, std::int64_t result);
  bool check_size(FsxFile& file);
  bool check_tail(const FsxOp& op);
  bool check_seek(FsxFile& file);
  bool fail(const std::string& what);
  bool all_zero(std::uint64_t begin, std::uint64_t end) const;

  FsxModel model_;
  FsxChecks checks_;
  std::vector<std::uint8_t> buffer_;
  std::vector<std::uint8_t> garbage_;
  std::vector<std::uint8_t> zeros_;
  std::optional<FsxMismatch> mismatch_;
  std::size_t at_ = 0;
  std::uint64_t done_ = 0;
  std::uint64_t skipped_ = 0;
};

}  // namespace interleaf
