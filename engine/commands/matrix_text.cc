// SPDX-License-Identifier: GPL-2.0-only
#include "engine/commands/matrix_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace interleaf {
namespace {

constexpr std::size_t kColumns = 100;
constexpr std::size_t kLabelMost = 32;  // a longer one has a line of its own

// Words in lines of at most 100 columns, the first one behind `indent`, the others two further in.
std::string wrapped(const std::string& text, std::size_t indent) {
  std::string lines;
  std::string line(indent, ' ');
  bool empty = true;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    if (!empty && line.size() + 1 + end - at > kColumns) {
      lines += line + "\n";
      line.assign(indent + 2, ' ');
      empty = true;
    }
    line += (empty ? "" : " ") + text.substr(at, end - at);
    empty = false;
    at = end + 1;
  }
  return lines + line + "\n";
}

// ---- the table of a scenario ----

struct Row {
  std::string label, verdict, fewest, orders, searched;
};

Row row_of(const Matrix& matrix, const MatrixCell& cell) {
  Row row{matrix.combinations[cell.combination].name, verdict_words(cell), "-", "-", "-"};
  if (!cell.result) return row;
  const CellResult& result = *cell.result;
  if (!result.findings.empty()) row.fewest = fewest_words(result, result.findings.front());
  row.orders = grouped(result.orders);
  row.searched = searched_words(matrix, cell);
  return row;
}

std::string table_of(const Matrix& matrix, std::size_t scenario) {
  std::vector<Row> rows = {{"patches", "finding", "preemptions", "orders", "searched"}};
  for (std::size_t c = 0; c < matrix.combinations.size(); ++c) {
    rows.push_back(row_of(matrix, matrix.cell(scenario, c)));
  }
  std::size_t label = 0, verdict = 0, fewest = 0, orders = 0;
  for (const Row& row : rows) {
    if (row.label.size() <= kLabelMost) label = std::max(label, row.label.size());
    verdict = std::max(verdict, row.verdict.size());
    fewest = std::max(fewest, row.fewest.size());
    orders = std::max(orders, row.orders.size());
  }
  std::string text;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    const Row& row = rows[i];
    const bool fits = row.label.size() <= label;
    if (!fits) text += " " + row.label + "\n";
    text += fmt::format(" {:<{}}  {:<{}}  {:<{}}  {:>{}}  {}\n", fits ? row.label : "", label,
                        row.verdict, verdict, row.fewest, fewest, row.orders, orders, row.searched);
    if (i == 0) continue;
    const MatrixCell& cell = matrix.cell(scenario, i - 1);
    for (const std::string& remark : remarks_of(cell)) text += wrapped(remark, 5);
    for (const std::string& reason : reasons_of(cell)) text += wrapped(reason, 5);
  }
  return text;
}

// ---- the table of all scenarios ----

// A word of at most eight letters for a kind of finding.
std::string short_word(std::string_view verdict) {
  constexpr std::pair<std::string_view, const char*> kWords[] = {
      {"lost-dirty-data", "lost"},     {"lost-after-power-cut", "cut"},
      {"stale-data", "stale"},         {"use-after-free", "uaf"},
      {"kernel-bug", "bug"},           {"sleep-in-atomic", "atomic"},
      {"lock-held-at-end", "held"},    {"kernel-warning", "warning"},
      {"unexpected-return", "return"}, {"lock-order", "order"},
      {"data-race", "race"},
  };
  for (const auto& [name, word] : kWords) {
    if (name == verdict) return word;
  }
  return std::string(verdict);
}

std::string short_cell(const MatrixCell& cell) {
  const auto found = [&] {
    const CellFinding& first = cell.result->findings.front();
    const char* most = cell.result->fewest(first) ? "" : "<=";
    return fmt::format("{} {}{}{}", short_word(first.verdict()), most, first.preemptions,
                       other_kinds(*cell.result).empty() ? "" : "+");
  };
  std::string text;
  switch (cell.state()) {
    case CellState::kFound:
      text = found();
      break;
    case CellState::kClean:
      text = cell.result->exhausted && cell.result->retry_cuts.orders == 0
                 ? "clean"
                 : fmt::format("clean <={}", cell.result->complete_up_to);
      break;
    case CellState::kStopped:
      text = "stopped";
      break;
    case CellState::kNoWindow:
      text = "?";
      break;
    case CellState::kRefused:
      return "refused";
    case CellState::kNotSearched:
      return "-";
  }
  return text + (cell.result->known.empty() ? "" : "*");
}

// What the short words of the table mean, as far as they are in it.
std::string legend_of(const Matrix& matrix) {
  std::set<std::string> words;
  bool numbers = false, plus = false, known = false, clean = false, stopped = false, missed = false;
  for (const MatrixCell& cell : matrix.cells) {
    const CellState state = cell.state();
    known = known || (cell.result && !cell.result->known.empty());
    clean = clean || (state == CellState::kClean && !cell.result->exhausted);
    stopped = stopped || state == CellState::kStopped;
    missed = missed || state == CellState::kNoWindow;
    if (state != CellState::kFound) continue;
    numbers = true;
    plus = plus || !other_kinds(*cell.result).empty();
    const std::string verdict(cell.result->findings.front().verdict());
    if (short_word(verdict) != verdict) words.insert(short_word(verdict) + ": " + verdict);
  }
  std::vector<std::string> parts(words.begin(), words.end());
  if (numbers) parts.emplace_back("the number: the fewest preemptions");
  if (plus) parts.emplace_back("+: other findings too");
  if (clean) parts.emplace_back("clean <=N: in all orders with so many preemptions at most");
  if (stopped) parts.emplace_back("stopped: nothing found, and not complete");
  if (missed) parts.emplace_back("?: the window was not reached");
  if (known) parts.emplace_back("*: and known findings that do not count");
  return parts.empty() ? "" : wrapped(joined(parts), 1);
}

std::string table_of_all(const Matrix& matrix) {
  const std::size_t scenarios = matrix.scenarios.size();
  std::size_t label = 0;
  for (const Combination& row : matrix.combinations) {
    if (row.name.size() <= kLabelMost) label = std::max(label, row.name.size());
  }
  std::vector<std::size_t> widths;
  for (std::size_t s = 0; s < scenarios; ++s) {
    std::size_t width = std::to_string(s + 1).size();
    for (std::size_t c = 0; c < matrix.combinations.size(); ++c) {
      width = std::max(width, short_cell(matrix.cell(s, c)).size());
    }
    widths.push_back(width);
  }
  std::string text;
  for (std::size_t first = 0, last = 0; first < scenarios; first = last) {
    std::size_t width = 1 + label;
    while (last < scenarios && (last == first || width + 2 + widths[last] <= kColumns)) {
      width += 2 + widths[last++];
    }
    const auto line = [&](const std::string& name, const auto& cell) {
      std::string row = fmt::format(" {:<{}}", name, label);
      if (name.size() > label) row += "\n" + std::string(1 + label, ' ');
      for (std::size_t s = first; s < last; ++s) row += fmt::format("  {:<{}}", cell(s), widths[s]);
      row.erase(row.find_last_not_of(' ') + 1);
      return row + "\n";
    };
    text += line("", [](std::size_t s) { return std::to_string(s + 1); });
    for (std::size_t c = 0; c < matrix.combinations.size(); ++c) {
      text += line(matrix.combinations[c].name,
                   [&](std::size_t s) { return short_cell(matrix.cell(s, c)); });
    }
    text += "\n";
  }
  for (std::size_t s = 0; s < scenarios; ++s) {
    text += fmt::format(" {}: {}\n", s + 1, heading_of(matrix, s));
  }
  return text + legend_of(matrix);
}

}  // namespace

std::string verdict_words(const MatrixCell& cell) {
  switch (cell.state()) {
    case CellState::kFound:
      return std::string(cell.result->findings.front().verdict());
    case CellState::kClean:
      return "clean";
    case CellState::kStopped:
      return "nothing so far";
    case CellState::kNoWindow:
      return "cannot judge";
    case CellState::kRefused:
      return "refused";
    case CellState::kNotSearched:
      break;
  }
  return "not searched";
}

std::string fewest_words(const CellResult& result, const CellFinding& finding) {
  if (finding.preemptions == 0) return "0";
  return result.fewest(finding) ? fmt::format("{}, none fewer", finding.preemptions)
                                : fmt::format("at most {}", finding.preemptions);
}

std::string searched_words(const CellResult& result) {
  const char* but = result.retry_cuts.orders == 0 ? "" : " but for cut orders";
  if (result.exhausted) return fmt::format("complete{}", but);
  if (result.complete) return fmt::format("complete up to {}{}", result.complete_up_to, but);
  const std::string why = result.budget == "interrupted" ? "interrupted"
                          : !result.budget.empty()       ? "out of " + result.budget
                                                         : "runs cut";
  return result.complete_up_to < 0 ? why : fmt::format("up to {}, {}", result.complete_up_to, why);
}

std::string searched_words(const Matrix& matrix, const MatrixCell& cell) {
  const std::string words = searched_words(*cell.result);
  return cell.like ? words + ", as " + row_name(matrix, *cell.like) : words;
}

std::vector<const CellFinding*> other_kinds(const CellResult& result) {
  std::vector<const CellFinding*> firsts;
  for (const CellFinding& finding : result.findings) {
    const bool same = finding.verdict() == result.findings.front().verdict() ||
                      (!firsts.empty() && firsts.back()->verdict() == finding.verdict());
    if (!same) firsts.push_back(&finding);
  }
  return firsts;
}

std::vector<std::string> known_kinds(const CellResult& result) {
  std::set<std::string> kinds;
  for (const auto& [signature, orders] : result.known) {
    kinds.insert(signature.substr(0, signature.find(':')));
  }
  return {kinds.begin(), kinds.end()};
}

std::vector<std::string> reasons_of(const MatrixCell& cell) {
  if (!cell.configuration) return {cell.refusal};
  if (!cell.result) return {};
  const CellResult& result = *cell.result;
  std::vector<std::string> reasons;
  if (result.cut > 0) {
    reasons.push_back(fmt::format("{} run{} cut in a loop by the step limit: not complete",
                                  grouped(result.cut), result.cut == 1 ? "" : "s"));
  }
  for (const auto& [function, orders] : result.retry_cuts.functions) {
    reasons.push_back(fmt::format("{} order{} cut at a fruitless repetition of {}", grouped(orders),
                                  orders == 1 ? "" : "s", function));
  }
  if (cell.state() == CellState::kNoWindow) {
    reasons.push_back(result.window_missed.empty()
                          ? "the window was not reached: its parts were, in different orders"
                          : "the window was not reached: " + joined(result.window_missed));
  }
  return reasons;
}

std::vector<std::string> remarks_of(const MatrixCell& cell) {
  std::vector<std::string> remarks;
  if (cell.in_kernel) {
    remarks.push_back(fmt::format("{} has it already", cell.configuration->kernel->name));
  }
  if (!cell.result) return remarks;
  const CellResult& result = *cell.result;
  std::vector<std::string> others;
  for (const CellFinding* other : other_kinds(result)) {
    others.push_back(fmt::format("{} ({})", other->verdict(), fewest_words(result, *other)));
  }
  if (!others.empty()) remarks.push_back("also " + joined(others));
  if (!result.known.empty()) {
    remarks.push_back("known, does not count: " + joined(known_kinds(result)));
  }
  return remarks;
}

std::string joined(const std::vector<std::string>& texts) {
  return fmt::format("{}", fmt::join(texts, ", "));
}

std::string summary_of(const Matrix& matrix) {
  constexpr std::pair<CellState, const char*> kStates[] = {
      {CellState::kFound, "with findings"},  {CellState::kClean, "clean"},
      {CellState::kStopped, "not complete"}, {CellState::kNoWindow, "cannot be judged"},
      {CellState::kRefused, "refused"},      {CellState::kNotSearched, "not searched"},
  };
  std::vector<std::string> parts;
  for (const auto& state : kStates) {
    const auto count =
        std::count_if(matrix.cells.begin(), matrix.cells.end(),
                      [&](const MatrixCell& cell) { return cell.state() == state.first; });
    if (count != 0) parts.push_back(fmt::format("{} {}", count, state.second));
  }
  return fmt::format("{} cell{}: {}", matrix.cells.size(), matrix.cells.size() == 1 ? "" : "s",
                     joined(parts));
}

std::string heading_of(const Matrix& matrix, std::size_t scenario) {
  const MatrixCell& cell = matrix.cell(scenario, 0);
  const std::string& name = matrix.scenarios[scenario].name;
  if (!cell.configuration) return name;
  return fmt::format("{} on {} ({})", name, cell.configuration->kernel_text(),
                     cell.configuration->persona->name);
}

std::string matrix_text(const Matrix& matrix) {
  std::string text;
  bool none_fewer = false;
  bool in_part = false;
  bool reused = false;
  for (std::size_t s = 0; s < matrix.scenarios.size(); ++s) {
    text += heading_of(matrix, s) + "\n" + table_of(matrix, s) + "\n";
  }
  if (matrix.scenarios.size() > 1) text += table_of_all(matrix) + "\n";
  for (const MatrixCell& cell : matrix.cells) {
    if (!cell.result) continue;
    reused = reused || cell.like;
    in_part = in_part || (!cell.result->complete && cell.result->complete_up_to >= 0);
    for (const CellFinding& finding : cell.result->findings) {
      none_fewer = none_fewer || (finding.preemptions > 0 && cell.result->fewest(finding));
    }
  }
  text += wrapped(
      "complete up to N: all orders with at most N preemptions were seen; complete: all "
      "orders that there are",
      0);
  if (in_part) text += "up to N, ...: the same, and then the search ended early\n";
  if (none_fewer) {
    text += wrapped(
        "N, none fewer: found with N preemptions, and in none of the orders with fewer, "
        "which were all seen",
        0);
  }
  if (reused) {
    text += wrapped(
        "as ROW: no run of that row's search asked for anything in which this one differs, so its "
        "search would be the same",
        0);
  }
  return text + wrapped(summary_of(matrix), 0);
}

}  // namespace interleaf
