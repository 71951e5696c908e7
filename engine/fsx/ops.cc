// SPDX-License-Identifier: GPL-2.0-only
#include "engine/fsx/ops.h"

#include <fmt/format.h>

#include <charconv>
#include <iterator>

#include "engine/call.h"
#include "engine/nearest.h"
#include "engine/user_error.h"

namespace interleaf {
namespace {

constexpr std::string_view kNames[] = {
    "read",        "write",        "mapread",    "mapwrite",       "truncate",
    "fallocate",   "punch_hole",   "zero_range", "collapse_range", "insert_range",
    "clone_range", "dedupe_range", "copy_range", "exchange_range", "fsync",
};
static_assert(std::size(kNames) == kFsxKinds);

struct OpFlag {
  std::string_view name;
  bool FsxOp::*member;
};
constexpr OpFlag kFlags[] = {
    {"keep_size", &FsxOp::keep_size},
    {"close_open", &FsxOp::close_open},
    {"unshare", &FsxOp::unshare},
};

std::string quoted(std::string_view text) { return "\"" + std::string(text) + "\""; }

// The words of one line.
class Line {
 public:
  Line(std::string_view text, std::string_view file_name, int number)
      : text_(text), file_name_(file_name), number_(number) {}

  // The next word, or empty at the end.
  std::string_view word() {
    at_ = std::min(text_.find_first_not_of(" \t\r", at_ + word_.size()), text_.size());
    word_ = text_.substr(at_, text_.find_first_of(" \t\r", at_) - at_);
    return word_;
  }

  std::uint64_t number(std::string_view what) {
    const std::string_view text = word();
    if (text.empty()) fail("the " + std::string(what) + " is missing", "");
    const bool hexadecimal = text.starts_with("0x");
    const char* begin = text.data() + (hexadecimal ? 2 : 0);
    const char* end = text.data() + text.size();
    std::uint64_t value = 0;
    const auto [stop, error] = std::from_chars(begin, end, value, hexadecimal ? 16 : 10);
    if (error != std::errc() || stop != end) {
      fail(quoted(text) + " is no number", "write 0x1000 or 4096");
    }
    // Offsets and sizes together must stay positive.
    if (value > std::uint64_t{1} << 62) fail(quoted(text) + " is too large", "");
    return value;
  }

  [[noreturn]] void fail(const std::string& what, const std::string& remedy) const {
    throw UserError(what, where(file_name_, {number_, static_cast<int>(at_) + 1}), remedy);
  }

 private:
  std::string_view text_;
  std::string_view file_name_;
  int number_;
  std::size_t at_ = 0;
  std::string_view word_;
};

FsxKind kind_named(std::string_view name, const Line& line) {
  std::vector<std::string> known;
  for (unsigned i = 0; i < kFsxKinds; ++i) {
    if (kNames[i] == name) return static_cast<FsxKind>(i);
    known.emplace_back(kNames[i]);
  }
  line.fail("unknown operation " + quoted(name), nearest_or_list(std::string(name), known));
}

FsxOp parse_line(Line& line, std::string_view first) {
  FsxOp op;
  op.skip = first == "skip";
  op.kind = kind_named(op.skip ? line.word() : first, line);
  op.offset = line.number("offset");
  op.length = line.number("length");
  if (fsx_has_destination(op.kind)) op.destination = line.number("destination");
  op.size = line.number("size of the file");
  for (std::string_view word = line.word(); !word.empty(); word = line.word()) {
    bool known = word == "*";
    for (const OpFlag& flag : kFlags) {
      if (flag.name != word) continue;
      op.*flag.member = true;
      known = true;
    }
    if (!known) {
      line.fail("unknown flag " + quoted(word), "keep_size, close_open, unshare and * are known");
    }
  }
  return op;
}

}  // namespace

std::string_view fsx_name(FsxKind kind) { return kNames[static_cast<unsigned>(kind)]; }

bool fsx_has_destination(FsxKind kind) {
  return kind >= FsxKind::kCloneRange && kind <= FsxKind::kExchangeRange;
}

std::string fsx_line(const FsxOp& op) {
  std::string text = fmt::format("{}{} {:#x} {:#x}", op.skip ? "skip " : "", fsx_name(op.kind),
                                 op.offset, op.length);
  if (fsx_has_destination(op.kind)) text += fmt::format(" {:#x}", op.destination);
  text += fmt::format(" {:#x}", op.size);
  for (const OpFlag& flag : kFlags) {
    if (op.*flag.member) text += " " + std::string(flag.name);
  }
  return text;
}

std::string fsx_text(const std::vector<FsxOp>& ops) {
  std::string text;
  for (const FsxOp& op : ops) text += fsx_line(op) + "\n";
  return text;
}

std::vector<FsxOp> parse_fsx(std::string_view text, std::string_view file_name) {
  std::vector<FsxOp> ops;
  int number = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    Line line(text.substr(0, end), file_name, ++number);
    const std::string_view first = line.word();
    if (!first.empty() && first.front() != '#') ops.push_back(parse_line(line, first));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return ops;
}

}  // namespace interleaf
