// SPDX-License-Identifier: GPL-2.0-only
// interleaf explore: every order of a scenario with at most so many preemptions.
#include "engine/explore.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "engine/commands/command.h"
#include "engine/commands/explore_text.h"
#include "engine/commands/interrupt.h"
#include "engine/commands/search_flags.h"
#include "engine/expectation.h"
#include "engine/user_error.h"

namespace interleaf {
namespace {

struct Flags {
  ScenarioFlags scenario;
  VerdictFlags verdict;
  CrashFlags crash;
  SearchFlags search;
  ExploreOptions options;
  std::string output;
  std::string resume_every;
  bool estimate = false;
  bool no_snapshots = false;
  bool force = false;
};

void show_progress_unbounded(const BoundedProgress& now) {
  fmt::print(stderr, "\r{} runs, {:.0f} runs/s ", now.runs,
             static_cast<double>(now.runs) / std::max(now.seconds, 1e-9));
  std::fflush(stderr);
}

void show_progress(const BoundedProgress& now) {
  fmt::print(stderr, "\rlevel {}{}, {} runs, {} prefixes, {:.0f} runs/s ", now.level,
             now.level_done > 0 ? fmt::format(" at {:.0f} %", 100 * now.level_done) : "", now.runs,
             now.prefixes, static_cast<double>(now.runs) / std::max(now.seconds, 1e-9));
  std::fflush(stderr);
}

void complete_options(Flags& flags, const Configuration& configuration) {
  ExploreOptions& options = flags.options;
  flags.search.apply(options);
  if (!flags.resume_every.empty()) options.resume_seconds = parse_time(flags.resume_every);
  options.snapshots = !flags.no_snapshots;
  options.crash = flags.crash.crash;
  options.crash_budget = flags.crash.budget;
  for (const std::string& known : known_signatures(configuration)) options.ignore.push_back(known);
}

int exit_code(const Flags& flags, const ExploreReport& report) {
  const bool clean = report.findings.empty();
  const int code =
      flags.verdict.exit_code(clean ? "clean" : verdict_of(report.findings.front().run.result));
  if (!report.search.hidden_dependence.empty()) return kExitToolFailed;
  if (report.crash && !report.crash->hidden_dependence.empty()) return kExitToolFailed;
  if (clean && report.crash && !report.crash->complete) return kExitCannotJudge;
  if (clean && (!report.search.complete || !report.window_reached)) return kExitCannotJudge;
  return code;
}

// Times and how to go on: to stderr, since they differ from run to run.
void print_notes(const Flags& flags, const ExploreReport& report) {
  const BoundedResult& search = report.search;
  const std::uint64_t runs = search.runs + search.pruned;
  double seconds = 0;
  for (const BoundedLevel& level : search.levels) seconds += level.seconds;
  const std::string redundant =
      flags.options.unbounded ? fmt::format(" ({} redundant)", grouped(search.pruned)) : "";
  fmt::print(stderr, "{} runs{} in {:.1f} s, {:.0f} runs/s, {} job{}\n", grouped(runs), redundant,
             seconds, static_cast<double>(runs) / std::max(seconds, 1e-9), flags.options.jobs,
             flags.options.jobs == 1 ? "" : "s");
  if (search.out_of_budget && !flags.options.resume.empty()) {
    fmt::print(stderr, "the same command goes on from {}\n", flags.options.resume);
  }
}

int print_estimate(const Flags& flags, const Configuration& configuration,
                   const ExploreEstimate& estimate) {
  if (flags.verdict.json) {
    print_json(estimate_json(flags.options, estimate));
  } else {
    fmt::print("{} on {}\n{}", configuration.scenario.name, configuration.kernel_text(),
               estimate_text(flags.options, estimate));
  }
  return kExitClean;
}

int explore_main(Flags flags) {
  const auto configuration = flags.scenario.configure();
  complete_options(flags, *configuration);
  ExploreOptions& options = flags.options;
  if (flags.estimate) {
    return print_estimate(flags, *configuration, estimate(configuration, options.preemptions_max));
  }
  if (!flags.output.empty()) std::filesystem::create_directories(flags.output);

  const bool terminal = isatty(STDERR_FILENO) != 0;
  if (terminal) options.progress = options.unbounded ? show_progress_unbounded : show_progress;
  ExploreReport report;
  {
    const Interrupt interrupt;
    options.interrupted = interrupt.flag();
    report = explore(configuration, options);
  }
  if (terminal) fmt::print(stderr, "\r\033[K");
  const int code = exit_code(flags, report);

  // Whatever goes wrong with the files, what was found is printed first.
  std::vector<std::string> paths;
  for (const ExploreFinding& finding : report.findings) {
    if (!flags.output.empty()) paths.push_back(recording_path(flags.output, finding.recording));
  }
  if (flags.verdict.json) {
    print_json(explore_json(options, report, paths));
  } else {
    fmt::print("{}", explore_text(*configuration, options, report));
  }
  std::fflush(stdout);
  print_notes(flags, report);
  for (std::size_t i = 0; i < paths.size(); ++i) {
    save(paths[i], report.findings[i].recording,
         flags.force ? Overwrite::kForce : Overwrite::kRefuse);
  }
  if (paths.empty() && !report.findings.empty()) {
    fmt::print(stderr, "interleaf explore {} {}{}\n", flags.scenario.text(),
               options.unbounded
                   ? "--unbounded"
                   : fmt::format("--preemptions {}", report.search.findings.front().preemptions),
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
  CLI::Option* crash = flags->crash.add_to(*verb);
  CLI::Option* bound =
      verb->add_option("--preemptions", flags->options.preemptions_max, "at most so many; 1");
  CLI::Option* unbounded = verb->add_flag("--unbounded", flags->options.unbounded,
                                          "all orders: dynamic partial-order reduction");
  unbounded->excludes(bound)->excludes(crash);
  flags->search.add_to(*verb)->excludes(unbounded);
  verb->add_option("--resume", flags->options.resume,
                   "keep the state of the search in this file, and go on from it if it exists");
  verb->add_option("--resume-every", flags->resume_every, "how often it is written; 30s");
  verb->add_flag("--estimate", flags->estimate,
                 "only say how many interleavings there are, by random walks");
  verb->add_flag("--keep-going", flags->options.keep_going, "do not stop at the first finding");
  verb->add_flag("--no-snapshots", flags->no_snapshots, "run every prefix again");
  verb->add_flag("--verify-cache", flags->options.verify_cache,
                 "look for state that tasks share without a scheduling point")
      ->excludes(unbounded);
  verb->add_option("--ignore", flags->options.ignore,
                   "signatures that begin so are counted but are no findings")
      ->allow_extra_args(false);
  verb->add_option("-o", flags->output, "directory for one recording per distinct signature");
  verb->add_flag("--force", flags->force, "overwrite recordings");
  return {verb, [flags] { return explore_main(*flags); }};
}

}  // namespace interleaf
