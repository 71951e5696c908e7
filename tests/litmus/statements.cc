// SPDX-License-Identifier: GPL-2.0-only
#include "tests/litmus/statements.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <string_view>

#include "scheduler/check.h"
#include "scheduler/sync/atomic.h"
#include "scheduler/sync/awaitable.h"
#include "scheduler/sync/barrier.h"
#include "scheduler/sync/bit_flags.h"
#include "scheduler/sync/bit_lock.h"
#include "scheduler/sync/completion.h"
#include "scheduler/sync/mutex.h"
#include "scheduler/sync/rcu.h"
#include "scheduler/sync/refcount.h"
#include "scheduler/sync/rwlock.h"
#include "scheduler/sync/rwsem.h"
#include "scheduler/sync/semaphore.h"
#include "scheduler/sync/shared.h"
#include "scheduler/sync/spinlock.h"
#include "scheduler/sync/thread.h"
#include "scheduler/sync/wait_queue.h"

namespace interleaf {
namespace {

constexpr LockClass kMutexes[] = {{"mutex 0"}, {"mutex 1"}};
constexpr LockClass kSpinlocks[] = {{"spinlock 0"}, {"spinlock 1"}};
constexpr LockClass kRwsem{"rwsem"}, kRwlock{"rwlock"}, kBitLock{"bit lock"};
constexpr unsigned kTextsMax = 8;

// The objects; flag 0 is set at first, semaphore 0 is free, semaphore 1 is not.
struct Objects {
  Atomic<int> variable[3];
  Shared<int> plain[2];
  Awaitable<int> awaited{"a value"};
  Mutex mutex[2] = {Mutex(kMutexes[0]), Mutex(kMutexes[1])};
  Spinlock spinlock[2] = {Spinlock(kSpinlocks[0]), Spinlock(kSpinlocks[1])};
  Rwsem rwsem{kRwsem};
  Rwlock rwlock{kRwlock};
  Semaphore semaphore[2] = {{"semaphore 0", 1}, {"semaphore 1", 0}};
  Completion completion{"the completion"};
  WaitQueue queue{"the queue"};
  BitLock bit_lock{kBitLock};
  BitFlags<2> flags;
  Refcount refcount{"refcount"};
  Rcu rcu;
  Thread* threads[kTextsMax] = {};
};

// A task at work. Unlocks what it does not hold: nothing happens.
struct Runner {
  Objects& o;
  int seen = 0;  // by the last load, choice or try
  bool ends = false, skips = false;
  bool mutex[2] = {}, spinlock[2] = {}, bit_lock = false;
  bool reads = false, writes = false;              // the rwsem
  bool read_locked = false, write_locked = false;  // the rwlock
  unsigned rcu_depth = 0;

  explicit Runner(Objects& objects) : o(objects) {}
};

// An object for call_rcu: its callback stores to a variable.
struct Callback {
  RcuHead head;  // first: the callback gets its address
  Objects* objects;
};

struct Statement {
  const char* word;
  void (*run)(Runner& r, unsigned n);
};

constexpr Statement kVariables[] = {
    {"r", [](Runner& r, unsigned n) { r.seen = r.o.variable[n].read(); }},
    {"w", [](Runner& r, unsigned n) { r.o.variable[n].set(1); }},
    {"i", [](Runner& r, unsigned n) { r.o.variable[n].add(1); }},
    {"xchg", [](Runner& r, unsigned n) { r.seen = r.o.variable[n].xchg(2); }},
    {"cas", [](Runner& r, unsigned n) { r.seen = r.o.variable[n].cmpxchg(r.seen, 2); }},
    {"ld", [](Runner& r, unsigned n) { r.seen = r.o.plain[n].load(); }},
    {"st", [](Runner& r, unsigned n) { r.o.plain[n].store(r.seen + 1); }},
    {"mb", [](Runner&, unsigned) { smp_mb(); }},
    // Store if the last load saw something.
    {"c",
     [](Runner& r, unsigned n) {
       if (r.seen != 0) r.o.variable[n].set(r.seen + 1);
     }},
    // Leave the next statement out if it saw nothing; end if it saw something.
    {"skip", [](Runner& r, unsigned) { r.skips = r.seen == 0; }},
    {"exit", [](Runner& r, unsigned) { r.ends = r.seen != 0; }},
    {"?", [](Runner& r,
             unsigned n) { r.seen = static_cast<int>(Scheduler::current()->choose("coin", n)); }},
    // Complain if it saw 2; end the run if it saw something.
    {"!",
     [](Runner& r, unsigned) {
       if (r.seen == 2) {
         Scheduler::current()->report(FindingKind::kKernelBug, "two", "it is 2", false);
       }
     }},
    {"!!",
     [](Runner& r, unsigned) {
       if (r.seen != 0) {
         Scheduler::current()->report(FindingKind::kKernelBug, "fatal", "it is not 0", true);
       }
     }},
    // Polls until it sees something, three times at most.
    {"poll",
     [](Runner& r, unsigned n) {
       for (int i = 0; i < 3 && (r.seen = r.o.variable[n].read()) == 0; ++i) {
         Scheduler::current()->relax();
       }
     }},
};

constexpr Statement kLocks[] = {
    {"l",
     [](Runner& r, unsigned n) {
       if (!r.mutex[n]) r.o.mutex[n].lock();
       r.mutex[n] = true;
     }},
    // Ends the task if it fails.
    {"t",
     [](Runner& r, unsigned n) {
       if (r.mutex[n]) return;
       r.mutex[n] = r.o.mutex[n].try_lock();
       r.ends = !r.mutex[n];
     }},
    {"u",
     [](Runner& r, unsigned n) {
       if (r.mutex[n]) r.o.mutex[n].unlock();
       r.mutex[n] = false;
     }},
    {"spin",
     [](Runner& r, unsigned n) {
       if (!r.spinlock[n]) r.o.spinlock[n].lock();
       r.spinlock[n] = true;
     }},
    {"tryspin",
     [](Runner& r, unsigned n) {
       if (!r.spinlock[n]) r.seen = r.spinlock[n] = r.o.spinlock[n].try_lock();
     }},
    {"unspin",
     [](Runner& r, unsigned n) {
       if (r.spinlock[n]) r.o.spinlock[n].unlock();
       r.spinlock[n] = false;
     }},
    {"bl",
     [](Runner& r, unsigned) {
       if (!r.bit_lock) r.o.bit_lock.lock();
       r.bit_lock = true;
     }},
    {"trybl",
     [](Runner& r, unsigned) {
       if (!r.bit_lock) r.seen = r.bit_lock = r.o.bit_lock.try_lock();
     }},
    {"unbl",
     [](Runner& r, unsigned) {
       if (r.bit_lock) r.o.bit_lock.unlock();
       r.bit_lock = false;
     }},
    {"waitbl", [](Runner& r, unsigned) { r.o.bit_lock.wait(); }},
    {"isbl", [](Runner& r, unsigned) { r.seen = r.o.bit_lock.is_locked(); }},
};

constexpr Statement kReaderWriterLocks[] = {
    {"s",
     [](Runner& r, unsigned) {
       if (r.reads || r.writes) return;
       r.o.rwsem.down_read();
       r.reads = true;
     }},
    {"x",
     [](Runner& r, unsigned) {
       if (r.reads || r.writes) return;
       r.o.rwsem.down_write();
       r.writes = true;
     }},
    {"y",
     [](Runner& r, unsigned) {
       if (!r.reads && !r.writes) r.seen = r.reads = r.o.rwsem.down_read_trylock();
     }},
    {"z",
     [](Runner& r, unsigned) {
       if (!r.reads && !r.writes) r.seen = r.writes = r.o.rwsem.down_write_trylock();
     }},
    {"S",
     [](Runner& r, unsigned) {
       if (r.reads) r.o.rwsem.up_read();
       r.reads = false;
     }},
    {"X",
     [](Runner& r, unsigned) {
       if (r.writes) r.o.rwsem.up_write();
       r.writes = false;
     }},
    {"XS",
     [](Runner& r, unsigned) {
       if (r.writes) r.o.rwsem.downgrade_write();
       r.reads = r.reads || r.writes;
       r.writes = false;
     }},
    {"rlock",
     [](Runner& r, unsigned) {
       if (r.read_locked || r.write_locked) return;
       r.o.rwlock.read_lock();
       r.read_locked = true;
     }},
    {"wlock",
     [](Runner& r, unsigned) {
       if (r.read_locked || r.write_locked) return;
       r.o.rwlock.write_lock();
       r.write_locked = true;
     }},
    {"unrw",
     [](Runner& r, unsigned) {
       if (r.read_locked) r.o.rwlock.read_unlock();
       if (r.write_locked) r.o.rwlock.write_unlock();
       r.read_locked = r.write_locked = false;
     }},
};

constexpr Statement kWaits[] = {
    {"await",
     [](Runner& r, unsigned n) {
       r.seen = r.o.awaited.cond_load([&](int value) { return value == static_cast<int>(n); });
     }},
    {"set", [](Runner& r, unsigned n) { r.o.awaited.set(static_cast<int>(n)); }},
    {"see", [](Runner& r, unsigned) { r.seen = r.o.awaited.read(); }},
    {"down", [](Runner& r, unsigned n) { r.o.semaphore[n].down(); }},
    {"trydown", [](Runner& r, unsigned n) { r.seen = r.o.semaphore[n].down_trylock(); }},
    {"up", [](Runner& r, unsigned n) { r.o.semaphore[n].up(); }},
    {"d", [](Runner& r, unsigned) { r.o.completion.wait(); }},
    {"D", [](Runner& r, unsigned) { r.o.completion.complete(); }},
    {"Dall", [](Runner& r, unsigned) { r.o.completion.complete_all(); }},
    {"isd", [](Runner& r, unsigned) { r.seen = r.o.completion.is_done(); }},
    // Wait until a variable is set; wake.
    {"ev", [](Runner& r,
              unsigned n) { r.o.queue.wait_event([&] { return r.o.variable[n].read() != 0; }); }},
    {"evx",
     [](Runner& r, unsigned n) {
       r.o.queue.prepare_to_wait(true);
       if (r.o.variable[n].read() == 0) r.o.queue.schedule();
       r.o.queue.finish_wait();
     }},
    {"wake", [](Runner& r, unsigned) { r.o.queue.wake_up(); }},
    {"wakeall", [](Runner& r, unsigned) { r.o.queue.wake_up_all(); }},
    {"f", [](Runner& r, unsigned n) { r.o.flags.set(n); }},
    {"F", [](Runner& r, unsigned n) { r.o.flags.clear(n); }},
    {"b", [](Runner& r, unsigned n) { r.seen = r.o.flags.test(n); }},
    {"tas", [](Runner& r, unsigned n) { r.seen = r.o.flags.test_and_set(n); }},
    {"tac", [](Runner& r, unsigned n) { r.seen = r.o.flags.test_and_clear(n); }},
    {"a", [](Runner& r, unsigned n) { r.o.flags.wait_clear(n, "a flag"); }},
};

constexpr Statement kLifetimes[] = {
    {"get", [](Runner& r, unsigned) { r.o.refcount.get(); }},
    {"put", [](Runner& r, unsigned) { r.seen = r.o.refcount.put(); }},
    {"tryget", [](Runner& r, unsigned) { r.seen = r.o.refcount.try_get(); }},
    {"freeze", [](Runner& r, unsigned) { r.seen = r.o.refcount.freeze(1); }},
    {"rl",
     [](Runner& r, unsigned) {
       r.o.rcu.read_lock();
       ++r.rcu_depth;
     }},
    {"ru",
     [](Runner& r, unsigned) {
       if (r.rcu_depth == 0) return;
       r.o.rcu.read_unlock();
       --r.rcu_depth;
     }},
    {"sync", [](Runner& r, unsigned) { r.o.rcu.synchronize(); }},
    {"call",
     [](Runner& r, unsigned) {
       auto* callback = new Callback{{}, &r.o};
       r.o.rcu.call(&callback->head, [](RcuHead* head) {
         reinterpret_cast<Callback*>(head)->objects->variable[0].set(2);
       });
     }},
    {"go", [](Runner& r, unsigned n) { r.o.threads[n]->start(); }},
    {"jn", [](Runner& r, unsigned n) { r.o.threads[n]->join(); }},
};

void (*find_statement(std::string_view word))(Runner&, unsigned) {
  for (const std::span<const Statement> family :
       {std::span<const Statement>(kVariables), std::span<const Statement>(kLocks),
        std::span<const Statement>(kReaderWriterLocks), std::span<const Statement>(kWaits),
        std::span<const Statement>(kLifetimes)}) {
    for (const Statement& statement : family) {
      if (statement.word == word) return statement.run;
    }
  }
  CHECK(false);  // there is no such statement
}

struct Step {
  void (*run)(Runner&, unsigned);
  unsigned number;
};

// Not inside a run: what it allocates is there when the runs begin.
std::vector<Step> parse(std::string_view text) {
  std::vector<Step> steps;
  while (!text.empty()) {
    const std::string_view word = text.substr(0, text.find(' '));
    text.remove_prefix(std::min(text.size(), word.size() + 1));
    if (word.empty() || word == "+") continue;
    const unsigned number = static_cast<unsigned>(word.back() - '0');
    CHECK(number <= 9);
    steps.push_back({find_statement(word.substr(0, word.size() - 1)), number});
  }
  return steps;
}

struct Program {
  struct Body {
    Program* program;
    std::vector<Step> steps;
  };
  Objects objects;
  std::vector<Body> bodies;

  static void run(void* argument) {
    const Body& body = *static_cast<Body*>(argument);
    Runner runner(body.program->objects);
    for (const Step& step : body.steps) {
      const bool left_out = runner.skips;
      runner.skips = false;
      if (!left_out) step.run(runner, step.number);
      if (runner.ends) return;
    }
  }

  Program(Scheduler& s, const StatementTexts& texts) {
    CHECK(texts.size() <= kTextsMax);
    objects.flags.poke(0, true);
    for (const std::string& text : texts) bodies.push_back({this, parse(text)});
    bool needs_grace_periods = false;
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const std::string name = "t" + std::to_string(i);
      if (texts[i].starts_with('+')) {
        objects.threads[i] = new Thread(s, name, &run, &bodies[i]);
      } else {
        s.spawn(name, &run, &bodies[i]);
      }
      needs_grace_periods |=
          texts[i].find("sync") != std::string::npos || texts[i].find("call") != std::string::npos;
    }
    if (!needs_grace_periods) return;
    s.spawn(
        "rcu", [](void* rcu) { static_cast<Rcu*>(rcu)->grace_periods(); }, &objects.rcu, true);
  }
};

}  // namespace

LitmusProgram statements_program(const StatementTexts& texts) {
  std::string name;
  for (const std::string& text : texts) name += (name.empty() ? "" : " | ") + text;
  return {name, [texts](Scheduler& s) { s.set_root(new Program(s, texts)); }};
}

std::span<const StatementKind> statement_kinds() {
  static const std::vector<StatementKind> kKinds = {
      {"variable", {"r0", "w0", "i0", "xchg0", "cas0", "r1", "w1", "mb0", "!0"}},
      {"plain", {"ld0", "st0", "ld1", "st1", "mb0", "!0", "r0", "w0"}},
      {"branch", {"r0", "w0", "i0", "c0", "c1", "skip0", "exit0", "r1", "w1", "!0"}},
      {"choice", {"?2", "?3", "c0", "c1", "r0", "skip0", "i0", "!0"}},
      {"mutex", {"l0", "u0", "l0", "u0", "t0", "i0", "r0", "w1", "!0"}, "u0"},
      {"nested", {"l0", "u0", "l1", "u1", "l0", "l1", "t0", "i0"}, "u1 u0"},
      {"spinlock",
       {"spin0", "unspin0", "tryspin0", "unspin0", "spin1", "unspin1", "i0", "r0"},
       "unspin1 unspin0"},
      {"rwsem", {"s0", "S0", "x0", "X0", "y0", "z0", "XS0", "S0", "w0", "r0"}, "S0 X0"},
      {"rwlock", {"rlock0", "unrw0", "wlock0", "unrw0", "w0", "r0", "i0"}, "unrw0"},
      {"semaphore", {"down0", "up0", "trydown0", "down1", "up1", "up1", "i0", "r0"}, "up0"},
      {"completion", {"d0", "D0", "D0", "Dall0", "isd0", "c0", "w0", "r0"}},
      {"queue", {"ev0", "evx0", "wake0", "wakeall0", "w0", "r0", "i1"}},
      {"bit-lock", {"bl0", "unbl0", "trybl0", "waitbl0", "isbl0", "c0", "i0", "r0"}, "unbl0"},
      {"flags", {"f0", "F0", "a0", "f1", "F1", "a1", "b0", "tas0", "tac0", "c0"}},
      {"await", {"await1", "await2", "set1", "set2", "set1", "see0", "c0", "r0"}},
      {"refcount", {"get0", "put0", "tryget0", "put0", "freeze0", "skip0", "w0", "r0"}},
      {"rcu", {"rl0", "ru0", "sync0", "call0", "w0", "r0", "!0"}, "ru0"},
      {"polling", {"poll0", "poll1", "w0", "w1", "i0", "r1", "c1"}},
      {"thread", {"jn1", "jn2", "r0", "w0", "i0", "c1", "r1"}},
      {"fatal", {"r0", "i0", "!!0", "!!0", "!0", "w1", "r1", "c1"}},
  };
  return kKinds;
}

}  // namespace interleaf
