// SPDX-License-Identifier: GPL-2.0-only
// Brute force judges the bounded search: every schedule of small programs, run one by one.
#include "scheduler/search/bounded.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <map>
#include <set>

#include "scheduler/prng.h"
#include "scheduler/sync/atomic.h"
#include "scheduler/sync/bit_flags.h"
#include "scheduler/sync/completion.h"
#include "scheduler/sync/mutex.h"
#include "scheduler/sync/rwsem.h"
#include "scheduler/sync/shared.h"
#include "tests/scheduler_programs.h"

namespace interleaf {
namespace {

constexpr LockClass kMutexes[] = {{"first"}, {"second"}};
constexpr LockClass kRwsem{"rwsem"};

// A statement a task, "l0 w1 u0": letters with the number of an object each.
using Text = std::vector<std::string>;

// What statements are about; flag 0 is set at first.
struct Machine {
  struct Runner {
    Machine* machine;
    std::string text;
    int seen = 0;  // by the last load
    bool held[2] = {}, reads = false, writes = false;
  };

  Atomic<int> variable[3];
  Mutex mutex[2] = {Mutex(kMutexes[0]), Mutex(kMutexes[1])};
  Rwsem rwsem{kRwsem};
  BitFlags<2> flags;
  Completion completion{"the completion"};
  std::vector<Runner> runners;

  Machine(Scheduler& s, const Text& program) {
    flags.poke(0, true);
    for (const std::string& text : program) runners.push_back({this, text});
    for (Runner& runner : runners) {
      add_task(s, "task", &runner, [](Runner& r) {
        for (std::size_t i = 0; i < r.text.size(); i += 3) {
          const unsigned n = static_cast<unsigned>(r.text[i + 1] - '0');
          if (!r.machine->access(r, r.text[i], n) || !r.machine->lock(r, r.text[i], n)) return;
        }
      });
    }
  }

  bool access(Runner& r, char letter, unsigned n) {
    switch (letter) {
      case 'r':  // load
        r.seen = variable[n].read();
        break;
      case 'w':  // store
        variable[n].set(1);
        break;
      case 'i':  // increment
        variable[n].add(1);
        break;
      case 'c':  // store if the last load saw something
        if (r.seen != 0) variable[n].set(r.seen + 1);
        break;
      case '!':  // complain if the last load saw 2
        if (r.seen == 2) {
          Scheduler::current()->report(FindingKind::kKernelBug, "two", "it is 2", false);
        }
        break;
      case '?':  // toss a coin of n sides
        r.seen = static_cast<int>(Scheduler::current()->choose("coin", n));
        break;
      case 'f':
        flags.set(n);
        break;
      case 'F':
        flags.clear(n);
        break;
      case 'a':  // await a clear flag
        flags.wait_clear(n, "a flag");
        break;
      case 'd':
        completion.wait();
        break;
      case 'D':
        completion.complete();
        break;
      default:
        break;
    }
    return true;
  }

  // False if the task ends here: a trylock failed.
  bool lock(Runner& r, char letter, unsigned n) {
    const bool any = r.reads || r.writes;
    if (letter == 'l' && !r.held[n]) {
      mutex[n].lock();
      r.held[n] = true;
    } else if (letter == 't' && !r.held[n]) {
      if (!mutex[n].try_lock()) return false;
      r.held[n] = true;
    } else if (letter == 'u' && r.held[n]) {
      mutex[n].unlock();
      r.held[n] = false;
    } else if (letter == 's' && !any) {
      rwsem.down_read();
      r.reads = true;
    } else if (letter == 'x' && !any) {
      rwsem.down_write();
      r.writes = true;
    } else if (letter == 'y' && !any) {
      if (!rwsem.down_read_trylock()) return false;
      r.reads = true;
    } else if (letter == 'S' && r.reads) {
      rwsem.up_read();
      r.reads = false;
    } else if (letter == 'X' && r.writes) {
      rwsem.up_write();
      r.writes = false;
    }
    return true;
  }
};

std::function<void(Scheduler&)> machine_of(const Text& program) {
  return [program](Scheduler& s) { s.set_root(new Machine(s, program)); };
}

// Not of lock orders: which task closes the circle is not a matter of the order alone.
std::string signature_of_run(const RunResult& run) {
  for (const Finding& f : run.findings) {
    if (f.kind == FindingKind::kKernelBug || f.kind == FindingKind::kDeadlock) return f.signature();
  }
  return "";
}

// One event with the order before it, written down in full.
struct Event {
  TaskId task;
  Op op;
  std::uint32_t object;
  unsigned value = 0;
  std::vector<unsigned> clock;
};

bool both(Op a, Op b, Op x, Op y) { return (a == x || a == y) && (b == x || b == y); }

bool dependent(const Event& a, const Event& b) {
  if (a.task == b.task) return true;
  if (a.object != b.object || a.object == kPrivateObject) return false;
  return !both(a.op, b.op, Op::kRead, Op::kRead) &&
         !both(a.op, b.op, Op::kAcquireShared, Op::kReleaseShared);
}

// All schedules one after another, like an odometer.
class Odometer final : public Strategy {
 public:
  // False when the last schedule was run.
  bool advance() {
    while (!digits_.empty() && digits_.back().second == 0) digits_.pop_back();
    if (digits_.empty()) return false;
    auto& [now, rest] = digits_.back();
    now = static_cast<unsigned>(std::countr_zero(rest));
    rest &= rest - 1;
    return true;
  }

  void begin(std::uint64_t) override {
    order.clear();
    events_.clear();
    at_ = 0;
  }
  TaskId pick(const Scheduler& s, TaskMask runnable) override {
    const HeapScope heap;
    const auto id = static_cast<TaskId>(digit(runnable));
    forced(s, id);
    return id;
  }
  unsigned pick_value(const Scheduler& s, const char*, unsigned count) override {
    const HeapScope heap;
    const unsigned value = digit((TaskMask{1} << count) - 1);
    order.value(s.current_id(), value);
    events_.back().value = value + 1;
    return value;
  }
  bool sees_forced() const override { return true; }
  void forced(const Scheduler& s, TaskId id) override {
    add(s, id, s.task(id).next.op, s.task(id).next.object);
  }
  void also(const Scheduler& s, Op op, std::uint32_t object) override {
    add(s, s.current_id(), op, object);
  }

  void add(const Scheduler& s, TaskId id, Op op, std::uint32_t object) {
    const HeapScope heap;
    order.event(id, op, object);
    Event event{id, op, object, 0, std::vector<unsigned>(s.task_count())};
    for (const Event& before : events_) {
      if (!dependent(before, event)) continue;
      for (std::size_t i = 0; i < event.clock.size(); ++i) {
        event.clock[i] = std::max(event.clock[i], before.clock[i]);
      }
    }
    ++event.clock[id];
    events_.push_back(std::move(event));
  }

  // The partial order of the run: the events of each task with their clocks.
  std::string canonical() const {
    std::set<std::string> lines;
    for (const Event& event : events_) {
      std::string line =
          std::to_string(event.task) + op_name(event.op) + std::to_string(event.value);
      for (const unsigned entry : event.clock) line += ' ' + std::to_string(entry);
      lines.insert(line);
    }
    std::string text;
    for (const std::string& line : lines) text += line + '\n';
    return text;
  }

  OrderHash order;

 private:
  unsigned digit(TaskMask options) {
    if (at_ == digits_.size()) {
      digits_.push_back(
          {static_cast<unsigned>(std::countr_zero(options)), options & (options - 1)});
    }
    return digits_[at_++].first;
  }

  std::vector<std::pair<unsigned, TaskMask>> digits_;
  std::size_t at_ = 0;
  std::vector<Event> events_;
};

struct Truth {
  std::uint64_t interleavings = 0;
  std::map<Hash128, std::uint64_t> orders;          // with the fewest preemptions
  std::map<std::string, std::uint64_t> signatures;  // the same
  bool whole = true;

  std::set<Hash128> within(unsigned preemptions) const {
    std::set<Hash128> set;
    for (const auto& [order, least] : orders) {
      if (least <= preemptions) set.insert(order);
    }
    return set;
  }
};

void lower(auto& map, const auto& key, std::uint64_t value) {
  const auto at = map.emplace(key, value).first;
  at->second = std::min(at->second, value);
}

Truth brute_force(World& world, std::uint64_t runs_max = 60'000) {
  Truth truth;
  Odometer odometer;
  std::map<std::string, Hash128> hashes;
  do {
    const RunResult& run = world.run(odometer, {});
    ++truth.interleavings;
    lower(truth.orders, odometer.order.total(), run.preemptions);
    if (const std::string s = signature_of_run(run); !s.empty()) {
      lower(truth.signatures, s, run.preemptions);
    }
    const auto at = hashes.emplace(odometer.canonical(), odometer.order.total()).first;
    EXPECT_EQ(at->second, odometer.order.total()) << "one order, two hashes:\n" << at->first;
    if (truth.interleavings == runs_max) truth.whole = false;
  } while (truth.whole && odometer.advance());
  EXPECT_EQ(hashes.size(), truth.orders.size()) << "two orders, one hash";
  return truth;
}

struct Found {
  BoundedResult result;
  std::set<Hash128> orders;
};

Found search(World& world, BoundedOptions options) {
  Found found;
  options.signature = signature_of_run;
  options.ended = [&](const RunResult&, const Hash128& order) { found.orders.insert(order); };
  found.result = explore_bounded(world, options);
  EXPECT_EQ(found.result.classes, found.orders.size());
  return found;
}

BoundedOptions up_to(unsigned preemptions) {
  BoundedOptions options;
  options.preemptions_max = preemptions;
  options.snapshot_steps = 1;
  return options;
}

std::string text_of_program(const Text& program) {
  std::string text;
  for (const std::string& task : program) text += "  " + task + "\n";
  return text;
}

// "interleavings classes" by brute force; the search must have the same set of orders.
std::string count(const Text& program) {
  World world(0, machine_of(program));
  const Truth truth = brute_force(world);
  const Found found = search(world, up_to(BoundedOptions::kUnbounded));
  EXPECT_EQ(found.orders, truth.within(~0u)) << text_of_program(program);
  EXPECT_TRUE(found.result.complete && found.result.exhausted);
  return std::to_string(truth.interleavings) + " " + std::to_string(truth.orders.size());
}

TEST(Bounded, HasTheKnownNumbersOfOrders) {
  EXPECT_EQ(count({"w0", "w0", "w0"}), "6 6");
  EXPECT_EQ(count({"w0", "w0", "w0", "w0"}), "24 24");
  EXPECT_EQ(count({"w0", "r0", "r0", "r0"}), "24 8");
  EXPECT_EQ(count({"w0", "r0", "r0", "r0", "r0", "r0"}), "720 32");
  EXPECT_EQ(count({"w0 r1", "w1 r0"}), "6 3");
  EXPECT_EQ(count({"i0 i0", "i0 i0"}), "6 6");
  EXPECT_EQ(count({"i0 i0 i0", "i0 i0 i0"}), "20 20");
  EXPECT_EQ(count({"r0 w0", "r0 w0"}), "6 4");
  EXPECT_EQ(count({"r0 w0 r0 w0", "r0 w0 r0 w0"}), "70 34");
  EXPECT_EQ(count({"r0 w0", "r0 w0", "r0 w0"}), "90 36");
  EXPECT_EQ(count({"l0 i0 u0", "l0 i0 u0"}), "2 2");
  EXPECT_EQ(count({"l0 i0 u0 l0 i0 u0", "l0 i0 u0 l0 i0 u0"}), "6 6");
  EXPECT_EQ(count({"l0 i0 u0", "l0 i0 u0", "l0 i0 u0"}), "6 6");
  EXPECT_EQ(count({"l0 l1 u1 u0", "l1 l0 u0 u1"}), "6 3");
  EXPECT_EQ(count({"t0 w0 u0", "t0 w0 u0"}), "6 4");
  EXPECT_EQ(count({"F0 f0", "a0 w1"}), "3 2");
  // Completing commutes with completing, but here it is exclusive; else there were 6 orders.
  EXPECT_EQ(count({"D0", "D0", "d0", "d0"}), "8 8");
  EXPECT_EQ(count({"?3 w0", "r0"}), "9 6");
  // The lock has a queue, so that a blocked task has two events.
  count({"s0 S0", "s0 S0", "x0 X0"});
}

TEST(Bounded, HasTheNumbersOfOtherCheckersWhereBruteForceCannotGo) {
  const auto orders = [](const Text& program) {
    World world(0, machine_of(program));
    BoundedOptions options = up_to(BoundedOptions::kUnbounded);
    options.snapshot_steps = 16;
    const BoundedResult result = explore_bounded(world, options);
    EXPECT_TRUE(result.exhausted);
    return result.classes;
  };
  const std::string section = "l0 i0 u0 l0 i0 u0 l0 i0 u0 l0 i0 u0";
  EXPECT_EQ(orders({"r0 w0 r0 w0 r0 w0 r0 w0 r0 w0", "r0 w0 r0 w0 r0 w0 r0 w0 r0 w0"}), 34'904u);
  EXPECT_EQ(orders({"r0 w0 r0 w0", "r0 w0 r0 w0", "r0 w0 r0 w0"}), 7'134u);
  EXPECT_EQ(orders({section + " " + section, section + " " + section}), 12'870u);
  EXPECT_EQ(orders({section, section, section}), 34'650u);
  Text readers(11, "r0");
  readers[0] = "w0";
  EXPECT_EQ(orders(readers), 1'024u);
}

// Programs over a few kinds of objects at a time, so that tasks meet.
Text random_program(Prng& prng) {
  static const std::vector<const char*> kThemes[] = {
      {"r0", "w0", "i0", "c0", "!0"},       {"r0", "w0", "r1", "w1", "c1", "?2"},
      {"l0", "u0", "l1", "u1", "t0", "i0"}, {"s0", "S0", "x0", "X0", "y0", "w0"},
      {"f0", "F0", "a0", "f1", "a1", "F1"}, {"d0", "D0", "r0", "w0"},
  };
  std::vector<const char*> statements = kThemes[prng.below(std::size(kThemes))];
  if (prng.below(2) == 0) {
    const auto& more = kThemes[prng.below(std::size(kThemes))];
    statements.insert(statements.end(), more.begin(), more.end());
  }
  Text program(2 + prng.below(2));
  for (std::string& task : program) {
    for (unsigned left = 2 + prng.below(3); left > 0; --left) {
      if (!task.empty()) task += ' ';
      task += statements[prng.below(static_cast<std::uint32_t>(statements.size()))];
    }
  }
  return program;
}

void expect_equal(const BoundedResult& a, const BoundedResult& b) {
  EXPECT_EQ(a.runs, b.runs);
  EXPECT_EQ(a.pruned, b.pruned);
  EXPECT_EQ(a.classes, b.classes);
  ASSERT_EQ(a.findings.size(), b.findings.size());
  for (std::size_t i = 0; i < a.findings.size(); ++i) {
    EXPECT_EQ(a.findings[i].schedule, b.findings[i].schedule);
  }
}

// Compares with brute force for every bound, with snapshots, without, and when verifying.
void judge(World& world, const Truth& truth) {
  for (unsigned bound = 0; bound <= 4; ++bound) {
    BoundedOptions options = up_to(bound == 4 ? BoundedOptions::kUnbounded : bound);
    const Found found = search(world, options);
    ASSERT_EQ(found.orders, truth.within(options.preemptions_max)) << "bound " << bound;
    EXPECT_TRUE(found.result.complete);
    std::size_t expected = 0;
    for (const auto& [signature, least] : truth.signatures) {
      expected += least <= options.preemptions_max;
    }
    ASSERT_EQ(found.result.findings.size(), expected) << "bound " << bound;
    for (const BoundedFinding& finding : found.result.findings) {
      EXPECT_EQ(finding.preemptions, truth.signatures.at(finding.signature));
      const RunResult& again = world.run(*make_replay(finding.schedule), {});
      EXPECT_EQ(signature_of_run(again), finding.signature);
    }
    options.snapshots = false;
    const Found plain = search(world, options);
    EXPECT_EQ(plain.orders, found.orders);
    expect_equal(plain.result, found.result);
    options.verify_cache = true;
    EXPECT_EQ(search(world, options).result.hidden_dependence, "");
  }
}

TEST(Bounded, FindsWhatBruteForceFindsInRandomPrograms) {
  Prng prng(2024);
  unsigned judged = 0, with_findings = 0;
  std::uint64_t orders = 0;
  while (judged < 300) {
    const Text program = random_program(prng);
    SCOPED_TRACE("\n" + text_of_program(program));
    World world(0, machine_of(program));
    const Truth truth = brute_force(world);
    if (!truth.whole) continue;
    judge(world, truth);
    ASSERT_FALSE(HasFailure());
    ++judged;
    with_findings += !truth.signatures.empty();
    orders += truth.orders.size();
  }
  EXPECT_GT(with_findings, 20u);
  EXPECT_GT(orders, 3'000u);
}

TEST(Bounded, ReportsTheFewestPreemptionsFirst) {
  // The last load sees 2 only if both others ran to their end inside of it.
  World world(0, machine_of({"r0 w0 r0 !0", "i0"}));
  const Found found = search(world, up_to(3));
  ASSERT_EQ(found.result.findings.size(), 1u);
  EXPECT_EQ(found.result.findings[0].preemptions, 1u);
  EXPECT_EQ(search(world, up_to(0)).result.findings.size(), 0u);
  BoundedOptions options = up_to(3);
  options.stop_at_first = true;
  const BoundedResult first = explore_bounded(world, options);
  EXPECT_EQ(first.complete_up_to, 0);
  EXPECT_FALSE(first.complete);
  EXPECT_FALSE(first.out_of_budget);
}

TEST(Bounded, SaysThatItStoppedEarly) {
  World world(0, machine_of({"i0 i0 i0 i0", "i0 i0 i0 i0", "i0 i0 i0 i0"}));
  BoundedOptions options = up_to(4);
  options.runs_max = 40;
  const BoundedResult few = explore_bounded(world, options);
  EXPECT_TRUE(few.out_of_budget);
  EXPECT_FALSE(few.complete || few.exhausted);
  EXPECT_EQ(few.complete_up_to, 0);
  EXPECT_EQ(few.runs + few.pruned, 40u);
  options.runs_max = 0;
  options.prefixes_max = 100;
  EXPECT_TRUE(explore_bounded(world, options).out_of_budget);
  options.prefixes_max = 0;
  options.seconds_max = 1e-9;
  EXPECT_EQ(explore_bounded(world, options).complete_up_to, -1);
}

TEST(Bounded, DoesNotCallARunCompleteThatTheStepLimitCut) {
  World world(0, machine_of({"i0 i0 i0 i0", "i0 i0 i0 i0"}));
  BoundedOptions options = up_to(1);
  options.run.steps_max = 6;
  const BoundedResult result = explore_bounded(world, options);
  EXPECT_FALSE(result.complete || result.exhausted);
  EXPECT_EQ(result.complete_up_to, -1);
}

// The second task looks at what the first one has left behind without a point.
struct Secretive {
  Shared<int> a, b, c;
  int plain = 0;

  explicit Secretive(Scheduler& s) {
    add_task(s, "writer", this, [](Secretive& p) {
      p.a.store(1);
      p.plain = 1;
    });
    add_task(s, "reader", this, [](Secretive& p) {
      p.b.store(1);
      if (p.plain == 1) {
        p.c.store(1);
      } else {
        p.b.store(2);
      }
    });
  }
};

TEST(Bounded, NoticesAHiddenDependence) {
  World world(0, [](Scheduler& s) { s.set_root(new Secretive(s)); });
  for (const bool snapshots : {true, false}) {
    BoundedOptions options = up_to(3);
    options.snapshots = snapshots;
    options.verify_cache = true;
    const BoundedResult result = explore_bounded(world, options);
    EXPECT_TRUE(result.hidden_dependence.starts_with("hidden dependence: "))
        << result.hidden_dependence;
    EXPECT_FALSE(result.complete);
    EXPECT_NE(result.hidden_dependence.find("\n  reader: write at "), std::string::npos)
        << result.hidden_dependence;
  }
}

TEST(Bounded, ExploresPollingTasks) {
  struct Polling {
    Shared<int> flag, other;
    explicit Polling(Scheduler& s) {
      add_task(s, "poller", this, [](Polling& p) {
        while (p.flag.load() == 0) Scheduler::current()->relax();
      });
      add_task(s, "setter", this, [](Polling& p) {
        p.other.store(1);
        p.flag.store(1);
      });
    }
  };
  World world(0, [](Scheduler& s) { s.set_root(new Polling(s)); });
  const Truth truth = brute_force(world);
  judge(world, truth);
}

}  // namespace
}  // namespace interleaf
