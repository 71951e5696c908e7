// SPDX-License-Identifier: GPL-2.0-only
// interleaf run: one schedule of a scenario, its table on stdout.
#include <fmt/format.h>

#include <optional>

#include "engine/commands/command.h"
#include "engine/nearest.h"
#include "engine/report.h"
#include "engine/user_error.h"

namespace interleaf {
namespace {

struct Flags {
  ScenarioFlags scenario;
  VerdictFlags verdict;
  CrashFlags crash;
  std::string strategy = "table";
  std::string table;
  std::string seed = "0";
  std::string output;
  bool force = false;
  bool trace = false;
  bool steps = false;
};

std::vector<Row> rows_of(const Scenario& scenario, const std::string& name) {
  if (scenario.tables.empty()) throw UserError("scenario " + scenario.name + " has no table");
  const TableSpec* table = name.empty() ? &scenario.tables.front() : nullptr;
  std::vector<std::string> names;
  for (const TableSpec& each : scenario.tables) {
    names.push_back(each.name);
    if (each.name == name) table = &each;
  }
  if (table == nullptr) {
    throw UserError("scenario " + scenario.name + " has no table \"" + name + "\"", "",
                    nearest_or_list(name, names));
  }
  std::vector<Row> rows;
  for (const TableRow& row : table->rows) {
    for (std::size_t task = 0; task < scenario.tasks.size(); ++task) {
      if (scenario.tasks[task].name == row.task) {
        rows.push_back({static_cast<TaskId>(task), row.function});
      }
    }
  }
  return rows;
}

// What kept the row from happening: the task it waits for, and on what that one waits.
std::string in_the_way(const TableStrategy& table, const Scenario& scenario,
                       const Scheduler& scheduler) {
  const Row& row = table.rows()[table.satisfied()];
  const Task& task = scheduler.task(row.task);
  std::string reason = task.finished               ? "it ended without entering it"
                       : task.waits_for != nullptr ? std::string("it waits for ") + task.waits_for
                                                   : "it never came there";
  return fmt::format("row {} of the table cannot happen after the rows before it: {} enters {}; {}",
                     table.satisfied() + 1, scenario.tasks[row.task].name, row.function, reason);
}

// Of every run that has the same order. `found`: the plainest, if there is one.
CrashReport cut_power(const std::shared_ptr<const Configuration>& configuration,
                      const CrashBudget& budget, const TracedRun& run,
                      std::optional<CrashFinding>& found) {
  CrashSearch search(1, configuration, budget);
  const std::vector<std::string> broken = search.judge(run.result.schedule);
  if (!broken.empty()) found = search.show(run.result.schedule, broken.front());
  return search.report();
}

int run(const Flags& flags) {
  const auto configuration = flags.scenario.configure();
  const Scenario& scenario = configuration->scenario;
  ScenarioWorld world(0, configuration);
  std::unique_ptr<Strategy> strategy;
  TableStrategy* table = nullptr;
  // Without a table to follow, the default is to run without preemptions.
  const bool follow =
      flags.strategy == "table" && (!scenario.tables.empty() || !flags.table.empty());
  if (follow) {
    auto made = make_table(rows_of(scenario, flags.table));
    table = made.get();
    strategy = std::move(made);
  } else {
    const std::string name = flags.strategy == "table" ? "keep-running" : flags.strategy;
    strategy = make_strategy(world, name);
  }
  const std::uint64_t seed = parse_seed(flags.seed);
  TracedRun run = run_traced(world, *strategy, seed, flags.trace);
  CrashReport cuts;
  std::optional<CrashFinding> cut;
  if (flags.crash.crash) cuts = cut_power(configuration, flags.crash.budget, run, cut);
  if (!run.result.clean()) cut.reset();
  if (cut) run = cut->run;
  const std::string verdict = verdict_of(run.result);
  int code = flags.verdict.exit_code(verdict);
  if (!cut && !cuts.complete && run.result.clean()) code = kExitCannotJudge;
  if (!cuts.hidden_dependence.empty()) code = kExitToolFailed;
  std::string unsatisfied;
  if (table != nullptr && table->satisfied() < table->rows().size()) {
    unsatisfied = in_the_way(*table, scenario, world.world().scheduler());
    code = kExitCannotJudge;
  }
  Origin origin;
  origin.strategy = flags.strategy;
  origin.seed = seed;
  Recording recording = make_recording(*configuration, run, origin);
  if (cut) recording.cut = cut->cut;
  if (!flags.output.empty()) {
    save(flags.output, recording, flags.force ? Overwrite::kForce : Overwrite::kRefuse);
  }
  if (flags.verdict.json) {
    Json json = run_json(run.result);
    json["table_rows"] = table == nullptr ? 0 : table->rows().size();
    json["table_rows_satisfied"] = table == nullptr ? 0 : table->satisfied();
    if (flags.crash.crash) json["crash"] = crash_json(cuts, flags.crash.budget);
    json["recording"] = flags.output;
    print_json(json);
  } else {
    if (flags.trace) fmt::print("{}\n", trace_text(run.trace));
    TableOptions options;
    options.steps = flags.steps;
    fmt::print("{} on {} ({})\n\n{}\n{}", scenario.name, configuration->kernel_text(),
               configuration->persona->name, cpu_table(*configuration, run, options),
               consequence(run));
    if (!unsatisfied.empty()) fmt::print(" {}\n", unsatisfied);
    if (flags.crash.crash) {
      fmt::print("\n{}", crash_text(cuts, flags.crash.budget, *configuration));
    }
  }
  if (verdict != "clean" && flags.output.empty()) {
    fmt::print(stderr, "interleaf run {} --strategy {}{} --seed {:#x}{}\n", flags.scenario.text(),
               flags.strategy, flags.table.empty() ? "" : " --table " + shell_quoted(flags.table),
               seed, flags.crash.crash ? " --crash" : "");
  } else if (verdict != "clean") {
    print_replay_command(flags.output);
  }
  return code;
}

}  // namespace

Verb add_run(CLI::App& program) {
  auto flags = std::make_shared<Flags>();
  CLI::App* verb = program.add_subcommand("run", "one schedule of a scenario, as a CPU table");
  flags->scenario.add_to(*verb);
  flags->verdict.add_to(*verb);
  flags->crash.add_to(*verb);
  verb->add_option("--strategy", flags->strategy,
                   "`table`: the scenario's (the default), or one of `interleaf list strategies`");
  verb->add_option("--table", flags->table, "which of the scenario's tables; the first one");
  verb->add_option("-s,--seed", flags->seed, "decimal or 0x hexadecimal");
  verb->add_option("-o", flags->output, "store the run as a recording");
  verb->add_flag("--force", flags->force, "overwrite the file of -o");
  verb->add_flag("--trace", flags->trace, "every step as a line");
  verb->add_flag("--steps", flags->steps, "step numbers in the table's margin");
  return {verb, [flags] { return run(*flags); }};
}

}  // namespace interleaf
