// SPDX-License-Identifier: GPL-2.0-only
#include "engine/workload.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace interleaf {
namespace {

// Calls each(statement, number) for all, a loop before its body.
template <typename Statements, typename Each>
void walk(Statements& statements, std::size_t& number, const Each& each) {
  for (auto& statement : statements) {
    each(statement, number++);
    walk(statement.body, number, each);
  }
}

template <typename Tasks, typename Each>
void walk_tasks(Tasks& tasks, const Each& each) {
  std::size_t number = 0;
  for (auto& task : tasks) walk(task.statements, number, each);
}

bool is_size(ParameterKind kind) {
  return kind == ParameterKind::kBytes || kind == ParameterKind::kPageBytes;
}

void drop(std::vector<Statement>& statements, std::size_t& number,
          const std::set<std::size_t>& numbers) {
  std::vector<Statement> kept;
  for (Statement& statement : statements) {
    const bool gone = numbers.count(number++) != 0;
    const bool loop = statement.call == Call::kLoop;
    drop(statement.body, number, numbers);
    if (!gone && !(loop && statement.body.empty())) kept.push_back(std::move(statement));
  }
  statements = std::move(kept);
}

// Takes away calls with variables that nothing sets. True if there were any.
bool drop_unset(std::vector<Statement>& statements, std::set<int>& set) {
  bool dropped = false;
  std::vector<Statement> kept;
  for (Statement& statement : statements) {
    const bool usable = std::all_of(
        statement.arguments.begin(), statement.arguments.end(),
        [&](const Argument& a) { return a.variable < 0 || set.count(a.variable) != 0; });
    dropped |= drop_unset(statement.body, set);
    if (!usable || (statement.call == Call::kLoop && statement.body.empty())) {
      dropped = true;
      continue;
    }
    if (statement.variable >= 0) set.insert(statement.variable);
    kept.push_back(std::move(statement));
  }
  statements = std::move(kept);
  return dropped;
}

bool only_waits(const std::vector<Statement>& statements) {
  return std::all_of(statements.begin(), statements.end(), [](const Statement& statement) {
    return statement.call == Call::kLoop ? only_waits(statement.body)
                                         : statement.call == Call::kWait;
  });
}

void drop_waits_for(std::vector<Statement>& statements, int task) {
  for (Statement& statement : statements) drop_waits_for(statement.body, task);
  std::erase_if(statements, [&](const Statement& statement) {
    if (statement.call == Call::kLoop) return statement.body.empty();
    return statement.call == Call::kWait && statement.arguments[0].task == task;
  });
}

// Tasks by their number in the scenario, to which waits refer.
using Numbered = std::vector<std::pair<int, TaskSpec>>;

std::vector<TaskSpec> cleaned(Numbered tasks) {
  for (bool again = true; again;) {
    again = false;
    for (auto& [number, task] : tasks) {
      std::set<int> set;
      while (drop_unset(task.statements, set)) set.clear();
    }
    const auto idle = std::find_if(tasks.begin(), tasks.end(), [](const auto& task) {
      return only_waits(task.second.statements);
    });
    if (idle == tasks.end()) break;
    const int gone = idle->first;
    tasks.erase(idle);
    for (auto& [number, task] : tasks) drop_waits_for(task.statements, gone);
    again = true;
  }
  std::vector<TaskSpec> result;
  for (auto& [number, task] : tasks) result.push_back(std::move(task));
  return result;
}

Numbered numbered(std::vector<TaskSpec> tasks) {
  Numbered result;
  for (TaskSpec& task : tasks) {
    const auto number = static_cast<int>(result.size());
    result.emplace_back(number, std::move(task));
  }
  return result;
}

// Where argument `index` stands in the text of a call.
std::pair<std::size_t, std::size_t> argument_place(const std::string& text, std::size_t index) {
  std::size_t begin = text.find('(') + 1;
  int depth = 0;
  bool string = false;
  for (std::size_t i = begin; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"' && text[i - 1] != '\\') string = !string;
    if (string) continue;
    if (c == '(') ++depth;
    if ((c == ',' && depth == 0) || (c == ')' && depth-- == 0)) {
      if (index-- == 0 || c == ')') return {begin, i};
      begin = i + 1;
    }
  }
  return {begin, text.size()};
}

std::string size_text(std::uint64_t value) {
  return value != 0 && value % 1024 == 0 ? fmt::format("{}K", value / 1024)
                                         : fmt::format("{}", value);
}

}  // namespace

WorkloadCounts counts_of(const Scenario& scenario) {
  WorkloadCounts counts;
  counts.tasks = scenario.tasks.size();
  counts.daemons = scenario.daemons.size();
  for (const auto& [kind, budget] : scenario.faults) counts.faults += budget;
  walk_tasks(scenario.tasks, [&](const Statement& statement, std::size_t) {
    counts.calls += statement.call != Call::kLoop;
    counts.bytes += statement.times;
    for (const Argument& a : statement.arguments) counts.bytes += is_size(a.kind) ? a.value : 0;
  });
  return counts;
}

std::vector<std::size_t> droppable_calls(const Scenario& scenario) {
  std::vector<std::size_t> numbers;
  walk_tasks(scenario.tasks, [&](const Statement& statement, std::size_t number) {
    if (statement.call != Call::kWait) numbers.push_back(number);
  });
  return numbers;
}

std::vector<TaskSpec> without_calls(const Scenario& scenario,
                                    const std::set<std::size_t>& numbers) {
  std::vector<TaskSpec> tasks = scenario.tasks;
  std::size_t number = 0;
  for (TaskSpec& task : tasks) drop(task.statements, number, numbers);
  return cleaned(numbered(std::move(tasks)));
}

std::vector<TaskSpec> without_task(const Scenario& scenario, std::size_t task) {
  Numbered tasks = numbered(scenario.tasks);
  tasks.erase(tasks.begin() + static_cast<std::ptrdiff_t>(task));
  for (auto& [number, other] : tasks) drop_waits_for(other.statements, static_cast<int>(task));
  return cleaned(std::move(tasks));
}

std::vector<ShrinkableNumber> shrinkable_numbers(const Scenario& scenario) {
  std::vector<ShrinkableNumber> numbers;
  const Geometry& geometry = scenario.geometry;
  walk_tasks(scenario.tasks, [&](const Statement& statement, std::size_t number) {
    if (statement.times > 1) numbers.push_back({number, 0, {1, statement.times / 2}});
    for (std::size_t i = 0; i < statement.arguments.size(); ++i) {
      const Argument& argument = statement.arguments[i];
      if (!is_size(argument.kind)) continue;
      const bool offset = signature_of(statement.call).parameters[i].name == "off";
      ShrinkableNumber at{number, i, {}};
      for (const std::uint64_t value :
           {std::uint64_t{0}, geometry.block_size, geometry.page_size}) {
        if (value < argument.value && (offset || value != 0)) at.smaller.push_back(value);
      }
      std::sort(at.smaller.begin(), at.smaller.end());
      at.smaller.erase(std::unique(at.smaller.begin(), at.smaller.end()), at.smaller.end());
      if (!at.smaller.empty()) numbers.push_back(std::move(at));
    }
  });
  return numbers;
}

std::vector<TaskSpec> with_number(const Scenario& scenario, const ShrinkableNumber& where,
                                  std::uint64_t value) {
  std::vector<TaskSpec> tasks = scenario.tasks;
  walk_tasks(tasks, [&](Statement& statement, std::size_t number) {
    if (number != where.call) return;
    if (statement.call == Call::kLoop) {
      statement.times = value;
      return;
    }
    const auto [begin, end] = argument_place(statement.text, where.argument);
    statement.text.replace(begin, end - begin, (where.argument == 0 ? "" : " ") + size_text(value));
  });
  return tasks;
}

}  // namespace interleaf
