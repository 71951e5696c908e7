// SPDX-License-Identifier: GPL-2.0-only
// interleaf fuzz: many schedules by seed.
#include "engine/fuzz.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <thread>

#include "engine/commands/command.h"
#include "engine/expectation.h"
#include "engine/report.h"

namespace interleaf {
namespace {

struct Flags {
  ScenarioFlags scenario;
  VerdictFlags verdict;
  FuzzOptions options;
  std::string seeds = "0..9999";
  std::string output;
  std::string time;
  unsigned jobs = 0;
  bool force = false;
  bool as_found = false;
};

void show_progress(const FuzzProgress& now) {
  fmt::print(stderr, "\r{} of {} runs, {:.0f} runs/s, {} findings, {} signatures ", now.runs,
             now.runs_wanted, static_cast<double>(now.runs) / std::max(now.seconds, 1e-9),
             now.findings, now.signatures);
  std::fflush(stderr);
}

void print_finding(const Configuration& configuration, const FuzzFinding& finding) {
  fmt::print("\nseed {:#x}: {} on {} ({})\n\n{}\n{}", finding.seed, configuration.scenario.name,
             configuration.kernel_text(), configuration.persona->name,
             cpu_table(configuration, finding.run, {}), consequence(finding.run));
  fmt::print(" {} preemptions as found, {} as shown.\n", finding.preemptions_found,
             finding.run.result.preemptions);
}

// What clean runs say, and no more: EXPLORATION's rule of three.
std::string clean_statement(const FuzzReport& report, const FuzzOptions& options) {
  if (report.exhausted) {
    return fmt::format("nothing found in all {} schedules: complete", report.runs);
  }
  if (campaign_runs(options.strategy) > 1) {
    return fmt::format(
        "nothing found in {} runs; they depend on each other, so nothing follows for other "
        "schedules",
        report.runs);
  }
  const double bound = 1 - std::pow(0.05, 1.0 / static_cast<double>(report.runs));
  return fmt::format(
      "nothing found in {} runs: what happens in {:.2g} of such schedules or more would have been\n"
      "seen with 95 % confidence; rarer findings may exist",
      report.runs, bound);
}

int fuzz_main(Flags flags) {
  const auto configuration = flags.scenario.configure();
  FuzzOptions& options = flags.options;
  parse_seeds(flags.seeds, options.seed_first, options.seed_last);
  options.seconds_max = parse_time(flags.time);
  options.jobs = flags.jobs != 0 ? flags.jobs : std::max(1u, std::thread::hardware_concurrency());
  options.minimize = !flags.as_found;
  for (const std::string& known : known_signatures(*configuration)) options.ignore.push_back(known);
  if (!flags.output.empty()) std::filesystem::create_directories(flags.output);

  const bool terminal = isatty(STDERR_FILENO) != 0;
  FuzzReport report = fuzz(configuration, options, terminal ? show_progress : nullptr);
  if (terminal) fmt::print(stderr, "\r\033[K");

  const double rate = static_cast<double>(report.runs) / std::max(report.seconds, 1e-9);
  const std::string verdict =
      report.findings.empty() ? "clean" : verdict_of(report.findings.front().run.result);
  int code = flags.verdict.exit_code(verdict);
  if (report.findings.empty() && (!report.window_reached || report.out_of_time)) {
    code = kExitCannotJudge;
  }
  if (!report.nondeterminism.empty()) code = kExitToolFailed;

  // Whatever goes wrong with the files, what was found is printed first.
  std::vector<std::string> paths;
  for (const FuzzFinding& finding : report.findings) {
    if (!flags.output.empty()) paths.push_back(recording_path(flags.output, finding.recording));
  }
  if (flags.verdict.json) {
    Json json = report.findings.empty() ? Json{{"verdict", "clean"}, {"signature", ""}}
                                        : run_json(report.findings.front().run.result);
    json["runs"] = report.runs;
    json["runs_per_second"] = std::round(rate);
    json["findings"] = Json::array();
    for (std::size_t i = 0; i < report.findings.size(); ++i) {
      const FuzzFinding& finding = report.findings[i];
      Json object = run_json(finding.run.result);
      object.erase("findings");
      object["seed"] = finding.seed;
      object["count"] = finding.count;
      object["recording"] = i < paths.size() ? paths[i] : "";
      json["findings"].push_back(object);
    }
    json["known"] = report.ignored;
    json["window_reached"] = report.window_reached;
    json["window_missed"] = report.window_missed;
    json["nondeterminism"] = report.nondeterminism;
    json["complete"] = report.exhausted;
    json["bound"] = nullptr;
    print_json(json);
  } else {
    for (const FuzzFinding& finding : report.findings) print_finding(*configuration, finding);
    fmt::print("\n{}: {} runs, {:.0f} runs/s, {} jobs, strategy {}\n", configuration->kernel_text(),
               report.runs, rate, options.jobs, options.strategy);
    for (const FuzzFinding& finding : report.findings) {
      fmt::print("{}: {} of {} runs, first by seed {:#x}\n{}", verdict_of(finding.run.result),
                 finding.count, report.runs, finding.seed,
                 wrapped_signature(signature_of(finding.run.result)));
    }
    for (const auto& [signature, count] : report.ignored) {
      fmt::print("known, does not count: {} of {} runs\n{}", count, report.runs,
                 wrapped_signature(signature));
    }
    if (report.findings.empty()) fmt::print("{}\n", clean_statement(report, options));
    if (!report.window_reached && report.findings.empty()) {
      std::string missed;
      for (const std::string& window : report.window_missed) missed += " " + window;
      fmt::print("cannot judge: no run reached the whole window;{}\n",
                 missed.empty() ? " its parts were reached in different runs"
                                : " never reached:" + missed);
    } else if (report.window_reached && !configuration->scenario.window.empty()) {
      fmt::print("window reached, first by seed {:#x}\n", report.window_seed);
    }
    if (report.out_of_time) fmt::print("stopped by --time before all seeds were run\n");
    if (!report.nondeterminism.empty())
      fmt::print("NOT DETERMINISTIC: {}\n", report.nondeterminism);
  }
  for (std::size_t i = 0; i < paths.size(); ++i) {
    save(paths[i], report.findings[i].recording,
         flags.force ? Overwrite::kForce : Overwrite::kRefuse);
  }
  if (paths.empty() && !report.findings.empty()) {
    fmt::print(stderr, "interleaf fuzz {} --strategy {} --seeds {}\n", flags.scenario.text(),
               options.strategy, seeds_of_run(options, report.findings.front().seed));
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
  verb->add_option("--strategy", flags->options.strategy, "see `interleaf list strategies`");
  verb->add_option("--seeds", flags->seeds, "A..B, both included; 0..9999");
  verb->add_option("--time", flags->time, "stop after this long (90s, 10m, 2h)");
  verb->add_option("-j,--jobs", flags->jobs, "worlds in parallel; all cores");
  verb->add_flag("--keep-going", flags->options.keep_going, "do not stop at the first finding");
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
