// SPDX-License-Identifier: GPL-2.0-only
#include "engine/commands/one_run.h"

#include <fmt/format.h>

#include "engine/nearest.h"
#include "engine/user_error.h"

namespace interleaf {
namespace {

const TableSpec& table_named(const Scenario& scenario, const std::string& name) {
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
  return *table;
}

// What kept the row from happening: the task it waits for, and on what that one waits.
std::string in_the_way(const TableStrategy& table, const Scheduler& scheduler) {
  const Row& row = table.rows()[table.satisfied()];
  const Task& task = scheduler.task(row.task);
  std::string reason = task.finished               ? "it ended without entering it"
                       : task.waits_for != nullptr ? std::string("it waits for ") + task.waits_for
                                                   : "it never came there";
  return fmt::format("row {} of the table cannot happen after the rows before it: {} enters {}; {}",
                     table.satisfied() + 1, task.name, row.function, reason);
}

// The run of `run`, which was cut, without the limit.
void go_on(ScenarioWorld& world, bool named, TracedRun& run) {
  const Schedule schedule =
      without_retry_limit(world.world(), world.run_options(), run.result.schedule);
  world.limit_retries(0);
  const auto replay = make_replay(schedule);
  run = run_traced(world, *replay, 0, named);
}

}  // namespace

void ScheduleFlags::add_to(CLI::App& verb) {
  verb.add_option("--strategy", strategy,
                  "`table`: the scenario's (the default), or one of `interleaf list strategies`");
  verb.add_option("--table", table, "which of the scenario's tables; the first one");
  verb.add_option("-s,--seed", seed, "decimal or 0x hexadecimal");
}

std::string ScheduleFlags::text() const {
  return fmt::format(" --strategy {}{} --seed {:#x}", strategy,
                     table.empty() ? "" : " --table " + shell_quoted(table), parse_seed(seed));
}

OneRun run_one(const std::shared_ptr<const Configuration>& configuration,
               const ScheduleFlags& flags, bool named) {
  const Scenario& scenario = configuration->scenario;
  ScenarioWorld world(0, configuration);
  world.limit_retries(flags.retries_max);
  std::unique_ptr<Strategy> strategy;
  TableStrategy* table = nullptr;
  // Without a table to follow, the default is to run without preemptions.
  const bool follow =
      flags.strategy == "table" && (!scenario.tables.empty() || !flags.table.empty());
  if (follow) {
    auto made = make_table(world.rows_of(table_named(scenario, flags.table)));
    table = made.get();
    strategy = std::move(made);
  } else {
    strategy = make_strategy(world, flags.strategy == "table" ? "keep-running" : flags.strategy);
  }
  OneRun one;
  one.seed = parse_seed(flags.seed);
  one.run = run_traced(world, *strategy, one.seed, named);
  one.cuts.add(world.world());
  if (table != nullptr) {
    one.table_rows = table->rows().size();
    one.table_rows_satisfied = table->satisfied();
    if (one.table_rows_satisfied < one.table_rows) {
      one.unsatisfied = in_the_way(*table, world.world().scheduler());
    }
  }
  if (one.cuts.orders != 0 && !one.run.result.clean()) go_on(world, named, one.run);
  return one;
}

}  // namespace interleaf
