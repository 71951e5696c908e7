// SPDX-License-Identifier: GPL-2.0-only
// interleaf calls: what the port called in each system call of a task, as a tree that can be held
// against the function-graph trace of a kernel.
#include <fmt/format.h>

#include <algorithm>

#include "engine/call_tree.h"
#include "engine/commands/command.h"
#include "engine/commands/one_run.h"
#include "engine/nearest.h"
#include "engine/user_error.h"

namespace interleaf {
namespace {

struct Flags {
  ScenarioFlags scenario;
  VerdictFlags verdict;
  ScheduleFlags schedule;
  std::string task;
  unsigned call = 0;
};

void check_task(const Flags& flags, const Scenario& scenario) {
  std::vector<std::string> names;
  for (const TaskSpec& task : scenario.tasks) names.push_back(task.name);
  if (!flags.task.empty() && std::ranges::find(names, flags.task) == names.end()) {
    throw UserError("scenario " + scenario.name + " has no task \"" + flags.task + "\"", "",
                    nearest_or_list(flags.task, names));
  }
  if (flags.task.empty() && flags.call != 0 && names.size() > 1) {
    throw UserError("--call " + std::to_string(flags.call) + " of which task?", "",
                    "add --task " + names.front());
  }
}

// Those that the flags ask for.
std::vector<SystemCall> selected(const Flags& flags, const Trace& trace) {
  std::vector<SystemCall> calls = system_calls(trace);
  std::erase_if(calls, [&](const SystemCall& call) {
    return !flags.task.empty() && call.task != flags.task;
  });
  const std::size_t made = calls.size();
  if (flags.call != 0) {
    std::erase_if(calls, [&](const SystemCall& call) { return call.number != flags.call; });
    if (calls.empty()) {
      throw UserError(
          fmt::format("--call {}: the task made {} calls in this run", flags.call, made));
    }
  }
  return calls;
}

void print(const std::vector<SystemCall>& calls, const Configuration& configuration) {
  bool first = true;
  for (const SystemCall& call : calls) {
    fmt::print("{}# port of linux {}, {}, all its functions, own task only: {} {} {}: {}\n# {}\n{}",
               first ? "" : "\n", configuration.kernel_text(), configuration.persona->name,
               configuration.scenario.name, call.task, call.number, call.text, call.outcome(),
               call_tree_text(call.calls));
    first = false;
  }
}

Json calls_json(const std::vector<SystemCall>& calls) {
  Json array = Json::array();
  for (const SystemCall& call : calls) {
    Json json;
    json["task"] = call.task;
    json["call"] = call.number;
    json["text"] = call.text;
    json["returned"] = call.failed ? Json(-1) : call.result ? Json(*call.result) : Json();
    json["errno"] = call.failed.value_or(0);
    json["tree"] = call_tree_json(call.calls);
    array.push_back(std::move(json));
  }
  return array;
}

int calls(const Flags& flags) {
  const auto configuration = flags.scenario.configure();
  check_task(flags, configuration->scenario);
  const OneRun one = run_one(configuration, flags.schedule);
  const std::vector<SystemCall> made = selected(flags, one.run.trace);
  const std::string verdict = verdict_of(one.run.result);
  int code = flags.verdict.exit_code(verdict);
  if (!one.unsatisfied.empty()) code = kExitCannotJudge;
  if (flags.verdict.json) {
    Json json = run_json(one.run.result);
    json["table_rows"] = one.table_rows;
    json["table_rows_satisfied"] = one.table_rows_satisfied;
    json["calls"] = calls_json(made);
    print_json(json);
  } else {
    print(made, *configuration);
  }
  if (!one.unsatisfied.empty()) fmt::print(stderr, "{}\n", one.unsatisfied);
  if (verdict != "clean") {
    fmt::print(stderr, "interleaf run {}{}\n", flags.scenario.text(), flags.schedule.text());
  }
  return code;
}

}  // namespace

Verb add_calls(CLI::App& program) {
  auto flags = std::make_shared<Flags>();
  CLI::App* verb = program.add_subcommand(
      "calls", "one schedule of a scenario, as trees of the functions called");
  flags->scenario.add_to(*verb);
  flags->verdict.add_to(*verb);
  flags->schedule.add_to(*verb);
  verb->add_option("--task", flags->task, "only this task's calls");
  verb->add_option("--call", flags->call, "only the task's Nth system call, from 1")
      ->check(CLI::PositiveNumber);
  return {verb, [flags] { return calls(*flags); }};
}

}  // namespace interleaf
