// SPDX-License-Identifier: GPL-2.0-only
// A scenario is one race as a value: the files, the tasks with their calls, the tables of the
// report and what is expected with which patch. It is read from a YAML file whose every key is
// described in docs/SCENARIOS.md. Nothing here knows the scheduler or the port.
//
// Invariants of a parsed Scenario: it keeps its whole text, and parsing that text again gives an
// equal one; tasks, daemons and files keep file order; every index and variable slot in a statement
// is valid; no two tasks wait for each other. Patches, kernels, verdicts and functions are names
// only: whoever knows them checks them.
//
// Errors: UserError with file:line:column. Thread-safety: no shared state.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/call.h"
#include "engine/cpu_table.h"
#include "engine/geometry.h"
#include "engine/task_spec.h"

namespace interleaf {

struct FileSpec {
  enum class Content : std::uint8_t { kHole, kData };

  std::string name;
  bool exists = true;  // false: `absent`, a task creates it with O_CREAT
  std::uint64_t size = 0;
  Content content = Content::kHole;
  DataSource data;  // kData: on disk and clean when the run starts
};

struct DaemonSpec {
  std::string name;
  std::map<std::string, std::uint64_t> options;  // only those that were given
};

struct TableSpec {
  std::string name;  // "table" for the key `table`
  std::string text;
  std::vector<TableRow> rows;
  int line = 0;  // of the text's first line in the file
};

// "task:function#n" of the key `window`: the n-th entry of `task` into `function`.
struct WindowSpec {
  std::string task;  // empty: any task
  std::string function;
  std::uint64_t nth = 1;
};

struct Expectation {
  std::vector<std::string> with;
  std::vector<std::string> without;
  std::optional<std::string> kernel;
  std::optional<std::string> persona;
  std::string verdict;             // a verdict's name, "clean", or "unknown"
  std::vector<std::string> known;  // prefixes of signatures that may be seen as well
  SourcePosition position;
};

struct Scenario {
  std::string name;  // the file's name without directory and ".yaml"
  std::string file_name;
  std::string text;  // the whole file

  std::string title;
  std::string reported;
  std::vector<std::string> links;
  std::string kernel;
  std::string persona = "ext4";
  Geometry geometry;
  std::vector<FileSpec> files;
  std::vector<TaskSpec> tasks;
  std::vector<DaemonSpec> daemons;
  std::vector<std::string> patches_with;
  std::vector<std::string> patches_without;
  std::map<std::string, std::uint64_t> faults;  // how many failures of each kind may be injected
  std::vector<std::string> detect;              // detectors besides the default ones
  std::vector<TableSpec> tables;
  std::vector<WindowSpec> window;  // all must be reached in one run at least
  std::optional<std::uint64_t> steps_max;
  std::vector<Expectation> expect;
};

// `file_name` is what errors call the file. `settings` are sizes (key, value) that go over those of
// the file, and what the unit H means in it follows them.
Scenario parse_scenario(std::string_view text, std::string file_name,
                        const std::vector<std::pair<std::string, std::string>>& settings = {});

// `name_or_path` is a path if it holds a "/" or ends in ".yaml", else a name from list_scenarios().
Scenario load_scenario(std::string_view name_or_path);

// Sorted by byte value. Errors: no scenario directory.
std::vector<std::string> list_scenarios();

// What a name stands for where several scenarios are asked for: a path or a scenario's name for
// itself, else the part of names before a "-" for all of them: "thp" for "thp-write-open" and
// others, sorted. Errors: UserError for an unknown name; a path is not looked at.
std::vector<std::string> scenarios_named(std::string_view name_or_path);

}  // namespace interleaf
