// SPDX-License-Identifier: GPL-2.0-only
// interleaf why: which order of two steps a recording's finding comes from.
#include "engine/why.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "engine/commands/command.h"

namespace interleaf {
namespace {

struct Flags {
  WhyOptions options;
  RecordingFlags recording;
  unsigned jobs = 0;  // 0: all cores
  bool json = false;
};

const char* outcome_name(Enforced outcome) {
  switch (outcome) {
    case Enforced::kCloses:
      return "closes";
    case Enforced::kLeaves:
      return "leaves";
    case Enforced::kDeadlocks:
      return "deadlocks";
    case Enforced::kUndecided:
      break;
  }
  return "undecided";
}

Json json_of(const AccessSite& site) {
  Json json;
  json["task"] = site.task_name;
  json["step"] = site.step;
  json["access"] = op_name(site.op);
  json["function"] = site.function;
  json["call"] = site.outermost;
  json["file"] = site.file;
  json["line"] = site.line;
  json["object"] = site.object;
  json["role"] = site.role;
  json["object_text"] = site.object_text;
  json["before"] = site.before;
  json["after"] = site.after;
  json["locks"] = site.locks;
  return json;
}

Json json_of(const WhyReport& report, const WhyLink& link) {
  const CauseGroup& group = link.group;
  Json json;
  json["pattern"] = group.atomicity ? "atomicity-violation" : "order-violation";
  json["kinds"] = group.kinds;
  json["first"] = json_of(group.first);
  json["foreign"] = json_of(group.foreign);
  json["last"] = json_of(group.last);
  json["reversals"] = Json::array();
  for (const std::size_t i : group.flips) {
    const Flip& flip = report.causes.flips[i];
    json["reversals"].push_back({{"earlier", json_of(flip.earlier)},
                                 {"later", json_of(flip.later)},
                                 {"instead", flip.instead.empty() ? "clean" : flip.instead}});
  }
  json["locks_in_common"] = link.common;
  json["accesses_sampled"] = link.elsewhere.accesses;
  json["locks_sampled"] = Json::object();
  for (const auto& [name, held] : link.elsewhere.locks) json["locks_sampled"][name] = held;
  json["enforced"] = nullptr;
  if (!link.tested) return json;
  const EnforceResult& result = link.enforced;
  json["enforced"] = {{"outcome", outcome_name(result.outcome)},
                      {"preemptions", result.preemptions},
                      {"found_by", result.found_by},
                      {"bound", result.bound},
                      {"orders", result.orders},
                      {"runs", result.runs},
                      {"given_up", result.given_up},
                      {"text", enforced_text(link)}};
  return json;
}

Json json_of(const WhyReport& report) {
  Json json = run_json(report.causes.run);
  json["waits_removed"] = report.waits;
  json["waits_needed"] = report.waits_needed;
  json["reduced"] = report.reduced;
  json["races"] = report.causes.flips.size();
  json["causes"] = report.causes.causes;
  json["infeasible"] = report.causes.infeasible;
  json["all_races"] = !report.causes.out_of_budget;
  json["sample_runs"] = report.sample_runs;
  json["chain"] = Json::array();
  for (const WhyLink& link : report.chain) json["chain"].push_back(json_of(report, link));
  return json;
}

int why_main(const Flags& flags) {
  WhyOptions options = flags.options;
  const unsigned jobs = flags.jobs != 0 ? flags.jobs : std::thread::hardware_concurrency();
  options.jobs = std::clamp(jobs, 1u, 64u);
  const WhyReport report = explain_recording(flags.recording.load(), options);
  if (flags.json) {
    print_json(json_of(report));
  } else {
    fmt::print("{}", why_text(report));
  }
  return report.chain.empty() ? kExitCannotJudge : kExitClean;
}

}  // namespace

Verb add_why(CLI::App& program) {
  auto flags = std::make_shared<Flags>();
  CLI::App* verb = program.add_subcommand("why", "which order of two steps a finding comes from");
  flags->recording.add_to(*verb);
  verb->add_flag("--keep-waits", flags->options.keep_waits,
                 "leave the scenario's wait() calls where they are");
  verb->add_option("--tests", flags->options.tests,
                   "enforce the order of this many causes and search again; 3");
  verb->add_option("--runs", flags->options.search_runs, "of each such search, at most; 20000")
      ->check(CLI::PositiveNumber);
  verb->add_option("-j,--jobs", flags->jobs, "such searches in parallel; all cores");
  verb->add_option("--sample", flags->options.sample_runs,
                   "runs in which to see what locks are held elsewhere; 200; 0: none");
  add_json_flag(*verb, flags->json);
  verb->footer(
      "Exit status: 0 causes were found, 125 none was or the recording does not replay,\n"
      "129 usage or bad input. What a cause is, and what it is not: docs/MODEL.md.");
  return {verb, [flags] { return why_main(*flags); }};
}

}  // namespace interleaf
