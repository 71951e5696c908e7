// SPDX-License-Identifier: GPL-2.0-only
// The data-race detector against a naive reference: the whole run as a graph whose edges are the
// rules of scheduler/detect/data_race.h, every pair of accesses compared. Random programs, and all
// interleavings of small ones.
#include <gtest/gtest.h>

#include <bit>
#include <string>
#include <vector>

#include "scheduler/strategies/learning.h"
#include "scheduler/sync/atomic.h"
#include "scheduler/sync/barrier.h"
#include "scheduler/sync/mutex.h"
#include "scheduler/sync/rwlock.h"
#include "scheduler/sync/shared.h"
#include "tests/scheduler_programs.h"

namespace interleaf {
namespace {

using Events = std::uint64_t;  // bit i: event i of the run
constexpr unsigned kTasks = 3;
constexpr unsigned kObjects = 2;

struct Event {
  TaskId task;
  Op op;
  std::uint32_t object;
  Order order;
  bool marked;

  bool barrier() const { return op == Op::kFence || rmw(); }
  bool rmw() const { return op == Op::kReadModifyWrite; }
  bool full() const { return order == Order::kFull && barrier(); }
  bool acquires() const { return full() || order == Order::kAcquire; }
  bool releases() const { return full() || order == Order::kRelease; }
  bool reads() const { return marked && (op == Op::kRead || rmw()); }
  bool writes() const { return marked && (op == Op::kWrite || rmw()); }
  bool takes() const { return op == Op::kAcquire || op == Op::kAcquireShared; }
  bool drops() const { return op == Op::kRelease || op == Op::kReleaseShared; }
};

class Reference final : public Observer {
 public:
  void clear() { events_.clear(); }
  void event(const Scheduler&, const Task& task, const Access& a) override {
    events_.push_back({task.id, a.op, a.object, a.order, a.marked});
  }
  void enter(const Scheduler&, const Task&, const Function&) override {}
  void leave(const Scheduler&, const Task&, const Function&) override {}
  void remark(const Scheduler&, const Task&, std::string_view) override {}

  bool racy() {
    const unsigned count = static_cast<unsigned>(events_.size());
    EXPECT_LE(count, 64u);
    before_.assign(count, 0);
    published_.assign(count, 0);
    bool racy = false;
    for (unsigned j = 0; j < count; ++j) {
      if (const int previous = last(j, [](const Event&) { return true; }); previous >= 0) {
        before_[j] |= upto(static_cast<unsigned>(previous));
      }
      order(j);
      for (unsigned i = 0; i < j; ++i) racy |= races(i, j);
    }
    return racy;
  }

 private:
  static Events bit(unsigned event) { return Events{1} << event; }
  Events upto(unsigned event) const { return before_[event] | bit(event); }

  // The last event of the same task before `event` that is one; -1 if there is none.
  template <typename Is>
  int last(unsigned event, Is is) const {
    for (unsigned i = event; i-- > 0;) {
      if (events_[i].task == events_[event].task && is(events_[i])) return static_cast<int>(i);
    }
    return -1;
  }

  // All that the value that `read` finds came with.
  Events found_by(unsigned read) const {
    Events all = 0;
    for (unsigned i = read; i-- > 0;) {
      const Event& write = events_[i];
      if (write.object != events_[read].object || !write.writes()) continue;
      all |= published_[i];
      if (!write.rmw() && write.order == Order::kRelaxed) break;  // a new value, on its own
    }
    return all;
  }

  // Full barriers before accesses that a marked write of the same task, up to `event`, overwrote.
  Events overwritten(unsigned event) const {
    Events all = 0;
    for (unsigned w = 0; w <= event; ++w) {
      const Event& write = events_[w];
      if (write.task != events_[event].task || !write.writes()) continue;
      for (unsigned a = 0; a < w; ++a) {
        const Event& access = events_[a];
        if (access.object != write.object || !(access.reads() || access.writes())) continue;
        if (access.full()) all |= upto(a);
        const int barrier = last(a, [](const Event& e) { return e.full(); });
        if (barrier >= 0) all |= upto(static_cast<unsigned>(barrier));
      }
    }
    return all;
  }

  void order(unsigned j) {
    const Event& event = events_[j];
    if (event.takes()) {
      for (unsigned i = 0; i < j; ++i) {
        if (events_[i].object != event.object || !events_[i].drops()) continue;
        if (events_[i].op == Op::kReleaseShared && event.op == Op::kAcquireShared) continue;
        before_[j] |= published_[i];
      }
    }
    if (event.acquires() && event.barrier()) {
      for (unsigned i = 0; i < j; ++i) {
        if (events_[i].task == event.task && events_[i].reads()) before_[j] |= found_by(i);
      }
    }
    if (event.reads() && event.acquires()) before_[j] |= found_by(j);
    if (event.full()) before_[j] |= overwritten(j);
    publish(j);
  }

  // What whoever reads a write, or takes a lock that was dropped, may come to be after.
  void publish(unsigned j) {
    const Event& event = events_[j];
    if (event.drops() || (event.releases() && event.op != Op::kRead)) {
      published_[j] = upto(j) | overwritten(j);
      return;
    }
    if (!event.writes()) return;
    for (unsigned i = 0; i < j; ++i) {
      if (events_[i].task != event.task) continue;
      if (events_[i].barrier() && events_[i].releases()) published_[j] |= published_[i];
      if (!events_[i].takes()) continue;
      const int dropped = last(i, [](const Event& e) { return e.drops(); });
      if (dropped >= 0) published_[j] |= upto(static_cast<unsigned>(dropped));
    }
  }

  bool races(unsigned i, unsigned j) const {
    const Event& a = events_[i];
    const Event& b = events_[j];
    const auto data = [](const Event& e) { return e.op == Op::kRead || e.op == Op::kWrite; };
    if (a.task == b.task || a.object != b.object || !data(a) || !data(b)) return false;
    if (a.op == Op::kRead && b.op == Op::kRead) return false;
    if (a.marked && b.marked) return false;
    Events ordered = before_[j];
    if (b.op == Op::kRead && b.marked) ordered |= found_by(j);
    return (ordered & bit(i)) == 0;
  }

  std::vector<Event> events_;
  std::vector<Events> before_;     // what is before the event
  std::vector<Events> published_;  // what a release, or a relaxed write, hands on
};

enum class Kind : std::uint8_t {
  kLoad,
  kStore,
  kReadOnce,
  kWriteOnce,
  kLoadAcquire,
  kStoreRelease,
  kAdd,
  kAddReturn,
  kMb,
  kRmb,
  kWmb,
  kLock,
  kReadLock,
  kWriteLock,
  kKinds
};
struct Statement {
  Kind kind;
  unsigned object;
};
// Of the program under test: fixed while a World has it.
std::vector<Statement> g_program[kTasks];

constexpr LockClass kMutex{"mutex"};
constexpr LockClass kRwlock{"rwlock"};

struct Machine {
  Shared<int> data[kObjects];
  Atomic<int> atomic[kObjects];
  Mutex mutex{kMutex};
  Rwlock rwlock{kRwlock};

  explicit Machine(Scheduler& s) {
    add_task(s, "a", this, [](Machine& m) { m.run(0); });
    add_task(s, "b", this, [](Machine& m) { m.run(1); });
    add_task(s, "c", this, [](Machine& m) { m.run(2); });
  }
  void run(unsigned task) {
    FRAME(interpreter);
    const std::vector<Statement>& statements = g_program[task];
    for (std::size_t i = 0; i < statements.size(); ++i) {
      const Kind kind = statements[i].kind;
      // A lock is held for the next statement.
      if (kind == Kind::kLock) mutex.lock();
      if (kind == Kind::kReadLock) rwlock.read_lock();
      if (kind == Kind::kWriteLock) rwlock.write_lock();
      if (kind < Kind::kLock) {
        perform(statements[i]);
      } else if (i + 1 < statements.size() && statements[i + 1].kind < Kind::kLock) {
        perform(statements[++i]);
      }
      if (kind == Kind::kLock) mutex.unlock();
      if (kind == Kind::kReadLock) rwlock.read_unlock();
      if (kind == Kind::kWriteLock) rwlock.write_unlock();
    }
  }
  void perform(const Statement& statement) {
    Shared<int>& field = data[statement.object];
    Atomic<int>& counter = atomic[statement.object];
    switch (statement.kind) {
      case Kind::kLoad:
        field.load();
        break;
      case Kind::kStore:
        field.store(1);
        break;
      case Kind::kReadOnce:
        field.read_once();
        break;
      case Kind::kWriteOnce:
        field.write_once(1);
        break;
      case Kind::kLoadAcquire:
        field.load_acquire();
        break;
      case Kind::kStoreRelease:
        field.store_release(1);
        break;
      case Kind::kAdd:
        counter.inc();
        break;
      case Kind::kAddReturn:
        counter.add_return(1);
        break;
      case Kind::kMb:
        smp_mb();
        break;
      case Kind::kRmb:
        smp_rmb();
        break;
      case Kind::kWmb:
        smp_wmb();
        break;
      default:
        break;
    }
  }
};

void make_program(Prng& prng, unsigned length) {
  for (std::vector<Statement>& task : g_program) {
    task.clear();
    for (unsigned i = 0; i < length; ++i) {
      const auto kind = static_cast<Kind>(prng.below(static_cast<unsigned>(Kind::kKinds)));
      task.push_back({kind, prng.below(kObjects)});
    }
  }
}

std::string program_text() {
  std::string text;
  for (const std::vector<Statement>& task : g_program) {
    for (const Statement& s : task) {
      text += std::to_string(static_cast<unsigned>(s.kind)) + "." + std::to_string(s.object) + " ";
    }
    text += "| ";
  }
  return text;
}

bool found_a_race(const RunResult& run) {
  return std::any_of(run.findings.begin(), run.findings.end(),
                     [](const Finding& f) { return f.kind == FindingKind::kDataRace; });
}

TEST(DataRaceReference, AgreesOnRandomPrograms) {
  Reference reference;
  RunOptions options;
  options.detectors.data_race = true;
  options.observer = &reference;
  const auto random = make_random();
  Prng prng(1);
  unsigned racy = 0;
  unsigned runs = 0;
  for (unsigned program = 0; program < 1000; ++program) {
    make_program(prng, 2 + program % 5);
    Program<Machine> p;
    for (options.seed = 0; options.seed < 20; ++options.seed, ++runs) {
      reference.clear();
      const bool found = found_a_race(p.run(*random, options));
      ASSERT_EQ(found, reference.racy()) << program_text() << "seed " << options.seed;
      racy += found;
    }
  }
  EXPECT_GT(racy, runs / 10);
  EXPECT_LT(racy, runs - runs / 10);
}

TEST(DataRaceReference, AgreesOnAllInterleavingsOfSmallPrograms) {
  Reference reference;
  RunOptions options;
  options.detectors.data_race = true;
  options.observer = &reference;
  Prng prng(2);
  unsigned differ = 0;  // programs with runs of both kinds
  for (unsigned program = 0; program < 200; ++program) {
    make_program(prng, 4);
    g_program[2].clear();
    Program<Machine> p;
    const auto dfs = make_dfs();
    bool some = false;
    bool all = true;
    unsigned runs = 0;
    while (!dfs->exhausted() && ++runs < 5000) {
      reference.clear();
      const RunResult& run = p.run(*dfs, options);
      dfs->ended(run);
      const bool found = found_a_race(run);
      ASSERT_EQ(found, reference.racy()) << program_text() << "run " << runs;
      some |= found;
      all &= found;
    }
    ASSERT_TRUE(dfs->exhausted()) << program_text();
    differ += some && !all;
  }
  EXPECT_GT(differ, 3u);
}

TEST(DataRaceReference, SnapshotsGiveTheSameReports) {
  RunOptions options;
  options.detectors.data_race = true;
  Pausing pausing;
  Prng prng(3);
  unsigned found = 0;
  for (unsigned program = 0; program < 40; ++program) {
    make_program(prng, 6);
    Program<Machine> p;
    options.seed = program;
    const RunResult& whole = p.run(pausing, options);
    const std::string expected = text_of(whole);
    const std::uint64_t digest = whole.digest;
    const std::size_t choices = whole.schedule.size();
    found += !whole.clean();
    if (choices < 4) continue;
    pausing.pause_at(choices / 2);
    ASSERT_EQ(p.run(pausing, options).end, RunEnd::kPaused);
    World::Snapshot snapshot;
    p.world().save(snapshot);
    for (int again = 0; again < 3; ++again) {
      const RunResult& rest = p.world().resume(pausing);
      ASSERT_EQ(text_of(rest), expected) << program_text();
      ASSERT_EQ(rest.digest, digest);
      p.world().restore(snapshot);
    }
  }
  EXPECT_GT(found, 10u);
}

TEST(DataRaceReference, DigestsOfCleanRunsAreTheSameWithAndWithoutTheDetector) {
  RunOptions off;
  RunOptions on;
  on.detectors.data_race = true;
  const auto random = make_random();
  Prng prng(4);
  unsigned clean = 0;
  for (unsigned program = 0; program < 60; ++program) {
    make_program(prng, 3);
    Program<Machine> p;
    for (on.seed = off.seed = 0; on.seed < 5; ++on.seed, ++off.seed) {
      const RunResult without = p.run(*random, off);
      const RunResult& with = p.run(*random, on);
      ASSERT_EQ(with.schedule, without.schedule);
      if (!with.clean()) continue;
      ++clean;
      ASSERT_EQ(with.digest, without.digest);
    }
  }
  EXPECT_GT(clean, 20u);
}

}  // namespace
}  // namespace interleaf
