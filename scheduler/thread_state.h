// SPDX-License-Identifier: GPL-2.0-only
// What an OS thread knows about the World it is working on. Internal to scheduler/.
#pragma once

#include "scheduler/arena.h"

namespace interleaf {

class Scheduler;

struct ThreadState {
  Scheduler* running = nullptr;    // set while a task runs
  Scheduler* instance = nullptr;   // set while a World is set up, runs or is looked at
  Arena* allocate_from = nullptr;  // operator new's memory; null: the heap
};

extern thread_local constinit ThreadState t_state;

}  // namespace interleaf
