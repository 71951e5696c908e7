// SPDX-License-Identifier: GPL-2.0-only
#include "engine/commands/interrupt.h"

namespace interleaf {
namespace {

std::atomic<bool> g_interrupted = false;
static_assert(std::atomic<bool>::is_always_lock_free);

void set_flag(int) { g_interrupted = true; }

}  // namespace

Interrupt::Interrupt() {
  g_interrupted = false;
  struct sigaction action = {};
  action.sa_handler = set_flag;
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_RESTART);
  sigaction(SIGINT, &action, &old_int_);
  sigaction(SIGTERM, &action, &old_term_);
}

Interrupt::~Interrupt() {
  sigaction(SIGINT, &old_int_, nullptr);
  sigaction(SIGTERM, &old_term_, nullptr);
}

const std::atomic<bool>* Interrupt::flag() const { return &g_interrupted; }

}  // namespace interleaf
