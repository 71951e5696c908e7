// SPDX-License-Identifier: GPL-2.0-only
// One schedule of a scenario, for the verbs that show a single run: which one, and what came of it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "engine/commands/command.h"
#include "engine/run.h"
#include "scheduler/search/retry_limit.h"

namespace interleaf {

struct ScheduleFlags {
  std::string strategy = "table";
  std::string table;
  std::string seed = "0";
  std::uint32_t retries_max = 0;  // RunOptions::retries_max; text() leaves it out

  void add_to(CLI::App& verb);
  // The same flags again, for a command line; with a blank in front.
  std::string text() const;
};

struct OneRun {
  // One that was cut by retries_max: with a finding, the run whose tasks go on when all else has
  // ended, as a recording has it; else as far as it went.
  TracedRun run;
  RetryCuts cuts;
  std::uint64_t seed = 0;
  std::size_t table_rows = 0;  // of the table that was followed; 0: none was
  std::size_t table_rows_satisfied = 0;
  std::string unsatisfied;  // why the next row could not happen; empty: all did
};

// `named`: the trace has names and values of what is accessed. Errors: UserError for a strategy,
// table or seed that there is not.
OneRun run_one(const std::shared_ptr<const Configuration>& configuration,
               const ScheduleFlags& flags, bool named = false);

}  // namespace interleaf
