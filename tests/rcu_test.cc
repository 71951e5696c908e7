// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/sync/rcu.h"

#include <gtest/gtest.h>

#include "scheduler/sync/atomic.h"
#include "scheduler/sync/shared.h"
#include "tests/scheduler_programs.h"

namespace interleaf {
namespace {

// A pointer to a node that is replaced; the old one is freed after a grace period.
struct Node {
  RcuHead rcu;
  Shared<int> value{1};
};
struct Published {
  Rcu rcu;
  Shared<Node*> node{new Node()};
  Atomic<int> freed;

  void read() {
    Node* seen = node.read_once();
    seen->value.load();  // a finding if it was freed
  }
  static void free_node(RcuHead* head) { delete reinterpret_cast<Node*>(head); }

  explicit Published(Scheduler& s) {
    for (const char* name : {"r1", "r2"}) {
      add_task(s, name, this, [](Published& p) {
        for (int i = 0; i < 2; ++i) {
          p.rcu.read_lock();
          p.rcu.read_lock();  // nested: the inner unlock ends nothing
          p.read();
          p.rcu.read_unlock();
          p.read();
          p.rcu.read_unlock();
        }
      });
    }
    add_task(s, "caller", this, [](Published& p) {
      Node* old = p.node.peek();
      p.node.write_once(new Node());
      p.rcu.call(&old->rcu, &free_node);
    });
    add_task(
        s, "rcu", this, [](Published& p) { p.rcu.grace_periods(); }, true);
  }
};
TEST(Rcu, RunsNoCallbackWhileAReaderThatWasInIsIn) {
  Program<Published> p;
  p.expect_clean(2000, [](const RunResult&) {});
}

struct Unguarded {
  Shared<Node*> node{new Node()};
  Rcu rcu;
  explicit Unguarded(Scheduler& s) {
    add_task(s, "unguarded", this, [](Unguarded& u) { u.node.read_once()->value.load(); });
    add_task(s, "caller", this, [](Unguarded& u) {
      Node* old = u.node.peek();
      u.node.write_once(new Node());
      u.rcu.call(&old->rcu, &Published::free_node);
    });
    add_task(
        s, "rcu", this, [](Unguarded& u) { u.rcu.grace_periods(); }, true);
  }
};
TEST(Rcu, AReaderOutsideOfAReadSectionMeetsFreedMemory) {
  Program<Unguarded> p;
  int found = 0;
  for (std::uint64_t seed = 0; seed < 2000; ++seed) {
    const RunResult& result = p.run_random(seed);
    if (result.clean()) continue;
    EXPECT_EQ(result.findings[0].kind, FindingKind::kUseAfterFree);
    EXPECT_EQ(result.findings[0].task_name, "unguarded");
    ++found;
  }
  EXPECT_GT(found, 0);
}

struct Synchronizing {
  Rcu rcu;
  Shared<int> phase;
  int in_at_start = 0, late_readers = 0;
  explicit Synchronizing(Scheduler& s) {
    for (const char* name : {"r1", "r2"}) {
      add_task(s, name, this, [](Synchronizing& y) {
        y.rcu.read_lock();
        const int began = y.phase.peek();
        y.phase.load();
        if (began == 0) CHECK(y.phase.peek() < 2);  // synchronize() did not return
        if (began == 1 && y.phase.peek() == 2) ++y.late_readers;
        y.rcu.read_unlock();
      });
    }
    for (const char* name : {"s1", "s2"}) {
      add_task(s, name, this, [](Synchronizing& y) {
        if (y.phase.peek() == 0) y.phase.poke(1);
        y.rcu.synchronize();
        y.phase.poke(2);
      });
    }
    add_task(
        s, "rcu", this, [](Synchronizing& y) { y.rcu.grace_periods(); }, true);
  }
};
TEST(Rcu, SynchronizeWaitsForReadersThatAreInAndForNoOthers) {
  Program<Synchronizing> p;
  int late = 0;
  p.expect_clean(2000, [&](const RunResult&) { late += p.state().late_readers; });
  EXPECT_GT(late, 0);
}

TEST(Rcu, RunsCallbacksInTheOrderInWhichTheyWereQueued) {
  struct Queueing {
    struct Callback {
      RcuHead rcu;
      Queueing* program = nullptr;
      char letter = 0;
    };
    Rcu rcu;
    char order[8] = {};
    unsigned count = 0;
    Callback callbacks[3];
    explicit Queueing(Scheduler& s) {
      add_task(s, "caller", this, [](Queueing& q) {
        for (unsigned i = 0; i < 3; ++i) {
          q.callbacks[i].program = &q;
          q.callbacks[i].letter = static_cast<char>('a' + i);
          q.rcu.call(&q.callbacks[i].rcu, [](RcuHead* head) {
            auto* callback = reinterpret_cast<Callback*>(head);
            callback->program->order[callback->program->count++] = callback->letter;
          });
        }
        q.rcu.synchronize();
      });
      add_task(
          s, "rcu", this, [](Queueing& q) { q.rcu.grace_periods(); }, true);
    }
  };
  Program<Queueing> p;
  p.expect_clean(200, [&](const RunResult&) { EXPECT_STREQ(p.state().order, "abc"); });
}

}  // namespace
}  // namespace interleaf
