// SPDX-License-Identifier: GPL-2.0-only
// What the verbs share: flags that mean the same everywhere, exit codes, the streams. Verbs are
// the only code that prints or reads flags.
#pragma once

#include <CLI/CLI.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/configuration.h"
#include "engine/crash.h"
#include "engine/recording.h"
#include "engine/run.h"

namespace interleaf {

// Chosen so that `git bisect run` never blames a wrong commit.
enum ExitCode : int {
  kExitClean = 0,
  kExitFound = 1,
  kExitCannotJudge = 125,
  kExitToolFailed = 128,
  kExitUsage = 129,
};

using Json = nlohmann::ordered_json;

// Which detectors report: of every verb that runs something.
struct DetectorFlags {
  std::vector<std::string> on;
  std::vector<std::string> off;

  void add_to(CLI::App& verb);
  // Errors: UserError for a name that is on and off.
  void check() const;
  // The same, and for an unknown name.
  void apply(Detectors& detectors) const;
  std::string text() const;
};

// Flags of every verb that takes a scenario.
struct ScenarioFlags {
  std::string scenario;
  std::string kernel;
  std::string persona;
  std::vector<std::string> with;
  std::vector<std::string> without;
  std::vector<std::string> settings;
  DetectorFlags detectors;

  // Returns the scenario's option, which is required.
  CLI::Option* add_to(CLI::App& verb);
  // All but the scenario.
  Overrides overrides() const;
  std::shared_ptr<const Configuration> configure() const;
  // The same flags again, for a command line.
  std::string text() const;
};

// The --json of every verb.
void add_json_flag(CLI::App& verb, bool& json);

// The recording that a verb is about.
struct RecordingFlags {
  std::string path;

  void add_to(CLI::App& verb);
  Recording load() const;
};

// -o FILE and --force of a verb that stores one recording.
struct OutputFlags {
  std::string path;  // empty: none
  bool force = false;

  // `what`: of -o, for --help.
  void add_to(CLI::App& verb, const std::string& what);
  // For before the work. Errors: UserError if the file is there and may not be overwritten.
  void check() const;
  // Nothing without a path. Errors: as check(), and those of save() in recording.h.
  void save(const Recording& recording) const;
};

// Flags of every verb that ends in a verdict.
struct VerdictFlags {
  bool json = false;
  std::string expect;

  void add_to(CLI::App& verb);
  // kExitClean or kExitFound; with --expect: whether `verdict` is the expected one.
  // Errors: UserError if --expect names no verdict.
  int exit_code(const std::string& verdict) const;
};

// A seed in decimal or hexadecimal; "A..B" is both ends, "A" alone is one seed, "A.." has the end
// kSeedsOpen.
inline constexpr std::uint64_t kSeedsOpen = ~std::uint64_t{0};
std::uint64_t parse_seed(const std::string& text);
void parse_seeds(const std::string& text, std::uint64_t& first, std::uint64_t& last);

// Seconds of "90", "90s", "10m", "2h"; 0 if empty.
double parse_time(const std::string& text);

// Flags of the verbs that can cut the power.
struct CrashFlags {
  bool crash = false;
  CrashBudget budget;

  // Returns --crash, for what excludes it.
  CLI::Option* add_to(CLI::App& verb);
};
// "any power cut: 12 orders, ...": what was looked at, a line or two.
std::string crash_text(const CrashReport& report, const CrashBudget& budget,
                       const Configuration& configuration);
Json crash_json(const CrashReport& report, const CrashBudget& budget);

// The fields that `verdict`s have in every verb's JSON. docs/JSON.md.
Json run_json(const RunResult& result);
// Prints one object and a newline.
void print_json(const Json& json);

// "interleaf replay FILE", quoted for a shell; printed last on stderr after a finding.
void print_replay_command(const std::string& recording);
// A number with commas: 1,284.
std::string grouped(std::uint64_t number);
// 1 order, 1,284 orders.
std::string counted(std::uint64_t count, const char* what);
// The text for a shell: in single quotes if it needs them.
std::string shell_quoted(const std::string& text);

// A signature in lines of at most 100 columns, each ending in a newline.
std::string wrapped_signature(const std::string& signature);

// Where the recording of a finding goes in a directory: "<scenario>-<signature hash>.rec".
std::string recording_path(const std::string& directory, const Recording& recording);

// The verbs: each adds its sub-command; what it returns is the exit code.
struct Verb {
  CLI::App* app;
  std::function<int()> main;
};
Verb add_list(CLI::App& program);
Verb add_run(CLI::App& program);
Verb add_fuzz(CLI::App& program);
Verb add_explore(CLI::App& program);
Verb add_minimize(CLI::App& program);
Verb add_replay(CLI::App& program);
Verb add_table(CLI::App& program);
Verb add_calls(CLI::App& program);
Verb add_why(CLI::App& program);
Verb add_matrix(CLI::App& program);
Verb add_fsx(CLI::App& program);

}  // namespace interleaf
