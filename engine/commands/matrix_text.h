// SPDX-License-Identifier: GPL-2.0-only
// What `matrix` prints. The words of a cell claim no more than its search saw; text, Markdown and
// JSON are made of the same ones. The same bytes whatever the number of jobs and however often it
// was resumed, but for cells that ran out of a budget.
#pragma once

#include <string>
#include <vector>

#include "engine/commands/command.h"
#include "engine/matrix.h"

namespace interleaf {

// "lost-dirty-data", "clean", "nothing so far", "cannot judge", "refused", "not searched".
std::string verdict_words(const MatrixCell& cell);
// The fewest preemptions of a finding: "0", "2, none fewer", "at most 2".
std::string fewest_words(const CellResult& result, const CellFinding& finding);
// "complete", "complete up to 1", "up to 0, out of time", ...
std::string searched_words(const CellResult& result);
// The same with the row whose search it was: "complete up to 1, as none".
std::string searched_words(const Matrix& matrix, const MatrixCell& cell);
// Of the other kinds of finding that a cell has: the first of each.
std::vector<const CellFinding*> other_kinds(const CellResult& result);
// The kinds among the signatures that do not count, each once, sorted.
std::vector<std::string> known_kinds(const CellResult& result);
// What does not fit a row: other kinds, known ones, that the kernel has the patches anyhow.
std::vector<std::string> remarks_of(const MatrixCell& cell);
// Why there is no answer: refused, runs that were cut, the window.
std::vector<std::string> reasons_of(const MatrixCell& cell);
// The texts with commas between them.
std::string joined(const std::vector<std::string>& texts);
// "7 cells: 3 with findings, 4 clean".
std::string summary_of(const Matrix& matrix);
// "thp-write-open on 6.12.95 (ext4)": what its cells have in common.
std::string heading_of(const Matrix& matrix, std::size_t scenario);

// At most 100 columns: a table for each scenario and, if there are several, one of all.
std::string matrix_text(const Matrix& matrix);
// One table, a column for each scenario.
std::string matrix_markdown(const Matrix& matrix, unsigned bound);
// `paths`: the recording of each cell, or empty.
Json matrix_json(const Matrix& matrix, const ExploreOptions& options,
                 const std::vector<std::string>& paths);

}  // namespace interleaf
