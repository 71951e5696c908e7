// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/lockset.h"

#include <set>
#include <string_view>

#include "scheduler/search/object_kinds.h"

namespace interleaf {
namespace {

class LocksetCollector final : public Observer {
 public:
  explicit LocksetCollector(const std::vector<std::uint64_t>& kinds) {
    for (const std::uint64_t kind : kinds) counts[kind];
  }

  void event(const Scheduler& s, const Task& task, const Access& access) override {
    const HeapScope heap;
    kinds_.learn(s.arena());  // the first step: nothing was allocated since boot
    if (s.in_epilogue() || access.object == kPrivateObject || access.address == nullptr) return;
    const auto count = counts.find(kinds_.of(s.arena(), access.address));
    if (count == counts.end()) return;
    ++count->second.accesses;
    std::set<std::string> held;
    for (const HeldLock& lock : task.held) held.insert(s.lock_class_name(lock.class_index));
    for (const std::string& name : held) ++count->second.locks[name];
  }
  void enter(const Scheduler&, const Task&, const Function&) override {}
  void leave(const Scheduler&, const Task&, const Function&) override {}
  void remark(const Scheduler&, const Task&, std::string_view) override {}

  std::map<std::uint64_t, LocksetCount> counts;

 private:
  ObjectKinds kinds_;
};

}  // namespace

std::map<std::uint64_t, LocksetCount> sample_locksets(World& world,
                                                      const std::vector<std::uint64_t>& kinds,
                                                      RunOptions options, std::uint64_t runs) {
  LocksetCollector collector(kinds);
  options.observer = &collector;
  const auto pos = make_pos();
  for (std::uint64_t seed = 0; seed < runs; ++seed) {
    options.seed = seed;
    world.run(*pos, options);
  }
  return std::move(collector.counts);
}

}  // namespace interleaf
