// SPDX-License-Identifier: GPL-2.0-only
#include "engine/call_tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <span>
#include <stdexcept>

#include "engine/user_error.h"

namespace interleaf {
namespace {

using Calls = std::span<const FunctionCall>;

// ---- from a trace ----

// The errno of a name that Process remarked on.
int errno_named(const std::string& name) {
  constexpr int kErrnoMax = 4095;
  for (int number = 1; number <= kErrnoMax; ++number) {
    const char* known = strerrorname_np(number);
    if (known != nullptr && name == known) return number;
  }
  throw std::logic_error("call tree: no errno is called " + name);
}

// What one task does, event by event.
class TaskCalls {
 public:
  explicit TaskCalls(std::string task) : task_(std::move(task)) {}

  // The text of a statement is remarked on right after its frame was entered, its result just
  // before it is left. Other frames at the bottom (exit, unmount) have no remarks.
  void event(const Trace& trace, const TraceEvent& event) {
    using Kind = TraceEvent::Kind;
    const bool outermost = event.depth == 1;
    if (event.kind == Kind::kEnter && outermost) {
      open_ = Open::kUnnamed;
    } else if (event.kind == Kind::kRemark && outermost) {
      remark(trace.texts[event.text]);
    } else if (event.kind == Kind::kLeave && event.depth == 0) {
      open_ = Open::kNone;
    } else if (open_ != Open::kNamed) {
      return;
    } else if (event.kind == Kind::kEnter) {
      innermost(event.depth - 2u).push_back({event.function->name, {}});
    }
  }

  std::vector<SystemCall> done() { return std::move(done_); }

 private:
  // What is at the bottom of the stack: nothing, a frame without remarks so far, a system call, or
  // wait().
  enum class Open : std::uint8_t { kNone, kUnnamed, kNamed, kWait };

  void remark(const std::string& text) {
    if (open_ == Open::kUnnamed) {
      open_ = text.starts_with("wait(") ? Open::kWait : Open::kNamed;
      if (open_ == Open::kWait) return;
      done_.push_back({task_, static_cast<unsigned>(done_.size() + 1), text, {}, {}, {}});
    } else if (open_ == Open::kNamed && text.starts_with("= ")) {
      result(text.substr(2));
    }
  }
  void result(const std::string& text) {
    SystemCall& call = done_.back();
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc{}) {
      call.result = number;
    } else {
      call.failed = errno_named(text);
    }
  }
  // Where a function at this level below the system call belongs.
  std::vector<FunctionCall>& innermost(unsigned level) {
    std::vector<FunctionCall>* calls = &done_.back().calls;
    for (unsigned i = 0; i < level; ++i) calls = &calls->back().calls;
    return *calls;
  }

  std::string task_;
  Open open_ = Open::kNone;
  std::vector<SystemCall> done_;
};

// ---- folding ----

// The longest group of neighbours that is looked for. What the files of real kernels were folded
// with; longer ones are written out.
constexpr std::size_t kGroupMax = 64;

struct Fold {
  std::size_t size = 1;
  std::size_t times = 1;
};

// How often the first `size` calls come one after the other at the start of `calls`.
std::size_t repetitions(Calls calls, std::size_t size) {
  std::size_t times = 1;
  while ((times + 1) * size <= calls.size() &&
         std::ranges::equal(calls.first(size), calls.subspan(times * size, size))) {
    ++times;
  }
  return times;
}

// The group at the start that covers most; of equals, the shortest.
Fold fold_at_start(Calls calls) {
  Fold best;
  for (std::size_t size = 1; size <= kGroupMax && 2 * size <= calls.size(); ++size) {
    const std::size_t times = repetitions(calls, size);
    if (times > 1 && times * size > best.times * best.size) best = {size, times};
  }
  return best;
}

void write(Calls calls, unsigned depth, std::string& out) {
  while (!calls.empty()) {
    const Fold fold = fold_at_start(calls);
    const unsigned level = depth + (fold.times > 1 ? 1 : 0);
    if (fold.times > 1) out += fmt::format("{:{}}repeat {}:\n", "", 2 * depth, fold.times);
    for (const FunctionCall& call : calls.first(fold.size)) {
      out += fmt::format("{:{}}{}\n", "", 2 * level, call.name);
      write(call.calls, level + 1, out);
    }
    calls = calls.subspan(fold.size * fold.times);
  }
}

nlohmann::ordered_json json_of(Calls calls) {
  auto array = nlohmann::ordered_json::array();
  while (!calls.empty()) {
    const Fold fold = fold_at_start(calls);
    auto group = nlohmann::ordered_json::array();
    for (const FunctionCall& call : calls.first(fold.size)) {
      group.push_back({{"function", call.name}, {"calls", json_of(call.calls)}});
    }
    if (fold.times > 1) {
      array.push_back({{"repeat", fold.times}, {"calls", std::move(group)}});
    } else {
      array.push_back(std::move(group.front()));
    }
    calls = calls.subspan(fold.size * fold.times);
  }
  return array;
}

// ---- reading ----

class Parser {
 public:
  explicit Parser(std::string_view text) {
    for (int number = 1; !text.empty(); ++number) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      add(text.substr(0, end), number);
      text.remove_prefix(std::min(end + 1, text.size()));
    }
  }

  std::vector<FunctionCall> parse(std::size_t depth) {
    std::vector<FunctionCall> calls;
    while (next_ < lines_.size() && lines_[next_].depth >= depth) {
      const Line line = lines_[next_++];
      if (line.depth > depth) fail(line.number, "is indented too far");
      std::vector<FunctionCall> below = parse(depth + 1);
      if (!line.text.starts_with("repeat ")) {
        calls.push_back({std::string(line.text), std::move(below)});
        continue;
      }
      for (std::size_t i = times(line); i > 0; --i) {
        calls.insert(calls.end(), below.begin(), below.end());
      }
    }
    return calls;
  }

 private:
  struct Line {
    std::size_t depth;
    std::string_view text;
    int number;
  };

  [[noreturn]] static void fail(int line, const std::string& what) {
    throw UserError(fmt::format("call tree: line {} {}", line, what));
  }
  void add(std::string_view line, int number) {
    const std::size_t indent = line.find_first_not_of(' ');
    if (indent == std::string_view::npos || line[indent] == '#') return;
    if (indent % 2 != 0) fail(number, "is indented by an odd number of spaces");
    lines_.push_back({indent / 2, line.substr(indent), number});
  }
  static std::size_t times(const Line& line) {
    constexpr std::size_t kTimesMax = 1'000'000;
    const std::string_view text = line.text.substr(std::string_view("repeat ").size());
    std::size_t times = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), times);
    const bool colon = std::string_view(end, text.data() + text.size()) == ":";
    if (error != std::errc{} || !colon || times == 0 || times > kTimesMax) {
      fail(line.number, "is no \"repeat N:\"");
    }
    return times;
  }

  std::vector<Line> lines_;
  std::size_t next_ = 0;
};

}  // namespace

std::string SystemCall::outcome() const {
  if (failed) return fmt::format("returned -1 errno {}", *failed);
  return result ? fmt::format("returned {}", *result) : "did not return";
}

std::vector<SystemCall> system_calls(const Trace& trace) {
  std::vector<TaskCalls> tasks;
  for (const std::string& name : trace.tasks) tasks.emplace_back(name);
  for (const TraceEvent& event : trace.events) tasks[event.task].event(trace, event);
  std::vector<SystemCall> all;
  for (TaskCalls& task : tasks) {
    for (SystemCall& call : task.done()) all.push_back(std::move(call));
  }
  return all;
}

std::string call_tree_text(const std::vector<FunctionCall>& calls) {
  std::string out;
  write(calls, 0, out);
  return out;
}

nlohmann::ordered_json call_tree_json(const std::vector<FunctionCall>& calls) {
  return json_of(calls);
}

std::vector<FunctionCall> parse_call_tree(std::string_view text) { return Parser(text).parse(0); }

}  // namespace interleaf
