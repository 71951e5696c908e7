// SPDX-License-Identifier: GPL-2.0-only
#include "engine/slice.h"

#include <algorithm>
#include <cctype>
#include <string_view>
#include <utility>

#include "scheduler/search/happens_before.h"

namespace interleaf {
namespace {

using Kind = TraceEvent::Kind;
constexpr std::size_t kNone = ~std::size_t{0};

// A call of a task: its events from the entry of the outermost function to its end.
struct CallSpan {
  TaskId task = kNoTask;
  std::string text;  // as the scenario has it
  bool ended = false;
  bool forced = false;    // a wait for a task, or a task's end
  EventNumber bound = 0;  // accesses before this one matter
  std::vector<EventNumber> accesses;
};

class Slicer {
 public:
  explicit Slicer(const TracedRun& run)
      : trace_(run.trace), verdict_(*run.result.verdict()), call_of_event_(trace_.events.size()) {
    find_calls();
  }

  Trace slice() {
    for (std::size_t call = 0; call < calls_.size(); ++call) {
      if (is_start(calls_[call])) reach(call, order_.size());
    }
    if (found_by_daemon()) follow_daemon(finding_);
    while (!todo_.empty()) {
      const std::size_t call = todo_.back();
      todo_.pop_back();
      follow(call);
    }
    keep_variables();
    Trace result = trace_;
    result.events.clear();
    for (std::size_t i = 0; i < trace_.events.size(); ++i) {
      const std::size_t call = call_of_event_[i];
      const bool out =
          call != kNone && calls_[call].ended && (calls_[call].bound == 0 || calls_[call].forced);
      if (!out) result.events.push_back(trace_.events[i]);
    }
    drop_excursions(result);
    return result;
  }

 private:
  void find_calls() {
    order_.begin(static_cast<unsigned>(trace_.tasks.size()));
    std::vector<std::size_t> open(trace_.tasks.size(), kNone);
    for (std::size_t i = 0; i < trace_.events.size(); ++i) {
      const TraceEvent& event = trace_.events[i];
      std::size_t& call = open[event.task];
      if (event.kind == Kind::kEnter && event.depth == 1 && !trace_.daemons[event.task]) {
        call = calls_.size();
        calls_.emplace_back().task = event.task;
        calls_.back().forced = std::string_view(event.function->name) == "do_exit";
      }
      call_of_event_[i] = call;
      if (event.kind == Kind::kStep) add_access(event, call);
      if (call == kNone) continue;
      if (event.kind == Kind::kRemark && calls_[call].text.empty()) {
        calls_[call].text = trace_.texts[event.text];
        calls_[call].forced |= calls_[call].text.starts_with("wait(");
      }
      if (event.kind == Kind::kLeave && event.depth == 0) {
        calls_[call].ended = true;
        call = kNone;
      }
    }
  }

  void add_access(const TraceEvent& event, std::size_t call) {
    Access access;
    access.op = event.op;
    access.object = event.object;
    const EventNumber number = order_.add(event.task, access);
    call_of_access_.push_back(call);
    if (event.step == verdict_.step) finding_ = number;
    if (call != kNone) calls_[call].accesses.push_back(number);
  }

  // The call of the finding; of a hang, every call that has not ended.
  bool is_start(const CallSpan& call) const {
    const bool hang =
        verdict_.kind == FindingKind::kDeadlock || verdict_.kind == FindingKind::kLivelock;
    if (hang) return !call.ended;
    return call.task == verdict_.task && !call.accesses.empty() &&
           call.accesses.front() <= finding_ && finding_ <= call.accesses.back();
  }

  // Then no call holds the finding.
  bool found_by_daemon() const {
    return finding_ < order_.size() && call_of_access_[finding_] == kNone &&
           order_[finding_].task == verdict_.task;
  }

  void reach(std::size_t call, EventNumber bound) {
    if (bound <= calls_[call].bound) return;
    calls_[call].bound = bound;
    todo_.push_back(call);
  }

  void follow(std::size_t call) {
    const EventNumber bound = calls_[call].bound;
    for (const EventNumber access : calls_[call].accesses) {
      if (access < bound) follow_access(access);
    }
  }

  // A call that sets what a call in the slice names says what that is.
  void keep_variables() {
    for (std::size_t user = calls_.size(); user-- > 0;) {
      if (calls_[user].bound == 0) continue;
      for (std::size_t call = user; call-- > 0;) {
        if (calls_[call].task != calls_[user].task || calls_[call].bound != 0) continue;
        const std::string variable = variable_of(calls_[call].text);
        if (!variable.empty() && names(calls_[user].text, variable)) calls_[call].bound = 1;
      }
    }
  }

  // "fd" of "fd = open(...)".
  static std::string variable_of(const std::string& text) {
    const std::size_t equals = text.find(" = ");
    return equals < text.find('(') ? text.substr(0, equals) : "";
  }

  static bool names(const std::string& text, const std::string& variable) {
    const auto is_part = [](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
    };
    for (std::size_t at = text.find('('); at != std::string::npos;) {
      at = text.find(variable, at + 1);
      if (at == std::string::npos) return false;
      const std::size_t end = at + variable.size();
      if (!is_part(text[at - 1]) && (end == text.size() || !is_part(text[end]))) return true;
    }
    return false;
  }

  // Daemons have no calls: what they did is followed event by event.
  void follow_access(EventNumber access) {
    if (order_[access].object == kPrivateObject) return;
    order_.for_direct_predecessors(access, [&](EventNumber before) {
      if (order_[before].task == order_[access].task) return;
      const std::size_t call = call_of_access_[before];
      if (call != kNone) reach(call, before + 1);
      if (call == kNone) follow_daemon(before);
    });
  }

  void follow_daemon(EventNumber access) {
    if (followed_.size() < order_.size()) followed_.resize(order_.size());
    std::vector<EventNumber> todo;
    // All that the daemon did before; what it was asked to do is among that.
    for (EventNumber i = access; i != kNoEvent && !followed_[i]; i = order_[i].previous_of_task) {
      followed_[i] = true;
      todo.push_back(i);
    }
    for (const EventNumber i : todo) follow_access(i);
  }

  // Daemons, and the task that waits for all the others.
  bool in_background(TaskId task) const {
    return trace_.daemons[task] || trace_.tasks[task] == "unmount";
  }

  // What daemons do between two pieces of one task that could not go on.
  void drop_excursions(Trace& trace) const {
    const std::vector<TraceEvent> events = std::move(trace.events);
    trace.events.clear();
    for (std::size_t at = 0; at < events.size();) {
      const std::size_t end = excursion_end(events, at);
      if (end == at) trace.events.push_back(events[at]);
      at = std::max(at + 1, end);
    }
  }

  // Where the excursion that begins with event `begin` ends; `begin` if there is none.
  std::size_t excursion_end(const std::vector<TraceEvent>& events, std::size_t begin) const {
    if (begin == 0 || !in_background(events[begin].task)) return begin;
    const TaskId waits = events[begin - 1].task;
    if (in_background(waits)) return begin;
    std::vector<int> depth(trace_.tasks.size());
    bool first = true;
    for (std::size_t i = begin; i < events.size(); ++i) {
      const TraceEvent& event = events[i];
      if (event.task == waits) {
        const bool whole = std::all_of(depth.begin(), depth.end(), [](int d) { return d == 0; });
        return whole ? i : begin;
      }
      if (!in_background(event.task)) return begin;
      if (event.kind == Kind::kStep && std::exchange(first, false) && event.previous_runnable) {
        return begin;
      }
      depth[event.task] += event.kind == Kind::kEnter;
      depth[event.task] -= event.kind == Kind::kLeave;
      if (depth[event.task] < 0 || event.step > verdict_.step) return begin;
    }
    return begin;
  }

  const Trace& trace_;
  const Finding& verdict_;
  HappensBefore order_;
  EventNumber finding_ = 0;
  std::vector<std::size_t> call_of_event_;
  std::vector<std::size_t> call_of_access_;
  std::vector<CallSpan> calls_;
  std::vector<bool> followed_;
  std::vector<std::size_t> todo_;
};

}  // namespace

Trace slice_of(const TracedRun& run) {
  return run.result.verdict() == nullptr ? run.trace : Slicer(run).slice();
}

}  // namespace interleaf
