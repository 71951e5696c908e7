// SPDX-License-Identifier: GPL-2.0-only
// The whole of one run as a value: every step with its access, every function entered and left,
// remarks. Collected only where somebody wants to read it; a run is made twice for that.
#pragma once

#include <cstdint>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <vector>

#include "scheduler/object_names.h"
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
  // kRemark, kChoice (its kind): index in Trace::texts. kStep, if Trace::named: its object by name,
  // with what it held before the step and after it.
  std::uint32_t text = 0;
};

struct Trace {
  bool named = false;              // set before the run: say what objects are and what they hold
  std::vector<std::string> tasks;  // names by id
  std::vector<bool> daemons;
  std::vector<TraceEvent> events;
  std::vector<TraceEvent> announced;  // steps that tasks were about to make when the run ended
  std::vector<std::string> texts;
};

// Fills a Trace while a run goes on. Use one per run.
class TraceCollector final : public Observer {
 public:
  explicit TraceCollector(Trace& trace) : trace_(trace) {}
  // After the run, while its World is at its end.
  void finish(const Scheduler& scheduler);

  void event(const Scheduler& scheduler, const Task& task, const Access& access) override;
  void enter(const Scheduler& scheduler, const Task& task, const Function& function) override;
  void leave(const Scheduler& scheduler, const Task& task, const Function& function) override;
  void remark(const Scheduler& scheduler, const Task& task, std::string_view text) override;
  void choice(const Scheduler& scheduler, const Task& task, const char* kind,
              unsigned value) override;

 private:
  // The step under way: what its object holds is known when it is over.
  struct Named {
    std::uint32_t text;
    std::uint32_t object;
    bool only_reads;
    std::string name;
    std::string before;
  };

  void end_access();
  TraceEvent& add(TraceEvent::Kind kind, const Scheduler& scheduler, const Task& task);
  std::uint32_t add_name(const Scheduler& scheduler, const Access& access);

  Trace& trace_;
  TaskId previous_ = kNoTask;
  std::optional<ObjectNames> names_;  // of a named trace
  std::optional<Named> under_way_;
};

// The events as lines "step task function op object  file:line", a line per step; of a named trace
// with what the object is and held.
std::string trace_text(const Trace& trace);

}  // namespace interleaf
