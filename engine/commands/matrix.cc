// SPDX-License-Identifier: GPL-2.0-only
// interleaf matrix: which patch closes which race, and what it leaves open.
#include "engine/matrix.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "engine/commands/command.h"
#include "engine/commands/interrupt.h"
#include "engine/commands/matrix_file.h"
#include "engine/commands/matrix_text.h"
#include "engine/commands/search_flags.h"
#include "engine/user_error.h"
#include "engine/version.h"

namespace interleaf {
namespace {

struct Flags {
  std::vector<std::string> scenarios;
  ScenarioFlags base;  // no scenario, no patches
  std::vector<std::string> patches;
  std::vector<std::string> kernels;
  std::vector<std::string> with;
  SearchFlags search;
  ExploreOptions options;
  std::string resume;
  std::string output;
  bool json = false;
  bool markdown = false;
  bool force = false;
  bool no_reuse = false;
};

// The names in "a,b".
std::vector<std::string> split(const std::string& option, const std::string& text) {
  std::vector<std::string> names;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    if (end == at) throw UserError(fmt::format("{} {} has an empty name", option, text), "", "a,b");
    names.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return names;
}

// What --patches or --kernels names: nothing was given; "all"; "none"; or a list.
template <typename All>
std::optional<std::vector<std::string>> selected(const std::string& option,
                                                 const std::vector<std::string>& given, All all) {
  if (given.empty()) return std::nullopt;
  std::vector<std::string> names;
  for (const std::string& text : given) {
    if (text == "none") continue;
    const std::vector<std::string> more = text == "all" ? all() : split(option, text);
    names.insert(names.end(), more.begin(), more.end());
  }
  return names;
}

CombinationNames rows_of(const Flags& flags) {
  CombinationNames names;
  names.patches = selected("--patches", flags.patches, [] {
    std::vector<std::string> all;
    for (unsigned i = 0; i < kernel::patch_count(); ++i) all.emplace_back(kernel::patch_at(i).slug);
    return all;
  });
  names.kernels = selected("--kernels", flags.kernels, [] {
    std::vector<std::string> all;
    for (unsigned i = 0; i < kernel::kernel_count(); ++i) {
      all.emplace_back(kernel::kernel_at(i).name);
    }
    return all;
  });
  for (const std::string& together : flags.with) names.with.push_back(split("--with", together));
  return names;
}

Matrix matrix_of(const Flags& flags) {
  std::vector<Scenario> scenarios;
  for (const std::string& given : flags.scenarios) {
    for (const std::string& name : scenarios_named(given)) scenarios.push_back(load_scenario(name));
  }
  const CombinationNames names = rows_of(flags);
  Matrix matrix = make_matrix(std::move(scenarios), combinations(names), flags.base.overrides());
  if (!names.patches && !names.kernels && names.with.empty()) drop_rows_without_question(matrix);
  return matrix;
}

// What the answers of all cells depend on, but for scenario and patches.
std::vector<std::pair<std::string, std::string>> identity_of(const Flags& flags) {
  const ExploreOptions& options = flags.options;
  std::string ignored;
  for (const std::string& prefix : options.ignore) ignored += shell_quoted(prefix) + " ";
  std::string settings;
  for (const std::string& setting : flags.base.settings) settings += setting + " ";
  return {{"interleaf", version()},
          {"--preemptions", std::to_string(options.preemptions_max)},
          {"--retries", std::to_string(options.retries_max)},
          {"--persona", flags.base.persona},
          {"--set", settings},
          {"detectors", flags.base.detectors.text()},
          {"--ignore", ignored},
          {"--time", flags.search.time},
          {"--runs", std::to_string(options.runs_max)},
          {"--memory", std::to_string(options.memory_max)}};
}

// SCENARIO--COMBINATION.rec in the directory of -o; empty without it.
std::string path_of(const Flags& flags, const Matrix& matrix, const MatrixCell& cell) {
  if (flags.output.empty()) return "";
  const std::string name = matrix.scenarios[cell.scenario].name + "--" +
                           matrix.combinations[cell.combination].name + ".rec";
  return (std::filesystem::path(flags.output) / name).string();
}

// Known before the work, not after it.
void check_output(const Flags& flags, const Matrix& matrix) {
  if (flags.output.empty()) return;
  std::filesystem::create_directories(flags.output);
  for (const MatrixCell& cell : matrix.cells) {
    const std::string path = path_of(flags, matrix, cell);
    const bool searched = cell.configuration && !cell.result;
    if (flags.force || !searched || !std::filesystem::exists(path)) continue;
    throw UserError("the file exists already", path, "name another directory, or use --force");
  }
}

// Shows on a terminal which cell is searched.
class Progress {
 public:
  explicit Progress(const Matrix& matrix) : matrix_(matrix) {}
  ~Progress() {
    if (shown_) fmt::print(stderr, "\r\033[K");
  }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void show(std::size_t index, const BoundedProgress& now) {
    const MatrixCell& cell = matrix_.cells[index];
    const std::string at =
        now.level_done > 0 ? fmt::format(" at {:.0f} %", 100 * now.level_done) : "";
    fmt::print(stderr, "\r\033[Kcell {} of {}, {} with {}: level {}{}, {} runs", index + 1,
               matrix_.cells.size(), matrix_.scenarios[cell.scenario].name,
               matrix_.combinations[cell.combination].name, now.level, at, now.runs);
    std::fflush(stderr);
    shown_ = true;
  }

 private:
  const Matrix& matrix_;
  bool shown_ = false;
};

// Ended before its answer was whole; searched again when the matrix goes on.
bool interrupted(const MatrixCell& cell) {
  return cell.result && cell.result->budget == "interrupted";
}

// Searches the cells that have no result yet, until all have one or the program is interrupted.
void search(const Flags& flags, Matrix& matrix, MatrixFile* file) {
  const Interrupt interrupt;
  Progress progress(matrix);
  ExploreOptions options = flags.options;
  options.interrupted = interrupt.flag();
  for (std::size_t i = 0; i < matrix.cells.size() && !*interrupt.flag(); ++i) {
    const MatrixCell& cell = matrix.cells[i];
    if (!cell.configuration || cell.result) continue;
    if (!flags.no_reuse) {
      if (const std::optional<std::size_t> like = answered_by(matrix, i)) {
        set_like(matrix, i, *like);
        continue;
      }
    }
    if (isatty(STDERR_FILENO) != 0) {
      options.progress = [&, i](const BoundedProgress& now) { progress.show(i, now); };
    }
    set_result(matrix, i, search_cell(cell.configuration, options));
    if (file != nullptr && !interrupted(cell)) file->add(matrix, cell);
  }
}

bool any(const Matrix& matrix, CellState state) {
  return std::any_of(matrix.cells.begin(), matrix.cells.end(),
                     [&](const MatrixCell& cell) { return cell.state() == state; });
}

int exit_code(const Matrix& matrix) {
  if (any(matrix, CellState::kFound)) return kExitFound;
  for (const CellState state :
       {CellState::kStopped, CellState::kNoWindow, CellState::kNotSearched}) {
    if (any(matrix, state)) return kExitCannotJudge;
  }
  return any(matrix, CellState::kClean) ? kExitClean : kExitCannotJudge;
}

// How the command line called a scenario, or would without the group.
std::string given_name(const Flags& flags, const Scenario& scenario) {
  for (const std::string& given : flags.scenarios) {
    for (const std::string& name : scenarios_named(given)) {
      if (name == scenario.name || std::filesystem::path(name).stem() == scenario.name) return name;
    }
  }
  return scenario.file_name;
}

// What makes this cell's finding again.
std::string explore_command(const Flags& flags, const MatrixCell& cell) {
  ScenarioFlags again = flags.base;
  const Overrides& overrides = cell.configuration->overrides;
  again.scenario = given_name(flags, cell.configuration->scenario);
  again.kernel = cell.configuration->kernel->name;
  again.with = overrides.with;
  again.without = overrides.without;
  std::string text = again.text();
  for (const std::string& prefix : flags.options.ignore) {
    text += " --ignore " + shell_quoted(prefix);
  }
  const std::vector<CellFinding>& findings = cell.result->findings;
  const std::uint64_t preemptions = findings.front().preemptions;
  const bool others_first =
      std::any_of(findings.begin(), findings.end(),
                  [&](const CellFinding& finding) { return finding.preemptions < preemptions; });
  return fmt::format("interleaf explore {} --preemptions {}{}", text, preemptions,
                     others_first ? " --keep-going" : "");
}

// An earlier process may have come as far as this: the same bytes again are no overwriting.
void save_once(const std::string& path, const Recording& recording, bool force) {
  if (!force && std::filesystem::exists(path) && load(path) == recording) return;
  save(path, recording, force ? Overwrite::kForce : Overwrite::kRefuse);
}

int matrix_main(Flags flags) {
  if (flags.json && flags.markdown) throw UserError("--json and --markdown: give one of them");
  flags.search.apply(flags.options);
  Matrix matrix = matrix_of(flags);
  std::optional<MatrixFile> file;
  if (!flags.resume.empty()) {
    file.emplace(flags.resume, identity_of(flags));
    file->restore(matrix);
  }
  check_output(flags, matrix);
  search(flags, matrix, file ? &*file : nullptr);

  // Whatever goes wrong with the files, what was found is printed first.
  std::vector<std::string> paths;
  for (const MatrixCell& cell : matrix.cells) {
    // One that will be searched again will be stored then.
    const bool stored = cell.state() == CellState::kFound && !(file && interrupted(cell));
    paths.push_back(stored ? path_of(flags, matrix, cell) : "");
  }
  if (flags.json) {
    print_json(matrix_json(matrix, flags.options, paths));
  } else if (flags.markdown) {
    fmt::print("{}", matrix_markdown(matrix, flags.options.preemptions_max));
  } else {
    fmt::print("{}", matrix_text(matrix));
  }
  std::fflush(stdout);
  const bool left = any(matrix, CellState::kNotSearched) ||
                    std::any_of(matrix.cells.begin(), matrix.cells.end(), interrupted);
  if (left && file) fmt::print(stderr, "the same command goes on from {}\n", flags.resume);
  for (std::size_t i = 0; i < paths.size(); ++i) {
    if (!paths[i].empty()) save_once(paths[i], record_cell(matrix.cells[i]), flags.force);
  }
  for (std::size_t i = 0; i < paths.size(); ++i) {
    if (!paths[i].empty()) print_replay_command(paths[i]);
  }
  const auto first =
      std::find_if(matrix.cells.begin(), matrix.cells.end(),
                   [](const MatrixCell& cell) { return cell.state() == CellState::kFound; });
  if (flags.output.empty() && first != matrix.cells.end()) {
    fmt::print(stderr, "{}\n", explore_command(flags, *first));
  }
  return exit_code(matrix);
}

}  // namespace

Verb add_matrix(CLI::App& program) {
  auto flags = std::make_shared<Flags>();
  CLI::App* verb = program.add_subcommand("matrix", "scenarios times patches: what each closes");
  verb->add_option("SCENARIO", flags->scenarios,
                   "names, paths, or groups: thp is every thp-... of `interleaf list`")
      ->required();
  verb->add_option("--patches", flags->patches,
                   "a row for each of A,B alone, with what it needs; all; none")
      ->allow_extra_args(false);
  verb->add_option("--kernels", flags->kernels, "a row for each of these kernels; all; none")
      ->allow_extra_args(false);
  verb->add_option("--with", flags->with, "a row for the patches A,B together; may be repeated")
      ->allow_extra_args(false);
  verb->add_option("--kernel", flags->base.kernel,
                   "of the rows that name none, instead of each scenario's own");
  verb->add_option("--persona", flags->base.persona, "file system, see `interleaf list personas`");
  verb->add_option("--set", flags->base.settings, "key=value: a size, see docs/SCENARIOS.md")
      ->allow_extra_args(false);
  flags->base.detectors.add_to(*verb);
  verb->add_option("--ignore", flags->options.ignore,
                   "signatures that begin so are counted but are no findings")
      ->allow_extra_args(false);
  verb->add_option("--preemptions", flags->options.preemptions_max, "in every cell at most; 1");
  flags->search.add_to(*verb);
  verb->add_option("--resume", flags->resume,
                   "keep finished cells in this file, and go on from it if it exists");
  verb->add_option("-o", flags->output,
                   "directory for SCENARIO--PATCHES.rec of every cell with a finding");
  verb->add_flag("--force", flags->force, "overwrite recordings");
  verb->add_flag("--no-reuse", flags->no_reuse,
                 "search also where no run of an earlier row asked for what differs");
  verb->add_flag("--markdown", flags->markdown, "one table in Markdown");
  verb->add_flag("--json", flags->json, "one JSON object on stdout, see docs/JSON.md");
  verb->footer(
      "Without --patches, --kernels and --with: a row for each patch, then one for each kernel.\n"
      "The first row, none, is always there. A row's patches take the place of those that a\n"
      "scenario asks for. --time, --runs and --memory hold for each cell.\n"
      "Exit status: 0 nothing found in any cell, 1 found, 125 nothing found and not all cells can\n"
      "be judged, 129 usage or bad input. Refused combinations count for nothing.");
  return {verb, [flags] { return matrix_main(*flags); }};
}

}  // namespace interleaf
