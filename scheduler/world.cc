// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/world.h"

#include <bit>
#include <new>
#include <utility>

#include "scheduler/check.h"
#include "scheduler/thread_state.h"

namespace interleaf {
namespace {

// Makes this World the one that this OS thread works on.
class Entered {
 public:
  Entered(Scheduler* scheduler, Arena* allocate_from, bool running) : saved_(t_state) {
    t_state.instance = scheduler;
    t_state.allocate_from = allocate_from;
    t_state.running = running ? scheduler : nullptr;
  }
  ~Entered() { t_state = saved_; }
  Entered(const Entered&) = delete;
  Entered& operator=(const Entered&) = delete;

 private:
  ThreadState saved_;
};

}  // namespace

const Finding* RunResult::verdict() const {
  const Finding* gravest = nullptr;
  for (const Finding& finding : findings) {
    if (gravest == nullptr || finding.kind < gravest->kind) gravest = &finding;
  }
  return gravest;
}

World::World(unsigned slot, const std::function<void(Scheduler&)>& setup)
    : arena_(slot), outside_(std::make_unique<Scheduler::Outside>()) {
  scheduler_ = new (arena_.allocate(sizeof(Scheduler), 64)) Scheduler();
  scheduler_->arena_ = &arena_;
  scheduler_->outside_ = outside_.get();
  outside_->schedule.resize(4096);
  {
    const Entered entered(scheduler_, &arena_, false);
    setup(*scheduler_);
  }
  const unsigned count = scheduler_->task_count();
  fibers_ = std::make_unique<FiberPool>(arena_, count, &Scheduler::run_task, scheduler_);
  scheduler_->fibers_ = fibers_.get();
  scheduler_->refresh_unusual();
  save(parked_);
  prime();
  save(boot_);
}

// Lets every task run up to its first point, in order of ids.
void World::prime() {
  if (kNoPoints) return;  // a task would run to where it blocks
  Scheduler& s = *scheduler_;
  s.priming_ = true;
  for (unsigned i = 0; i < s.task_count() && !s.stopped_at_boot_; ++i) {
    const Entered entered(&s, &arena_, true);
    s.set_current(static_cast<TaskId>(i));
    fibers_->resume(i);
  }
  s.priming_ = false;
  s.set_current(kNoTask);
}

World::~World() {
  load(parked_);  // whatever a run left half done: its frames are forgotten, not unwound
  fibers_.reset();
}

void World::save(Snapshot& snapshot) const {
  arena_.save_into(snapshot.arena);
  snapshot.stacks.clear();
  fibers_->save_stacks(snapshot.stacks);
  scheduler_->save_outside(snapshot.stacks);
  const auto chosen = outside_->schedule.begin();
  snapshot.schedule.assign(chosen, chosen + static_cast<std::ptrdiff_t>(scheduler_->choices_));
  const std::span<const Finding> found = scheduler_->findings();
  snapshot.findings.assign(found.begin(), found.end());
  if (scheduler_->races_ != nullptr) {
    snapshot.races = races_.state();
  } else {
    snapshot.races.clear();
  }
}

void World::load(const Snapshot& snapshot) {
  ImageReader rest(snapshot.stacks);
  fibers_->restore_stacks(rest);
  scheduler_->restore_outside(rest);
  arena_.restore(snapshot.arena.bytes());
  // A run that found something is rare.
  if (!outside_->findings.empty() || !snapshot.findings.empty()) {
    outside_->findings = snapshot.findings;
  }
}

void World::restore(const Snapshot& snapshot) {
  load(snapshot);
  std::copy(snapshot.schedule.begin(), snapshot.schedule.end(), outside_->schedule.begin());
  if (scheduler_->races_ != nullptr) races_.restore(snapshot.races);
}

const RunResult& World::run(Strategy& strategy, const RunOptions& options) {
  if (options.observer == nullptr) {
    load(boot_);
  } else {
    // An observer wants to see also how the tasks came to their first points.
    load(parked_);
    scheduler_->observer_ = options.observer;
    prime();
  }
  scheduler_->steps_max_ = options.steps_max;
  scheduler_->retries_max_ = options.retries_max;
  scheduler_->observer_ = options.observer;
  scheduler_->detectors_ = options.detectors;
  scheduler_->races_ = options.detectors.data_race ? &races_ : nullptr;
  if (options.detectors.data_race) races_.begin(scheduler_->task_count());
  scheduler_->refresh_unusual();
  strategy.begin(options.seed);
  return go(strategy);
}

const RunResult& World::resume(Strategy& strategy) {
  CHECK(scheduler_->end_ == RunEnd::kPaused);
  return go(strategy);
}

const RunResult& World::go(Strategy& strategy) {
  Scheduler& s = *scheduler_;
  s.strategy_ = &strategy;
  s.stay_ = strategy.stay();
  if (s.stay_ == nullptr) s.stay_ = &s.no_stay_;
  s.attach_schedule();
  s.sees_forced_ = strategy.sees_forced();
  s.sees_also_ = strategy.sees_also();
  s.end_ = RunEnd::kFinished;
  {
    const Entered entered(&s, &arena_, true);
    if (s.current_ != kNoTask) {
      fibers_->resume(s.current_);  // goes on asking the strategy where it was paused
    } else if (s.stopped_at_boot_) {
      s.end_ = RunEnd::kStopped;
    } else if (s.foreground_ == 0 || s.runnable_ == 0) {
      s.end_ = s.judge_hang();
    } else {
      const TaskId first = s.first_choice();
      if (first != Strategy::kPause) {
        s.set_current(first);
        fibers_->resume(first);
      }
    }
  }
  result_.end = s.end_;
  result_.steps = s.steps_;
  result_.switches = s.switches_;
  result_.preemptions = s.preemptions_;
  result_.digest = s.digest_;
  result_.left = s.left();
  if (s.end_ == RunEnd::kPaused && s.findings_ == 0 && result_.findings.empty()) return result_;
  const auto chosen = outside_->schedule.begin();
  result_.schedule.assign(chosen, chosen + static_cast<std::ptrdiff_t>(s.choices_));
  if (s.findings_ != 0 || !result_.findings.empty()) {
    outside_->findings.resize(s.findings_);
    result_.findings = outside_->findings;
  }
  return result_;
}

}  // namespace interleaf
