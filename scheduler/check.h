// SPDX-License-Identifier: GPL-2.0-only
// CHECK(cond): an invariant of ours, on in every build type. A failing CHECK is a bug of the
// harness, never a finding about the program under test: it prints the condition, the place and
// what the caller registered as context (scenario, seed), and aborts.
#pragma once

#include <source_location>
#include <string>

namespace interleaf {

// Registers what a failing CHECK on this thread prints besides its condition, and what it does
// last (save a recording, say). Both may be empty. Thread-safe: the state is per thread.
void set_check_context(std::string (*describe)(void*), void* argument);

[[noreturn]] void check_failed(const char* condition, std::source_location where);

}  // namespace interleaf

#define CHECK(condition)        \
  (static_cast<bool>(condition) \
       ? static_cast<void>(0)   \
       : ::interleaf::check_failed(#condition, std::source_location::current()))
