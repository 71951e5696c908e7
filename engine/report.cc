// SPDX-License-Identifier: GPL-2.0-only
#include "engine/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "engine/slice.h"

namespace interleaf {
namespace {

constexpr std::size_t kWidthMax = 100;
constexpr std::string_view kEpilogue = "unmount";
constexpr std::size_t kInnermost = 2;    // functions shown where a task is left
constexpr std::size_t kFindingPath = 6;  // and where the finding is

struct RowText {
  TaskId task;
  std::uint64_t step;
  unsigned depth;
  std::string text;
  bool ellipsis = false;
};

// Chooses the rows of a table. Events are walked segment by segment: a segment is what one task
// does between two switches.
class Rows {
 public:
  Rows(const TracedRun& run, const Scenario& scenario) : trace_(run.trace) {
    verdict_ = run.result.verdict();
    if (verdict_ != nullptr) last_step_ = verdict_->step;
    for (const TableSpec& table : scenario.tables) {
      for (const TableRow& row : table.rows) named_.insert(row.task + ":" + row.function);
    }
    if (verdict_ == nullptr) epilogue_ = epilogue_begin();
    stacks_.resize(trace_.tasks.size());
    shown_.resize(trace_.tasks.size());
    pick();
  }

  const std::vector<RowText>& rows() const { return rows_; }

 private:
  struct OnStack {
    const Function* function;
    std::string label;  // how its row reads
  };

  // What a clean run's last checks do is not part of the story.
  std::size_t epilogue_begin() const {
    for (std::size_t i = 0; i < trace_.events.size(); ++i) {
      const TraceEvent& event = trace_.events[i];
      if (event.kind == TraceEvent::Kind::kEnter && event.function->name == kEpilogue) return i;
    }
    return trace_.events.size();
  }

  // The end of the segment that begins with event `begin`.
  std::size_t segment_end(std::size_t begin) const {
    std::size_t end = begin;
    while (end < trace_.events.size() && trace_.events[end].task == trace_.events[begin].task) {
      if (trace_.events[end].kind == TraceEvent::Kind::kStep && end > begin &&
          trace_.events[end].step > last_step_) {
        break;
      }
      ++end;
    }
    return end;
  }

  void pick() {
    std::size_t begin = 0;
    // What tasks did on the way to their first point stands with their first step.
    while (begin < trace_.events.size()) {
      const TraceEvent& event = trace_.events[begin];
      if (event.kind == TraceEvent::Kind::kStep && event.step > last_step_) break;
      const std::size_t end = segment_end(begin);
      segment(begin, end);
      begin = end;
    }
    if (verdict_ != nullptr && verdict_->kind == FindingKind::kLostAfterPowerCut) {
      // What a task entered after its last step is not part of the story.
      std::erase_if(rows_, [&](const RowText& row) { return row.step > verdict_->step; });
      if (!rows_.empty()) add(rows_.back().task, verdict_->step, 1, "<power failure>");
    } else if (verdict_ != nullptr && verdict_->task != kNoTask) {
      mark_finding();
    }
    // "..." stands for what leads to the next row of its task; at the end of a call it says
    // nothing.
    std::vector<RowText> kept;
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      const bool leads = i + 1 < rows_.size() && rows_[i + 1].task == rows_[i].task &&
                         rows_[i + 1].depth >= rows_[i].depth;
      if (!rows_[i].ellipsis || leads) kept.push_back(rows_[i]);
    }
    rows_ = std::move(kept);
  }

  void segment(std::size_t begin, std::size_t end) {
    const TaskId task = trace_.events[begin].task;
    std::vector<OnStack>& stack = stacks_[task];
    if (begin >= epilogue_) return;
    const auto steps = std::count_if(
        trace_.events.begin() + static_cast<std::ptrdiff_t>(begin),
        trace_.events.begin() + static_cast<std::ptrdiff_t>(end),
        [](const TraceEvent& event) { return event.kind == TraceEvent::Kind::kStep; });
    if (steps == 0) {  // before the first point: remember, show later
      follow(begin, end, task, nullptr);
      return;
    }
    // The functions that this segment ends in, if it ends within a call that goes on later.
    const std::vector<const Function*> last = stack_after(begin, end, task);
    const std::size_t before = rows_.size();
    for (std::size_t depth = 0; depth < stack.size(); ++depth) show_late(task, depth, begin, last);
    follow(begin, end, task, &last);
    if (rows_.size() == before || (rows_.back().ellipsis && rows_.size() == before + 1)) {
      if (rows_.size() != before) rows_.pop_back();
      const TraceEvent& event = first_step(begin);
      if (event.function != nullptr) {
        add(task, event.step, event.depth, std::string(event.function->name) + "()  // goes on");
      }
    }
  }

  const TraceEvent& first_step(std::size_t from) const {
    while (trace_.events[from].kind != TraceEvent::Kind::kStep) ++from;
    return trace_.events[from];
  }

  std::vector<const Function*> stack_after(std::size_t begin, std::size_t end, TaskId task) const {
    std::vector<const Function*> stack;
    for (const OnStack& entry : stacks_[task]) stack.push_back(entry.function);
    for (std::size_t i = begin; i < end; ++i) {
      if (trace_.events[i].kind == TraceEvent::Kind::kEnter)
        stack.push_back(trace_.events[i].function);
      if (trace_.events[i].kind == TraceEvent::Kind::kLeave) stack.pop_back();
    }
    return stack;
  }

  // Walks the events; with `last`, shows the interesting ones.
  void follow(std::size_t begin, std::size_t end, TaskId task,
              const std::vector<const Function*>* last) {
    std::vector<OnStack>& stack = stacks_[task];
    for (std::size_t i = begin; i < end; ++i) {
      const TraceEvent& event = trace_.events[i];
      if (event.kind == TraceEvent::Kind::kEnter) {
        stack.push_back({event.function, std::string(event.function->name) + "()"});
        shown_[task].resize(stack.size());
        shown_[task].back() = false;
        const bool call = stack.size() == 1 && i + 1 < end &&
                          trace_.events[i + 1].kind == TraceEvent::Kind::kRemark;
        if (call) stack.back().label = trace_.texts[trace_.events[i + 1].text];
        if (last == nullptr) continue;
        if (interesting(task, stack.size() - 1, event.step, *last)) {
          add(task, event.step + 1, static_cast<unsigned>(stack.size()), stack.back().label);
          shown_[task].back() = true;
        } else {
          skip(task);
        }
      } else if (event.kind == TraceEvent::Kind::kLeave) {
        stack.pop_back();
        shown_[task].pop_back();
      } else if (event.kind == TraceEvent::Kind::kRemark && last != nullptr) {
        const std::string& text = trace_.texts[event.text];
        if (text.starts_with("= E") && !rows_.empty() && rows_.back().task == task) {
          rows_.back().text += "  // " + text;
        }
      }
    }
  }

  // A function that was entered in an earlier segment without being shown.
  void show_late(TaskId task, std::size_t depth, std::size_t begin,
                 const std::vector<const Function*>& last) {
    if (shown_[task][depth] || !interesting(task, depth, first_step(begin).step, last)) return;
    add(task, first_step(begin).step, static_cast<unsigned>(depth + 1), stacks_[task][depth].label);
    shown_[task][depth] = true;
  }

  bool interesting(TaskId task, std::size_t depth, std::uint64_t step,
                   const std::vector<const Function*>& last) const {
    const std::vector<OnStack>& stack = stacks_[task];
    const Function* function = stack[depth].function;
    if (trace_.daemons[task]) return depth == 0;
    if (depth == 0) return true;
    if (named_.count(trace_.tasks[task] + ":" + function->name) != 0) return true;
    // Where a segment ends and where the finding is: the innermost functions say enough.
    if (depth < last.size() && last[depth] == function && depth + kInnermost >= last.size()) {
      return true;
    }
    if (verdict_ == nullptr || verdict_->task != task || step > verdict_->step) return false;
    return depth < verdict_->stack.size() && depth + kFindingPath >= verdict_->stack.size() &&
           verdict_->stack[depth] == function->name && leads_to_finding(task, depth, step);
  }

  // True if the function entered after `step` at `depth` is still on the stack at the finding.
  bool leads_to_finding(TaskId task, std::size_t depth, std::uint64_t step) const {
    const auto not_later = [step](const TraceEvent& event) { return event.step <= step; };
    for (auto at = std::ranges::partition_point(trace_.events, not_later);
         at != trace_.events.end() && at->step <= verdict_->step; ++at) {
      const TraceEvent& event = *at;
      if (event.task != task) continue;
      if (event.kind == TraceEvent::Kind::kLeave && event.depth == depth &&
          event.step < verdict_->step) {
        return false;
      }
    }
    return true;
  }

  void add(TaskId task, std::uint64_t step, unsigned depth, std::string text) {
    rows_.push_back({task, step, depth, std::move(text)});
  }

  void skip(TaskId task) {
    if (!rows_.empty() && rows_.back().task == task && rows_.back().ellipsis) return;
    const auto depth = static_cast<unsigned>(stacks_[task].size());
    rows_.push_back({task, 0, depth, "...", true});
  }

  void mark_finding() {
    for (std::size_t i = rows_.size(); i-- > 0;) {
      if (rows_[i].task != verdict_->task || rows_[i].ellipsis) continue;
      RowText remark = rows_[i];
      remark.text = fmt::format("// {}, step {}", finding_name(verdict_->kind), verdict_->step);
      remark.step = verdict_->step;
      rows_.resize(i + 1);
      rows_.push_back(std::move(remark));
      return;
    }
  }

  const Trace& trace_;
  const Finding* verdict_ = nullptr;
  std::uint64_t last_step_ = ~std::uint64_t{0};
  std::size_t epilogue_ = ~std::size_t{0};
  std::set<std::string> named_;  // "task:function" of the scenario's own tables
  std::vector<std::vector<OnStack>> stacks_;
  std::vector<std::vector<bool>> shown_;
  std::vector<RowText> rows_;
};

std::string grouped(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t at = text.size(); at > 3;) text.insert(at -= 3, ",");
  return text;
}

std::string trimmed(std::string line) {
  while (!line.empty() && line.back() == ' ') line.pop_back();
  if (line.size() > kWidthMax) line.resize(kWidthMax);
  return line + "\n";
}

}  // namespace

std::string cpu_table(const Configuration& configuration, const TracedRun& run,
                      const TableOptions& options) {
  if (!options.full) {
    TableOptions full = options;
    full.full = true;
    return cpu_table(configuration, {run.result, slice_of(run)}, full);
  }
  const Rows picked(run, configuration.scenario);
  std::vector<TaskId> columns;
  for (const RowText& row : picked.rows()) columns.push_back(row.task);
  std::sort(columns.begin(), columns.end());
  columns.erase(std::unique(columns.begin(), columns.end()), columns.end());
  const std::size_t margin = options.steps ? 7 : 1;
  const std::size_t width = std::min<std::size_t>(options.width, kWidthMax);
  const std::size_t between =
      columns.size() < 2 ? width : std::min(width * 35 / 80, (width - 20) / (columns.size() - 1));
  std::string text;
  std::string heading(margin, ' ');
  std::string rule(margin, ' ');
  for (std::size_t i = 0; i < columns.size(); ++i) {
    std::string name = run.trace.tasks[columns[i]];
    if (i + 1 < columns.size() && name.size() >= between) name.resize(between - 1);
    heading.resize(margin + i * between, ' ');
    rule.resize(margin + i * between, ' ');
    heading += name;
    rule.append(name.size(), '=');
  }
  text += trimmed(heading) + trimmed(rule);
  for (const RowText& row : picked.rows()) {
    const auto column = static_cast<std::size_t>(
        std::find(columns.begin(), columns.end(), row.task) - columns.begin());
    std::string line = options.steps && !row.ellipsis ? fmt::format("{:>5}", row.step) : "";
    line.resize(margin + column * between, ' ');
    const unsigned indent = row.depth == 0 ? 0 : std::min(row.depth - 1, 10u);
    line.append(indent, ' ');
    line += row.text;
    text += trimmed(std::move(line));
  }
  return text;
}

std::string minimality_text(const Recording& recording) {
  if (!recording.minimality) return "";
  const Recording::Minimality& known = *recording.minimality;
  const auto seen = [&] {
    return fmt::format("{} {}, complete, {} orders", known.preemptions - 1,
                       known.other_findings ? "has only other findings" : "is clean",
                       grouped(known.orders));
  };
  if (recording.preemptions == 0) return "minimum";
  std::string text =
      known.one_minimal ? "no single switch can go" : "cut short, may be more than needed";
  if (known.preemptions == recording.preemptions) {
    text = "minimum: " + seen();
  } else if (known.preemptions > 0) {
    text += "; " + seen();
  }
  return text + (known.text.empty() ? "" : "; " + known.text);
}

std::string minimality_line(const Recording& recording) {
  if (!recording.minimality) return "";
  return fmt::format(" minimised to {} preemption{} ({})\n", recording.preemptions,
                     recording.preemptions == 1 ? "" : "s", minimality_text(recording));
}

std::string consequence(const TracedRun& run) {
  std::string text;
  const Finding* verdict = run.result.verdict();
  if (verdict == nullptr) {
    return fmt::format(" Nothing found. {} steps, {} preemptions.\n", run.result.steps,
                       run.result.preemptions);
  }
  std::vector<const Finding*> order = {verdict};
  for (const Finding& finding : run.result.findings) {
    if (&finding != verdict) order.push_back(&finding);
  }
  std::vector<std::string> told;
  for (const Finding* finding : order) {
    const std::string signature = finding->signature();
    if (std::find(told.begin(), told.end(), signature) != told.end()) {
      text += fmt::format(" the same at step {}: {}\n", finding->step, finding->message);
      continue;
    }
    told.push_back(signature);
    text += fmt::format(" {}: {}\n", finding_name(finding->kind), finding->message);
    std::string at;
    for (auto function = finding->stack.rbegin(); function != finding->stack.rend(); ++function) {
      at += (at.empty() ? "" : " < ") + *function;
    }
    if (finding->task != kNoTask && finding->kind != FindingKind::kLostAfterPowerCut) {
      text += fmt::format("   step {}, {}: {}\n", finding->step, finding->task_name, at);
    }
    for (const std::string& detail : finding->details) text += "   " + detail + "\n";
  }
  text += fmt::format(" {} steps, {} switches, {} preemptions.\n", run.result.steps,
                      run.result.switches, run.result.preemptions);
  std::string wrapped;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    std::string line = text.substr(at, end - at);
    while (line.size() > kWidthMax) {
      const std::size_t cut = line.rfind(' ', kWidthMax);
      if (cut == std::string::npos || cut < 8) break;
      wrapped += line.substr(0, cut) + "\n";
      line = "     " + line.substr(cut + 1);
    }
    wrapped += line + "\n";
    at = end + 1;
  }
  return wrapped;
}

}  // namespace interleaf
