// SPDX-License-Identifier: GPL-2.0-only
// interleaf minimize: a recording with as little in it as the finding needs.
#include "engine/minimize.h"

#include <fmt/format.h>

#include "engine/commands/command.h"
#include "engine/commands/search_flags.h"
#include "engine/report.h"

namespace interleaf {
namespace {

struct Flags {
  MinimizeOptions options;
  RecordingFlags recording;
  OutputFlags output;
  std::string time;
  RetriesFlag retries;
  bool full = false;
  bool json = false;
};

// What is counted, and its name in JSON.
struct Count {
  const char* name;
  const char* field;
  std::uint64_t before;
  std::uint64_t after;
};

std::vector<Count> counts(const MinimizeReport& report) {
  const RecordingCounts& a = report.before;
  const RecordingCounts& b = report.after;
  return {
      {"tasks", "tasks", a.workload.tasks, b.workload.tasks},
      {"calls", "calls", a.workload.calls, b.workload.calls},
      {"daemons", "daemons", a.workload.daemons, b.workload.daemons},
      {"faults", "faults", a.workload.faults, b.workload.faults},
      {"bytes in calls", "bytes", a.workload.bytes, b.workload.bytes},
      {"data choices", "data_choices", a.data_choices, b.data_choices},
      {"preemptions", "preemptions", a.preemptions, b.preemptions},
      {"switches", "switches", a.switches, b.switches},
      {"steps", "steps", a.steps, b.steps},
  };
}

void print_report(const MinimizeReport& report, std::uint32_t retries_max, bool full) {
  const Configuration& configuration = *report.configuration;
  fmt::print("{} on {} ({})\n", configuration.scenario.name, configuration.kernel_text(),
             configuration.persona->name);
  for (const Count& count : counts(report)) {
    const bool preemptions = std::string_view(count.name) == "preemptions";
    if (count.before == count.after && !preemptions) continue;
    fmt::print(" {} {} -> {}{}\n", count.name, count.before, count.after,
               preemptions ? " (" + minimality_text(report.recording) + ")" : "");
  }
  fmt::print("{}", retry_cuts_text(report.retry_cuts, retries_max, "order"));
  fmt::print("\n{}\n{}", cpu_table(configuration, report.run, {.full = full}),
             consequence(report.run));
}

Json json_of(const MinimizeReport& report, std::uint32_t retries_max, const std::string& path) {
  Json json = run_json(report.run.result);
  for (const Count& count : counts(report)) {
    json["reduced"][count.field] = {count.before, count.after};
  }
  const Recording::Minimality& known = *report.recording.minimality;
  json["minimum"] = report.recording.preemptions == known.preemptions;
  json["clean_up_to"] = static_cast<std::int64_t>(known.preemptions) - 1;
  json["orders"] = known.orders;
  json["other_findings"] = known.other_findings;
  json["one_minimal"] = known.one_minimal;
  json["remark"] = known.text;
  json["retries"] = retries_max;
  json["cut_by_retries"] = {{"orders", report.retry_cuts.orders},
                            {"functions", report.retry_cuts.functions}};
  json["canonical"] = report.canonical;
  json["candidates"] = report.candidates;
  json["runs"] = report.runs;
  json["recording"] = path;
  return json;
}

int minimize_main(Flags flags) {
  flags.options.search_seconds = parse_time(flags.time);
  flags.options.search_retries = flags.retries.value;
  flags.output.check();
  const MinimizeReport report = minimize_recording(flags.recording.load(), flags.options);
  if (flags.json) {
    print_json(json_of(report, flags.retries.value, flags.output.path));
  } else {
    print_report(report, flags.retries.value, flags.full);
  }
  flags.output.save(report.recording);
  if (!flags.output.path.empty()) print_replay_command(flags.output.path);
  return kExitClean;
}

}  // namespace

Verb add_minimize(CLI::App& program) {
  auto flags = std::make_shared<Flags>();
  CLI::App* verb =
      program.add_subcommand("minimize", "a recording without what its finding needs not");
  verb->alias("minimise");
  flags->recording.add_to(*verb);
  flags->output.add_to(*verb, "file for the small recording");
  verb->add_flag("--keep-workload", flags->options.keep_workload,
                 "take nothing away from the scenario, only from the schedule");
  verb->add_option("--runs", flags->options.search_runs,
                   "of the search for fewer preemptions, at most; 20000; 0: no search");
  flags->retries.add_to(*verb);
  verb->add_option("--time", flags->time,
                   "stop that search after this long (90s, 10m, 2h); results may then vary");
  verb->add_flag("--full", flags->full, "print the whole table, not only what the finding needs");
  add_json_flag(*verb, flags->json);
  return {verb, [flags] { return minimize_main(*flags); }};
}

}  // namespace interleaf
