// SPDX-License-Identifier: GPL-2.0-only
// A litmus program: a small program with a known answer, as a value that any explorer can run. The
// families are in files of their own; programs.h lists them all by name.
#pragma once

#include <functional>
#include <string>

#include "scheduler/finding.h"
#include "scheduler/scheduler.h"
#include "scheduler/world.h"

namespace interleaf {

struct LitmusProgram {
  std::string name;
  // For World's constructor. Makes its state in the arena, so that every run starts alike.
  std::function<void(Scheduler&)> setup;
};

// A program whose state is a `State(arguments...)` that stays in the arena, with tasks added by
// add_tasks(scheduler).
template <typename State, typename... Arguments>
LitmusProgram litmus_program(std::string name, Arguments... arguments) {
  return {std::move(name), [arguments...](Scheduler& s) {
            auto* state = new State(arguments...);
            s.set_root(state);
            state->add_tasks(s);
          }};
}

// Adds a task that calls (state->*kBody)(index).
template <auto kBody, typename State>
void add_numbered_task(Scheduler& s, const char* name, State* state, unsigned index) {
  struct Numbered {
    State* state;
    unsigned index;
  };
  s.spawn(
      name + std::to_string(index),
      [](void* p) {
        const auto& a = *static_cast<Numbered*>(p);
        (a.state->*kBody)(a.index);
      },
      new Numbered{state, index});
}

// Fatal, since what comes after has no meaning any more. `object` names what was violated.
inline void litmus_assert(bool holds, const char* object, const char* message) {
  if (!holds) Scheduler::current()->report(FindingKind::kKernelBug, object, message, true);
}

}  // namespace interleaf
