// SPDX-License-Identifier: GPL-2.0-only
// What a task announces at a scheduling point: the operation, the object, the place.
#pragma once

#include <cstdint>
#include <source_location>

namespace interleaf {

using TaskId = std::uint8_t;
using TaskMask = std::uint64_t;  // bit i stands for task i
inline constexpr unsigned kTasksMax = 40;
inline constexpr TaskId kNoTask = 0xff;

constexpr TaskMask task_bit(TaskId task) { return TaskMask{1} << task; }

// The kinds of access. "Shared" is a reader's side of a lock. Granted is the second point of a
// lock with a queue: the task was queued by its Acquire and goes on once the lock is handed over.
enum class Op : std::uint8_t {
  kRead,
  kWrite,
  kReadModifyWrite,
  kAcquire,
  kAcquireShared,
  kTryAcquire,
  kTryAcquireShared,
  kGranted,
  kRelease,
  kReleaseShared,
  kDowngrade,
  kWait,
  kWake,
  kFence,
  kRcuLock,
  kRcuUnlock,
  kGracePeriod,
  kChoice,
  kRelax,
  kBegin,
  kEnd,
  kFree,  // never announced: what a step does besides (Scheduler::freed)
  // A wait for what happens once and stays: leaves everything as it is, and once it is enabled,
  // nothing that may still come is dependent on it (Completion::wait_for_good).
  kAwait,
};

// Lower case, as printed in traces and landmarks ("read", "try-acquire", ...).
const char* op_name(Op op);

// What an access orders for other CPUs, in the terms of Linux's memory model; kinds that are locks
// by themselves (acquire, release, RCU) need none. Execution is sequentially consistent whatever it
// says: only the data-race detector looks at it.
enum class Order : std::uint8_t {
  kRelaxed,
  kAcquire,
  kRelease,
  kFull,
  kConditional,  // full if it succeeds, which Scheduler::ordered() tells; else relaxed
  kUpdate,       // relaxed, and atomic with the read it begins with (set_bit)
  kExempt,       // a plain access that may race: the kernel's data_race()
};

// True if two accesses of one object by this operation change nothing that the other could see.
constexpr bool op_only_reads(Op op) { return op == Op::kRead || op == Op::kAwait; }
// What goes into the digest of a run: there the two kinds of wait are one.
constexpr Op op_in_digest(Op op) { return op == Op::kAwait ? Op::kWait : op; }

// The number of a shared object in order of first access within a run: the same in every run of
// the same schedule, on every machine. Every object that owns points embeds one. 0 is "not yet
// touched". Freed memory is filled with kPoisonByte, so a number at or above kPoisoned is an
// object that was freed: the check for use after free costs nothing beyond the one for "new".
struct ObjectNumber {
  std::uint32_t value = 0;
};
inline constexpr unsigned char kPoisonByte = 0xf5;
inline constexpr std::uint32_t kPrivateObject = 1;  // barriers, choices: nobody else can see it
inline constexpr std::uint32_t kPoisoned = 0xf0000000;

struct Access {
  const void* address = nullptr;  // for reports: the arena knows what lies there
  std::source_location where;
  std::uint32_t object = 0;
  Op op = Op::kBegin;
  Order order = Order::kRelaxed;
  bool marked = true;  // READ_ONCE and friends, atomics, locks; false: a plain C access
  bool gated = false;  // only some states of the object allow it (Scheduler::gated_point)
};

}  // namespace interleaf
