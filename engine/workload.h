// SPDX-License-Identifier: GPL-2.0-only
// The workload of a scenario as something to take parts from: which tasks, calls and
// numbers there are, and the tasks without some of them. Parts are named by number in the scenario
// as parsed; what is left is written down by scenario_text.h.
//
// Pure functions: nothing here runs anything. Errors: none.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "engine/scenario.h"

namespace interleaf {

// How much there is of what can be taken away.
struct WorkloadCounts {
  std::uint64_t tasks = 0;
  std::uint64_t calls = 0;  // each once, however often its loop goes round
  std::uint64_t daemons = 0;
  std::uint64_t faults = 0;  // the sum of the budgets
  std::uint64_t bytes = 0;   // the sum of lengths, offsets and times that calls have

  bool operator==(const WorkloadCounts&) const = default;
};
WorkloadCounts counts_of(const Scenario& scenario);

// Calls are numbered from 0 in file order, a loop before its body. These may be taken away one by
// one: all but wait(), which only takes schedules away.
std::vector<std::size_t> droppable_calls(const Scenario& scenario);

// The tasks without the calls of these numbers, and without what then has no meaning: calls with a
// variable that is not set any more, empty loops, tasks that do nothing but wait, waits for those.
std::vector<TaskSpec> without_calls(const Scenario& scenario, const std::set<std::size_t>& numbers);
std::vector<TaskSpec> without_task(const Scenario& scenario, std::size_t task);

// A length, offset or number of rounds that a smaller one may be tried for.
struct ShrinkableNumber {
  std::size_t call = 0;
  std::size_t argument = 0;            // in the call's parentheses; of a loop: 0, its times
  std::vector<std::uint64_t> smaller;  // in the order to try them
};
std::vector<ShrinkableNumber> shrinkable_numbers(const Scenario& scenario);
std::vector<TaskSpec> with_number(const Scenario& scenario, const ShrinkableNumber& where,
                                  std::uint64_t value);

}  // namespace interleaf
