// SPDX-License-Identifier: GPL-2.0-only
// DFS: every schedule, depth first, as in Godefroid: "Model checking for programming languages
// using VeriSoft", POPL 1997, without reduction. Run i is the i-th schedule in lexicographic order
// of choices: tasks by id, data choices by value. For small programs, and as the judge of better
// searches.
//
// Deviations: none. The seed has no effect. The path of one run is all that is kept. Data choices
// are enumerated as well.
#include <bit>

#include "scheduler/scheduler.h"
#include "scheduler/strategies/learning.h"

namespace interleaf {
namespace {

class Dfs final : public DfsStrategy {
 public:
  void begin(std::uint64_t) override { depth_ = 0; }

  TaskId pick(const Scheduler&, TaskMask runnable) override {
    if (depth_ == path_.size()) push({.task = true, .left = runnable});
    const Choice& choice = path_[depth_++];
    CHECK(choice.task && (choice.left & ~runnable) == 0);
    return static_cast<TaskId>(std::countr_zero(choice.left));
  }

  unsigned pick_value(const Scheduler&, const char*, unsigned count) override {
    if (depth_ == path_.size()) push({.count = static_cast<std::uint8_t>(count)});
    const Choice& choice = path_[depth_++];
    CHECK(!choice.task && choice.count == count);
    return choice.value;
  }

  void ended(const RunResult& run) override {
    CHECK(depth_ == path_.size());
    cut_ = cut_ || run.end == RunEnd::kLivelock;
    while (!path_.empty() && !advance(path_.back())) path_.pop_back();
    exhausted_ = path_.empty();
  }

  std::uint64_t campaign_runs() const override { return ~std::uint64_t{0}; }
  bool exhausted() const override { return exhausted_; }
  bool cut() const override { return cut_; }

 private:
  struct Choice {
    bool task = false;
    std::uint8_t value = 0;  // taken, and of how many
    std::uint8_t count = 0;
    TaskMask left = 0;  // the lowest is taken
  };

  void push(const Choice& choice) {
    const HeapScope heap;
    path_.push_back(choice);
  }
  static bool advance(Choice& choice) {
    if (!choice.task) return ++choice.value < choice.count;
    choice.left &= choice.left - 1;
    return choice.left != 0;
  }

  std::vector<Choice> path_;
  std::size_t depth_ = 0;  // choices of the run so far
  bool exhausted_ = false;
  bool cut_ = false;
};

}  // namespace

std::unique_ptr<DfsStrategy> make_dfs() { return std::make_unique<Dfs>(); }

}  // namespace interleaf
