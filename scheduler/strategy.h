// SPDX-License-Identifier: GPL-2.0-only
// A strategy answers every choice of a run: which task goes on, and what an injected value is.
// It is called only where there is more than one answer.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/access.h"
#include "scheduler/arena.h"

namespace interleaf {

class Scheduler;
struct Trial;

class Strategy {
 public:
  // pick() may return kPause: the run stops before the choice and control goes back to the caller
  // of World::start or World::resume, who may save, restore and resume.
  static constexpr TaskId kPause = 0xfe;

  virtual ~Strategy() = default;

  // A run begins. Everything that a run of this strategy depends on is (constructor, seed).
  virtual void begin(std::uint64_t seed) = 0;

  // Which of `runnable` (two or more) goes on. All have announced their next access
  // (Scheduler::task). scheduler.current() is the task that ran; it may not be in `runnable`.
  // Must not allocate.
  virtual TaskId pick(const Scheduler& scheduler, TaskMask runnable) = 0;

  // A value in [0, count), count >= 2, for the current task's data choice `kind`. Value 0 is the
  // ordinary outcome (no fault, first candidate).
  virtual unsigned pick_value(const Scheduler& scheduler, const char* kind, unsigned count) = 0;

  // An answer of pick() that holds for a while: the next `left` choices have it too, as long as
  // they are among the same tasks, and neither a relax() nor a step that one task alone could make
  // comes between. pick() is not called for these; they are counted down.
  struct Stay {
    TaskMask among = 0;
    std::uint32_t left = 0;
  };
  // Where pick() puts that; asked for when a run starts or resumes. Null: every choice is asked
  // for.
  virtual Stay* stay() { return nullptr; }

  // If true when a run starts or resumes, forced() is told where one task alone can go on; such
  // steps are not recorded. Must not allocate.
  virtual bool sees_forced() const { return false; }
  virtual void forced(const Scheduler&, TaskId) {}
  // Set by forced(): the run stops there (RunEnd::kPaused), as if pick() had returned kPause. It
  // cannot be resumed, only left: the next is World::run or World::restore. Not before the first
  // step of a run.
  bool leaves = false;

  // If true when a run starts or resumes, also() is told what the step of the current task that was
  // performed last does besides its announced access (Scheduler::also), and which objects it frees
  // (Op::kFree).
  virtual bool sees_also() const { return false; }
  virtual void also(const Scheduler&, Op, std::uint32_t object) { (void)object; }
};

// The choices of one run, as a value: a byte per choice where there was more than one answer.
// Below 0x80 the task that went on; otherwise 0x80 + the value of a data choice.
using Schedule = std::vector<std::uint8_t>;
inline constexpr std::uint8_t kDataChoice = 0x80;

// The table of strategies that a name is enough to make. strategies.cc.
struct StrategyInfo {
  std::string_view name;
  std::string_view summary;
  std::unique_ptr<Strategy> (*make)();
};
std::span<const StrategyInfo> strategies();
// Null if there is none of that name.
const StrategyInfo* find_strategy(std::string_view name);

std::unique_ptr<Strategy> make_round_robin();
std::unique_ptr<Strategy> make_random();
// Keeps the running task until it blocks or ends, then takes the lowest id.
std::unique_ptr<Strategy> make_keep_running();

// Follows a schedule to its end, then lets `inner` answer; without `inner`, keep-running.
class ReplayStrategy : public Strategy {
 public:
  // True once a choice of the schedule could not be made: its task was not runnable, or a data
  // choice met a task choice. `diverged_at` is the index in the schedule.
  virtual bool diverged() const = 0;
  virtual std::size_t diverged_at() const = 0;
  virtual std::size_t consumed() const = 0;
};
std::unique_ptr<ReplayStrategy> make_replay(Schedule schedule,
                                            std::unique_ptr<Strategy> inner = nullptr);

// A choice that differs from the keep-running policy, named by what the task that ran had done so
// far: it stays valid when others are taken away. After `own_steps` accesses of `task` (kNoTask:
// before the first), `value` goes on next; or, if `data`, its next data choice has that value.
struct Deviation {
  TaskId task = kNoTask;
  std::uint32_t own_steps = 0;
  bool data = false;
  std::uint8_t value = 0;
  bool operator==(const Deviation&) const = default;
};
// Keep-running but for the deviations. One whose task is not runnable then is passed over.
std::unique_ptr<Strategy> make_listed(std::vector<Deviation> deviations);

// A total order over entries of functions: task `task` enters `function`.
struct Row {
  TaskId task;
  std::string function;
};
// The running task goes on until it blocks, ends, or is about to enter the function of a row whose
// turn has not come; then the task of the next row, or if that one is blocked, the lowest id.
class TableStrategy : public Strategy {
 public:
  // Rows satisfied so far; rows().size() at the end if the table happened.
  virtual std::size_t satisfied() const = 0;
  virtual const std::vector<Row>& rows() const = 0;
  // True if every runnable task was held: row satisfied() cannot happen after the ones before it.
  virtual bool stuck() const = 0;
};
std::unique_ptr<TableStrategy> make_table(std::vector<Row> rows);

// ---- sampling ----
// A run depends on the seed and on what the factory got, never on earlier runs.

// A number that the seed decides anew for every run.
inline constexpr unsigned kDrawnPerRun = 0;
// Decisions that changes and delays are spread over, unless the maker knows better (Trial): about
// those of a small scenario. More than a run has wastes some, fewer leave its end alone.
inline constexpr std::uint32_t kDecisionsAssumed = 1000;

// Depth 1 .. 32, or drawn from 2 .. 6.
std::unique_ptr<Strategy> make_pct(unsigned depth, std::uint32_t decisions = kDecisionsAssumed);
std::unique_ptr<Strategy> make_pct();
std::unique_ptr<Strategy> make_pos();
// 1 .. 32 delays, or drawn from 1 .. 5.
std::unique_ptr<Strategy> make_delay(unsigned delays, std::uint32_t decisions = kDecisionsAssumed);
std::unique_ptr<Strategy> make_delay();

// An object as it is named across runs: the distance of its address from the arena's base. Object
// numbers will not do: they depend on the schedule.
using ObjectPlace = std::uint64_t;
inline ObjectPlace object_place(const Arena& arena, const void* address) {
  return reinterpret_cast<std::uintptr_t>(address) - arena.base();
}

// `counts`: how many events each task will perform (Trial::events).
std::unique_ptr<Strategy> make_urw(const std::vector<std::uint32_t>& counts);
// `counts`: how many accesses of `objects` each task will perform (the sum of
// Trial::Object::events).
std::unique_ptr<Strategy> make_surw(std::vector<ObjectPlace> objects,
                                    const std::vector<std::uint32_t>& counts);

// One of the above per run.
class PortfolioStrategy : public Strategy {
 public:
  // Which one the last run had: "pos", "surw", "pct", "urw" or "random".
  virtual std::string_view chosen() const = 0;
};
std::unique_ptr<PortfolioStrategy> make_portfolio(const Trial& trial);

}  // namespace interleaf
