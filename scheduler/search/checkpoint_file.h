// SPDX-License-Identifier: GPL-2.0-only
// The file that a search keeps its state in, to go on in another process. Whole and checked:
// written to a temporary name, flushed to disk and renamed; read only if the checksum at its end
// agrees. The identity says what the search was of; a file of another search is refused.
//
//   8 bytes magic, format; then, in 8-byte little-endian words unless said otherwise:
//   identity (pairs of texts), what the search puts there; 16 bytes checksum of all before
//
// A list is its length and its elements, a text or a schedule its length and its bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "scheduler/search/bounded_tally.h"
#include "scheduler/search/order_hash.h"
#include "scheduler/strategy.h"

namespace interleaf {

// The file cannot be used: it is damaged, of something else, or cannot be read or written. The
// message names the file and what is wrong.
class CheckpointError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

using Identity = std::vector<std::pair<std::string, std::string>>;

// Of bytes in order, whatever the pieces they come in.
class CheckpointSum {
 public:
  static constexpr std::size_t kBytes = 16;

  void add(const unsigned char* bytes, std::size_t count);
  std::vector<unsigned char> bytes() const;

 private:
  Hash128 hash_;
  std::uint64_t word_ = 0;
  unsigned held_ = 0;
};

// Errors, also below: CheckpointError.
class CheckpointWriter {
 public:
  // Writes the magic and the identity.
  CheckpointWriter(const std::string& path, const Identity& identity);
  ~CheckpointWriter();
  CheckpointWriter(const CheckpointWriter&) = delete;
  CheckpointWriter& operator=(const CheckpointWriter&) = delete;

  void number(std::uint64_t value);
  void hash(const Hash128& value);
  void text(const std::string& value);
  void schedule(const Schedule& value);
  void tally(const BoundedTally& value);
  // The file is whole: it takes its name.
  void finish();

 private:
  void bytes(const void* data, std::size_t count);
  [[noreturn]] void failed() const;
  void flush();

  std::string path_;
  std::string temporary_;
  int file_ = -1;
  std::vector<unsigned char> buffer_;
  CheckpointSum sum_;
};

class CheckpointReader {
 public:
  // Reads the magic and the identity. Null if there is no such file.
  static std::unique_ptr<CheckpointReader> open(const std::string& path, const Identity& identity);
  ~CheckpointReader();
  CheckpointReader(const CheckpointReader&) = delete;
  CheckpointReader& operator=(const CheckpointReader&) = delete;

  std::uint64_t number();
  // Below `end`.
  std::uint64_t number_below(std::uint64_t end);
  // The length of a list whose elements take at least `each` bytes.
  std::uint64_t count(std::uint64_t each);
  Hash128 hash();
  std::string text();
  Schedule schedule();
  void tally(BoundedTally& value);
  // Nothing may follow but the right checksum.
  void finish();
  [[noreturn]] void damaged() const;

 private:
  CheckpointReader(const std::string& path, int file);
  void bytes(void* data, std::uint64_t count);
  void raw(void* data, std::uint64_t count);
  void fill();
  [[noreturn]] void failed() const;

  std::string path_;
  int file_;
  std::uint64_t left_ = 0;  // bytes before the checksum
  std::vector<unsigned char> buffer_;
  std::size_t at_ = 0, end_ = 0;
  CheckpointSum sum_;
};

// The search is over. No error if there is no such file.
void remove_checkpoint(const std::string& path);

}  // namespace interleaf
