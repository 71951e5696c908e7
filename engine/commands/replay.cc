// SPDX-License-Identifier: GPL-2.0-only
// interleaf replay: a recording again, and whether it came out the same.
#include "engine/replay.h"

#include <fmt/format.h>

#include "engine/commands/command.h"
#include "engine/report.h"

namespace interleaf {
namespace {

struct Flags {
  VerdictFlags verdict;
  DetectorFlags detectors;
  RecordingFlags recording;
  std::uint64_t until = 0;
  bool trace = false;
  bool loose = false;
};

// The trace up to and including step `until` (0: all).
Trace cut(Trace trace, std::uint64_t until) {
  if (until == 0) return trace;
  std::erase_if(trace.events, [&](const TraceEvent& event) { return event.step > until; });
  return trace;
}

int replay_main(const Flags& flags) {
  const Recording recording = flags.recording.load();
  Detectors detectors = detectors_of(recording);
  flags.detectors.apply(detectors);
  const ReplayResult result =
      replay(recording, flags.loose, detectors, flags.trace || flags.until != 0);
  const std::string verdict = verdict_of(result.run.result);
  int code = flags.verdict.exit_code(verdict);
  if (!result.exact && !result.same_verdict) code = kExitCannotJudge;
  if (flags.verdict.json) {
    Json json = run_json(result.run.result);
    json["recorded_digest"] = digest_text(recording.final_digest);
    json["recorded_verdict"] = recording.verdict;
    json["exact"] = result.exact;
    json["same_verdict"] = result.same_verdict;
    json["minimality"] = minimality_text(recording);
    json["divergence"] = result.divergence;
    json["missed"] = result.missed;
    print_json(json);
    return code;
  }
  if (flags.trace || flags.until != 0) {
    fmt::print("{}\n", trace_text(cut(result.run.trace, flags.until)));
  }
  if (flags.until == 0) {
    TableOptions options;
    options.full = !recording.minimality;
    fmt::print("{} on {} ({})\n\n{}\n{}{}", recording.scenario_name,
               result.configuration->kernel_text(), recording.persona,
               cpu_table(*result.configuration, result.run, options), consequence(result.run),
               minimality_line(recording));
  }
  if (result.exact) {
    fmt::print("\nexact: {} steps, digest {}\n", result.run.result.steps,
               digest_text(result.run.result.digest));
    return code;
  }
  if (!flags.loose) {
    fmt::print("\nnot exact, the engine has changed since {}:\n  {}\n", recording.tool_version,
               result.divergence);
  }
  fmt::print("by landmarks: {} of {} switches\n", recording.switches.size() - result.missed.size(),
             recording.switches.size());
  for (const std::string& missed : result.missed) fmt::print("  not reached: {}\n", missed);
  fmt::print("same verdict: {}\n", result.same_verdict ? "yes" : "no");
  return code;
}

}  // namespace

Verb add_replay(CLI::App& program) {
  auto flags = std::make_shared<Flags>();
  CLI::App* verb = program.add_subcommand("replay", "run a recording again");
  flags->verdict.add_to(*verb);
  flags->detectors.add_to(*verb);
  flags->recording.add_to(*verb);
  verb->add_option("--until", flags->until, "the steps up to this one, one a line");
  verb->add_flag("--trace", flags->trace, "every step as a line");
  verb->add_flag("--loose", flags->loose, "by the landmarks of its switches from the start");
  return {verb, [flags] { return replay_main(*flags); }};
}

}  // namespace interleaf
