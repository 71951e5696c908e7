// SPDX-License-Identifier: GPL-2.0-only
// interleaf explore: every order of a scenario with at most so many preemptions.
#include "engine/explore.h"

#include <fmt/format.h>

#include <cmath>
#include <filesystem>

#include "engine/commands/command.h"
#include "engine/expectation.h"
#include "engine/report.h"

namespace interleaf {
namespace {

struct Flags {
  ScenarioFlags scenario;
  VerdictFlags verdict;
  CrashFlags crash;
  ExploreOptions options;
  std::string output;
  std::string time;
  bool no_snapshots = false;
  bool force = false;
};

// 1,284
std::string grouped(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, ",");
  return text;
}

std::string preemptions_text(std::uint64_t count) {
  return fmt::format("{} preemption{}", count, count == 1 ? "" : "s");
}

// What the search says, and no more: for which program it holds, and whether all of it was seen.
std::string scope_statement(const Configuration& configuration, const ExploreOptions& options,
                            const ExploreReport& report) {
  const BoundedResult& search = report.search;
  const char* cuts = options.crash && report.crash->complete ? " and any power cut" : "";
  const std::string scope =
      fmt::format("{} orders, {} tasks, {}, hpage_pages={}", grouped(search.classes),
                  configuration.scenario.tasks.size(), configuration.kernel_text(),
                  configuration.geometry.hpage_pages);
  if (!report.findings.empty()) {
    // Of a power cut, the order's, not those of the run that shows it.
    const std::uint64_t fewest = search.findings.empty()
                                     ? report.findings.front().run.result.preemptions
                                     : search.findings.front().preemptions;
    const bool proven = fewest > 0 && search.complete_up_to + 1 >= static_cast<int>(fewest);
    return fmt::format("found with {}{}: {}", preemptions_text(fewest),
                       proven ? ", and nothing with fewer" : "", scope);
  }
  if (search.complete && search.exhausted)
    return fmt::format("no finding in any order{}: {}: complete", cuts, scope);
  if (search.complete) {
    return fmt::format("no finding with at most {}{}: {}: complete",
                       preemptions_text(options.preemptions_max), cuts, scope);
  }
  const std::string why = search.out_of_budget ? fmt::format(", out of {}", search.budget) : "";
  return fmt::format("stopped after {:.0f} s at level {}{}: not complete; no finding in {}",
                     report.seconds, search.levels.size() - 1, why, scope);
}

Json json_of(const ExploreReport& report, const ExploreOptions& options,
             const std::vector<std::string>& paths) {
  const BoundedResult& search = report.search;
  Json json = report.findings.empty() ? Json{{"verdict", "clean"}, {"signature", ""}}
                                      : run_json(report.findings.front().run.result);
  json["runs"] = search.runs + search.pruned;
  json["runs_per_second"] =
      std::round(static_cast<double>(search.runs + search.pruned) / std::max(report.seconds, 1e-9));
  json["orders"] = search.classes;
  json["levels"] = Json::array();
  for (const BoundedLevel& level : search.levels) {
    json["levels"].push_back(
        {{"orders", level.classes}, {"runs", level.runs}, {"pruned", level.pruned}});
  }
  json["findings"] = Json::array();
  for (std::size_t i = 0; i < report.findings.size(); ++i) {
    Json object = run_json(report.findings[i].run.result);
    object.erase("findings");
    object["count"] = report.findings[i].count;
    object["recording"] = i < paths.size() ? paths[i] : "";
    json["findings"].push_back(object);
  }
  json["known"] = report.ignored;
  json["window_reached"] = report.window_reached;
  json["window_missed"] = report.window_missed;
  json["hidden_dependence"] = search.hidden_dependence;
  if (report.crash) json["crash"] = crash_json(*report.crash, options.crash_budget);
  json["complete"] = search.complete;
  json["complete_up_to"] = search.complete_up_to;
  json["bound"] = options.preemptions_max;
  return json;
}

void print_report(const Configuration& configuration, const ExploreOptions& options,
                  const ExploreReport& report) {
  for (const ExploreFinding& finding : report.findings) {
    fmt::print("\n{} on {} ({})\n\n{}\n{}", configuration.scenario.name,
               configuration.kernel_text(), configuration.persona->name,
               cpu_table(configuration, finding.run, {}), consequence(finding.run));
  }
  fmt::print("\n");
  for (std::size_t i = 0; i < report.search.levels.size(); ++i) {
    const BoundedLevel& level = report.search.levels[i];
    const std::uint64_t runs = level.runs + level.pruned;
    fmt::print("{}: {} orders more, {} runs, {:.1f} s, {:.0f} runs/s\n", preemptions_text(i),
               grouped(level.classes), grouped(runs), level.seconds,
               static_cast<double>(runs) / std::max(level.seconds, 1e-9));
  }
  for (const ExploreFinding& finding : report.findings) {
    fmt::print("{}: {} runs\n{}", verdict_of(finding.run.result), finding.count,
               wrapped_signature(signature_of(finding.run.result)));
  }
  for (const auto& [signature, count] : report.ignored) {
    fmt::print("known, does not count: {} runs\n{}", count, wrapped_signature(signature));
  }
  if (report.crash) {
    fmt::print("{}", crash_text(*report.crash, options.crash_budget, configuration));
  }
  fmt::print("{}\n", scope_statement(configuration, options, report));
  if (!report.window_reached) {
    std::string missed;
    for (const std::string& window : report.window_missed) missed += " " + window;
    fmt::print(
        "cannot judge: the window was not reached;{}\n",
        missed.empty() ? " its parts were reached in different runs" : " never reached:" + missed);
  }
  if (!report.search.hidden_dependence.empty()) fmt::print("{}\n", report.search.hidden_dependence);
}

int explore_main(Flags flags) {
  const auto configuration = flags.scenario.configure();
  ExploreOptions& options = flags.options;
  options.seconds_max = parse_time(flags.time);
  options.crash = flags.crash.crash;
  options.crash_budget = flags.crash.budget;
  options.snapshots = !flags.no_snapshots;
  for (const std::string& known : known_signatures(*configuration)) options.ignore.push_back(known);
  if (!flags.output.empty()) std::filesystem::create_directories(flags.output);

  const ExploreReport report = explore(configuration, options);
  const bool clean = report.findings.empty();
  int code =
      flags.verdict.exit_code(clean ? "clean" : verdict_of(report.findings.front().run.result));
  if (clean && (!report.search.complete || !report.window_reached)) code = kExitCannotJudge;
  if (clean && report.crash && !report.crash->complete) code = kExitCannotJudge;
  if (!report.search.hidden_dependence.empty()) code = kExitToolFailed;
  if (report.crash && !report.crash->hidden_dependence.empty()) code = kExitToolFailed;

  std::vector<std::string> paths;
  for (const ExploreFinding& finding : report.findings) {
    if (!flags.output.empty()) paths.push_back(recording_path(flags.output, finding.recording));
  }
  if (flags.verdict.json) {
    print_json(json_of(report, options, paths));
  } else {
    print_report(*configuration, options, report);
  }
  for (std::size_t i = 0; i < paths.size(); ++i) {
    save(paths[i], report.findings[i].recording,
         flags.force ? Overwrite::kForce : Overwrite::kRefuse);
  }
  if (paths.empty() && !clean) {
    fmt::print(
        stderr, "interleaf explore {} --preemptions {}{}\n", flags.scenario.text(),
        options.crash ? options.preemptions_max : report.findings.front().run.result.preemptions,
        options.crash ? " --crash" : "");
  }
  for (const std::string& path : paths) print_replay_command(path);
  return code;
}

}  // namespace

Verb add_explore(CLI::App& program) {
  auto flags = std::make_shared<Flags>();
  CLI::App* verb = program.add_subcommand("explore", "all orders with few preemptions");
  flags->scenario.add_to(*verb);
  flags->verdict.add_to(*verb);
  flags->crash.add_to(*verb);
  verb->add_option("--preemptions", flags->options.preemptions_max, "at most so many; 1");
  verb->add_option("--time", flags->time, "stop after this long (90s, 10m, 2h)");
  verb->add_flag("--keep-going", flags->options.keep_going, "do not stop at the first finding");
  verb->add_flag("--no-snapshots", flags->no_snapshots, "run every prefix again");
  verb->add_flag("--verify-cache", flags->options.verify_cache,
                 "look for state that tasks share without a scheduling point");
  verb->add_option("--ignore", flags->options.ignore,
                   "signatures that begin so are counted but are no findings")
      ->allow_extra_args(false);
  verb->add_option("-o", flags->output, "directory for one recording per distinct signature");
  verb->add_flag("--force", flags->force, "overwrite recordings");
  return {verb, [flags] { return explore_main(*flags); }};
}

}  // namespace interleaf
