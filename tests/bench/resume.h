// SPDX-License-Identifier: GPL-2.0-only
// The yardstick of all benchmarks: a direct resume of a Boost.Fiber context, measured in the same
// process and the same minute, in CPU time of the thread. Absolute figures of a shared machine
// mean little.
#pragma once

#include <benchmark/benchmark.h>

namespace interleaf {

// CPU time of this thread: the machine may be busy.
double now_ns();

// Nanoseconds of one resume, the median of 101 rounds measured now.
double measure_resume();

// Sets the counters `ns` and `ratio` (to the resume as measured last).
void report_ratio(benchmark::State& state, double ns_per_operation);

}  // namespace interleaf
