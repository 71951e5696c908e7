// SPDX-License-Identifier: GPL-2.0-only
// The tree of choices of a DPOR search, as far as it is open: what was and what is to be tried at
// the choices of the runs at hand. Internal to dpor.h.
#pragma once

#include <bit>
#include <memory>
#include <vector>

#include "scheduler/access.h"
#include "scheduler/search/happens_before.h"

namespace interleaf {

// What the next step of a task that sleeps does, besides what it announced. The object is told by
// its place (Scheduler::place_of): one that the step is the first to touch has another number in
// every branch. What the step makes itself is left out; nobody else can see it.
struct Besides {
  TaskId task;
  Op op;
  std::uint64_t place;
};

// A choice between tasks, or between the values of a data choice. Once several workers have it in
// their paths, they change it under the lock of the search.
struct DporNode {
  TaskMask enabled = 0;    // or the values there are
  TaskMask backtrack = 0;  // to be tried: done ones included
  TaskMask done = 0;       // tried, or being tried
  TaskMask known = 0;      // of them: what their step does besides is in `besides`
  TaskMask sleep = 0;      // tasks whose next step was covered before the choice
  bool data = false;
  bool shared = false;           // several workers may have it
  std::vector<Besides> besides;  // of steps covered before the choice, then of those tried here

  TaskMask todo() const { return backtrack & ~done & (data ? ~TaskMask{0} : ~sleep); }
  // False while another worker is about to find out what a step does: nobody can be told then
  // what is covered.
  bool settled() const { return data || (done & ~known) == 0; }
};

// A choice as one run has it.
struct DporStep {
  std::shared_ptr<DporNode> node;
  std::uint8_t taken = 0;
  bool full = false;       // whoever could go on is tried or sleeps: seen once, it stays so
  EventNumber events = 0;  // before the choice
  TaskMask covered = 0;    // tasks that were tried before `taken`

  // What is left of it with the lowest number. Requires: there is something, and it is settled.
  void choose() {
    taken = static_cast<std::uint8_t>(std::countr_zero(node->todo()));
    covered = node->data ? 0 : node->done;
    node->done |= task_bit(taken);
  }
  // Undoes choose(), if nothing of it was run.
  void take_back() const { node->done &= ~task_bit(taken); }
};
using DporPath = std::vector<DporStep>;

}  // namespace interleaf
