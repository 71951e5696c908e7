// SPDX-License-Identifier: GPL-2.0-only
// An observer that prints a run, a line per access.
#pragma once

#include <cstdio>

#include "scheduler/world.h"

class Trace final : public interleaf::Observer {
 public:
  void event(const interleaf::Scheduler& scheduler, const interleaf::Task& task,
             const interleaf::Access& access) override {
    std::printf("%4llu  %-10s %-6s object %u, line %u\n",
                static_cast<unsigned long long>(scheduler.step()), task.name,
                interleaf::op_name(access.op), access.object, access.where.line());
  }
  void enter(const interleaf::Scheduler&, const interleaf::Task&,
             const interleaf::Function&) override {}
  void leave(const interleaf::Scheduler&, const interleaf::Task&,
             const interleaf::Function&) override {}
  void remark(const interleaf::Scheduler&, const interleaf::Task&, std::string_view) override {}
};
