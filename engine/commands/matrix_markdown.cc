// SPDX-License-Identifier: GPL-2.0-only
// The matrix as Markdown.
#include <fmt/format.h>

#include <algorithm>

#include "engine/commands/matrix_text.h"

namespace interleaf {
namespace {

std::string preemptions_words(const CellResult& result, const CellFinding& finding) {
  return finding.preemptions == 0 ? "with 0" : "with " + fewest_words(result, finding);
}

std::string cell_words(const Matrix& matrix, const MatrixCell& cell) {
  if (!cell.result) return verdict_words(cell);
  const CellResult& result = *cell.result;
  std::string text = verdict_words(cell);
  if (cell.state() == CellState::kFound) {
    text = fmt::format("**{}** {}", text, preemptions_words(result, result.findings.front()));
    for (const CellFinding* other : other_kinds(result)) {
      text += fmt::format("; **{}** {}", other->verdict(), preemptions_words(result, *other));
    }
  }
  const bool in_part = !result.complete && result.complete_up_to >= 0;
  text += fmt::format(" ({} orders, {}{})", grouped(result.orders), in_part ? "complete " : "",
                      searched_words(matrix, cell));
  if (cell.in_kernel) text += fmt::format("; {} has it", cell.configuration->kernel->name);
  if (!result.known.empty()) text += "; known: " + joined(known_kinds(result));
  return text;
}

}  // namespace

std::string matrix_markdown(const Matrix& matrix, unsigned bound) {
  std::string text = "| patches |";
  for (std::size_t s = 0; s < matrix.scenarios.size(); ++s) {
    text += " " + heading_of(matrix, s) + " |";
  }
  text += "\n|---|";
  for (std::size_t s = 0; s < matrix.scenarios.size(); ++s) text += "---|";
  text += "\n";
  std::vector<std::string> notes;
  for (std::size_t c = 0; c < matrix.combinations.size(); ++c) {
    const std::string& row = matrix.combinations[c].name;
    text += "| " + row + " |";
    for (std::size_t s = 0; s < matrix.scenarios.size(); ++s) {
      const MatrixCell& cell = matrix.cell(s, c);
      text += " " + cell_words(matrix, cell) + " |";
      for (const std::string& reason : reasons_of(cell)) {
        std::string note = fmt::format("- {}, {}: {}\n", row, matrix.scenarios[s].name, reason);
        // A refusal is about the patches: the same in every column.
        if (!cell.configuration) note = fmt::format("- {}: {}\n", row, reason);
        if (std::find(notes.begin(), notes.end(), note) == notes.end()) notes.push_back(note);
      }
    }
    text += "\n";
  }
  text += fmt::format(
      "\nSearched with at most {} preemption{}. \"Complete up to N\": all orders with at most N "
      "preemptions\nwere seen; \"complete\": all orders that there are. \"N, none fewer\": no "
      "order "
      "with fewer has it.\n",
      bound, bound == 1 ? "" : "s");
  if (std::any_of(matrix.cells.begin(), matrix.cells.end(),
                  [](const MatrixCell& cell) { return cell.like.has_value(); })) {
    text +=
        "\"As ROW\": no run of that row's search asked for anything in which this one differs, so "
        "its\nsearch would be the same.\n";
  }
  if (!notes.empty()) text += "\n";
  for (const std::string& note : notes) text += note;
  return text;
}

}  // namespace interleaf
