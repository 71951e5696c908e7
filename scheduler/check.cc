// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/check.h"

#include <cstdio>
#include <cstdlib>
#include <utility>

namespace interleaf {
namespace {

thread_local std::string (*t_describe)(void*) = nullptr;
thread_local void* t_argument = nullptr;

}  // namespace

void set_check_context(std::string (*describe)(void*), void* argument) {
  t_describe = describe;
  t_argument = argument;
}

void check_failed(const char* condition, std::source_location where) {
  std::fprintf(stderr, "interleaf: internal error: CHECK(%s) failed in %s at %s:%u\n", condition,
               where.function_name(), where.file_name(), where.line());
  if (auto* describe = std::exchange(t_describe, nullptr)) {
    std::fprintf(stderr, "%s\n", describe(t_argument).c_str());
  }
  std::abort();
}

}  // namespace interleaf
