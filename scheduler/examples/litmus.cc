// SPDX-License-Identifier: GPL-2.0-only
// How a program is put under the scheduler: runs one of tests/litmus/ by random schedules until one
// of them ends in a finding, and prints that run. Without a name it lists the programs.
#include <cstdio>

#include "scheduler/examples/trace.h"
#include "tests/litmus/programs.h"

using namespace interleaf;

static constexpr std::uint64_t kSeeds = 100'000;

// The exit status: 1 if a schedule had a finding.
static int search(const LitmusProgram& program) {
  World world(0, program.setup);
  const auto random = make_random();
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    if (world.run(*random, {.seed = seed}).clean()) continue;
    std::printf("%s: found by seed %llu\n", program.name.c_str(),
                static_cast<unsigned long long>(seed));
    Trace trace;
    const RunResult& result = world.run(*random, {.seed = seed, .observer = &trace});
    std::printf("      %s\n", result.verdict()->message.c_str());
    return 1;
  }
  std::printf("%s: %llu random schedules, nothing found\n", program.name.c_str(),
              static_cast<unsigned long long>(kSeeds));
  return 0;
}

int main(int count, char** arguments) {
  for (const JudgedProgram& judged : judged_programs()) {
    if (count < 2) {
      std::printf("%s\n", judged.program.name.c_str());
    } else if (judged.program.name == arguments[1]) {
      return search(judged.program);
    }
  }
  if (count < 2) return 0;
  std::fprintf(stderr, "no program '%s'; without a name they are listed\n", arguments[1]);
  return 129;
}
