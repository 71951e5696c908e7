// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/normal_form.h"

#include <bit>
#include <set>
#include <vector>

#include "scheduler/search/order_hash.h"
#include "scheduler/search/prefix_key.h"

namespace interleaf {
namespace {

// The past of every task after each of its events, in a run of the order.
using Pasts = std::vector<std::vector<Hash128>>;

// Follows the schedule and writes down its order.
class Record final : public Strategy {
 public:
  explicit Record(const Schedule& schedule) : schedule_(schedule), pasts(kTasksMax) {}

  void begin(std::uint64_t) override {
    order.clear();
    for (auto& past : pasts) past.clear();
  }
  TaskId pick(const Scheduler& s, TaskMask runnable) override {
    const HeapScope heap;
    const std::uint8_t wanted = s.choices() < schedule_.size() ? schedule_[s.choices()] : kNoTask;
    const bool fits = wanted < kTasksMax && (runnable & task_bit(wanted)) != 0;
    diverged |= !fits;
    const auto id = fits ? wanted : static_cast<TaskId>(std::countr_zero(runnable));
    forced(s, id);
    return id;
  }
  unsigned pick_value(const Scheduler& s, const char*, unsigned count) override {
    const HeapScope heap;
    const unsigned byte = s.choices() < schedule_.size() ? schedule_[s.choices()] : 0;
    const unsigned value = byte & ~unsigned{kDataChoice};
    const bool fits = (byte & kDataChoice) != 0 && value < count;
    diverged |= !fits;
    order.value(s.current_id(), fits ? value : 0);
    pasts[s.current_id()].push_back(order.task(s.current_id()));
    return fits ? value : 0;
  }
  bool sees_forced() const override { return true; }
  void forced(const Scheduler& s, TaskId id) override {
    const HeapScope heap;
    order.event(id, s.task(id).next);
    pasts[id].push_back(order.task(id));
  }
  bool sees_also() const override { return true; }
  void also(const Scheduler& s, Op op, std::uint32_t object) override {
    const HeapScope heap;
    order.event(s.current_id(), op, object);
    pasts[s.current_id()].push_back(order.task(s.current_id()));
  }

 private:
  const Schedule& schedule_;

 public:
  Pasts pasts;
  OrderHash order;
  bool diverged = false;
};

// Runs only within the order; gives a run up (kPause) where it cannot go on.
class WithinOrder final : public Strategy {
 public:
  WithinOrder(const Pasts& pasts, std::uint64_t preemptions)
      : pasts_(pasts), preemptions_max_(preemptions) {}

  const OrderHash& order() const { return order_; }

  // On to the next run; false if there is none.
  bool advance() {
    while (!path_.empty() && path_.back().todo == 0) {
      if (!path_.back().data) dead_.insert(path_.back().key);
      path_.pop_back();
    }
    if (path_.empty()) return false;
    Choice& choice = path_.back();
    choice.taken = static_cast<std::uint8_t>(std::countr_zero(choice.todo));
    choice.todo &= choice.todo - 1;
    return true;
  }

  void begin(std::uint64_t) override {
    order_.clear();
    key_.forget();
    done_.assign(kTasksMax, 0);
    lost_ = false;
  }
  TaskId pick(const Scheduler& s, TaskMask runnable) override {
    const HeapScope heap;
    if (lost_) return kPause;
    if (s.choices() == path_.size() && !append(s, runnable)) return kPause;
    const TaskId id = path_[s.choices()].taken;
    perform(s, id);
    return id;
  }
  unsigned pick_value(const Scheduler& s, const char*, unsigned count) override {
    const HeapScope heap;
    if (s.choices() == path_.size()) path_.push_back({0, true, {}, 0});
    // Only one value is in the order.
    const TaskId id = s.current_id();
    Choice& choice = path_[s.choices()];
    for (unsigned value = 0; value < count; ++value) {
      OrderHash after = order_;
      after.value(id, value);
      if (!expected(id, after)) continue;
      choice.taken = static_cast<std::uint8_t>(value);
      break;
    }
    order_.value(id, choice.taken);
    advance_task(id);
    return choice.taken;
  }
  bool sees_forced() const override { return true; }
  void forced(const Scheduler& s, TaskId id) override {
    const HeapScope heap;
    perform(s, id);
  }
  bool sees_also() const override { return true; }
  void also(const Scheduler& s, Op op, std::uint32_t object) override {
    const HeapScope heap;
    order_.event(s.current_id(), op, object);
    advance_task(s.current_id());
  }

 private:
  struct Choice {
    std::uint8_t taken = 0;
    bool data = false;
    Hash128 key;
    TaskMask todo = 0;
  };

  // `after` is the order after one more event of the task: is it still a prefix?
  bool expected(TaskId id, const OrderHash& after) const {
    return done_[id] < pasts_[id].size() && pasts_[id][done_[id]] == after.task(id);
  }
  bool fits(const Scheduler& s, TaskId id) const {
    OrderHash after = order_;
    after.event(id, s.task(id).next);
    return expected(id, after);
  }
  void perform(const Scheduler& s, TaskId id) {
    order_.event(id, s.task(id).next);
    advance_task(id);
  }
  void advance_task(TaskId id) {
    if (!expected(id, order_)) lost_ = true;
    ++done_[id];
  }

  bool append(const Scheduler& s, TaskMask runnable) {
    Choice choice;
    choice.key = key_.of(s, order_, runnable);
    choice.key.mix({s.preemptions(), 0});
    if (dead_.count(choice.key) != 0) return false;
    const TaskId ran = s.current_id();
    const bool goes_on = ran != kNoTask && (runnable & task_bit(ran)) != 0;
    if (goes_on && s.preemptions() == preemptions_max_) runnable = task_bit(ran);
    for (TaskId id = 0; id < s.task_count(); ++id) {
      if ((runnable & task_bit(id)) != 0 && fits(s, id)) choice.todo |= task_bit(id);
    }
    if (choice.todo == 0) return false;
    choice.taken = goes_on && (choice.todo & task_bit(ran)) != 0
                       ? ran
                       : static_cast<TaskId>(std::countr_zero(choice.todo));
    choice.todo &= ~task_bit(choice.taken);
    path_.push_back(choice);
    return true;
  }

  const Pasts& pasts_;
  std::uint64_t preemptions_max_;
  std::vector<Choice> path_;
  std::vector<std::size_t> done_;  // events, by task
  OrderHash order_;
  PrefixKey key_;
  std::set<Hash128> dead_;
  bool lost_ = false;  // an event that nobody could choose against is not in the order
};

}  // namespace

Schedule normal_form(World& world, const RunOptions& options, const Schedule& schedule,
                     std::uint64_t preemptions,
                     const std::function<bool(const RunResult&)>& accepted) {
  Record record(schedule);
  world.run(record, options);
  if (record.diverged) return schedule;
  WithinOrder within(record.pasts, preemptions);
  do {
    const RunResult& run = world.run(within, options);
    const bool ended = run.end != RunEnd::kPaused;
    if (ended && within.order().total() == record.order.total() && accepted(run)) {
      return run.schedule;
    }
  } while (within.advance());
  return schedule;
}

}  // namespace interleaf
