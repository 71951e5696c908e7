// SPDX-License-Identifier: GPL-2.0-only
// interleaf fuzz: many schedules by seed.
#include "engine/fuzz.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <thread>

#include "engine/commands/command.h"
#include "engine/commands/fuzz_report.h"
#include "engine/commands/search_flags.h"
#include "engine/expectation.h"
#include "engine/report.h"
#include "engine/user_error.h"

namespace interleaf {
namespace {

struct Flags {
  ScenarioFlags scenario;
  VerdictFlags verdict;
  FuzzOptions options;
  std::string seeds;
  std::string output;
  std::string time;
  RetriesFlag retries;
  unsigned jobs = 0;  // 0: all cores
  bool no_statistics = false;
  bool force = false;
  bool as_found = false;
};

void show_progress(const FuzzProgress& now) {
  const std::string wanted = now.runs_wanted == 0 ? "" : fmt::format(" of {}", now.runs_wanted);
  fmt::print(stderr, "\r{}{} runs, {:.0f} runs/s, {} findings, {} signatures ", now.runs, wanted,
             static_cast<double>(now.runs) / std::max(now.seconds, 1e-9), now.findings,
             now.signatures);
  std::fflush(stderr);
}

void print_finding(const Configuration& configuration, const FuzzFinding& finding) {
  fmt::print("\nseed {:#x}: {} on {} ({})\n\n{}\n{}", finding.seed, configuration.scenario.name,
             configuration.kernel_text(), configuration.persona->name,
             cpu_table(configuration, finding.run, {}), consequence(finding.run));
  fmt::print(" {} preemptions as found, {} as shown.\n", finding.preemptions_found,
             finding.run.result.preemptions);
}

// The seeds to run; by the clock alone, all from 0 on.
void set_limits(const Flags& flags, FuzzOptions& options) {
  options.seconds_max = parse_time(flags.time);
  if (!flags.time.empty() && options.seconds_max == 0) {
    throw UserError("--time " + flags.time + " leaves no time", "", "such as 90s, 10m or 2h");
  }
  const std::string open = flags.time.empty() ? "0..9999" : "0..";
  parse_seeds(flags.seeds.empty() ? open : flags.seeds, options.seed_first, options.seed_last);
  if (options.seed_last == kSeedsOpen && flags.time.empty()) {
    throw UserError("--seeds " + flags.seeds + " has no end", "", "add one, or --time");
  }
}

int fuzz_main(Flags flags) {
  const auto configuration = flags.scenario.configure();
  FuzzOptions& options = flags.options;
  set_limits(flags, options);
  options.jobs = flags.jobs != 0 ? flags.jobs : std::max(1u, std::thread::hardware_concurrency());
  options.retries_max = flags.retries.value;
  options.minimize = !flags.as_found;
  options.statistics = !flags.no_statistics;
  for (const std::string& known : known_signatures(*configuration)) options.ignore.push_back(known);
  if (!flags.output.empty()) std::filesystem::create_directories(flags.output);

  const bool terminal = isatty(STDERR_FILENO) != 0;
  FuzzReport report = fuzz(configuration, options, terminal ? show_progress : nullptr);
  if (terminal) fmt::print(stderr, "\r\033[K");

  const double rate = static_cast<double>(report.runs) / std::max(report.seconds, 1e-9);
  const std::string verdict =
      report.findings.empty() ? "clean" : verdict_of(report.findings.front().run.result);
  int code = flags.verdict.exit_code(verdict);
  // Who gave no last seed wanted no more than the time.
  const bool cut = report.out_of_time && options.seed_last != kSeedsOpen;
  // Nothing is known of how a run that was cut goes on.
  const bool unjudged = report.retry_cuts.orders != 0 && report.retry_cuts.orders == report.runs;
  if (report.findings.empty() && (!report.window_reached || cut || unjudged)) {
    code = kExitCannotJudge;
  }
  if (!report.nondeterminism.empty()) code = kExitToolFailed;

  // Whatever goes wrong with the files, what was found is printed first.
  std::vector<std::string> paths;
  for (const FuzzFinding& finding : report.findings) {
    if (!flags.output.empty()) paths.push_back(recording_path(flags.output, finding.recording));
  }
  if (flags.verdict.json) {
    Json json = fuzz_json(options, report, paths);
    json["runs_per_second"] = std::round(rate);
    print_json(json);
  } else {
    for (const FuzzFinding& finding : report.findings) print_finding(*configuration, finding);
    fmt::print("\n{}", fuzz_summary(*configuration, options, report));
    // How fast it was is no part of the result.
    std::fflush(stdout);
    fmt::print(stderr, "{:.0f} runs/s, {} jobs\n", rate, options.jobs);
  }
  for (std::size_t i = 0; i < paths.size(); ++i) {
    save(paths[i], report.findings[i].recording,
         flags.force ? Overwrite::kForce : Overwrite::kRefuse);
  }
  if (paths.empty() && !report.findings.empty()) {
    fmt::print(stderr, "interleaf fuzz {} --strategy {}{} --seeds {}\n", flags.scenario.text(),
               options.strategy, flags.retries.text(),
               seeds_of_run(options, report.findings.front().seed));
  }
  for (const std::string& path : paths) print_replay_command(path);
  return code;
}

}  // namespace

Verb add_fuzz(CLI::App& program) {
  auto flags = std::make_shared<Flags>();
  CLI::App* verb = program.add_subcommand("fuzz", "many schedules of a scenario, by seed");
  flags->scenario.add_to(*verb);
  flags->verdict.add_to(*verb);
  verb->add_option("--strategy", flags->options.strategy,
                   "portfolio, or another one of `interleaf list strategies`");
  verb->add_option("--seeds", flags->seeds,
                   "A..B, both included; A..: until --time is up; 0..9999");
  verb->add_option("--time", flags->time,
                   "stop after this long (90s, 10m, 2h); without --seeds: from 0 on");
  verb->add_option("-j,--jobs", flags->jobs, "worlds in parallel, 1 to 64; all cores")
      ->check(CLI::Range(1, 64));
  flags->retries.add_to(*verb);
  verb->add_flag("--keep-going", flags->options.keep_going, "do not stop at the first finding");
  verb->add_flag("--no-statistics", flags->no_statistics,
                 "do not count orders and handoffs: faster by a third at most");
  verb->add_flag("--twice", flags->options.twice, "run every schedule twice and compare");
  verb->add_flag("--as-found", flags->as_found, "do not shrink schedules before they are stored");
  verb->add_option("--ignore", flags->options.ignore,
                   "signatures that begin so are counted but are no findings")
      ->allow_extra_args(false);
  verb->add_option("-o", flags->output, "directory for one recording per distinct signature");
  verb->add_flag("--force", flags->force, "overwrite recordings");
  return {verb, [flags] { return fuzz_main(*flags); }};
}

}  // namespace interleaf
