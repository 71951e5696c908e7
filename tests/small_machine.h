// SPDX-License-Identifier: GPL-2.0-only
// A machine without files, disk or daemons but RCU's, for tests of what lies below them. Tasks are
// lambdas that live outside the World: what they assign survives the run and is not rewound.
// Inside a run, memory comes from the arena, so a task must not grow a container of the test.
#pragma once

#include <cstdio>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <utility>

#include "engine/kernel/folio.h"
#include "engine/kernel/machine.h"
#include "scheduler/world.h"

namespace kernel {

/* The first thing that went wrong; outlives the run. */
struct complaint {
  char text[160] = "";
  void say(const char* what, std::uint64_t index, std::uint64_t operation = 0) {
    if (text[0] == 0) {
      std::snprintf(text, sizeof(text), "operation %llu, index %llu: %s",
                    static_cast<unsigned long long>(operation),
                    static_cast<unsigned long long>(index), what);
    }
  }
};

class small_machine {
 public:
  explicit small_machine(geometry geo, unsigned faults_max = 0)
      : geo_(geo), faults_max_(faults_max) {}

  /* Before the first run; set-up runs when the machine is there. */
  void setup(std::function<void()> body) { setups_.push_back(std::move(body)); }
  void task(std::string name, std::function<void()> body) {
    tasks_.emplace_back(std::move(name), std::move(body));
  }

  const interleaf::RunResult& run(std::uint64_t seed = 0) { return run(*random_, seed); }
  const interleaf::RunResult& run_in_order() { return run(*in_order_, 0); }

 private:
  const interleaf::RunResult& run(interleaf::Strategy& strategy, std::uint64_t seed) {
    if (!world_) {
      world_ = std::make_unique<interleaf::World>(
          0, [this](interleaf::Scheduler& scheduler) { boot(scheduler); });
    }
    return world_->run(strategy, {.seed = seed, .steps_max = std::uint64_t{1} << 40});
  }
  void boot(interleaf::Scheduler& scheduler) {
    auto* m = new machine;
    m->geo = geo_;
    m->any_faults.left = faults_max_;
    scheduler.set_root(m);
    scheduler.arena().set_quarantine(std::size_t{16} << 20);
    lru_init(*m);
    for (auto& body : setups_) body();
    for (auto& [name, body] : tasks_) {
      scheduler.spawn(
          name, [](void* p) { (*static_cast<std::function<void()>*>(p))(); }, &body);
    }
    scheduler.spawn(
        "rcu_gp", [](void* p) { static_cast<machine*>(p)->rcu.grace_periods(); }, m, true);
  }

  geometry geo_;
  unsigned faults_max_;
  std::list<std::function<void()>> setups_;
  std::list<std::pair<std::string, std::function<void()>>> tasks_;
  std::unique_ptr<interleaf::World> world_;
  std::unique_ptr<interleaf::Strategy> random_ = interleaf::make_random();
  std::unique_ptr<interleaf::Strategy> in_order_ = interleaf::make_keep_running();
};

}  // namespace kernel
