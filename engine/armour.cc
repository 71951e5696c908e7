// SPDX-License-Identifier: GPL-2.0-only
#include "engine/armour.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <charconv>
#include <cstdint>

#include "engine/user_error.h"

namespace interleaf {
namespace {

constexpr std::size_t kColumnsMax = 76;
constexpr std::string_view kHeader = "%interleaf";
constexpr std::string_view kVersion = "1";
constexpr std::string_view kBody = "%body";
constexpr std::string_view kSum = "%sum";
constexpr std::string_view kBlanks = " \t\r\f\v|";  // '|' is a way of quoting
constexpr std::string_view kDigits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

std::uint64_t sum_of(std::span<const std::byte> bytes) {
  return XXH64(bytes.data(), bytes.size(), 0);
}

std::string base64(std::span<const std::byte> bytes) {
  std::string digits;
  std::uint32_t pending = 0;
  int pending_bits = 0;
  for (const std::byte byte : bytes) {
    pending = pending << 8 | std::to_integer<std::uint32_t>(byte);
    for (pending_bits += 8; pending_bits >= 6; pending_bits -= 6) {
      digits += kDigits[pending >> (pending_bits - 6) & 63];
    }
  }
  if (pending_bits > 0) digits += kDigits[pending << (6 - pending_bits) & 63];
  return digits;
}

std::string printable(std::string_view text) {
  std::string result(text);
  std::replace_if(
      result.begin(), result.end(), [](char c) { return c < ' ' || c > '~' || c == '%'; }, '?');
  return result;
}

// Breaks at the last blank that fits, else anywhere; continuations are indented.
void append_folded(std::string& out, std::string_view line) {
  std::size_t indent = 1;
  do {
    const std::size_t room = kColumnsMax - indent;
    std::size_t length = std::min(line.size(), room);
    const std::size_t blank = line.rfind(' ', room);
    if (line.size() > room && blank != line.npos && blank > 0) length = blank;
    out.append(indent, ' ').append(line.substr(0, length)) += '\n';
    line.remove_prefix(length);
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    indent = 4;
  } while (!line.empty());
}

// Where the armour starts: a header with nothing but quoting before it on its line.
std::size_t find_header(std::string_view text) {
  std::size_t header = text.find(kHeader);
  for (; header != text.npos; header = text.find(kHeader, header + 1)) {
    const std::size_t line = text.rfind('\n', header) + 1;  // 0 in the first line
    std::string_view before = text.substr(line, header - line);
    before.remove_prefix(before.rfind('>') + 1);
    if (before.find_first_not_of(kBlanks) == before.npos) break;
  }
  return header;
}

// Words by line, each line without the quoting before its text.
std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    line.remove_prefix(line.rfind('>') + 1);  // 0 without quoting
    std::size_t begin = line.find_first_not_of(kBlanks);
    while (begin != line.npos) {
      const std::size_t end = std::min(line.find_first_of(kBlanks, begin), line.size());
      words.push_back(line.substr(begin, end - begin));
      begin = line.find_first_not_of(kBlanks, end);
    }
  }
  return words;
}

// Says where in a text something is wrong.
class Source {
 public:
  Source(std::string_view text, std::string_view name) : text_(text), name_(name) {}

  // `at` points into the text.
  UserError error(const char* at, const std::string& what) const {
    const std::string_view before = text_.substr(0, static_cast<std::size_t>(at - text_.data()));
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const std::size_t column = before.size() - (before.rfind('\n') + 1) + 1;
    return UserError(what, fmt::format("{}:{}:{}", name_, line, column),
                     "copy it again from the mail, from '%interleaf' to the line with '%sum'");
  }

 private:
  std::string_view text_;
  std::string_view name_;
};

std::uint64_t number(const Source& source, std::string_view word, int base) {
  std::uint64_t value = 0;
  const char* const end = word.data() + word.size();
  const auto [parsed, error] = std::from_chars(word.data(), end, value, base);
  if (error != std::errc() || parsed != end) {
    throw source.error(word.data(), fmt::format("'{}' is no number", printable(word)));
  }
  return value;
}

std::vector<std::byte> unbase64(const Source& source, std::span<const std::string_view> words) {
  std::vector<std::byte> bytes;
  std::uint32_t pending = 0;
  int pending_bits = 0;
  for (const std::string_view word : words) {
    for (const char& c : word) {
      const std::size_t digit = kDigits.find(c);
      if (digit == kDigits.npos) {
        throw source.error(&c, fmt::format("'{}' does not belong into the text of a recording",
                                           printable({&c, 1})));
      }
      pending = pending << 6 | static_cast<std::uint32_t>(digit);
      pending_bits += 6;
      if (pending_bits < 8) continue;
      pending_bits -= 8;
      bytes.push_back(static_cast<std::byte>(pending >> pending_bits & 0xff));
    }
  }
  return bytes;
}

}  // namespace

std::string armour(const std::vector<std::string>& caption, std::span<const std::byte> bytes) {
  std::string text;
  append_folded(text, fmt::format("{} {} {}", kHeader, kVersion, printable(caption.at(0))));
  for (std::size_t i = 1; i < caption.size(); ++i) append_folded(text, printable(caption[i]));
  text += fmt::format(" {} {}\n", kBody, bytes.size());
  const std::string digits = base64(bytes);
  for (std::size_t i = 0; i < digits.size(); i += kColumnsMax - 1) {
    text += " " + digits.substr(i, kColumnsMax - 1) + "\n";
  }
  return text + fmt::format(" {} {:016x}\n", kSum, sum_of(bytes));
}

bool is_armoured(std::string_view text) { return find_header(text) != text.npos; }

std::vector<std::byte> dearmour(std::string_view text, std::string_view name_for_errors) {
  const Source source(text, name_for_errors);
  const std::size_t header = find_header(text);
  if (header == text.npos) {
    throw UserError("the text has no recording in it", std::string(name_for_errors),
                    "it must have a line that starts with '%interleaf 1'");
  }
  const auto words = words_of(text.substr(header));
  const auto body = std::find(words.begin(), words.end(), kBody);
  const auto sum = std::find(body, words.end(), kSum);
  if (words.end() - sum < 2 || sum - body < 2) {
    throw source.error(text.data() + header, "the text of the recording is cut off");
  }
  const std::uint64_t size = number(source, body[1], 10);
  auto bytes = unbase64(source, {body + 2, sum});
  if (bytes.size() != size) {
    throw source.error(body->data(), fmt::format("the text of the recording has {} bytes, not {}",
                                                 bytes.size(), size));
  }
  if (sum_of(bytes) != number(source, sum[1], 16)) {
    throw source.error(sum->data(), "the text of the recording was changed, its sum differs");
  }
  return bytes;
}

}  // namespace interleaf
