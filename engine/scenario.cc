// SPDX-License-Identifier: GPL-2.0-only
#include "engine/scenario.h"

#include <algorithm>
#include <utility>

#include "engine/call_parser.h"
#include "engine/kernel/patch.h"
#include "engine/nearest.h"
#include "engine/task_reader.h"
#include "engine/user_error.h"
#include "engine/yaml_reader.h"
#include "scheduler/detect/detectors.h"

namespace interleaf {
namespace {

struct DaemonKind {
  std::string_view name;
  std::vector<std::string> options;
};

const std::vector<DaemonKind>& daemon_kinds() {
  static const std::vector<DaemonKind> kinds = {
      {"flusher", {}},
      {"khugepaged", {"scans"}},
  };
  return kinds;
}

const std::vector<std::string> kKeys = {"title",     "reported", "links", "kernel",  "persona",
                                        "geometry",  "files",    "tasks", "daemons", "patches",
                                        "faults",    "detect",   "table", "tables",  "window",
                                        "steps_max", "expect"};
// Tasks that the machine or a filesystem has, whatever the scenario says.
const std::vector<std::string> kKernelTasks = {"kworker/io", "rcu_gp", "kjournald2", "kworker/ext4",
                                               "kworker/xfs"};
const std::vector<std::string> kPersonas = {"ext4", "xfs", "btrfs", "generic"};
const std::vector<std::string> kFaultKinds = {"alloc", "copy", "bio"};

std::string quoted(std::string_view text) { return "\"" + std::string(text) + "\""; }

bool is_name(std::string_view text, std::string_view more) {
  if (text.empty() || text.front() < 'a' || text.front() > 'z') return false;
  return std::all_of(text.begin(), text.end(), [more](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || more.find(c) != more.npos;
  });
}

bool is_function(std::string_view text) {
  if (text.empty() || (text.front() >= '0' && text.front() <= '9')) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

bool is_number(std::string_view text) {
  return !text.empty() && text.size() <= 9 &&
         text.find_first_not_of("0123456789") == std::string_view::npos;
}

// "6.12" or "6.12.95".
bool is_kernel_version(std::string_view text) {
  for (int parts = 1; parts <= 3; ++parts) {
    const std::size_t dot = text.find('.');
    if (!is_number(text.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return parts >= 2;
    text.remove_prefix(dot + 1);
  }
  return false;
}

// Reads one file, key by key: first the keys that others need, then the tasks.
class Loader {
 public:
  Loader(std::string_view text, std::string file_name) : yaml_(text, std::move(file_name)) {
    scenario_.text = text;
    scenario_.file_name = yaml_.file_name();
    const std::size_t slash = scenario_.file_name.rfind('/');
    scenario_.name = scenario_.file_name.substr(slash == std::string::npos ? 0 : slash + 1);
    if (scenario_.name.ends_with(".yaml")) scenario_.name.resize(scenario_.name.size() - 5);
  }

  Scenario load(const std::vector<std::pair<std::string, std::string>>& settings) {
    entries_ = yaml_.entries(yaml_.root(), "the scenario", kKeys);
    read_heading();
    if (const YAML::Node* node = find("geometry")) read_geometry(*node);
    for (const auto& [key, value] : settings) {
      set_geometry(scenario_.geometry, key, value, "--set");
    }
    if (!settings.empty()) check_geometry(scenario_.geometry, "--set");
    yaml_.set_huge_page_bytes(scenario_.geometry.page_size * scenario_.geometry.hpage_pages);
    read_files(require("files"));
    read_tasks(require("tasks"));
    if (const YAML::Node* node = find("daemons")) read_daemons(*node);
    if (const YAML::Node* node = find("patches")) read_patches(*node);
    if (const YAML::Node* node = find("faults")) read_faults(*node);
    if (const YAML::Node* node = find("detect")) read_detect(*node);
    read_tables();
    if (const YAML::Node* node = find("window")) read_window(*node);
    if (const YAML::Node* node = find("steps_max")) read_steps_max(*node);
    read_expect(require("expect"));
    return std::move(scenario_);
  }

 private:
  const YAML::Node* find(std::string_view key) const {
    for (const YamlReader::Entry& entry : entries_) {
      if (entry.key.text == key) return &entry.value;
    }
    return nullptr;
  }

  const YAML::Node& require(std::string_view key) const {
    if (const YAML::Node* node = find(key)) return *node;
    throw UserError("the key " + quoted(key) + " is missing", yaml_.file_name(),
                    "docs/SCENARIOS.md describes every key");
  }

  void read_heading() {
    scenario_.title = yaml_.text(require("title"), "title").text;
    if (const YAML::Node* node = find("reported")) {
      scenario_.reported = yaml_.text(*node, "reported").text;
    }
    if (const YAML::Node* node = find("links")) {
      for (LocatedText& link : yaml_.texts(*node, "links")) {
        scenario_.links.push_back(std::move(link.text));
      }
    }
    scenario_.kernel = kernel(require("kernel"));
    if (const YAML::Node* node = find("persona")) scenario_.persona = persona(*node);
  }

  std::string kernel(const YAML::Node& node) const {
    LocatedText text = yaml_.text(node, "kernel");
    if (!is_kernel_version(text.text) && ::kernel::find_kernel(text.text) == nullptr) {
      yaml_.fail(node, quoted(text.text) + " is not a kernel version",
                 "write 6.12 or 6.12.95; `interleaf list kernels` lists them");
    }
    return std::move(text.text);
  }

  std::string persona(const YAML::Node& node) const {
    LocatedText text = yaml_.text(node, "persona");
    require_one_of(text, "persona", kPersonas);
    return std::move(text.text);
  }

  void require_one_of(const LocatedText& text, const std::string& noun,
                      const std::vector<std::string>& known) const {
    if (std::find(known.begin(), known.end(), text.text) != known.end()) return;
    yaml_.fail(text, "unknown " + noun + " " + quoted(text.text),
               nearest_or_list(text.text, known));
  }

  void read_geometry(const YAML::Node& node) {
    for (const YamlReader::Entry& entry : yaml_.entries(node, "geometry", geometry_names())) {
      const LocatedText value = yaml_.text(entry.value, entry.key.text);
      set_geometry(scenario_.geometry, entry.key.text, value.text, yaml_.where(entry.value));
    }
    check_geometry(scenario_.geometry, yaml_.where(node));
  }

  void read_files(const YAML::Node& node) {
    for (const YamlReader::Entry& entry : yaml_.entries(node, "files")) {
      scenario_.files.push_back(file(entry));
    }
    if (scenario_.files.empty()) yaml_.fail(node, "there are no files", "name one: f: {size: 16K}");
  }

  FileSpec file(const YamlReader::Entry& entry) const {
    FileSpec file;
    file.name = entry.key.text;
    const std::string name = "file " + quoted(file.name);
    if (entry.value.IsScalar() && entry.value.Scalar() == "absent") {
      file.exists = false;
      return file;
    }
    if (entry.value.IsNull())
      yaml_.fail(entry.key, name + " has no size", "write " + file.name + ": {size: 16K}");
    bool has_size = false;
    const YAML::Node* content = nullptr;
    const std::vector<YamlReader::Entry> members =
        yaml_.entries(entry.value, name, {"size", "content"});
    for (const YamlReader::Entry& member : members) {
      if (member.key.text == "content") {
        content = &member.value;
        continue;
      }
      file.size = yaml_.number(member.value, "size of " + name);
      has_size = true;
    }
    if (content != nullptr) read_content(*content, file, has_size);
    if (!has_size && file.data.kind != DataSource::Kind::kString) {
      yaml_.fail(entry.key, name + " has no size", "write " + file.name + ": {size: 16K}");
    }
    return file;
  }

  // yaml-cpp tags a scalar in quotes with "!".
  void read_content(const YAML::Node& node, FileSpec& file, bool has_size) const {
    const LocatedText text = yaml_.text(node, "content of file " + quoted(file.name));
    if (node.Tag() != "!" && text.text == "hole") return;
    file.content = FileSpec::Content::kData;
    if (node.Tag() != "!") {
      file.data = parse_data(text, yaml_.file_name());
      return;
    }
    if (!has_size) file.size = text.text.size();
    if (text.text.size() > file.size) {
      yaml_.fail(node, "the content has " + std::to_string(text.text.size()) +
                           " bytes and the file only " + std::to_string(file.size));
    }
    file.data = {.kind = DataSource::Kind::kString, .text = text.text};
  }

  void read_tasks(const YAML::Node& node) {
    std::vector<std::string> reserved;
    for (const DaemonKind& kind : daemon_kinds()) reserved.emplace_back(kind.name);
    std::vector<std::string> files;
    for (const FileSpec& file : scenario_.files) files.push_back(file.name);
    scenario_.tasks =
        interleaf::read_tasks(yaml_, node, files, reserved, scenario_.geometry.page_size);
  }

  void read_daemons(const YAML::Node& node) {
    if (node.IsMap()) {
      for (const YamlReader::Entry& entry : yaml_.entries(node, "daemons")) {
        add_daemon(entry.key, &entry.value);
      }
      return;
    }
    for (const YAML::Node& item : yaml_.items(node, "daemons")) {
      if (item.IsScalar()) {
        add_daemon(yaml_.text(item, "a daemon"), nullptr);
        continue;
      }
      for (const YamlReader::Entry& entry : yaml_.entries(item, "a daemon")) {
        add_daemon(entry.key, &entry.value);
      }
    }
  }

  void add_daemon(const LocatedText& name, const YAML::Node* options) {
    std::vector<std::string> known;
    for (const DaemonKind& kind : daemon_kinds()) known.emplace_back(kind.name);
    require_one_of(name, "daemon", known);
    for (const DaemonSpec& earlier : scenario_.daemons) {
      if (earlier.name == name.text) yaml_.fail(name, "daemon " + quoted(name.text) + " twice");
    }
    const auto kind = std::find_if(daemon_kinds().begin(), daemon_kinds().end(),
                                   [&](const DaemonKind& each) { return each.name == name.text; });
    DaemonSpec daemon{.name = name.text, .options = {}};
    if (options != nullptr && !options->IsNull()) {
      const std::string owner = "daemon " + quoted(name.text);
      for (const YamlReader::Entry& entry : yaml_.entries(*options, owner, kind->options)) {
        daemon.options[entry.key.text] = yaml_.number(entry.value, entry.key.text);
      }
    }
    scenario_.daemons.push_back(std::move(daemon));
  }

  // Names of patches, verdicts: known to others, so only their form is checked here.
  std::string slug(const LocatedText& text, const std::string& noun) const {
    if (!is_name(text.text, "-")) {
      yaml_.fail(text, quoted(text.text) + " is not the name of a " + noun,
                 "lower-case words joined by \"-\"");
    }
    return text.text;
  }

  std::vector<std::string> slugs(const YAML::Node& node, const std::string& key) const {
    std::vector<std::string> result;
    for (const LocatedText& text : yaml_.texts(node, key)) result.push_back(slug(text, "patch"));
    return result;
  }

  void read_patches(const YAML::Node& node) {
    for (const YamlReader::Entry& entry : yaml_.entries(node, "patches", {"with", "without"})) {
      (entry.key.text == "with" ? scenario_.patches_with : scenario_.patches_without) =
          slugs(entry.value, entry.key.text);
    }
  }

  void read_faults(const YAML::Node& node) {
    for (const YamlReader::Entry& entry : yaml_.entries(node, "faults", kFaultKinds)) {
      scenario_.faults[entry.key.text] = yaml_.number(entry.value, entry.key.text);
    }
  }

  std::vector<std::string> task_and_daemon_names() const {
    std::vector<std::string> names;
    for (const TaskSpec& task : scenario_.tasks) names.push_back(task.name);
    for (const DaemonSpec& daemon : scenario_.daemons) names.push_back(daemon.name);
    return names;
  }

  void read_tables() {
    const YAML::Node* table = find("table");
    const YAML::Node* tables = find("tables");
    if (table != nullptr && tables != nullptr) {
      yaml_.fail(*tables, "\"table\" and \"tables\" exclude each other",
                 "move the table into \"tables\" under a name");
    }
    if (table != nullptr) add_table("table", *table);
    if (tables == nullptr) return;
    for (const YamlReader::Entry& entry : yaml_.entries(*tables, "tables")) {
      add_table(entry.key.text, entry.value);
    }
  }

  // The node's mark is at the "|"; its text begins on the next line.
  void add_table(const std::string& name, const YAML::Node& node) {
    const LocatedText text = yaml_.text(node, name);
    const std::string& file = scenario_.text;
    const SourcePosition at = yaml_.position(node);
    std::size_t begin = 0;
    for (int line = 1; line < at.line; ++line) begin = file.find('\n', begin) + 1;
    if (file.compare(begin + static_cast<std::size_t>(at.column - 1), 1, "|") != 0) {
      yaml_.fail(node, "a table must keep its lines", "write \"|\" and the table below it");
    }
    TableSpec table{.name = name, .text = text.text, .rows = {}, .line = at.line + 1};
    table.rows = parse_cpu_table(text.text, task_and_daemon_names(), yaml_.file_name(), table.line,
                                 kKernelTasks);
    scenario_.tables.push_back(std::move(table));
  }

  void read_detect(const YAML::Node& node) {
    std::vector<std::string> known;
    for (const DetectorInfo& info : detector_table()) known.emplace_back(info.name);
    for (const LocatedText& text : yaml_.texts(node, "detect")) {
      require_one_of(text, "detector", known);
      scenario_.detect.push_back(text.text);
    }
  }

  void read_window(const YAML::Node& node) {
    for (const LocatedText& text : yaml_.texts(node, "window")) {
      scenario_.window.push_back(window(text));
    }
  }

  WindowSpec window(const LocatedText& text) const {
    WindowSpec window;
    std::string rest = text.text;
    if (const std::size_t colon = rest.find(':'); colon != std::string::npos) {
      window.task = rest.substr(0, colon);
      rest.erase(0, colon + 1);
      LocatedText task = text;
      task.text = window.task;
      require_one_of(task, "task", task_and_daemon_names());
    }
    const std::size_t hash = rest.find('#');
    const std::string nth = hash == std::string::npos ? "1" : rest.substr(hash + 1);
    window.function = rest.substr(0, hash);
    if (window.function.ends_with("()")) window.function.resize(window.function.size() - 2);
    if (!is_function(window.function) || !is_number(nth) || std::stoul(nth) == 0) {
      yaml_.fail(text, quoted(text.text) + " is not a place to reach",
                 "write function, task:function or task:function#2");
    }
    window.nth = std::stoul(nth);
    return window;
  }

  void read_steps_max(const YAML::Node& node) {
    scenario_.steps_max = yaml_.number(node, "steps_max");
    if (scenario_.steps_max == 0U) yaml_.fail(node, "steps_max must be at least 1");
  }

  void read_expect(const YAML::Node& node) {
    if (!node.IsSequence()) {
      scenario_.expect.push_back(expectation(node));
      return;
    }
    for (const YAML::Node& item : node) scenario_.expect.push_back(expectation(item));
    if (scenario_.expect.empty()) yaml_.fail(node, "expect is empty");
  }

  Expectation expectation(const YAML::Node& node) const {
    Expectation result;
    result.position = yaml_.position(node);
    const std::vector<std::string> keys = {"without", "with",    "kernel",
                                           "persona", "verdict", "known"};
    for (const YamlReader::Entry& entry : yaml_.entries(node, "expect", keys)) {
      const std::string& key = entry.key.text;
      if (key == "without") result.without = slugs(entry.value, key);
      if (key == "with") result.with = slugs(entry.value, key);
      if (key == "kernel") result.kernel = kernel(entry.value);
      if (key == "persona") result.persona = persona(entry.value);
      if (key == "verdict") result.verdict = slug(yaml_.text(entry.value, key), "verdict");
      if (key != "known") continue;
      for (LocatedText& text : yaml_.texts(entry.value, key)) {
        result.known.push_back(std::move(text.text));
      }
    }
    if (result.verdict.empty()) yaml_.fail(node, "an expectation has no verdict");
    for (const std::string& patch : result.with) {
      if (std::find(result.without.begin(), result.without.end(), patch) == result.without.end()) {
        continue;
      }
      yaml_.fail(node, "patch " + quoted(patch) + " is both in \"with\" and in \"without\"");
    }
    return result;
  }

  YamlReader yaml_;
  Scenario scenario_;
  std::vector<YamlReader::Entry> entries_;
};

}  // namespace

Scenario parse_scenario(std::string_view text, std::string file_name,
                        const std::vector<std::pair<std::string, std::string>>& settings) {
  return Loader(text, std::move(file_name)).load(settings);
}

}  // namespace interleaf
