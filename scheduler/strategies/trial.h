// SPDX-License-Identifier: GPL-2.0-only
// Trial: one run that counts what the sampling strategies need to know beforehand. Every task goes
// on until it blocks, relaxes or ends, then the next by id. Made once per configuration; the same
// for every World of the same program.
#pragma once

#include <cstdint>
#include <vector>

#include "scheduler/strategy.h"
#include "scheduler/world.h"

namespace interleaf {

struct Trial {
  struct Object {
    ObjectPlace place = 0;
    std::uint64_t kind = 0;             // ObjectKinds
    std::vector<std::uint32_t> events;  // accesses of it by each task
    unsigned tasks() const;             // how many tasks accessed it
  };

  std::vector<std::uint32_t> events;  // accesses by each task
  // Who started it (Thread::start); kNoTask: there from the beginning, or never started.
  std::vector<TaskId> started_by;
  std::uint32_t decisions = 0;  // where two or more tasks could go on
  std::vector<Object> objects;  // in order of first access; no private ones
  RunEnd end = RunEnd::kFinished;
};

// Data choices take the ordinary value; options.seed has no effect. Requires: no observer.
Trial run_trial(World& world, RunOptions options = {});

// How many decisions runs of PCT have here at most, learnt: the most that one of `runs` runs had,
// by seeds of its own. The changes of each are spread over the most that those before it had, at
// first over those of a trial. Runs without an end do not count. Depends on the program, `options`
// and `runs` alone. At least 1. Requires: no observer.
std::uint32_t learn_decisions(World& world, RunOptions options, unsigned runs);

// As those of strategy.h, for programs whose tasks start others: what a task will start is counted
// with what it has left itself, until it does.
std::unique_ptr<Strategy> make_urw(const Trial& trial);
std::unique_ptr<Strategy> make_surw(std::vector<ObjectPlace> objects,
                                    const std::vector<std::uint32_t>& counts,
                                    const std::vector<TaskId>& started_by);

// What is interesting to a SURW that is made from a trial: one object that two or more tasks
// accessed, or all objects of its kind; drawn per run by the seed, uniformly over the objects or
// kinds.
enum class SurwScope : std::uint8_t { kObject, kKind };
std::unique_ptr<Strategy> make_surw(const Trial& trial, SurwScope scope);

// The schedule that a trial has, for other observers.
const RunResult& run_by_turns(World& world, const RunOptions& options);

}  // namespace interleaf
