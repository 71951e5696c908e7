// SPDX-License-Identifier: GPL-2.0-only
#include "tests/litmus/counters.h"

#include "scheduler/check.h"
#include "scheduler/sync/mutex.h"
#include "scheduler/sync/rwlock.h"
#include "scheduler/sync/shared.h"

namespace interleaf {
namespace {

constexpr LockClass kMutex{"counter"};
constexpr LockClass kRwlock{"rwlock"};

std::string numbered(const char* name, unsigned a) { return name + std::to_string(a); }
std::string numbered(const char* name, unsigned a, unsigned b) {
  return numbered(name, a) + "_" + std::to_string(b);
}

struct Counter {
  unsigned tasks, times;
  Shared<int> count;

  Counter(unsigned of_tasks, unsigned of_times) : tasks(of_tasks), times(of_times) {}
  void increment() { count.store(count.load() + 1); }
  void run(unsigned) {
    for (unsigned i = 0; i < times; ++i) increment();
  }
  void add_tasks(Scheduler& s) {
    for (unsigned i = 0; i < tasks; ++i) add_numbered_task<&Counter::run>(s, "t", this, i);
  }
};

struct LockedCounter : Counter {
  Mutex mutex{kMutex};

  using Counter::Counter;
  void run_locked(unsigned) {
    for (unsigned i = 0; i < times; ++i) {
      mutex.lock();
      increment();
      mutex.unlock();
    }
  }
  void add_tasks(Scheduler& s) {
    for (unsigned i = 0; i < tasks; ++i) {
      add_numbered_task<&LockedCounter::run_locked>(s, "t", this, i);
    }
  }
};

struct MostlyPrivate : Counter {
  static constexpr unsigned kAccesses = 66;
  bool spread;
  unsigned work;
  Shared<int> own[3];

  MostlyPrivate(unsigned of_times, bool is_spread, unsigned of_work = 0)
      : Counter(3, of_times), spread(is_spread), work(of_work) {
    CHECK(2 * of_times <= kAccesses);
  }
  void do_work() const {
    for (unsigned i = 0; i < work; ++i) asm volatile("" : : "r"(i) : "memory");
  }
  void run_private(unsigned self) {
    const unsigned others = kAccesses - 2 * times;
    unsigned done = 0;
    for (unsigned i = 0; i < times; ++i) {
      const unsigned before = spread ? others * (i + 1) / times : others;
      for (; done < before; ++done) store_own(self);
      do_work();
      const int value = count.load();
      do_work();
      count.store(value + 1);
    }
    for (; done < others; ++done) store_own(self);
  }
  void store_own(unsigned self) {
    do_work();
    own[self].store(1);
  }
  void add_tasks(Scheduler& s) {
    for (unsigned i = 0; i < tasks; ++i) {
      add_numbered_task<&MostlyPrivate::run_private>(s, "t", this, i);
    }
  }
};

struct StoreBuffering {
  Shared<int> variable[2];

  void run(unsigned self) {
    variable[self].write_once(1);
    variable[1 - self].read_once();
  }
  void add_tasks(Scheduler& s) {
    for (unsigned i = 0; i < 2; ++i) add_numbered_task<&StoreBuffering::run>(s, "t", this, i);
  }
};

struct Writers {
  unsigned tasks;
  Shared<int> variable;

  explicit Writers(unsigned of_tasks) : tasks(of_tasks) {}
  void run(unsigned self) { variable.write_once(static_cast<int>(self)); }
  void add_tasks(Scheduler& s) {
    for (unsigned i = 0; i < tasks; ++i) add_numbered_task<&Writers::run>(s, "t", this, i);
  }
};

struct ReadersAndWriter {
  Rwlock lock{kRwlock};
  Shared<int> variable;

  void run(unsigned self) {
    if (self == 0) {
      lock.write_lock();
      variable.store(1);
      lock.write_unlock();
    } else {
      lock.read_lock();
      variable.load();
      lock.read_unlock();
    }
  }
  void add_tasks(Scheduler& s) {
    for (unsigned i = 0; i < 3; ++i) add_numbered_task<&ReadersAndWriter::run>(s, "t", this, i);
  }
};

}  // namespace

LitmusProgram cnt(unsigned tasks, unsigned times) {
  return litmus_program<Counter>(numbered("cnt", tasks, times), tasks, times);
}
LitmusProgram lockcnt(unsigned tasks, unsigned times) {
  return litmus_program<LockedCounter>(numbered("lockcnt", tasks, times), tasks, times);
}
LitmusProgram long3(unsigned times) {
  return litmus_program<MostlyPrivate>(numbered("long3_", times), times, false);
}
LitmusProgram spread3(unsigned times) {
  return litmus_program<MostlyPrivate>(numbered("spread3_", times), times, true);
}
LitmusProgram spread3_working(unsigned times, unsigned work) {
  return litmus_program<MostlyPrivate>(numbered("spread3_", times) + "+work", times, true, work);
}
LitmusProgram sb() { return litmus_program<StoreBuffering>("sb"); }
LitmusProgram writers(unsigned tasks) {
  return litmus_program<Writers>(numbered("writers", tasks), tasks);
}
LitmusProgram rwlock() { return litmus_program<ReadersAndWriter>("rwlock"); }

}  // namespace interleaf
