// SPDX-License-Identifier: GPL-2.0-only
// What a DPOR search of a litmus program comes to, with the set of its classes, to compare.
#pragma once

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "scheduler/search/dpor.h"
#include "tests/litmus/brute_force.h"
#include "tests/litmus/program.h"

namespace interleaf {

inline WithWorld worlds_of(const LitmusProgram& program) {
  return [&program](unsigned slot, const std::function<void(World&)>& work) {
    World world(slot, program.setup);
    work(world);
  };
}

struct Outcome {
  DporResult result;
  std::set<Hash128> classes;
};

inline Outcome explore(const LitmusProgram& program, DporOptions options) {
  Outcome outcome;
  options.ended = [&](const RunResult&, const Hash128& order) { outcome.classes.insert(order); };
  options.signatures = [](const RunResult& run) {
    const std::set<std::string> signatures = signatures_of(run);
    return std::vector<std::string>(signatures.begin(), signatures.end());
  };
  outcome.result = explore_dpor(worlds_of(program), options);
  return outcome;
}

inline void expect_equal(const Outcome& one, const Outcome& other) {
  EXPECT_EQ(one.classes, other.classes);
  EXPECT_EQ(one.result.classes, other.result.classes);
  EXPECT_EQ(one.result.complete, other.result.complete);
  ASSERT_EQ(one.result.findings.size(), other.result.findings.size());
  for (std::size_t i = 0; i < one.result.findings.size(); ++i) {
    const DporFinding& a = one.result.findings[i];
    const DporFinding& b = other.result.findings[i];
    EXPECT_EQ(a.signature, b.signature);
    EXPECT_EQ(a.order, b.order);
    EXPECT_EQ(a.schedule, b.schedule);
    EXPECT_EQ(a.count, b.count);
  }
}

}  // namespace interleaf
