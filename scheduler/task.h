// SPDX-License-Identifier: GPL-2.0-only
// One simulated thread, as the scheduler sees it. Lives in the arena.
#pragma once

#include <algorithm>
#include <cstdint>
#include <source_location>
#include <vector>

#include "scheduler/access.h"
#include "scheduler/frame.h"

namespace interleaf {

// A kind of lock; order is checked between classes. Static storage duration, one per kind, as
// lockdep keys are. `name` is what reports print.
struct LockClass {
  const char* name;
};

struct HeldLock {
  const void* lock;
  std::uint64_t step;  // when it was taken
  std::source_location where;
  std::uint8_t class_index;
  bool shared;
};

// The locks that a task holds, in the order it took them.
class HeldLocks {
 public:
  static constexpr unsigned kRoom = 64;  // beyond that many they move into the arena

  explicit HeldLocks(HeldLock* room) : first_(room) {}
  HeldLocks() = default;

  std::size_t size() const { return count_; }
  // How many of them lie in the task's room: all or none.
  std::uint32_t in_room() const { return capacity_ == kRoom ? count_ : 0; }
  bool empty() const { return count_ == 0; }
  const HeldLock* begin() const { return first_; }
  const HeldLock* end() const { return first_ + count_; }
  const HeldLock& operator[](std::size_t i) const { return first_[i]; }
  const HeldLock& front() const { return first_[0]; }
  const HeldLock& back() const { return first_[count_ - 1]; }

  void add(const void* lock, std::uint64_t step, std::source_location where,
           std::uint8_t class_index, bool shared) {
    if (count_ == capacity_) [[unlikely]]
      grow();
    // Field by field: a copy of what was just put together would wait for its narrow stores.
    HeldLock& held = first_[count_++];
    held.lock = lock;
    held.step = step;
    held.where = where;
    held.class_index = class_index;
    held.shared = shared;
  }
  void erase(std::size_t i) {
    for (--count_; i < count_; ++i) first_[i] = first_[i + 1];
  }

 private:
  // Within a run, so this is memory of the arena. What it replaces rewinds with the World.
  void grow() {
    capacity_ *= 2;
    auto* grown = new HeldLock[capacity_];
    std::copy(begin(), end(), grown);
    first_ = grown;
  }

  HeldLock* first_ = nullptr;
  std::uint32_t count_ = 0;
  std::uint32_t capacity_ = kRoom;
};

// What a task in a polling loop accessed since the end of its last turn.
struct Polled {
  std::vector<std::uint32_t> objects;
  bool changed = false;            // by another task since it was accessed
  bool blind = false;              // the turn accessed nothing: any step of another task will do
  std::uint64_t others_steps = 0;  // steps of other tasks before this turn
  std::uint32_t turns = 0;         // of the loop at hand, in vain
};

enum class TaskState : std::uint8_t { kRunnable, kBlocked, kFinished };

struct TaskRoom;

class Task {
 public:
  static constexpr unsigned kDepthMax = 64;
  static constexpr unsigned kEnteredMax = 16;

  TaskId id = kNoTask;
  bool daemon = false;  // a run may end while it waits
  bool finished = false;
  bool woken = false;              // by a wake since its last prepare_to_wait
  std::uint8_t depth = 0;          // functions on the stack
  std::uint8_t entered_count = 0;  // functions entered since the last point, capped
  std::uint16_t atomic_depth = 0;  // spinlocks held + RCU read sections: must not sleep
  std::uint16_t rcu_depth = 0;
  std::uint32_t await_detail = 0;  // which bit of a flag word a blocked task waits for
  const char* name = nullptr;
  const char* waits_for = nullptr;  // what a blocked task waits for, for reports
  std::uint64_t last_step = 0;
  std::uint32_t own_steps = 0;  // accesses performed
  Access next;                  // announced, not yet performed
  // In the task's TaskRoom: the first `depth`, `entered_count` and held.in_room() count.
  const Function** stack = nullptr;
  const Function** entered = nullptr;
  HeldLocks held;
  std::uint64_t held_classes = 0;  // classes of the locks in `held`
  Polled* polled = nullptr;        // null: the task never polled

  const Function* function() const { return depth == 0 ? nullptr : stack[depth - 1]; }
  // From now on it holds a lock.
  void claim(const void* lock, std::uint64_t step, std::source_location where,
             std::uint8_t lock_class, bool shared) {
    held.add(lock, step, where, lock_class, shared);
    held_classes |= std::uint64_t{1} << lock_class;
  }
};

// The arrays of a task, outside the arena: most of them is not in use, and a snapshot copies what
// is.
struct TaskRoom {
  const Function* stack[Task::kDepthMax] = {};
  const Function* entered[Task::kEnteredMax] = {};
  HeldLock held[HeldLocks::kRoom] = {};
};

}  // namespace interleaf
