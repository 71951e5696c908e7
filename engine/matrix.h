// SPDX-License-Identifier: GPL-2.0-only
// Scenarios times combinations of patches: every cell is the bounded search of one scenario on one
// kernel with one set of patches, all to the same bound. What a patch closes and what it leaves
// open is read off a column; how much of that is proven stands in the cell.
//
// A combination names its whole set of patches: what a scenario adds and never came into Linux does
// not count here, else a row would mean another thing in every column. What it adds and did (to an
// older kernel) stays, where it fits. Cells with one question have one answer: where a
// scenario comes out with the same patches and the same known signatures twice, it is searched
// once.
//
// And a search answers for other cells. A patch is nothing but the answers to its condition, so a
// search knows which patches it depends on: those whose condition some run of it asked for, from
// the set-up of the World on. Where another cell differs in others only, its search would be the
// same one, run by run: by induction over the steps, since each follows from the state, the choices
// and the answers that were asked for. That holds as far as the search came, whatever ended it.
//
// No I/O. Errors: UserError for unknown or contradictory names. Thread-safety: no shared state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/configuration.h"
#include "engine/explore.h"

namespace interleaf {

struct Combination {
  std::string name;                  // "none", "A", "A+B", "6.12.96"; fit for a file's name
  std::string kernel;                // empty: that of the Overrides, else each scenario's own
  std::vector<std::string> patches;  // besides those of the kernel, in the order they were named
};

// Which rows there are besides "none". Not given: all there are if nothing is given, else none.
struct CombinationNames {
  std::optional<std::vector<std::string>> patches;  // each alone, with what it needs
  std::optional<std::vector<std::string>> kernels;  // each as it is
  std::vector<std::vector<std::string>> with;       // each a combination
};

// "none", the patches, the combinations, the kernels; each set once.
std::vector<Combination> combinations(const CombinationNames& names);

// A finding of a cell, in a run that has it with as few preemptions as there are.
struct CellFinding {
  std::string signature;
  std::uint64_t preemptions = 0;
  std::uint64_t orders = 0;  // that had it
  Schedule schedule;

  std::string_view verdict() const;  // the kind's name
  bool operator==(const CellFinding&) const = default;
};

// The answer of a search, as far as it depends on its question alone (if no budget was spent).
struct CellResult {
  // Those that count: gravest kind first, then fewest preemptions, then by signature.
  std::vector<CellFinding> findings;
  std::map<std::string, std::uint64_t> known;  // signatures that do not count, with orders
  std::uint64_t orders = 0;
  std::uint64_t cut = 0;    // runs, by the limit of steps
  RetryCuts retry_cuts;     // orders left at a loop's repetition; they do not make it incomplete
  bool complete = false;    // all orders within the bound
  bool exhausted = false;   // all orders there are
  int complete_up_to = -1;  // preemptions; -1: not even without any
  std::string budget;       // that was spent: "runs", "memory", "time", "interrupted"; else empty
  bool window_reached = true;  // looked at only if there are no findings
  std::vector<std::string> window_missed;
  kernel::patch_set asked = 0;  // patches that it depends on, applied or not

  // That no order has this finding with fewer preemptions was seen in all of them.
  bool fewest(const CellFinding& finding) const;
  bool operator==(const CellResult&) const = default;
};

enum class CellState : std::uint8_t {
  kFound,
  kClean,        // all orders within the bound, and the window was reached
  kStopped,      // nothing found; a budget was spent, or runs were cut in a loop
  kNoWindow,     // nothing found, and none of the orders looked at reached the window
  kRefused,      // the patches do not fit each other or the kernel
  kNotSearched,  // the matrix ended before
};

struct MatrixCell {
  std::size_t scenario = 0;                            // index
  std::size_t combination = 0;                         // index
  std::shared_ptr<const Configuration> configuration;  // null: refused
  std::string refusal;                                 // a sentence
  bool in_kernel = false;   // the kernel has all patches of the row already
  std::size_t same_as = 0;  // the first cell with this question; its own index: it is the first
  std::optional<std::size_t> like;  // the cell (index) whose search answers
  std::optional<CellResult> result;

  CellState state() const;
};

struct Matrix {
  std::vector<Scenario> scenarios;  // each name once
  std::vector<Combination> combinations;
  std::vector<MatrixCell> cells;  // by scenario, then by combination

  const MatrixCell& cell(std::size_t scenario, std::size_t combination) const {
    return cells[scenario * combinations.size() + combination];
  }
};

// The name of a cell's combination.
const std::string& row_name(const Matrix& matrix, std::size_t index);
// Of the patches, in the order of their table.
std::vector<std::string> slugs_of(kernel::patch_set set);

// All cells, none searched. `base`: what the command line says for all of them; no patches.
Matrix make_matrix(std::vector<Scenario> scenarios, std::vector<Combination> combinations,
                   const Overrides& base);

// Leaves out the rows of patches that each scenario's kernel has already or cannot take, and of
// those of huge pages or those of filesystems if the scenarios name only patches of the other
// family; a posted series is one of filesystems.
void drop_rows_without_question(Matrix& matrix);

// Cell `index` and those that are the same as it get this result.
void set_result(Matrix& matrix, std::size_t index, const CellResult& result);

// The cell before `index`, of its scenario, whose search is also that of this one: what they differ
// in was never asked for. None if there is no such cell.
std::optional<std::size_t> answered_by(const Matrix& matrix, std::size_t index);

// Cell `index` and those that are the same as it get the result of cell `like`.
void set_like(Matrix& matrix, std::size_t index, std::size_t like);

// `options`: the bound, budgets, what is ignored everywhere. Findings do not end the search.
CellResult search_cell(const std::shared_ptr<const Configuration>& configuration,
                       ExploreOptions options);

// Of the gravest finding. Requires: the cell has one. Errors: UserError if its schedule does not
// show it, as that of another program may not.
Recording record_cell(const MatrixCell& cell);

}  // namespace interleaf
