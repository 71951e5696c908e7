// SPDX-License-Identifier: GPL-2.0-only
#include "tests/bench/resume.h"

#include <time.h>

#include <algorithm>

#include "scheduler/fiber.h"

namespace interleaf {
namespace {

constexpr unsigned kResumes = 4096;

// Two workers that hand over to each other, kResumes times per resume from outside. Never
// destroyed: its workers never end.
class Ring {
 public:
  Ring() : pool_(arena_, 2, &hand_over, this) {}
  void round() { pool_.resume(0); }

 private:
  static void hand_over(void* ring, unsigned self) {
    auto& r = *static_cast<Ring*>(ring);
    for (unsigned i = 1;; ++i) {
      r.pool_.resume(1 - self);
      if (self == 0 && i % (kResumes / 2) == 0) r.pool_.resume_main();
    }
  }
  Arena arena_{1};
  FiberPool pool_;
};

double g_resume_ns = 0;

}  // namespace

double now_ns() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

double measure_resume() {
  static Ring& ring = *new Ring();
  double rounds[101];
  for (double& ns : rounds) {
    const double start = now_ns();
    ring.round();
    ns = (now_ns() - start) / kResumes;
  }
  std::nth_element(rounds, rounds + 50, rounds + 101);
  return g_resume_ns = rounds[50];
}

void report_ratio(benchmark::State& state, double ns_per_operation) {
  state.counters["ns"] = ns_per_operation;
  if (g_resume_ns > 0) state.counters["ratio"] = ns_per_operation / g_resume_ns;
}

}  // namespace interleaf
