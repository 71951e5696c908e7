// SPDX-License-Identifier: GPL-2.0-only
// A run as people draw races in mail: a CPU table, what was lost and where, in plain text.
#pragma once

#include <string>

#include "engine/run.h"

namespace interleaf {

struct TableOptions {
  unsigned width = 80;  // the second column starts in the middle; at most 100
  bool steps = false;   // step numbers in the left margin
  bool full = true;     // false: only what leads to the finding (slice.h)
};

// The table of a run up to its gravest finding, or of the whole run if it is clean: a column per
// task that did something, a row per call, per switch, and per function on the way to the finding;
// "..." stands for the rest. No line is longer than 100 columns or ends in a blank.
std::string cpu_table(const Configuration& configuration, const TracedRun& run,
                      const TableOptions& options);

// What is known of how few preemptions a minimised recording has, for behind their number:
// "minimum: 1 is clean, complete, 1,284 orders". Empty if it was not minimised.
std::string minimality_text(const Recording& recording);

// The same as a line for below a table; empty or one line.
std::string minimality_line(const Recording& recording);

// Findings in words, the gravest first, and how many preemptions it took.
std::string consequence(const TracedRun& run);

}  // namespace interleaf
