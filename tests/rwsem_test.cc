// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/sync/rwsem.h"

#include <gtest/gtest.h>

#include "scheduler/sync/shared.h"
#include "tests/scheduler_programs.h"

namespace interleaf {
namespace {

constexpr LockClass kRwsem{"invalidate_lock"};

struct Mixed {
  Rwsem sem{kRwsem};
  Shared<int> inside_readers, inside_writers, together, writes;
  void read() {
    inside_readers.poke(inside_readers.peek() + 1);
    if (inside_readers.peek() > together.peek()) together.poke(inside_readers.peek());
    CHECK(inside_writers.peek() == 0);
    writes.load();
    CHECK(inside_writers.peek() == 0);
    inside_readers.poke(inside_readers.peek() - 1);
  }
  void write() {
    CHECK(sem.held_for_write_by_me());
    CHECK(inside_readers.peek() == 0 && inside_writers.peek() == 0);
    inside_writers.poke(1);
    writes.store(writes.load() + 1);
    CHECK(inside_readers.peek() == 0);
    inside_writers.poke(0);
  }
  explicit Mixed(Scheduler& s) {
    for (const char* name : {"r1", "r2", "r3"}) {
      add_task(s, name, this, [](Mixed& m) {
        for (int i = 0; i < 2; ++i) {
          m.sem.down_read();
          m.read();
          m.sem.up_read();
        }
      });
    }
    for (const char* name : {"w1", "w2"}) {
      add_task(s, name, this, [](Mixed& m) {
        m.sem.down_write();
        m.write();
        m.sem.downgrade_write();
        CHECK(!m.sem.held_for_write_by_me());
        m.read();
        m.sem.up_read();
        if (m.sem.down_write_trylock()) {
          m.write();
          m.sem.up_write();
        }
        if (m.sem.down_read_trylock()) {
          m.read();
          m.sem.up_read();
        }
      });
    }
  }
};
TEST(Rwsem, KeepsWritersAloneAndLetsReadersTogether) {
  Program<Mixed> p;
  int together = 0;
  p.expect_clean(1000, [&](const RunResult&) {
    together = std::max(together, p.state().together.peek());
    EXPECT_GE(p.state().writes.peek(), 2);
    EXPECT_FALSE(p.state().sem.peek_locked());
  });
  EXPECT_GE(together, 3);
}

// Each task writes its letter when it has the lock. Who asks when is a table of functions.
struct Queue {
  Rwsem sem{kRwsem};
  char order[8] = {};
  unsigned count = 0;
  void note(char letter) { order[count++] = letter; }

  static void reader(Queue& q, char letter) {
    {
      FRAME(ask);
      q.sem.down_read();
    }
    q.note(letter);
    FRAME(leave);
    q.sem.up_read();
  }
  explicit Queue(Scheduler& s) {
    add_task(s, "R", this, [](Queue& q) { reader(q, 'R'); });
    add_task(s, "W", this, [](Queue& q) {
      {
        FRAME(ask);
        q.sem.down_write();
      }
      q.note('W');
      FRAME(leave);
      q.sem.up_write();
    });
    add_task(s, "S", this, [](Queue& q) { reader(q, 'S'); });
    add_task(s, "T", this, [](Queue& q) { reader(q, 'T'); });
  }
};
TEST(Rwsem, AQueuedWriterKeepsNewReadersOut) {
  Program<Queue> p;
  // R is in, W asks, then S and T: they come after W although a reader is in.
  p.run_table({{0, "ask"}, {1, "ask"}, {2, "ask"}, {3, "ask"}, {0, "leave"}});
  EXPECT_STREQ(p.state().order, "RWST");
}

TEST(Rwsem, ReadersThatAreQueuedAroundAWriterAreGrantedTogether) {
  struct Around {
    Rwsem sem{kRwsem};
    char order[8] = {};
    unsigned count = 0;
    static void reader(Around& a) {
      {
        FRAME(ask);
        a.sem.down_read();
      }
      a.order[a.count++] = 'r';
      FRAME(leave);
      a.sem.up_read();
    }
    static void writer(Around& a) {
      {
        FRAME(ask);
        a.sem.down_write();
      }
      a.order[a.count++] = 'W';
      FRAME(leave);
      a.sem.up_write();
    }
    explicit Around(Scheduler& s) {
      add_task(s, "w1", this, [](Around& a) { writer(a); });
      add_task(s, "r1", this, [](Around& a) { reader(a); });
      add_task(s, "w2", this, [](Around& a) { writer(a); });
      add_task(s, "r2", this, [](Around& a) { reader(a); });
    }
  };
  Program<Around> p;
  p.run_table({{0, "ask"}, {1, "ask"}, {2, "ask"}, {3, "ask"}, {0, "leave"}});
  EXPECT_STREQ(p.state().order, "WrrW");  // the second reader asked after the second writer
}

TEST(Rwsem, TrylockFailsWhileSomebodyIsQueued) {
  struct Trying {
    Rwsem sem{kRwsem};
    int read = -1, write = -1, after = -1;
    explicit Trying(Scheduler& s) {
      add_task(s, "reader", this, [](Trying& t) {
        {
          FRAME(ask);
          t.sem.down_read();
        }
        FRAME(leave);
        t.sem.up_read();
      });
      add_task(s, "writer", this, [](Trying& t) {
        FRAME(ask);
        t.sem.down_write();
        t.sem.up_write();
      });
      add_task(s, "trier", this, [](Trying& t) {
        {
          FRAME(try_it);
          t.read = t.sem.down_read_trylock();
        }
        t.write = t.sem.down_write_trylock();
        Scheduler::current()->wait_for_quiet();
        t.after = t.sem.down_read_trylock();
        if (t.after) t.sem.up_read();
      });
    }
  };
  Program<Trying> p;
  p.run_table({{0, "ask"}, {1, "ask"}, {2, "try_it"}, {0, "leave"}});
  EXPECT_EQ(p.state().read, 0);
  EXPECT_EQ(p.state().write, 0);
  EXPECT_EQ(p.state().after, 1);
}

TEST(Rwsem, DowngradeLetsQueuedReadersInButNoWriter) {
  struct Downgrading {
    Rwsem sem{kRwsem};
    char order[8] = {};
    unsigned count = 0;
    void note(char letter) { order[count++] = letter; }
    explicit Downgrading(Scheduler& s) {
      add_task(s, "W", this, [](Downgrading& d) {
        {
          FRAME(ask);
          d.sem.down_write();
        }
        {
          FRAME(downgrade);
          d.sem.downgrade_write();
        }
        FRAME(leave);
        d.sem.up_read();
        d.note('u');
      });
      add_task(s, "R", this, [](Downgrading& d) {
        {
          FRAME(ask);
          d.sem.down_read();
        }
        d.note('R');
        FRAME(leave);
        d.sem.up_read();
      });
      add_task(s, "V", this, [](Downgrading& d) {
        {
          FRAME(ask);
          d.sem.down_write();
        }
        d.note('V');
        d.sem.up_write();
      });
    }
  };
  Program<Downgrading> p;
  p.run_table({{0, "ask"}, {1, "ask"}, {2, "ask"}, {0, "downgrade"}, {1, "leave"}, {0, "leave"}});
  EXPECT_STREQ(p.state().order, "RuV");
}

}  // namespace
}  // namespace interleaf
