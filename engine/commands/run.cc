// SPDX-License-Identifier: GPL-2.0-only
// interleaf run: one schedule of a scenario, its table on stdout.
#include <fmt/format.h>

#include <optional>

#include "engine/commands/command.h"
#include "engine/commands/fsx.h"
#include "engine/commands/one_run.h"
#include "engine/commands/search_flags.h"
#include "engine/report.h"
#include "engine/user_error.h"

namespace interleaf {
namespace {

struct Flags {
  ScenarioFlags scenario;
  VerdictFlags verdict;
  CrashFlags crash;
  ScheduleFlags schedule;
  RetriesFlag retries;
  FsxFlags fsx;
  OutputFlags output;
  bool trace = false;
  bool steps = false;
};

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
  if (!flags.fsx.ops.empty()) {
    return run_fsx_command(flags.fsx, flags.scenario, flags.verdict, flags.schedule.seed,
                           flags.output);
  }
  if (flags.scenario.scenario.empty()) {
    throw UserError("no SCENARIO", "", "a name from `interleaf list`, a path, or --fsx OPS");
  }
  const auto configuration = flags.scenario.configure();
  const Scenario& scenario = configuration->scenario;
  ScheduleFlags schedule = flags.schedule;
  schedule.retries_max = flags.retries.value;
  OneRun one = run_one(configuration, schedule, flags.trace);
  TracedRun& run = one.run;
  // Nothing is known of how it goes on.
  const bool unjudged = one.cuts.orders != 0 && run.result.clean();
  CrashReport cuts;
  std::optional<CrashFinding> cut;
  const bool cut_the_power = flags.crash.crash && !unjudged;
  if (cut_the_power) cuts = cut_power(configuration, flags.crash.budget, run, cut);
  if (!run.result.clean()) cut.reset();
  if (cut) run = cut->run;
  const std::string verdict = verdict_of(run.result);
  int code = flags.verdict.exit_code(verdict);
  if (!cut && !cuts.complete && run.result.clean()) code = kExitCannotJudge;
  if (!cuts.hidden_dependence.empty()) code = kExitToolFailed;
  if (!one.unsatisfied.empty() || unjudged) code = kExitCannotJudge;
  Origin origin;
  origin.strategy = flags.schedule.strategy;
  origin.seed = one.seed;
  Recording recording = make_recording(*configuration, run, origin);
  if (cut) recording.cut = cut->cut;
  const bool stored = !flags.output.path.empty() && !unjudged;
  if (stored) flags.output.save(recording);
  if (flags.verdict.json) {
    Json json = run_json(run.result);
    json["table_rows"] = one.table_rows;
    json["table_rows_satisfied"] = one.table_rows_satisfied;
    json["retries"] = flags.retries.value;
    json["cut_by_retries"] = {{"runs", one.cuts.orders}, {"functions", one.cuts.functions}};
    if (cut_the_power) json["crash"] = crash_json(cuts, flags.crash.budget);
    json["recording"] = stored ? flags.output.path : "";
    print_json(json);
  } else {
    if (flags.trace) fmt::print("{}\n", trace_text(run.trace));
    TableOptions options;
    options.steps = flags.steps;
    fmt::print("{} on {} ({})\n\n{}\n{}", scenario.name, configuration->kernel_text(),
               configuration->persona->name, cpu_table(*configuration, run, options),
               consequence(run));
    if (!one.unsatisfied.empty()) fmt::print(" {}\n", one.unsatisfied);
    fmt::print("{}", retry_cuts_text(one.cuts, flags.retries.value, "run"));
    if (cut_the_power) {
      fmt::print("\n{}", crash_text(cuts, flags.crash.budget, *configuration));
    }
  }
  if (unjudged && !flags.output.path.empty()) {
    fmt::print(stderr, "no recording of a run that was cut: {} not written\n", flags.output.path);
  }
  if (verdict != "clean" && flags.output.path.empty()) {
    fmt::print(stderr, "interleaf run {}{}{}{}\n", flags.scenario.text(), flags.schedule.text(),
               flags.retries.text(), flags.crash.crash ? " --crash" : "");
  } else if (verdict != "clean") {
    print_replay_command(flags.output.path);
  }
  return code;
}

}  // namespace

Verb add_run(CLI::App& program) {
  auto flags = std::make_shared<Flags>();
  CLI::App* verb = program.add_subcommand("run", "one schedule of a scenario, as a CPU table");
  CLI::Option* scenario = flags->scenario.add_to(*verb)->required(false);
  flags->verdict.add_to(*verb);
  flags->crash.add_to(*verb);
  flags->schedule.add_to(*verb);
  flags->retries.add_to(*verb);
  flags->fsx.add_to(*verb);
  verb->get_option("--fsx")->excludes(scenario);
  flags->output.add_to(*verb, "store the run as a recording");
  verb->add_flag("--trace", flags->trace, "every step as a line");
  verb->add_flag("--steps", flags->steps, "step numbers in the table's margin");
  return {verb, [flags] { return run(*flags); }};
}

}  // namespace interleaf
