// SPDX-License-Identifier: GPL-2.0-only
// Dekker's first step as a lock attempt: raise your flag, enter if the other's is down. Mutual
// exclusion holds under sequential consistency. A variant that looks before it raises breaks it.
#include "scheduler/examples/trace.h"
#include "scheduler/sync/shared.h"
#include "scheduler/world.h"

using namespace interleaf;

struct Dekker {
  Shared<int> wants[2];
  Shared<int> inside;

  template <int kSelf, bool kLookFirst>
  static void enter(void* p) {
    auto& d = *static_cast<Dekker*>(p);
    if (!kLookFirst) d.wants[kSelf].write_once(1);
    const bool free = d.wants[1 - kSelf].read_once() == 0;
    if (kLookFirst) d.wants[kSelf].write_once(1);
    if (free) {
      if (d.inside.load() != 0) {
        Scheduler::current()->report(FindingKind::kKernelBug, "section", "both are inside", true);
      }
      d.inside.store(1);
      d.inside.store(0);
    }
    d.wants[kSelf].write_once(0);
  }
};

// True if a schedule broke mutual exclusion; prints it.
template <bool kLookFirst>
static bool search(const char* name) {
  World world(0, [](Scheduler& s) {
    auto* dekker = new Dekker();
    s.spawn("zero", &Dekker::enter<0, kLookFirst>, dekker);
    s.spawn("one", &Dekker::enter<1, kLookFirst>, dekker);
  });
  const auto random = make_random();
  for (std::uint64_t seed = 0; seed < 10000; ++seed) {
    if (world.run(*random, {.seed = seed}).clean()) continue;
    std::printf("%s: broken by seed %llu\n", name, static_cast<unsigned long long>(seed));
    Trace trace;
    const RunResult& result = world.run(*random, {.seed = seed, .observer = &trace});
    std::printf("      %s\n", result.verdict()->message.c_str());
    return true;
  }
  std::printf("%s: 10000 schedules, never both inside\n", name);
  return false;
}

int main() {
  const bool right = search<false>("raise, then look");
  const bool wrong = search<true>("look, then raise");
  return right || wrong ? 1 : 0;
}
