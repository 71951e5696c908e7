// SPDX-License-Identifier: GPL-2.0-only
// Strategies that learn from the runs they had. Unlike the sampling strategies, a run depends on
// the seed and on all runs since the campaign began: the same seeds in the same order give the
// same schedules, a seed alone does not. Whoever runs one in parallel gives every worker strategies
// of its own and whole campaigns; then the number of workers changes nothing. What a run found is
// kept as its schedule, which needs no campaign to replay.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "scheduler/strategy.h"
#include "scheduler/world.h"

namespace interleaf {

// Runs of a campaign, unless the strategy says otherwise. Long enough to learn; short enough that
// what was learnt from an unlucky start is forgotten, and that workers get something to do.
inline constexpr std::uint64_t kCampaignRuns = 4096;

class LearningStrategy : public Strategy {
 public:
  // The run has ended. To be called after every run, before the next one begins.
  virtual void ended(const RunResult& run) = 0;
  // After how many runs to go on with a new strategy of the kind.
  virtual std::uint64_t campaign_runs() const { return kCampaignRuns; }
  // True if every schedule was had: a further run would begin all over.
  virtual bool exhausted() const { return false; }
};

// Enumerates all schedules. Run i of it is the i-th in lexicographic order of the schedules' bytes.
class DfsStrategy : public LearningStrategy {
 public:
  // True if a run came to a livelock, so perhaps to its limit of steps: what would have followed
  // was not enumerated, and to be exhausted proves nothing.
  virtual bool cut() const = 0;
};
std::unique_ptr<DfsStrategy> make_dfs();

std::unique_ptr<LearningStrategy> make_feedback();

// What is done where, in terms that hold across runs: kind of object, operation, function, line.
using AbstractEvent = std::uint64_t;
struct ReadsFrom {
  AbstractEvent write;
  AbstractEvent read;
  bool operator==(const ReadsFrom&) const = default;
};
// The pairs of accesses of one object, by two tasks, that the tasks' accesses in one keep-running
// run could come to with other schedules. In order of first access; at most `count_max`.
std::vector<ReadsFrom> predict_reads_from(World& world, RunOptions options = {},
                                          std::size_t count_max = 10'000);
// `predicted`: what to try first.
std::unique_ptr<LearningStrategy> make_rff(const std::vector<ReadsFrom>& predicted);

}  // namespace interleaf
