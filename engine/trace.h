// SPDX-License-Identifier: GPL-2.0-only
// The whole of one run as a value: every step with its access, every function entered and left,
// remarks. Collected only where somebody wants to read it; a run is made twice for that.
#pragma once

#include <cstdint>
#include <source_location>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/scheduler.h"

namespace interleaf {

struct TraceEvent {
  enum class Kind : std::uint8_t { kStep, kEnter, kLeave, kRemark, kChoice };
  Kind kind;
  Op op = Op::kBegin;              // kStep
  bool marked = true;              // kStep
  bool previous_runnable = false;  // kStep: the task of the step before could have gone on
  TaskId lowest = kNoTask;         // kStep: of the tasks that could go on
  TaskId task = kNoTask;
  std::uint8_t depth = 0;              // functions on the stack, an entered one included
  std::uint32_t object = 0;            // kStep; kChoice: the value
  std::uint64_t step = 0;              // kStep: its number; else that of the last step of the run
  const Function* function = nullptr;  // the innermost; kEnter, kLeave: the one concerned
  std::source_location where;          // kStep
  std::uint64_t digest = 0;            // kStep: of the run before the access
  std::uint32_t text = 0;              // kRemark, kChoice (its kind): index in Trace::texts
};

struct Trace {
  std::vector<std::string> tasks;  // names by id
  std::vector<bool> daemons;
  std::vector<TraceEvent> events;
  std::vector<std::string> texts;
};

// Fills a Trace while a run goes on. Use one per run.
class TraceCollector final : public Observer {
 public:
  explicit TraceCollector(Trace& trace) : trace_(trace) {}

  void event(const Scheduler& scheduler, const Task& task, const Access& access) override;
  void enter(const Scheduler& scheduler, const Task& task, const Function& function) override;
  void leave(const Scheduler& scheduler, const Task& task, const Function& function) override;
  void remark(const Scheduler& scheduler, const Task& task, std::string_view text) override;
  void choice(const Scheduler& scheduler, const Task& task, const char* kind,
              unsigned value) override;

 private:
  TaskId previous_ = kNoTask;
  TraceEvent& add(TraceEvent::Kind kind, const Scheduler& scheduler, const Task& task);

  Trace& trace_;
};

// The events as lines "step task function op object  file:line", a line per step.
std::string trace_text(const Trace& trace);

}  // namespace interleaf
