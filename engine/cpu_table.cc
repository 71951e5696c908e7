// SPDX-License-Identifier: GPL-2.0-only
#include "engine/cpu_table.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

#include "engine/nearest.h"
#include "engine/user_error.h"

namespace interleaf {
namespace {

constexpr std::size_t kTabColumns = 8;
constexpr std::size_t kDriftMax = 3;
constexpr char kGap = '\t';  // a column between cells, however narrow: an expanded tab or a pipe

bool is_name_part(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

std::string quoted(std::string_view text) { return "\"" + std::string(text) + "\""; }

std::string_view trim(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

// A piece of a line between gaps of two columns or more.
struct Cell {
  std::string text;
  std::size_t start = 0;  // column, from 0
  std::size_t pipes = 0;  // to its left
};

struct Line {
  int number = 0;
  std::vector<Cell> cells;
  std::size_t pipes = 0;
};

struct Column {
  std::string task;
  std::size_t start = 0;
  std::size_t pipes = 0;
  std::string open_call;  // arguments that go on in the next row
  int open_line = 0;
};

std::string without_quote_marks(std::string_view line) {
  while (!line.empty() && line.front() == '>') {
    line.remove_prefix(1);
    if (line.starts_with(" ") || line.starts_with("\t>")) line.remove_prefix(1);
  }
  return std::string(line);
}

// UTF-8: only a character's first byte takes a column.
bool takes_column(char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }

std::string with_tabs_expanded(const std::string& line) {
  std::string result;
  std::size_t column = 0;
  for (const char c : line) {
    if (c == '\r') continue;
    if (c == '\t') {
      const std::size_t width = kTabColumns - column % kTabColumns;
      result.append(width, kGap);
      column += width;
    } else {
      result += c;
      column += takes_column(c);
    }
  }
  return result;
}

bool is_underline(std::string_view line) {
  return line.find_first_not_of("-=_~+| \t") == std::string_view::npos &&
         line.find_first_of("-=_~") != std::string_view::npos;
}

bool is_ellipsis(std::string_view cell) {
  return cell == "..." || cell == ".." || cell == "\u2026" || cell == "[...]" || cell == "<...>";
}

class TableParser {
 public:
  TableParser(const std::vector<std::string>& tasks, const std::vector<std::string>& others,
              const std::string& file_name)
      : tasks_(tasks), others_(others), file_name_(file_name) {}

  std::vector<TableRow> parse(std::string_view text, int first_line) {
    int number = first_line;
    for (std::size_t begin = 0; begin <= text.size(); ++number) {
      const std::size_t end = std::min(text.find('\n', begin), text.size());
      take(text.substr(begin, end - begin), number);
      begin = end + 1;
    }
    if (columns_.empty()) {
      fail(first_line, "the table has no heading", "start it with a line of task names");
    }
    for (const Column& column : columns_) {
      if (!column.open_call.empty()) fail(column.open_line, "a \"(\" is not closed");
    }
    if (rows_.empty()) fail(first_line, "the table has no rows", "name a function to enter");
    return rows_;
  }

 private:
  [[noreturn]] void fail(int line, const std::string& what, const std::string& remedy = "") const {
    throw UserError("table: " + what, file_name_ + ":" + std::to_string(line), remedy);
  }

  void take(std::string_view raw, int number) {
    std::string text = with_tabs_expanded(without_quote_marks(raw));
    blank_comments(text, number);
    if (text.find_first_not_of(" \t|") == std::string::npos || is_underline(text)) return;
    if (columns_.empty()) {
      heading(split(text, number, text.find('|') != std::string::npos));
    } else {
      row(split(text, number, columns_.back().pipes > 0));
    }
  }

  void blank_comments(std::string& text, int number) const {
    for (std::size_t begin; (begin = text.find("/*")) != std::string::npos;) {
      const std::size_t end = text.find("*/", begin + 2);
      if (end == std::string::npos) {
        fail(number, "a comment is not closed on its line", "add \"*/\", or use \"//\"");
      }
      text.replace(begin, end + 2 - begin, end + 2 - begin, ' ');
    }
  }

  static Line split(const std::string& text, int number, bool pipes_divide) {
    Line line{.number = number, .cells = {}, .pipes = 0};
    std::size_t blanks = 2;  // before the current column
    std::size_t column = 0;
    for (const char c : text) {
      if (c == kGap || (pipes_divide && c == '|')) {
        line.pipes += c == '|';
        blanks = 2;
      } else if (c == ' ') {
        ++blanks;
      } else {
        if (blanks >= 2) line.cells.push_back({.text = "", .start = column, .pipes = line.pipes});
        if (blanks == 1) line.cells.back().text += ' ';
        line.cells.back().text += c;
        blanks = 0;
      }
      column += takes_column(c);
    }
    return line;
  }

  void heading(const Line& line) {
    const bool from_zero = std::any_of(line.cells.begin(), line.cells.end(), [](const Cell& cell) {
      return cpu_number(cell.text) == 0U;
    });
    for (const Cell& cell : line.cells) {
      const std::string task = task_of_heading(cell.text, from_zero, line.number);
      for (const Column& column : columns_) {
        if (column.task == task) fail(line.number, "task " + quoted(task) + " has two columns");
      }
      columns_.push_back({task, cell.start, cell.pipes, "", 0});
    }
  }

  // The number in "CPU1", "CPU 1", "T1", "Thread #1", "task1", ...; letters count from 1.
  static std::optional<std::size_t> cpu_number(std::string_view heading) {
    std::string text;
    for (const char c : heading.substr(0, heading.find('='))) {
      if (c != ' ' && c != '#')
        text += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
    for (const std::string_view prefix : {"cpu", "thread", "process", "task", "t", "p"}) {
      if (!text.starts_with(prefix)) continue;
      const std::string rest = text.substr(prefix.size());
      if (rest.size() == 1 && rest[0] >= 'a' && rest[0] <= 'f') {
        return static_cast<std::size_t>(rest[0] - 'a' + 1);
      }
      if (rest.empty() || rest.size() > 3) continue;
      if (rest.find_first_not_of("0123456789") == std::string::npos) return std::stoul(rest);
    }
    return std::nullopt;
  }

  std::string task_of_heading(std::string_view text, bool from_zero, int number) const {
    std::string_view name = text;
    const std::size_t equals = text.find('=');
    if (equals != std::string_view::npos) name = trim(text.substr(equals + 1));
    const auto has = [&](const std::vector<std::string>& names) {
      return std::find(names.begin(), names.end(), name) != names.end();
    };
    if (has(tasks_) || has(others_)) return std::string(name);
    const std::optional<std::size_t> cpu = cpu_number(text);
    if (!cpu || equals != std::string_view::npos) {
      fail(number, "heading " + quoted(text) + " names no task", nearest_or_list(name, tasks_));
    }
    const std::size_t index = *cpu - (from_zero ? 0 : 1);
    if (index >= tasks_.size()) {
      fail(number,
           "heading " + quoted(text) + " is task number " + std::to_string(index + 1) +
               ", and the scenario has " + std::to_string(tasks_.size()),
           "write " + std::string(text) + "=NAME");
    }
    return tasks_[index];
  }

  // Cells that start within the drift of no column belong to the cell on their left: they are the
  // rest of a remark with wide gaps in it.
  void row(const Line& line) {
    std::vector<std::string> texts(columns_.size());
    const bool by_pipes = line.pipes > 0 && line.pipes >= columns_.back().pipes;
    std::size_t last = columns_.size();
    for (const Cell& cell : line.cells) {
      const std::size_t column = by_pipes ? column_by_pipes(cell) : column_by_start(cell);
      std::string& text = texts[column];
      if (column == last) text += "  ";
      text += cell.text;
      last = column;
    }
    for (std::size_t i = 0; i < columns_.size(); ++i) take_cell(columns_[i], texts[i], line.number);
  }

  std::size_t column_by_pipes(const Cell& cell) const {
    std::size_t column = 0;
    while (column + 1 < columns_.size() && columns_[column + 1].pipes <= cell.pipes) ++column;
    return column;
  }

  std::size_t column_by_start(const Cell& cell) const {
    std::size_t column = 0;
    for (std::size_t i = 1; i < columns_.size(); ++i) {
      const std::size_t apart = columns_[i].start - columns_[i - 1].start;
      const std::size_t drift = std::min(kDriftMax, (apart - 1) / 2);
      if (cell.start + drift >= columns_[i].start) column = i;
    }
    return column;
  }

  void take_cell(Column& column, std::string_view raw, int number) {
    std::string_view text = trim(without_remark(raw));
    if (text.empty() || is_ellipsis(text)) return;
    const std::string joined = column.open_call + std::string(text);
    const bool goes_on = !column.open_call.empty();
    const auto opened = std::count(joined.begin(), joined.end(), '(');
    const auto closed = std::count(joined.begin(), joined.end(), ')');
    if (closed > opened) fail(number, "a \")\" without its \"(\" in " + quoted(text));
    column.open_call = opened > closed ? joined : "";
    if (goes_on) return;
    column.open_line = number;
    rows_.push_back({column.task, function_of(text, number), number});
  }

  // A comment sign counts at the start of a word, so that "a//b" or "ext4#1" stay names to complain
  // about.
  static std::string_view without_remark(std::string_view text) {
    constexpr std::array<std::string_view, 6> kSigns = {"//", "#", "-->", "==>", "<--", "<=="};
    for (std::size_t at = 0; at < text.size(); ++at) {
      if (at > 0 && text[at - 1] != ' ') continue;
      for (const std::string_view sign : kSigns) {
        if (text.substr(at).starts_with(sign)) return text.substr(0, at);
      }
    }
    return text;
  }

  // A name alone, or the first call in a piece of C.
  std::string function_of(std::string_view text, int number) const {
    constexpr std::array<std::string_view, 9> kNotCalls = {
        "if", "while", "for", "switch", "return", "sizeof", "likely", "unlikely", "else"};
    std::size_t at = 0;
    bool words = false;
    while (at < text.size()) {
      std::size_t end = at;
      while (end < text.size() && is_name_part(text[end])) ++end;
      const std::string_view name = text.substr(at, end - at);
      const bool is_name = !name.empty() && std::isdigit(static_cast<unsigned char>(name[0])) == 0;
      const std::size_t after = std::min(text.find_first_not_of(' ', end), text.size());
      const bool call = after < text.size() && text[after] == '(';
      const bool keyword = std::find(kNotCalls.begin(), kNotCalls.end(), name) != kNotCalls.end();
      if (is_name && !keyword && (call || (!words && at == 0 && end == text.size()))) {
        return std::string(name);
      }
      words = true;
      at = std::max(end, at + 1);
    }
    fail(number, quoted(text) + " names no function to enter",
         "write the function, and remarks behind \"//\"");
  }

  const std::vector<std::string>& tasks_;
  const std::vector<std::string>& others_;
  const std::string& file_name_;
  std::vector<Column> columns_;
  std::vector<TableRow> rows_;
};

}  // namespace

std::vector<TableRow> parse_cpu_table(std::string_view text, const std::vector<std::string>& tasks,
                                      const std::string& file_name, int first_line,
                                      const std::vector<std::string>& others) {
  return TableParser(tasks, others, file_name).parse(text, first_line);
}

}  // namespace interleaf
