// SPDX-License-Identifier: GPL-2.0-only
// Data races by happens-before, with KCSAN's rule: two accesses of one object by different tasks,
// at least one a write and at least one plain, that no synchronisation of the program orders.
// Vector clocks with epochs (Flanagan and Freund, FastTrack, PLDI 2009). Deviation: marked and
// plain accesses differ, so an object keeps a few accesses, not one write and one read. An access
// supersedes another that is ordered before it if whatever conflicts with that one conflicts with
// it too; so an object is reported iff some pair of its accesses races, not every pair is.
//
// What orders (docs/MODEL.md has the rules, which err on the side of order): locks, wake-ups, RCU,
// release stores read by acquire loads, barriers together with marked accesses, atomics as Linux
// orders them.
//
// The state is outside the arena, so that looking for races changes no address of the program; it
// is saved and restored with the World's snapshots. Not thread-safe. Calls may allocate.
#pragma once

#include <cstddef>
#include <cstdint>
#include <source_location>
#include <vector>

#include "scheduler/access.h"
#include "scheduler/finding.h"
#include "scheduler/frame.h"

namespace interleaf {

class Scheduler;

class DataRace {
 public:
  using Clock = std::uint32_t;

  // One side of a race.
  struct Side {
    static constexpr unsigned kStackMax = 8;
    std::uint64_t step = 0;
    const void* address = nullptr;
    std::source_location where;
    TaskId task = kNoTask;
    bool write = false;
    bool marked = false;
    std::uint8_t depth = 0;
    const Function* stack[kStackMax] = {};  // innermost first
  };
  struct Race {
    Side earlier;
    Side later;
  };

  // All that a run changes.
  struct State {
    struct Object {
      std::uint32_t sync = 0;    // 1 + index of its clocks; 0: it never synchronised anything
      std::uint32_t newest = 0;  // 1 + index of its newest access
    };
    struct Entry {
      Side side;
      Clock clock = 0;         // of its task, when it happened
      std::uint32_t next = 0;  // 1 + index of the next older one, or of a free one
    };
    // The places of a reported pair.
    struct Place {
      const Function* function = nullptr;
      std::uint32_t line = 0;
      bool operator==(const Place&) const = default;
    };
    struct Pair {
      Place earlier;
      Place later;
    };
    unsigned tasks = 0;
    std::vector<Clock> task_clocks;  // kTaskClocks of `tasks` each
    std::vector<Clock> sync_clocks;  // kSyncClocks of `tasks` each
    std::vector<Object> objects;     // by object number
    // By object number, task and kind of access: when the access was that is kept of them. A task
    // has one of a kind at most, since a later one supersedes it. 0: none.
    std::vector<Clock> newest;
    std::vector<Entry> entries;
    std::uint32_t free = 0;
    std::vector<Pair> reported;

    void clear();
  };

  // A run of `tasks` tasks begins.
  void begin(unsigned tasks);
  const State& state() const { return state_; }
  void restore(const State& state) { state_ = state; }

  // `task` performs the access at `step`. Returns how many races that are new in this run it has.
  std::size_t access(const Task& task, const Access& access, std::uint64_t step);
  // Race `index` of the last access. Requires: index < what access() returned.
  const Race& race(std::size_t index) const { return races_[index]; }

  // The lock of this number was taken.
  void lock_taken(TaskId task, std::uint32_t object, bool shared);
  // The conditional operation that the task performed last succeeded.
  void ordered(TaskId task);
  // What waits for the object goes on after what the task did so far.
  void wakes(TaskId task, std::uint32_t object);

 private:
  // Of a task: its own clock; what marked reads saw that no acquiring barrier followed yet; what
  // marked writes publish; its clock at the last full barrier; what was before its marked writes in
  // coherence order that no full barrier followed yet; its clock at its last unlock.
  enum TaskClock : unsigned {
    kNow,
    kSeen,
    kPublished,
    kBarrier,
    kOverwritten,
    kUnlock,
    kTaskClocks
  };
  // Of an object: what who acquires it is after; the same from those who only let writers or
  // waiters go on (readers of a lock, wake-ups, grace periods); full barriers before its accesses.
  enum SyncClock : unsigned { kReleased, kSide, kAccessed, kSyncClocks };

  Clock* clock(TaskId task, TaskClock which) {
    return state_.task_clocks.data() + (task * kTaskClocks + which) * state_.tasks;
  }
  // Makes the object's clocks on first use.
  Clock* sync(std::uint32_t object, SyncClock which);
  State::Object& object(std::uint32_t number);
  Clock& newest(std::uint32_t number, TaskId task, bool write, bool marked);
  void join(Clock* into, const Clock* from) const;
  void tick(TaskId task) { ++clock(task, kNow)[task]; }

  void acquire(TaskId task, std::uint32_t object, SyncClock which);
  void release(TaskId task, std::uint32_t object, SyncClock which);
  void barrier(TaskId task, Order order);
  void marked_read(TaskId task, std::uint32_t object, Order order);
  void marked_write(TaskId task, std::uint32_t object, Order order, bool keeps);
  void read_modify_write(TaskId task, std::uint32_t object, Order order);
  void grace_period(TaskId task, std::uint32_t object);
  void synchronise(TaskId task, const Access& access);
  void check(const Task& task, const Access& access, std::uint64_t step);
  void found(const Side& earlier, const Side& later);

  State state_;
  std::vector<Race> races_;
  std::uint32_t last_object_[kTasksMax] = {};  // of the last conditional operation
};

// In KCSAN's words. Equal signatures whichever access came first.
Finding describe_data_race(const Scheduler& scheduler, const DataRace::Side& earlier,
                           const DataRace::Side& later);

}  // namespace interleaf
