// SPDX-License-Identifier: GPL-2.0-only
// The World of a scenario: a machine with its disk and files, one process per task, the daemons,
// the oracle, and a last task that checks everything when the others have ended and the file
// system was synced. Every run of it starts from the same state.
#pragma once

#include <memory>
#include <vector>

#include "engine/configuration.h"
#include "scheduler/strategy.h"
#include "scheduler/world.h"

namespace interleaf {

class CrashLog;

// `slot`: one per World that lives at the same time. The Configuration is kept alive by the World.
class ScenarioWorld {
 public:
  // With `log` every run is written to it; it must outlive the World. See its begin().
  ScenarioWorld(unsigned slot, std::shared_ptr<const Configuration> configuration,
                CrashLog* log = nullptr);

  World& world() { return *world_; }
  const Configuration& configuration() const { return *configuration_; }
  std::uint64_t steps_max() const;
  // From now on run_options() has this limit (RunOptions::retries_max); 0: none.
  void limit_retries(std::uint32_t retries_max) { retries_max_ = retries_max; }
  // What every run of it starts from: its limits of steps and retries, its detectors.
  RunOptions run_options(std::uint64_t seed = 0) const;
  // The rows of a table, for make_table(). Errors: UserError if one is of a task that is not here,
  // as of another filesystem's.
  std::vector<Row> rows_of(const TableSpec& table) const;

 private:
  std::shared_ptr<const Configuration> configuration_;
  std::unique_ptr<World> world_;
  std::uint32_t retries_max_ = 0;
};

}  // namespace interleaf
