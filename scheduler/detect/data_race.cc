// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/detect/data_race.h"

#include <algorithm>
#include <tuple>

#include "scheduler/object_names.h"
#include "scheduler/scheduler.h"

namespace interleaf {
namespace {

using Side = DataRace::Side;

bool conflict(const Side& a, const Side& b) {
  return (a.write || b.write) && (!a.marked || !b.marked);
}

// True if whatever conflicts with `old` conflicts with `fresh` as well.
bool covers(const Side& fresh, const Side& old) {
  return fresh.write >= old.write && fresh.marked <= old.marked;
}

// Writes and reads, marked and plain ones.
constexpr unsigned kKinds = 4;
unsigned kind_of(bool write, bool marked) { return 2U * write + marked; }

const char* function_name(const Scheduler& scheduler, const Side& side) {
  return side.depth != 0 ? side.stack[0]->name : scheduler.task(side.task).name;
}

std::string verb(const Side& side) {
  return std::string(side.write ? "write" : "read") + (side.marked ? " (marked)" : "");
}

}  // namespace

void DataRace::State::clear() {
  tasks = 0;
  task_clocks.clear();
  sync_clocks.clear();
  objects.clear();
  newest.clear();
  entries.clear();
  free = 0;
  reported.clear();
}

void DataRace::begin(unsigned tasks) {
  state_.clear();
  races_.clear();
  state_.tasks = tasks;
  state_.task_clocks.resize(std::size_t{tasks} * kTaskClocks * tasks);
  for (unsigned task = 0; task < tasks; ++task) tick(static_cast<TaskId>(task));
}

DataRace::State::Object& DataRace::object(std::uint32_t number) {
  if (number >= state_.objects.size()) [[unlikely]] {
    state_.objects.resize(number + 1);
    state_.newest.resize((number + std::size_t{1}) * state_.tasks * kKinds);
  }
  return state_.objects[number];
}

DataRace::Clock& DataRace::newest(std::uint32_t number, TaskId task, bool write, bool marked) {
  const std::size_t row = std::size_t{number} * state_.tasks + task;
  return state_.newest[row * kKinds + kind_of(write, marked)];
}

DataRace::Clock* DataRace::sync(std::uint32_t number, SyncClock which) {
  const std::size_t each = std::size_t{kSyncClocks} * state_.tasks;
  State::Object& of = object(number);
  if (of.sync == 0) {
    state_.sync_clocks.resize(state_.sync_clocks.size() + each);
    of.sync = static_cast<std::uint32_t>(state_.sync_clocks.size() / each);
  }
  return state_.sync_clocks.data() + (of.sync - 1) * each + which * state_.tasks;
}

void DataRace::join(Clock* into, const Clock* from) const {
  for (unsigned i = 0; i < state_.tasks; ++i) into[i] = std::max(into[i], from[i]);
}

void DataRace::acquire(TaskId task, std::uint32_t number, SyncClock which) {
  if (object(number).sync != 0) join(clock(task, kNow), sync(number, which));
}

// The caller ticks, once its access is complete.
void DataRace::release(TaskId task, std::uint32_t number, SyncClock which) {
  Clock* const into = sync(number, which);
  join(into, clock(task, kNow));
  join(into, clock(task, kOverwritten));
}

void DataRace::barrier(TaskId task, Order order) {
  Clock* const now = clock(task, kNow);
  if (order != Order::kRelease) join(now, clock(task, kSeen));
  if (order == Order::kFull) {
    join(now, clock(task, kOverwritten));
    std::copy(now, now + state_.tasks, clock(task, kBarrier));
  }
  if (order == Order::kAcquire) return;
  join(clock(task, kPublished), now);
  join(clock(task, kPublished), clock(task, kOverwritten));
  tick(task);
}

void DataRace::marked_read(TaskId task, std::uint32_t number, Order order) {
  // A clock whose own entry is 0 is empty: most programs have no barriers.
  if (clock(task, kBarrier)[task] != 0) join(sync(number, kAccessed), clock(task, kBarrier));
  if (object(number).sync == 0) return;
  join(clock(task, order == Order::kAcquire ? kNow : kSeen), sync(number, kReleased));
}

void DataRace::marked_write(TaskId task, std::uint32_t number, Order order, bool keeps) {
  const bool fenced = clock(task, kBarrier)[task] != 0 || clock(task, kPublished)[task] != 0;
  if (order != Order::kRelease && !fenced && object(number).sync == 0) return;
  join(clock(task, kOverwritten), sync(number, kAccessed));
  join(sync(number, kAccessed), clock(task, kBarrier));
  if (order == Order::kRelease) {
    release(task, number, kReleased);
    tick(task);
    return;
  }
  Clock* const released = sync(number, kReleased);
  if (!keeps) std::fill(released, released + state_.tasks, Clock{0});
  join(released, clock(task, kPublished));
}

void DataRace::read_modify_write(TaskId task, std::uint32_t number, Order order) {
  const bool full = order == Order::kFull;
  if (full) barrier(task, Order::kFull);
  marked_read(task, number, full ? Order::kAcquire : Order::kRelaxed);
  marked_write(task, number, full ? Order::kRelease : Order::kRelaxed, true);
  if (full) barrier(task, Order::kFull);
}

// Its beginning and its end alike: who was in a read section and left it comes before; who enters
// one from now on comes after.
void DataRace::grace_period(TaskId task, std::uint32_t number) {
  acquire(task, number, kReleased);
  release(task, number, kSide);
  tick(task);
}

void DataRace::lock_taken(TaskId task, std::uint32_t number, bool shared) {
  const HeapScope heap;
  acquire(task, number, kReleased);
  if (!shared) acquire(task, number, kSide);
  // An unlock and a later lock order stores as a barrier does, for whoever looks on.
  join(clock(task, kPublished), clock(task, kUnlock));
}

void DataRace::ordered(TaskId task) {
  const HeapScope heap;
  read_modify_write(task, last_object_[task], Order::kFull);
}

void DataRace::wakes(TaskId task, std::uint32_t number) {
  const HeapScope heap;
  release(task, number, kSide);
  tick(task);
}

// Everything but plain reads and writes.
void DataRace::synchronise(TaskId task, const Access& access) {
  const std::uint32_t number = access.object;
  switch (access.op) {
    case Op::kRead:
      if (access.marked) marked_read(task, number, access.order);
      return;
    case Op::kWrite:
      if (access.marked) marked_write(task, number, access.order, access.order == Order::kUpdate);
      return;
    case Op::kReadModifyWrite:
      last_object_[task] = number;
      if (access.order == Order::kConditional) {
        marked_read(task, number, Order::kRelaxed);
      } else {
        read_modify_write(task, number, access.order);
      }
      return;
    case Op::kRelease:
    case Op::kReleaseShared:
    case Op::kDowngrade:
    case Op::kRcuUnlock:
    case Op::kEnd: {
      const bool side = access.op == Op::kReleaseShared;
      release(task, number, side ? kSide : kReleased);
      Clock* const now = clock(task, kNow);
      std::copy(now, now + state_.tasks, clock(task, kUnlock));
      tick(task);
      return;
    }
    case Op::kAwait:
      acquire(task, number, kReleased);
      acquire(task, number, kSide);
      barrier(task, access.order);
      return;
    case Op::kWait:
    case Op::kWake:
      acquire(task, number, kReleased);
      acquire(task, number, kSide);
      if (access.order != Order::kFull) return;
      barrier(task, Order::kFull);
      release(task, number, kReleased);
      tick(task);
      return;
    case Op::kBegin:
    case Op::kGranted:
      acquire(task, number, kReleased);
      return;
    case Op::kFence:
      barrier(task, access.order);
      return;
    case Op::kRcuLock:
      acquire(task, number, kSide);
      return;
    case Op::kGracePeriod:
      grace_period(task, number);
      return;
    case Op::kAcquire:
    case Op::kAcquireShared:
    case Op::kTryAcquire:
    case Op::kTryAcquireShared:
    case Op::kChoice:
    case Op::kRelax:
    case Op::kFree:
      return;
  }
}

std::size_t DataRace::access(const Task& task, const Access& access, std::uint64_t step) {
  races_.clear();
  const bool data = access.op == Op::kRead || access.op == Op::kWrite;
  // A read first synchronises: it is after what it reads. A write is before what it publishes.
  if (access.op != Op::kWrite) synchronise(task.id, access);
  if (data && access.order != Order::kExempt) check(task, access, step);
  if (access.op == Op::kWrite) synchronise(task.id, access);
  return races_.size();
}

void DataRace::check(const Task& task, const Access& access, std::uint64_t step) {
  State::Object& of = object(access.object);
  const Clock* const now = clock(task.id, kNow);
  const bool write = access.op == Op::kWrite;
  // Nothing is known of an access that was not known of an equal one since which its task released
  // nothing: whoever races with this one races with that one.
  Clock& newest_of_kind = newest(access.object, task.id, write, access.marked);
  if (newest_of_kind == now[task.id]) return;
  // A marked read that acquires nothing is still itself after the write that it reads.
  const Clock* const seen =
      !write && access.marked && of.sync != 0 ? sync(access.object, kReleased) : now;
  State::Entry fresh;
  Side& side = fresh.side;
  side.step = step;
  side.address = access.address;
  side.where = access.where;
  side.task = task.id;
  side.write = write;
  side.marked = access.marked;
  side.depth = static_cast<std::uint8_t>(std::min<unsigned>(task.depth, Side::kStackMax));
  for (unsigned i = 0; i < side.depth; ++i) side.stack[i] = task.stack[task.depth - 1 - i];
  fresh.clock = now[task.id];

  for (std::uint32_t* link = &of.newest; *link != 0;) {
    State::Entry& old = state_.entries[*link - 1];
    const TaskId by = old.side.task;
    const bool before = by == task.id || old.clock <= now[by];
    if (!before && old.clock > seen[by] && conflict(old.side, side)) found(old.side, side);
    if (before && covers(side, old.side)) {
      newest(access.object, by, old.side.write, old.side.marked) = 0;
      const std::uint32_t removed = *link;
      *link = old.next;
      old.next = state_.free;
      state_.free = removed;
    } else {
      link = &old.next;
    }
  }
  newest_of_kind = fresh.clock;
  fresh.next = of.newest;
  if (state_.free != 0) {
    of.newest = state_.free;
    state_.free = state_.entries[of.newest - 1].next;
    state_.entries[of.newest - 1] = fresh;
  } else {
    state_.entries.push_back(fresh);
    of.newest = static_cast<std::uint32_t>(state_.entries.size());
  }
}

void DataRace::found(const Side& earlier, const Side& later) {
  const auto place = [](const Side& side) {
    return State::Place{side.depth == 0 ? nullptr : side.stack[0], side.where.line()};
  };
  const State::Pair pair{place(earlier), place(later)};
  for (const State::Pair& known : state_.reported) {
    if (known.earlier == pair.earlier && known.later == pair.later) return;
    if (known.earlier == pair.later && known.later == pair.earlier) return;
  }
  state_.reported.push_back(pair);
  races_.push_back({earlier, later});
}

Finding describe_data_race(const Scheduler& scheduler, const Side& earlier, const Side& later) {
  const auto key = [&](const Side& side) {
    return std::tuple(std::string_view(function_name(scheduler, side)), !side.write, side.marked,
                      side.where.line());
  };
  const bool swapped = key(later) < key(earlier);
  const Side* const sides[] = {swapped ? &later : &earlier, swapped ? &earlier : &later};
  const Arena::Block* block = scheduler.arena().find(later.address);
  const std::string object =
      block != nullptr && block->type != nullptr ? block->type->role_name() : "memory";

  const std::string name = name_at(scheduler, later.address);

  Finding finding;
  finding.kind = FindingKind::kDataRace;
  finding.step = later.step;
  finding.task = later.task;
  finding.task_name = scheduler.task(later.task).name;
  const std::string functions = std::string(function_name(scheduler, *sides[0])) + " / " +
                                function_name(scheduler, *sides[1]);
  finding.object = functions + ":" + object;
  finding.message = "BUG: data-race in " + functions;
  for (const Side* side : sides) {
    finding.details.push_back(verb(*side) + " to " + (name.empty() ? object : name) + " by task " +
                              scheduler.task(side->task).name + " at step " +
                              std::to_string(side->step) + ", line " +
                              std::to_string(side->where.line()) + ":");
    for (unsigned i = 0; i < side->depth; ++i) {
      finding.details.push_back(std::string("  ") + side->stack[i]->name);
    }
  }
  return finding;
}

}  // namespace interleaf
