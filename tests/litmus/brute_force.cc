// SPDX-License-Identifier: GPL-2.0-only
#include "tests/litmus/brute_force.h"

#include <algorithm>
#include <bit>
#include <utility>
#include <vector>

#include "scheduler/check.h"

namespace interleaf {
namespace {

bool both_of(Op a, Op b, Op x, Op y) { return (a == x || a == y) && (b == x || b == y); }

// One event with the order before it, written down in full.
struct Event {
  TaskId task;
  Op op;
  std::uint32_t object;
  unsigned value = 0;                  // of a data choice, plus 1
  std::uint8_t clock[kTasksMax] = {};  // events of each task up to and with this one

  bool depends_on(const Event& other) const {
    if (task == other.task) return true;
    if (object != other.object || object == kPrivateObject) return false;
    return !both_of(op, other.op, Op::kRead, Op::kRead) &&
           !both_of(op, other.op, Op::kAcquireShared, Op::kReleaseShared) &&
           !both_of(op, other.op, Op::kRcuLock, Op::kRcuUnlock);
  }
};

// All schedules one after another, like an odometer: the last choice turns first.
class Odometer final : public Strategy {
 public:
  // To the next schedule; false if there is none.
  bool advance() {
    while (!digits_.empty() && digits_.back().rest == 0) digits_.pop_back();
    if (digits_.empty()) return false;
    digits_.back().turn();
    return true;
  }
  const Hash128& order_hash() const { return hash_.total(); }
  // The partial order of the run as bytes: the events of each task in turn, with their clocks.
  std::string order() const {
    std::string bytes;
    for (unsigned task = 0; task < tasks_; ++task) {
      for (const Event& event : events_) {
        if (event.task != task) continue;
        bytes += static_cast<char>(event.op);
        bytes += static_cast<char>(event.value);
        bytes.append(reinterpret_cast<const char*>(event.clock), tasks_);
      }
      bytes += '\xff';
    }
    return bytes;
  }

  void begin(std::uint64_t) override {
    hash_.clear();
    events_.clear();
    at_ = 0;
  }
  TaskId pick(const Scheduler& s, TaskMask runnable) override {
    const HeapScope heap;
    const auto id = static_cast<TaskId>(digit(runnable));
    add_event(s, id);
    return id;
  }
  unsigned pick_value(const Scheduler& s, const char*, unsigned count) override {
    const HeapScope heap;
    CHECK(count < 64);
    const unsigned value = digit((TaskMask{1} << count) - 1);
    hash_.value(s.current_id(), value);
    events_.back().value = value + 1;
    return value;
  }
  bool sees_forced() const override { return true; }
  void forced(const Scheduler& s, TaskId id) override {
    const HeapScope heap;
    add_event(s, id);
  }
  bool sees_also() const override { return true; }
  void also(const Scheduler& s, Op op, std::uint32_t object) override {
    const HeapScope heap;
    add_event(s, s.current_id(), op, object);
  }

 private:
  struct Digit {
    unsigned now = 0;
    TaskMask rest = 0;
    void turn() {
      now = static_cast<unsigned>(std::countr_zero(rest));
      rest &= rest - 1;
    }
  };

  unsigned digit(TaskMask options) {
    if (at_ == digits_.size()) digits_.push_back({0, options}), digits_.back().turn();
    return digits_[at_++].now;
  }
  void add_event(const Scheduler& s, TaskId id) {
    add_event(s, id, s.task(id).next.op, s.task(id).next.object);
  }
  void add_event(const Scheduler& s, TaskId id, Op op, std::uint32_t object) {
    hash_.event(id, op, object);
    tasks_ = s.task_count();
    Event event{id, op, object};
    for (const Event& before : events_) {
      if (!event.depends_on(before)) continue;
      for (unsigned i = 0; i < tasks_; ++i) {
        event.clock[i] = std::max(event.clock[i], before.clock[i]);
      }
    }
    CHECK(event.clock[id] < 0xfe);
    ++event.clock[id];
    events_.push_back(event);
  }

  std::vector<Digit> digits_;
  std::size_t at_ = 0;
  OrderHash hash_;
  unsigned tasks_ = 0;
  std::vector<Event> events_;
};

template <typename Key>
void lower(std::map<Key, std::uint64_t>& least, const Key& key, std::uint64_t value) {
  const auto [at, is_new] = least.try_emplace(key, value);
  if (!is_new) at->second = std::min(at->second, value);
}

template <typename Key>
std::set<Key> within(const std::map<Key, std::uint64_t>& least, std::uint64_t max) {
  std::set<Key> keys;
  for (const auto& [key, value] : least) {
    if (value <= max) keys.insert(key);
  }
  return keys;
}

}  // namespace

std::set<std::string> signatures_of(const RunResult& run) {
  std::set<std::string> signatures;
  for (const Finding& finding : run.findings) {
    if (finding.kind != FindingKind::kLockOrder) signatures.insert(finding.signature());
  }
  return signatures;
}

std::set<Hash128> BruteForceResult::classes_within(std::uint64_t preemptions) const {
  return within(classes, preemptions);
}

std::set<std::string> BruteForceResult::signatures_within(std::uint64_t preemptions) const {
  return within(signatures, preemptions);
}

BruteForceResult brute_force(World& world, const BruteForceOptions& options) {
  BruteForceResult result;
  Odometer odometer;
  std::map<std::string, Hash128> hash_of_order;
  do {
    if (result.interleavings == options.runs_max) return result;
    const RunResult& run = world.run(odometer, options.run);
    CHECK(run.steps < options.run.steps_max);
    ++result.interleavings;
    const Hash128 hash = odometer.order_hash();
    lower(result.classes, hash, run.preemptions);
    for (const std::string& signature : options.signatures(run)) {
      lower(result.signatures, signature, run.preemptions);
    }
    if (hash_of_order.emplace(odometer.order(), hash).first->second != hash) {
      result.hash_error = "one order has two hashes";
    }
  } while (odometer.advance());
  if (hash_of_order.size() > result.classes.size()) result.hash_error = "two orders have one hash";
  result.complete = true;
  return result;
}

}  // namespace interleaf
