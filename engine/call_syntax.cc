// SPDX-License-Identifier: GPL-2.0-only
#include "engine/call_syntax.h"

#include <limits>
#include <utility>

#include "engine/nearest.h"
#include "engine/user_error.h"

namespace interleaf {
namespace {

constexpr std::uint64_t kNumberMax = std::numeric_limits<std::int64_t>::max();

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_name_part(char c) { return is_name_start(c) || is_digit(c); }

std::string quoted(std::string_view text) { return "\"" + std::string(text) + "\""; }

// The grammar in the header, one method per rule.
class Syntax {
 public:
  Syntax(const LocatedText& source, std::string_view file_name)
      : source_(source), file_name_(file_name) {}

  CallLine statement() {
    CallLine line;
    line.name = name("a call such as close(fd)");
    if (skip('=')) {
      line.variable = std::move(line.name);
      line.name = name("a call after \"=\"");
    }
    expect('(', "after " + quoted(line.name.text));
    if (peek() != ')') {
      do {
        line.arguments.push_back(argument());
      } while (skip(','));
    }
    line.end = here();
    expect(')', "or \",\" in the arguments of " + quoted(line.name.text));
    if (skip('=')) line.returns = result();
    end();
    return line;
  }

  Expression argument() {
    Expression expression;
    expression.position = here();
    const std::size_t begin = at_;
    const char next = peek();
    if (is_digit(next)) {
      expression.number = number();
    } else if (next == '"') {
      expression.kind = Expression::Kind::kString;
      expression.text = string();
    } else if (is_name_start(next)) {
      names(expression);
    } else {
      fail("expected an argument, found " + found(), here(),
           "a number, a \"string\", a variable, flags, pattern(seed) or zeros");
    }
    expression.written = source_.text.substr(begin, at_ - begin);
    while (expression.written.ends_with(' ')) expression.written.pop_back();
    return expression;
  }

  std::uint64_t number() {
    const SourcePosition position = here();
    const std::size_t begin = at_;
    const int base = source_.text.compare(at_, 2, "0x") == 0 ? 16 : 10;
    if (base == 16) at_ += 2;
    std::uint64_t value = 0;
    bool overflow = false;
    const std::size_t first = at_;
    for (int digit; (digit = digit_value(base)) >= 0; ++at_) {
      overflow |= value > (kNumberMax - static_cast<std::uint64_t>(digit)) / base;
      value = overflow ? 0 : value * base + static_cast<std::uint64_t>(digit);
    }
    bool malformed = at_ == first;
    if (const std::size_t suffix = std::string_view("KMG").find(current()); suffix != kNone) {
      const unsigned shift = 10 * (static_cast<unsigned>(suffix) + 1);
      overflow |= value > (kNumberMax >> shift);
      value = overflow ? 0 : value << shift;
      ++at_;
    } else if (current() == 'H' && source_.huge_page_bytes != 0) {
      overflow |= value > kNumberMax / source_.huge_page_bytes;
      value = overflow ? 0 : value * source_.huge_page_bytes;
      ++at_;
    }
    for (; is_name_part(current()); ++at_) malformed = true;
    const std::string written = source_.text.substr(begin, at_ - begin);
    if (malformed) {
      fail(quoted(written) + " is not a number", position,
           "write 4096, 0x1000 or 4K; the units are K, M, G and H (a huge page)");
    }
    if (overflow) fail(quoted(written) + " does not fit into 63 bits", position);
    blanks();
    return value;
  }

  void end() {
    if (at_ < size()) fail("expected the end of the line, found " + found(), here());
  }

  [[noreturn]] void fail(const std::string& what, SourcePosition position,
                         const std::string& remedy = "") const {
    throw UserError(what, where(file_name_, position), remedy);
  }

  char peek() {
    blanks();
    return current();
  }

  SourcePosition here() {
    blanks();
    return source_.positions[at_];
  }

 private:
  static constexpr std::size_t kNone = std::string_view::npos;

  std::size_t size() const { return source_.text.size(); }
  char current() const { return at_ < size() ? source_.text[at_] : '\0'; }

  int digit_value(int base) const {
    const char c = current();
    if (is_digit(c)) return c - '0';
    if (base == 16 && c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (base == 16 && c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  }

  void blanks() {
    while (current() == ' ' || current() == '\t' || current() == '\n') ++at_;
  }

  bool skip(char c) {
    if (peek() != c) return false;
    ++at_;
    blanks();
    return true;
  }

  std::string found() const {
    return at_ < size() ? quoted(std::string(1, current())) : "the end of the line";
  }

  void expect(char c, const std::string& context) {
    const SourcePosition position = here();
    if (skip(c)) return;
    fail("expected " + quoted(std::string(1, c)) + " " + context + ", found " + found(), position);
  }

  // Only the names of tasks may hold dashes.
  Word name(std::string_view expected, bool dashes = false) {
    Word word{"", here()};
    if (!is_name_start(current())) {
      fail("expected " + std::string(expected) + ", found " + found(), word.position);
    }
    while (is_name_part(current()) || (dashes && current() == '-')) {
      word.text += source_.text[at_++];
    }
    blanks();
    return word;
  }

  void names(Expression& expression) {
    expression.kind = Expression::Kind::kNames;
    expression.names.push_back(name("a name", true));
    if (expression.names.front().text == "pattern" && skip('(')) {
      expression.kind = Expression::Kind::kPattern;
      expression.pattern.kind = DataSource::Kind::kPattern;
      expression.pattern.seed = number_expected();
      if (skip(',')) expression.pattern.offset = number_expected();
      expect(')', "after the seed of pattern(seed[, offset])");
    } else if (expression.names.front().text == "unreadable" && skip('(')) {
      unreadable(expression);
    } else if (peek() == '(') {
      const Word& word = expression.names.front();
      fail("unknown function " + quoted(word.text), word.position,
           "only pattern(seed[, offset]) and unreadable(data, bytes) can be an argument");
    } else if (skip('+')) {
      expression.kind = Expression::Kind::kSum;
      expression.number = number_expected();
    } else {
      while (skip('|')) expression.names.push_back(name("a flag after \"|\""));
    }
  }

  // What is in the parentheses, of which so many bytes can be read.
  void unreadable(Expression& expression) {
    const SourcePosition position = expression.position;
    expression = argument();
    if (expression.readable.has_value()) {
      fail("unreadable() stands in unreadable()", expression.position, "write one of them");
    }
    expression.position = position;
    expect(',', "after the data of unreadable(data, bytes)");
    expression.readable = number_expected();
    expect(')', "after the bytes of unreadable(data, bytes)");
  }

  std::uint64_t number_expected() {
    if (!is_digit(peek())) fail("expected a number, found " + found(), here());
    return number();
  }

  std::string string() {
    const SourcePosition position = here();
    std::string text;
    for (++at_; current() != '"'; ++at_) {
      if (current() == '\\' && at_ + 1 < size()) {
        const std::string_view escapes = "\"\\nt0";
        const std::size_t escape = escapes.find(source_.text[++at_]);
        if (escape == kNone) {
          fail("unknown escape \"\\" + std::string(1, current()) + "\" in a string",
               source_.positions[at_ - 1], R"(the escapes are \", \\, \n, \t and \0)");
        }
        text += std::string_view("\"\\\n\t\0", 5)[escape];
      } else if (at_ >= size()) {
        fail("a string is not closed", position, "add a '\"'");
      } else {
        text += current();
      }
    }
    ++at_;
    blanks();
    return text;
  }

  std::int64_t result() {
    if (is_digit(peek())) return static_cast<std::int64_t>(number());
    const SourcePosition position = here();
    if (!skip('-')) {
      fail("expected a result after \"=\", found " + found(), position,
           "a number such as 16384, or an error such as -EIO");
    }
    const Word error = name("an error such as EIO after \"-\"");
    const int value = errno_of(error.text);
    if (value == 0) {
      fail("unknown error " + quoted(error.text), error.position,
           nearest_or_list(error.text, errno_names()));
    }
    return -value;
  }

  const LocatedText& source_;
  std::string_view file_name_;
  std::size_t at_ = 0;
};

}  // namespace

CallLine parse_call_line(const LocatedText& line, std::string_view file_name) {
  return Syntax(line, file_name).statement();
}

Expression parse_expression(const LocatedText& text, std::string_view file_name) {
  Syntax syntax(text, file_name);
  Expression expression = syntax.argument();
  syntax.end();
  return expression;
}

std::uint64_t parse_number(const LocatedText& text, std::string_view file_name) {
  Syntax syntax(text, file_name);
  const std::uint64_t value = syntax.number();
  syntax.end();
  return value;
}

}  // namespace interleaf
