// SPDX-License-Identifier: GPL-2.0-only
// Predicts reads-from pairs from one sequential run, as Snowboard predicts racing accesses: Gong,
// Altinbueken, Fonseca, Maniatis: "Snowboard: finding kernel concurrency bugs through systematic
// inter-thread communication analysis", SOSP 2021.
#include <unordered_map>
#include <unordered_set>

#include "scheduler/strategies/reads_from.h"
#include "scheduler/strategies/trial.h"

namespace interleaf {
namespace {

struct Accessed {
  TaskId task;
  AbstractEvent event;
  Op op;
  bool operator==(const Accessed&) const = default;
};

// What was done to each object, in order of first access; the same by one task once.
class Collector final : public Observer {
 public:
  void event(const Scheduler& scheduler, const Task& task, const Access& access) override {
    if (scheduler.in_epilogue() || access.object == kPrivateObject) return;
    if (access.object >= objects.size()) objects.resize(access.object + 1);
    std::vector<Accessed>& done = objects[access.object];
    const Accessed now{task.id, events_.of(scheduler, task, access), access.op};
    if (std::find(done.begin(), done.end(), now) == done.end()) done.push_back(now);
  }
  void enter(const Scheduler&, const Task&, const Function&) override {}
  void leave(const Scheduler&, const Task&, const Function&) override {}
  void remark(const Scheduler&, const Task&, std::string_view) override {}

  std::vector<std::vector<Accessed>> objects;

 private:
  AbstractEvents events_;
};

}  // namespace

std::vector<ReadsFrom> predict_reads_from(World& world, RunOptions options, std::size_t count_max) {
  CHECK(options.observer == nullptr);
  Collector collector;
  options.observer = &collector;
  run_by_turns(world, options);
  std::vector<ReadsFrom> pairs;
  std::unordered_map<AbstractEvent, std::unordered_set<AbstractEvent>> known;  // never walked
  for (const std::vector<Accessed>& done : collector.objects) {
    for (const Accessed& read : done) {
      if (!op_observes(read.op)) continue;
      for (const Accessed& write : done) {
        if (!op_affects(write.op) || write.task == read.task) continue;
        if (pairs.size() == count_max) return pairs;
        if (known[write.event].insert(read.event).second) {
          pairs.push_back({write.event, read.event});
        }
      }
    }
  }
  return pairs;
}

}  // namespace interleaf
