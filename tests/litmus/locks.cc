// SPDX-License-Identifier: GPL-2.0-only
#include "tests/litmus/locks.h"

#include <memory>
#include <utility>

#include "scheduler/sync/atomic.h"
#include "scheduler/sync/awaitable.h"
#include "scheduler/sync/mutex.h"
#include "scheduler/sync/shared.h"

namespace interleaf {
namespace {

// Where only one task may be.
struct Section {
  Shared<int> inside;

  void visit() {
    litmus_assert(inside.load() == 0, "section", "two tasks are inside");
    inside.store(1);
    inside.store(0);
  }
};

void poll() { Scheduler::current()->relax(); }

template <bool kOrdered>
struct Philosophers {
  static constexpr LockClass kFork{"fork"};
  struct Fork {
    Mutex mutex{kFork};
  };
  unsigned count;
  std::unique_ptr<Fork[]> forks;

  explicit Philosophers(unsigned n) : count(n), forks(new Fork[n]) {}
  void dine(unsigned self) {
    unsigned first = self, second = (self + 1) % count;
    if (kOrdered && second < first) std::swap(first, second);
    forks[first].mutex.lock();
    forks[second].mutex.lock();
    forks[second].mutex.unlock();
    forks[first].mutex.unlock();
  }
  void add_tasks(Scheduler& s) {
    for (unsigned i = 0; i < count; ++i) {
      add_numbered_task<&Philosophers::dine>(s, "philosopher", this, i);
    }
  }
};

template <bool kAtomicDraw>
struct TicketLock {
  unsigned tasks;
  Atomic<int> next;
  Awaitable<int> serving{"the ticket"};
  Section section;

  explicit TicketLock(unsigned of_tasks) : tasks(of_tasks) {}
  int draw() {
    if (kAtomicDraw) return next.add_return(1) - 1;
    const int ticket = next.read();
    next.set(ticket + 1);
    return ticket;
  }
  void run(unsigned) {
    const int ticket = draw();
    serving.cond_load([&](int served) { return served == ticket; });
    section.visit();
    serving.set(ticket + 1);
  }
  void add_tasks(Scheduler& s) {
    for (unsigned i = 0; i < tasks; ++i) add_numbered_task<&TicketLock::run>(s, "t", this, i);
  }
};

template <bool kRetries>
struct Seqlock {
  Shared<unsigned> sequence;
  Shared<int> low, high;

  void write(unsigned) {
    sequence.write_once(1);
    low.write_once(1);
    high.write_once(1);
    sequence.write_once(2);
  }
  void read(unsigned) {
    for (;;) {
      const unsigned before = sequence.read_once();
      if ((before & 1) != 0) {
        poll();
        continue;
      }
      const int first = low.read_once(), second = high.read_once();
      if (kRetries && sequence.read_once() != before) continue;
      litmus_assert(first == second, "words", "the reader saw half of a write");
      return;
    }
  }
  void add_tasks(Scheduler& s) {
    add_numbered_task<&Seqlock::write>(s, "writer", this, 0);
    add_numbered_task<&Seqlock::read>(s, "reader", this, 0);
  }
};

template <bool kFlagFirst>
struct Peterson {
  Shared<int> wants[2];
  Shared<unsigned> turn;
  Section section;

  void run(unsigned self) {
    const unsigned other = 1 - self;
    if (kFlagFirst) wants[self].write_once(1);
    turn.write_once(other);
    if (!kFlagFirst) wants[self].write_once(1);
    while (wants[other].read_once() != 0 && turn.read_once() == other) poll();
    section.visit();
    wants[self].write_once(0);
  }
  void add_tasks(Scheduler& s) {
    for (unsigned i = 0; i < 2; ++i) add_numbered_task<&Peterson::run>(s, "t", this, i);
  }
};

template <bool kLookFirst>
struct Dekker {
  Shared<int> wants[2];
  Section section;

  void run(unsigned self) {
    if (!kLookFirst) wants[self].write_once(1);
    const bool free = wants[1 - self].read_once() == 0;
    if (kLookFirst) wants[self].write_once(1);
    if (free) section.visit();
    wants[self].write_once(0);
  }
  void add_tasks(Scheduler& s) {
    for (unsigned i = 0; i < 2; ++i) add_numbered_task<&Dekker::run>(s, "t", this, i);
  }
};

template <bool kLooksTwice>
struct McsLock {
  struct Node {
    Awaitable<Node*> next{"the next in line"};
    Awaitable<bool> locked{"the lock"};
  };
  unsigned tasks;
  Atomic<Node*> tail;
  std::unique_ptr<Node[]> nodes;
  Section section;

  explicit McsLock(unsigned of_tasks) : tasks(of_tasks), nodes(new Node[of_tasks]) {}
  void lock(Node& node) {
    Node* before = tail.xchg(&node);
    if (before == nullptr) return;
    node.locked.set(true);
    before->next.set(&node);
    node.locked.cond_load([](bool locked) { return !locked; });
  }
  void unlock(Node& node) {
    Node* next = node.next.read();
    if (next == nullptr) {
      if (!kLooksTwice) return;
      if (tail.cmpxchg(&node, nullptr) == &node) return;
      next = node.next.cond_load([](const Node* after) { return after != nullptr; });
    }
    next->locked.set(false);
  }
  void run(unsigned self) {
    lock(nodes[self]);
    section.visit();
    unlock(nodes[self]);
  }
  void add_tasks(Scheduler& s) {
    for (unsigned i = 0; i < tasks; ++i) add_numbered_task<&McsLock::run>(s, "t", this, i);
  }
};

std::string called(const char* name, unsigned n) {
  return std::string(name) + "(" + std::to_string(n) + ")";
}

}  // namespace

LitmusProgram philosophers(unsigned n) {
  return litmus_program<Philosophers<true>>(called("philosophers", n), n);
}
LitmusProgram philosophers_deadlock(unsigned n) {
  return litmus_program<Philosophers<false>>(called("philosophers_deadlock", n), n);
}
LitmusProgram ticket_lock(unsigned tasks) {
  return litmus_program<TicketLock<true>>(called("ticket_lock", tasks), tasks);
}
LitmusProgram ticket_lock_torn_draw(unsigned tasks) {
  return litmus_program<TicketLock<false>>(called("ticket_lock_torn_draw", tasks), tasks);
}
LitmusProgram seqlock() { return litmus_program<Seqlock<true>>("seqlock"); }
LitmusProgram seqlock_no_retry() { return litmus_program<Seqlock<false>>("seqlock_no_retry"); }
LitmusProgram peterson() { return litmus_program<Peterson<true>>("peterson"); }
LitmusProgram peterson_turn_first() {
  return litmus_program<Peterson<false>>("peterson_turn_first");
}
LitmusProgram dekker() { return litmus_program<Dekker<false>>("dekker"); }
LitmusProgram dekker_look_first() { return litmus_program<Dekker<true>>("dekker_look_first"); }
LitmusProgram mcs_lock(unsigned tasks) {
  return litmus_program<McsLock<true>>(called("mcs_lock", tasks), tasks);
}
LitmusProgram mcs_lock_hasty_unlock(unsigned tasks) {
  return litmus_program<McsLock<false>>(called("mcs_lock_hasty_unlock", tasks), tasks);
}

}  // namespace interleaf
