// SPDX-License-Identifier: GPL-2.0-only
// A bounded buffer: a mutex and two wait queues. Correct: no schedule loses an item or hangs.
#include <cstdio>

#include "scheduler/sync/mutex.h"
#include "scheduler/sync/shared.h"
#include "scheduler/sync/wait_queue.h"
#include "scheduler/world.h"

using namespace interleaf;

static const LockClass kMutex{"buffer"};

struct Buffer {
  static constexpr int kSize = 2;
  Mutex mutex{kMutex};
  WaitQueue room{"room"}, items{"items"};
  Shared<int> count, put, taken;

  // Changes the count by `delta`; waits while it is `refused`.
  void change(int delta, int refused, WaitQueue& wait_for, WaitQueue& then_wake,
              Shared<int>& done) {
    mutex.lock();
    while (count.load() == refused) {
      wait_for.prepare_to_wait();
      mutex.unlock();
      wait_for.schedule();
      mutex.lock();
    }
    count.store(count.load() + delta);
    done.store(done.load() + 1);
    mutex.unlock();
    then_wake.wake_up();
  }
};

static void produce(void* p) {
  auto& b = *static_cast<Buffer*>(p);
  for (int i = 0; i < 4; ++i) b.change(+1, Buffer::kSize, b.room, b.items, b.put);
}
static void consume(void* p) {
  auto& b = *static_cast<Buffer*>(p);
  for (int i = 0; i < 2; ++i) b.change(-1, 0, b.items, b.room, b.taken);
}

int main() {
  World world(0, [](Scheduler& s) {
    auto* buffer = new Buffer();
    s.set_root(buffer);
    s.spawn("producer", &produce, buffer);
    s.spawn("consumer-1", &consume, buffer);
    s.spawn("consumer-2", &consume, buffer);
  });
  const auto random = make_random();
  for (std::uint64_t seed = 0; seed < 20000; ++seed) {
    const RunResult& result = world.run(*random, {.seed = seed});
    const auto& b = *static_cast<Buffer*>(world.scheduler().root());
    const bool lost = b.count.peek() != 0 || b.put.peek() != 4 || b.taken.peek() != 4;
    if (result.clean() && !lost) continue;
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed),
                result.clean() ? "an item was lost" : result.verdict()->message.c_str());
    return 1;
  }
  std::printf("20000 schedules, no item lost\n");
  return 0;
}
