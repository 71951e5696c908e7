// SPDX-License-Identifier: GPL-2.0-only
// Where scenarios are found by name: in INTERLEAF_SCENARIO_DIR as it was compiled in, or else in a
// directory `scenarios` beside the executable or beside one of the four directories above it.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

#include "engine/nearest.h"
#include "engine/scenario.h"
#include "engine/user_error.h"

namespace interleaf {
namespace {

namespace fs = std::filesystem;

constexpr int kParentsMax = 4;
constexpr std::size_t kFileBytesMax = 1 << 20;

fs::path scenario_directory() {
  std::error_code error;
#ifdef INTERLEAF_SCENARIO_DIR
  if (fs::is_directory(INTERLEAF_SCENARIO_DIR, error)) return INTERLEAF_SCENARIO_DIR;
#endif
  fs::path parent = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (int i = 0; i <= kParentsMax && !parent.empty(); ++i, parent = parent.parent_path()) {
    if (fs::is_directory(parent / "scenarios", error)) return parent / "scenarios";
  }
  throw UserError("there is no directory of scenarios", "", "give the path of a YAML file");
}

std::string read_file(const fs::path& path) {
  std::error_code error;
  if (fs::is_directory(path, error)) {
    throw UserError("a scenario is a file, not a directory", path.string());
  }
  std::ifstream stream(path, std::ios::binary);
  if (!stream) {
    throw UserError("can not open the scenario", path.string(),
                    "`interleaf list` prints the names that are known");
  }
  std::string text(std::istreambuf_iterator<char>(stream), {});
  if (stream.bad()) throw UserError("can not read the scenario", path.string());
  if (text.size() > kFileBytesMax) {
    throw UserError("the scenario is larger than 1 MiB", path.string());
  }
  return text;
}

bool is_path(std::string_view name_or_path) {
  return name_or_path.find('/') != std::string_view::npos || name_or_path.ends_with(".yaml");
}

}  // namespace

std::vector<std::string> list_scenarios() {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(scenario_directory())) {
    if (entry.path().extension() == ".yaml") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<std::string> scenarios_named(std::string_view name_or_path) {
  const std::string name(name_or_path);
  if (is_path(name)) return {name};
  std::vector<std::string> names = list_scenarios();
  if (std::binary_search(names.begin(), names.end(), name)) return {name};
  std::vector<std::string> group;
  for (const std::string& other : names) {
    if (!name.empty() && other.starts_with(name + "-")) group.push_back(other);
  }
  if (!group.empty()) return group;
  const std::size_t count = names.size();
  for (std::size_t i = 0; i < count; ++i) {  // a group may be what was meant
    const std::size_t dash = names[i].find('-');
    if (dash != std::string::npos) names.push_back(names[i].substr(0, dash));
  }
  names.erase(std::unique(names.begin() + static_cast<std::ptrdiff_t>(count), names.end()),
              names.end());
  throw UserError("unknown scenario \"" + name + "\"", "", nearest_or_list(name, names));
}

Scenario load_scenario(std::string_view name_or_path) {
  fs::path path(name_or_path);
  if (!is_path(name_or_path)) {
    const std::vector<std::string> names = list_scenarios();
    if (!std::binary_search(names.begin(), names.end(), name_or_path)) {
      throw UserError("unknown scenario \"" + std::string(name_or_path) + "\"", "",
                      nearest_or_list(name_or_path, names));
    }
    path = scenario_directory() / (std::string(name_or_path) + ".yaml");
  }
  return parse_scenario(read_file(path), path.string());
}

}  // namespace interleaf
