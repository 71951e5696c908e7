// SPDX-License-Identifier: GPL-2.0-only
#include "tests/litmus/buffers.h"

#include "scheduler/sync/mutex.h"
#include "scheduler/sync/shared.h"
#include "scheduler/sync/wait_queue.h"

namespace interleaf {
namespace {

constexpr LockClass kMutex{"buffer"};

struct Buffer {
  static constexpr int kSlots = 2;
  static constexpr unsigned kItems = 4;
  unsigned consumers;
  Mutex mutex{kMutex};
  WaitQueue room{"room"}, items{"items"};
  Shared<int> count;

  explicit Buffer(unsigned of_consumers) : consumers(of_consumers) {}

  // Changes the count by `delta`; waits while it is `refused`.
  void change(WaitQueue& wait_for, WaitQueue& then_wake, int refused, int delta) {
    mutex.lock();
    while (count.load() == refused) {
      wait_for.prepare_to_wait();
      mutex.unlock();
      wait_for.schedule();
      mutex.lock();
    }
    count.store(count.load() + delta);
    mutex.unlock();
    then_wake.wake_up();
  }
  void produce(unsigned) {
    for (unsigned i = 0; i < kItems; ++i) change(room, items, kSlots, 1);
  }
  void consume(unsigned) {
    for (unsigned i = 0; i < kItems / consumers; ++i) change(items, room, 0, -1);
  }
  void add_tasks(Scheduler& s) {
    add_numbered_task<&Buffer::produce>(s, "producer", this, 0);
    for (unsigned i = 0; i < consumers; ++i) {
      add_numbered_task<&Buffer::consume>(s, "consumer", this, i);
    }
  }
};

template <bool kLooksAgain>
struct Flag {
  WaitQueue queue{"the flag"};
  Shared<int> flag;

  void run(unsigned self) {
    if (self == 1) {
      flag.write_once(1);
      queue.wake_up();
    } else if (kLooksAgain) {
      queue.wait_event([&] { return flag.read_once() != 0; });
    } else if (flag.read_once() == 0) {
      queue.prepare_to_wait();
      queue.schedule();
      queue.finish_wait();
    }
  }
  void add_tasks(Scheduler& s) {
    add_numbered_task<&Flag::run>(s, "waiter", this, 0);
    add_numbered_task<&Flag::run>(s, "waker", this, 1);
  }
};

}  // namespace

LitmusProgram bbuf2() { return litmus_program<Buffer>("bbuf2", 1u); }
LitmusProgram bbuf3() { return litmus_program<Buffer>("bbuf3", 2u); }
LitmusProgram wait_for_flag() { return litmus_program<Flag<true>>("wait_for_flag"); }
LitmusProgram wait_for_flag_lost_wakeup() {
  return litmus_program<Flag<false>>("wait_for_flag_lost_wakeup");
}

}  // namespace interleaf
