// SPDX-License-Identifier: GPL-2.0-only
#include "engine/commands/command.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>

#include "engine/nearest.h"
#include "engine/user_error.h"

namespace interleaf {
namespace {

// The value behind "key=" of --set.
std::pair<std::string, std::string> setting(const std::string& text) {
  const std::size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    throw UserError("--set " + text + " is not key=value", "", "for example --set hpage_pages=4");
  }
  return {text.substr(0, equals), text.substr(equals + 1)};
}

std::vector<std::string> verdict_names() {
  std::vector<std::string> names = {"clean", "found"};
  for (const FindingKind kind : finding_kinds()) names.emplace_back(finding_name(kind));
  return names;
}

}  // namespace

void DetectorFlags::add_to(CLI::App& verb) {
  verb.add_option("--detect", on, "also look for this, see `interleaf list detectors`: data-race")
      ->delimiter(',')
      ->allow_extra_args(false);
  verb.add_option("--no-detect", off, "do not look for this: lock-order, sleep-in-atomic, ...")
      ->delimiter(',')
      ->allow_extra_args(false);
}

void DetectorFlags::check() const {
  for (const std::string& name : on) {
    if (std::find(off.begin(), off.end(), name) == off.end()) continue;
    throw UserError("detector " + name + " is asked for by --detect and refused by --no-detect", "",
                    "give one of them");
  }
}

void DetectorFlags::apply(Detectors& detectors) const {
  check();
  switch_detectors(detectors, on, true);
  switch_detectors(detectors, off, false);
}

std::string DetectorFlags::text() const {
  std::string text;
  for (const std::string& name : on) text += " --detect " + shell_quoted(name);
  for (const std::string& name : off) text += " --no-detect " + shell_quoted(name);
  return text;
}

CLI::Option* ScenarioFlags::add_to(CLI::App& verb) {
  CLI::Option* option = verb.add_option("SCENARIO", scenario,
                                        "a name from `interleaf list`, or a path to a YAML file")
                            ->required();
  verb.add_option("--kernel", kernel, "kernel version, see `interleaf list kernels`");
  verb.add_option("--persona", persona, "file system, see `interleaf list personas`");
  verb.add_option("--with", with, "apply this patch, see `interleaf list patches`")
      ->allow_extra_args(false);
  verb.add_option("--without", without, "take this patch out")->allow_extra_args(false);
  verb.add_option("--set", settings, "key=value: a size, see docs/SCENARIOS.md")
      ->allow_extra_args(false);
  detectors.add_to(verb);
  return option;
}

Overrides ScenarioFlags::overrides() const {
  Overrides overrides;
  overrides.kernel = kernel;
  overrides.persona = persona;
  overrides.with = with;
  overrides.without = without;
  overrides.strict = true;
  for (const std::string& text : settings) overrides.settings.push_back(setting(text));
  detectors.check();
  overrides.detect = detectors.on;
  overrides.no_detect = detectors.off;
  return overrides;
}

std::shared_ptr<const Configuration> ScenarioFlags::configure() const {
  return interleaf::configure(load_scenario(scenario), overrides());
}

std::string ScenarioFlags::text() const {
  std::string text = shell_quoted(scenario);
  if (!kernel.empty()) text += " --kernel " + shell_quoted(kernel);
  if (!persona.empty()) text += " --persona " + shell_quoted(persona);
  for (const std::string& slug : with) text += " --with " + shell_quoted(slug);
  for (const std::string& slug : without) text += " --without " + shell_quoted(slug);
  for (const std::string& set : settings) text += " --set " + shell_quoted(set);
  return text + detectors.text();
}

void add_json_flag(CLI::App& verb, bool& json) {
  verb.add_flag("--json", json, "one JSON object on stdout, see docs/JSON.md");
}

void RecordingFlags::add_to(CLI::App& verb) {
  verb.add_option("REC", path, "a recording, binary or as text; - is standard input")->required();
}

Recording RecordingFlags::load() const { return interleaf::load(path); }

void OutputFlags::add_to(CLI::App& verb, const std::string& what) {
  verb.add_option("-o", path, what);
  verb.add_flag("--force", force, "overwrite the file of -o");
}

void OutputFlags::check() const {
  if (!path.empty() && !force && std::filesystem::exists(path)) {
    throw UserError("the file exists already", path, "name another file, or use --force");
  }
}

void OutputFlags::save(const Recording& recording) const {
  if (path.empty()) return;
  interleaf::save(path, recording, force ? Overwrite::kForce : Overwrite::kRefuse);
}

void VerdictFlags::add_to(CLI::App& verb) {
  add_json_flag(verb, json);
  verb.add_option("--expect", expect,
                  "exit 0 if and only if the verdict is this one (clean, found, lost-dirty-data, "
                  "...)");
}

int VerdictFlags::exit_code(const std::string& verdict) const {
  if (expect.empty()) return verdict == "clean" ? kExitClean : kExitFound;
  const std::vector<std::string> names = verdict_names();
  if (std::find(names.begin(), names.end(), expect) == names.end()) {
    throw UserError("--expect " + expect + " is no verdict", "", nearest_or_list(expect, names));
  }
  const bool met = expect == "found" ? verdict != "clean" : verdict == expect;
  return met ? kExitClean : kExitFound;
}

CLI::Option* CrashFlags::add_to(CLI::App& verb) {
  CLI::Option* flag = verb.add_flag("--crash", crash, "judge power cuts at every moment too");
  verb.add_option("--crash-lost", budget.lost,
                  "of what only the disk's cache has, so many writes may be lost; 1");
  verb.add_option("--crash-torn", budget.torn, "and so many torn; 1");
  verb.add_option("--crash-sets", budget.sets_max,
                  "moments of a cut per order; 200000, 0: no limit");
  return flag;
}

std::string crash_text(const CrashReport& report, const CrashBudget& budget,
                       const Configuration& configuration) {
  std::string text =
      fmt::format("power cuts: {} orders, {} moments, {} cuts, {} distinct (image, promises)",
                  report.orders, report.sets, report.cuts, report.states.size());
  if (configuration.geometry.volatile_cache != 0) {
    text += fmt::format(", at most {} lost and {} torn", budget.lost, budget.torn);
  }
  text += report.complete ? ": complete\n" : ": not complete, out of --crash-sets\n";
  if (report.skipped != 0) {
    text += fmt::format(
        "not judged: {} orders that lose data without a power cut, or were cut in a loop\n",
        report.skipped);
  }
  if (!report.hidden_dependence.empty()) text += report.hidden_dependence + "\n";
  return text;
}

Json crash_json(const CrashReport& report, const CrashBudget& budget) {
  return {{"orders", report.orders},
          {"skipped", report.skipped},
          {"moments", report.sets},
          {"cuts", report.cuts},
          {"states", report.states.size()},
          {"lost_max", budget.lost},
          {"torn_max", budget.torn},
          {"complete", report.complete},
          {"hidden_dependence", report.hidden_dependence}};
}

std::uint64_t parse_seed(const std::string& text) {
  const bool hexadecimal = text.starts_with("0x") || text.starts_with("0X");
  const char* begin = text.data() + (hexadecimal ? 2 : 0);
  const char* end = text.data() + text.size();
  std::uint64_t seed = 0;
  const auto [stop, error] = std::from_chars(begin, end, seed, hexadecimal ? 16 : 10);
  if (error != std::errc() || stop != end || begin == end) {
    throw UserError("\"" + text + "\" is no seed", "", "a decimal or 0x hexadecimal number");
  }
  return seed;
}

void parse_seeds(const std::string& text, std::uint64_t& first, std::uint64_t& last) {
  const std::size_t dots = text.find("..");
  if (dots == std::string::npos) {
    first = last = parse_seed(text);
    return;
  }
  first = parse_seed(text.substr(0, dots));
  const std::string end = text.substr(dots + 2);
  last = end.empty() ? kSeedsOpen : parse_seed(end);
  if (last < first) throw UserError("--seeds " + text + " ends before it begins", "", "A..B");
}

double parse_time(const std::string& text) {
  if (text.empty()) return 0;
  const char unit = text.back();
  const double scale = unit == 'h' ? 3600 : unit == 'm' ? 60 : 1;
  const bool has_unit = unit == 'h' || unit == 'm' || unit == 's';
  std::uint64_t count = 0;
  const char* end = text.data() + text.size() - (has_unit ? 1 : 0);
  const auto [stop, error] = std::from_chars(text.data(), end, count);
  if (error != std::errc() || stop != end) {
    throw UserError("\"" + text + "\" is no time", "", "such as 90s, 10m or 2h");
  }
  return scale * static_cast<double>(count);
}

Json run_json(const RunResult& result) {
  Json json;
  json["verdict"] = verdict_of(result);
  json["signature"] = signature_of(result);
  json["steps"] = result.steps;
  json["switches"] = result.switches;
  json["preemptions"] = result.preemptions;
  json["digest"] = digest_text(result.digest);
  json["findings"] = Json::array();
  for (const Finding& finding : result.findings) {
    json["findings"].push_back({{"verdict", finding_name(finding.kind)},
                                {"signature", finding.signature()},
                                {"step", finding.step},
                                {"message", finding.message}});
  }
  return json;
}

void print_json(const Json& json) { fmt::print("{}\n", json.dump(2)); }

std::string grouped(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t at = text.size(); at > 3; at -= 3) text.insert(at - 3, ",");
  return text;
}

std::string counted(std::uint64_t count, const char* what) {
  return fmt::format("{} {}{}", grouped(count), what, count == 1 ? "" : "s");
}

std::string shell_quoted(const std::string& text) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=+:,";
  if (!text.empty() && text.find_first_not_of(kPlain) == std::string::npos) return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

void print_replay_command(const std::string& recording) {
  fmt::print(stderr, "interleaf replay {}\n", shell_quoted(recording));
}

std::string wrapped_signature(const std::string& signature) {
  std::string text;
  std::string line = "  ";
  for (std::size_t at = 0; at < signature.size();) {
    const std::size_t end = std::min(signature.find('<', at), signature.size() - 1) + 1;
    if (line.size() > 4 && line.size() + end - at > 100) {
      text += line + "\n";
      line = "    ";
    }
    line += signature.substr(at, end - at);
    at = end;
  }
  return text + line + "\n";
}

std::string recording_path(const std::string& directory, const Recording& recording) {
  const std::uint64_t hash = XXH64(recording.signature.data(), recording.signature.size(), 0);
  const std::string name =
      fmt::format("{}-{:08x}.rec", recording.scenario_name, static_cast<std::uint32_t>(hash));
  return (std::filesystem::path(directory) / name).string();
}

}  // namespace interleaf
