// SPDX-License-Identifier: GPL-2.0-only
// Sequences of file operations as fsx of xfstests records and replays them: one a line,
//     [skip] name offset length [destination] size [keep_size] [close_open] [unshare] [*]
// with numbers in hexadecimal; a line that begins with # is a remark. `size` is the file's when the
// line was written. It and the star, fsx's mark of what overlaps a failure, mean nothing in a
// replay. Of truncate the length is the new size; fsync has an offset and length of 0.
//
// Values only, no shared state.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace interleaf {

// In the order of fsx's table, from which it draws.
enum class FsxKind : std::uint8_t {
  kRead,
  kWrite,
  kMapRead,
  kMapWrite,
  kTruncate,
  kFallocate,
  kPunchHole,
  kZeroRange,
  kCollapseRange,
  kInsertRange,
  kCloneRange,
  kDedupeRange,  // these three are read and written as skipped: nothing here can do them
  kCopyRange,
  kExchangeRange,
  kFsync,
};
inline constexpr unsigned kFsxKinds = 15;

struct FsxOp {
  FsxKind kind = FsxKind::kRead;
  bool skip = false;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
  std::uint64_t destination = 0;  // of kCloneRange, kDedupeRange, kCopyRange, kExchangeRange
  std::uint64_t size = 0;
  bool keep_size = false;
  bool close_open = false;
  bool unshare = false;

  bool operator==(const FsxOp&) const = default;
};

std::string_view fsx_name(FsxKind kind);
bool fsx_has_destination(FsxKind kind);

// A line of the file, without a newline.
std::string fsx_line(const FsxOp& op);
std::string fsx_text(const std::vector<FsxOp>& ops);

// Errors: UserError with file:line:column of the wrong word.
std::vector<FsxOp> parse_fsx(std::string_view text, std::string_view file_name);

}  // namespace interleaf
