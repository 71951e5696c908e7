// SPDX-License-Identifier: GPL-2.0-only
#include "engine/trace.h"

#include <fmt/format.h>

#include <bit>

namespace interleaf {

TraceEvent& TraceCollector::add(TraceEvent::Kind kind, const Scheduler& scheduler,
                                const Task& task) {
  if (trace_.tasks.empty()) {
    for (TaskId id = 0; id < scheduler.task_count(); ++id) {
      trace_.tasks.emplace_back(scheduler.task(id).name);
      trace_.daemons.push_back(scheduler.task(id).daemon);
    }
  }
  TraceEvent event{};
  event.kind = kind;
  event.task = task.id;
  event.depth = task.depth;
  event.step = scheduler.step();
  event.function = task.function();
  return trace_.events.emplace_back(event);
}

void TraceCollector::event(const Scheduler& scheduler, const Task& task, const Access& access) {
  TraceEvent& event = add(TraceEvent::Kind::kStep, scheduler, task);
  event.op = access.op;
  event.marked = access.marked;
  event.object = access.object;
  event.where = access.where;
  event.digest = scheduler.digest();
  event.previous_runnable =
      previous_ != kNoTask && (scheduler.runnable() & task_bit(previous_)) != 0;
  event.lowest = static_cast<TaskId>(std::countr_zero(scheduler.runnable()));
  if (trace_.named) event.text = add_name(scheduler, access);
  previous_ = task.id;
}

std::uint32_t TraceCollector::add_name(const Scheduler& scheduler, const Access& access) {
  end_access();
  if (!names_) names_.emplace(scheduler);
  under_way_.emplace();
  Named& named = *under_way_;
  named.text = static_cast<std::uint32_t>(trace_.texts.size());
  named.object = access.object;
  named.only_reads = op_only_reads(access.op);
  named.name = names_->name(access.object);
  named.before = names_->value(access.object);
  trace_.texts.push_back(named.name);
  return named.text;
}

void TraceCollector::finish(const Scheduler& scheduler) {
  end_access();
  for (TaskId id = 0; id < scheduler.task_count(); ++id) {
    const Task& task = scheduler.task(id);
    if (task.finished) continue;
    TraceEvent event{};
    event.kind = TraceEvent::Kind::kStep;
    event.op = task.next.op;
    event.task = id;
    event.function = task.function();
    event.where = task.next.where;
    trace_.announced.push_back(event);
  }
}

void TraceCollector::end_access() {
  if (!under_way_) return;
  const Named& named = *under_way_;
  if (!named.name.empty()) {
    trace_.texts[named.text] =
        access_text(named.name, named.only_reads, named.before, names_->value(named.object));
  }
  under_way_.reset();
}

void TraceCollector::enter(const Scheduler& scheduler, const Task& task, const Function& function) {
  add(TraceEvent::Kind::kEnter, scheduler, task).function = &function;
}

void TraceCollector::leave(const Scheduler& scheduler, const Task& task, const Function& function) {
  add(TraceEvent::Kind::kLeave, scheduler, task).function = &function;
}

void TraceCollector::remark(const Scheduler& scheduler, const Task& task, std::string_view text) {
  add(TraceEvent::Kind::kRemark, scheduler, task).text =
      static_cast<std::uint32_t>(trace_.texts.size());
  trace_.texts.emplace_back(text);
}

void TraceCollector::choice(const Scheduler& scheduler, const Task& task, const char* kind,
                            unsigned value) {
  TraceEvent& event = add(TraceEvent::Kind::kChoice, scheduler, task);
  event.object = value;
  event.text = static_cast<std::uint32_t>(trace_.texts.size());
  trace_.texts.emplace_back(kind);
}

std::string trace_text(const Trace& trace) {
  std::string text;
  for (const TraceEvent& event : trace.events) {
    const std::string& task = trace.tasks[event.task];
    if (event.kind == TraceEvent::Kind::kRemark) {
      text += fmt::format("{:>6} {:<12} // {}\n", "", task, trace.texts[event.text]);
    }
    if (event.kind != TraceEvent::Kind::kStep) continue;
    const std::string_view file = event.where.file_name();
    const std::string place =
        fmt::format("{}:{}", file.substr(file.rfind('/') + 1), event.where.line());
    const std::string line = fmt::format("{:>6} {:<12} {:<32} {:<18} {:>4}  ", event.step, task,
                                         event.function == nullptr ? "-" : event.function->name,
                                         op_name(event.op), event.object);
    const bool named = trace.named && !trace.texts[event.text].empty();
    text += named ? fmt::format("{}{:<22} {}\n", line, place, trace.texts[event.text])
                  : line + place + "\n";
  }
  return text;
}

}  // namespace interleaf
