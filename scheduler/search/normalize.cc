// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/normalize.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "scheduler/search/happens_before.h"
#include "scheduler/strategies/keep_running.h"

namespace interleaf {
namespace {

// What a run did, event by event.
struct Log {
  HappensBefore events;
  OrderHash order;
  std::vector<std::uint8_t> values[kTasksMax];  // of the data choices, by task
};

// Lets another strategy choose and writes down what was performed.
class Logging : public Strategy {
 public:
  Logging(Strategy& inner, Log& log) : inner_(inner), log_(log) {}

  void begin(std::uint64_t seed) override {
    log_.order.clear();
    begun_ = false;
    for (auto& values : log_.values) values.clear();
    inner_.begin(seed);
  }
  TaskId pick(const Scheduler& s, TaskMask runnable) override {
    const TaskId next = inner_.pick(s, runnable);
    note(s, next);
    return next;
  }
  unsigned pick_value(const Scheduler& s, const char* kind, unsigned count) override {
    const unsigned value = inner_.pick_value(s, kind, count);
    const HeapScope heap;
    log_.order.value(s.current_id(), value);
    log_.values[s.current_id()].push_back(static_cast<std::uint8_t>(value));
    return value;
  }
  bool sees_forced() const override { return true; }
  void forced(const Scheduler& s, TaskId only) override { note(s, only); }

 private:
  void note(const Scheduler& s, TaskId next) {
    const HeapScope heap;
    if (!begun_) log_.events.begin(s.task_count());
    begun_ = true;
    log_.events.add(next, s.task(next).next);
    log_.order.event(next, s.task(next).next);
  }

  Strategy& inner_;
  Log& log_;
  bool begun_ = false;
};

// Follows a list of tasks, one per step, with the data choices of each task in their order. Where
// that is not possible, keeps running.
class Following final : public Strategy {
 public:
  Following(const std::vector<TaskId>& tasks, const Log& log) : tasks_(tasks), log_(log) {}

  void begin(std::uint64_t) override { std::fill_n(next_value_, kTasksMax, 0); }
  TaskId pick(const Scheduler& s, TaskMask runnable) override {
    const std::uint64_t at = s.step();
    if (at < tasks_.size() && (runnable & task_bit(tasks_[at])) != 0) return tasks_[at];
    return keep_running(s, runnable);
  }
  unsigned pick_value(const Scheduler& s, const char*, unsigned count) override {
    const TaskId task = s.current_id();
    const std::size_t nth = next_value_[task]++;
    if (nth >= log_.values[task].size() || log_.values[task][nth] >= count) return 0;
    return log_.values[task][nth];
  }

 private:
  const std::vector<TaskId>& tasks_;
  const Log& log_;
  std::size_t next_value_[kTasksMax] = {};
};

using Sequence = std::vector<EventNumber>;  // the events of the first run in another order

class Normalizer {
 public:
  Normalizer(World& world, const RunOptions& options,
             const std::function<bool(const RunResult&)>& same, std::uint64_t tries_max)
      : world_(world), options_(options), same_(same), tries_max_(tries_max) {}

  NormalizeResult normalize(const Schedule& schedule) {
    const auto replay = make_replay(schedule);
    Logging logging(*replay, log_);
    best_.run = world_.run(logging, options_);
    ++best_.tried;
    sequence_.resize(log_.events.size());
    std::iota(sequence_.begin(), sequence_.end(), 0);
    for (const Next next : {Next::kEarliest, Next::kLowest, Next::kAwaited}) attempt(rebuilt(next));
    while (best_.tried < tries_max_ && shift_blocks()) continue;
    return std::move(best_);
  }

 private:
  // Who goes on where the running task can not.
  enum class Next : std::uint8_t { kEarliest, kLowest, kAwaited };

  static std::pair<std::uint64_t, std::uint64_t> weight(const RunResult& run) {
    return {run.preemptions, run.switches};
  }

  bool attempt(const Sequence& sequence) {
    if (best_.tried >= tries_max_ || sequence == sequence_) return false;
    ++best_.tried;
    std::vector<TaskId> tasks;
    for (const EventNumber event : sequence) tasks.push_back(log_.events[event].task);
    Following following(tasks, log_);
    Log log;
    Logging logging(following, log);
    const RunResult& run = world_.run(logging, options_);
    if (weight(run) >= weight(best_.run) || log.order.total() != log_.order.total()) return false;
    if (!same_(run)) return false;
    best_.run = run;
    sequence_ = sequence;
    return true;
  }

  // Calls each(i) for the events that come directly before `event`.
  template <typename Each>
  void for_predecessors(EventNumber event, Each each) const {
    const EventNumber own = log_.events[event].previous_of_task;
    if (own != kNoEvent) each(own);
    if (log_.events[event].object != kPrivateObject) {
      log_.events.for_direct_predecessors(event, each);
    }
  }

  EventNumber unmet(EventNumber event, const std::vector<bool>& done) const {
    EventNumber found = kNoEvent;
    for_predecessors(event, [&](EventNumber i) {
      if (!done[i]) found = i;
    });
    return found;
  }

  // The whole order anew: each task goes on as long as the order lets it.
  Sequence rebuilt(Next policy) const {
    const HappensBefore& events = log_.events;
    std::vector<EventNumber> next_of(kTasksMax, kNoEvent);
    std::vector<EventNumber> following(events.size(), kNoEvent);
    for (EventNumber i = events.size(); i-- > 0;) {
      following[i] = std::exchange(next_of[events[i].task], i);
    }
    std::vector<bool> done(events.size());
    Sequence result;
    EventNumber event = events.size() == 0 ? kNoEvent : 0;
    while (event != kNoEvent) {
      while (event != kNoEvent && unmet(event, done) == kNoEvent) {
        done[event] = true;
        result.push_back(event);
        event = next_of[events[event].task] = following[event];
      }
      event = successor(policy, event, next_of, done);
    }
    return result;
  }

  // The first event of the next task; `stopped`: what the running one can not do yet.
  EventNumber successor(Next policy, EventNumber stopped, const std::vector<EventNumber>& next_of,
                        const std::vector<bool>& done) const {
    if (policy == Next::kAwaited && stopped != kNoEvent) {
      EventNumber event = stopped;
      for (EventNumber before; (before = unmet(event, done)) != kNoEvent;) event = before;
      return event;
    }
    if (policy == Next::kLowest) {
      for (const EventNumber event : next_of) {
        if (event != kNoEvent && unmet(event, done) == kNoEvent) return event;
      }
    }
    return *std::min_element(next_of.begin(), next_of.end());
  }

  struct Block {
    std::size_t begin;
    std::size_t end;
    TaskId task;
  };
  std::vector<Block> blocks() const {
    std::vector<Block> result;
    for (std::size_t i = 0; i < sequence_.size(); ++i) {
      const TaskId task = log_.events[sequence_[i]].task;
      if (result.empty() || result.back().task != task) result.push_back({i, i, task});
      result.back().end = i + 1;
    }
    return result;
  }

  // One pass over the blocks, each with the next one of its task. True if something got better.
  bool shift_blocks() {
    bool better = false;
    std::vector<Block> all = blocks();
    for (std::size_t i = 0; i < all.size() && best_.tried < tries_max_;) {
      std::size_t next = i + 1;
      while (next < all.size() && all[next].task != all[i].task) ++next;
      if (next < all.size() &&
          (attempt(pulled_back(all[i], all[next])) || attempt(pushed_forward(all[i], all[next])))) {
        better = true;
        all = blocks();  // and the same place again
      } else {
        ++i;
      }
    }
    return better;
  }

  // What of `later` depends on nothing between goes to the end of `earlier`.
  Sequence pulled_back(const Block& earlier, const Block& later) const {
    std::vector<bool> done(log_.events.size());
    for (std::size_t i = 0; i < earlier.end; ++i) done[sequence_[i]] = true;
    std::size_t end = later.begin;
    while (end < later.end && unmet(sequence_[end], done) == kNoEvent)
      done[sequence_[end++]] = true;
    Sequence result = sequence_;
    const auto at = [&](std::size_t i) { return result.begin() + static_cast<std::ptrdiff_t>(i); };
    std::rotate(at(earlier.end), at(later.begin), at(end));
    return result;
  }

  // What of `earlier` nothing between depends on goes to the start of `later`.
  Sequence pushed_forward(const Block& earlier, const Block& later) const {
    std::vector<bool> needed(log_.events.size());
    for (std::size_t i = later.begin; i-- > earlier.begin;) {
      const EventNumber event = sequence_[i];
      if (i >= earlier.end || needed[event]) {
        for_predecessors(event, [&](EventNumber before) { needed[before] = true; });
      }
    }
    std::size_t begin = earlier.end;
    while (begin > earlier.begin && !needed[sequence_[begin - 1]]) --begin;
    Sequence result = sequence_;
    const auto at = [&](std::size_t i) { return result.begin() + static_cast<std::ptrdiff_t>(i); };
    std::rotate(at(begin), at(earlier.end), at(later.begin));
    return result;
  }

  World& world_;
  const RunOptions& options_;
  const std::function<bool(const RunResult&)>& same_;
  std::uint64_t tries_max_;
  Log log_;  // of the first run
  Sequence sequence_;
  NormalizeResult best_;
};

}  // namespace

NormalizeResult normalize(World& world, const Schedule& schedule, const RunOptions& options,
                          const std::function<bool(const RunResult&)>& same,
                          std::uint64_t tries_max) {
  return Normalizer(world, options, same, tries_max).normalize(schedule);
}

Hash128 order_of(World& world, const Schedule& schedule, const RunOptions& options) {
  const auto replay = make_replay(schedule);
  Log log;
  Logging logging(*replay, log);
  world.run(logging, options);
  return log.order.total();
}

}  // namespace interleaf
