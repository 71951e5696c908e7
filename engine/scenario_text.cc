// SPDX-License-Identifier: GPL-2.0-only
#include "engine/scenario_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <utility>

#include "engine/expectation.h"
#include "engine/run.h"
#include "engine/user_error.h"

namespace interleaf {
namespace {

// A top-level key with its value, or what stands between two of them (no key).
struct Section {
  std::string key;
  std::string text;
};

std::string key_of(const std::string& line) {
  const std::size_t end = line.find_first_not_of("abcdefghijklmnopqrstuvwxyz_");
  return end != 0 && end != std::string::npos && line[end] == ':' ? line.substr(0, end) : "";
}

std::vector<Section> sections_of(const std::string& text) {
  std::vector<Section> sections;
  std::string between;  // comments and blank lines, which belong to what comes next
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size() - 1) + 1;
    const std::string line = text.substr(at, end - at);
    at = end;
    if (line[0] == '#' || line.find_first_not_of(" \t\r\n") == std::string::npos) {
      between += line;
      continue;
    }
    const std::string key = key_of(line);
    if (!key.empty()) {
      if (!between.empty()) sections.push_back({"", std::exchange(between, "")});
      sections.push_back({key, line});
    } else {
      if (sections.empty()) sections.push_back({"", ""});
      sections.back().text += std::exchange(between, "") + line;
    }
  }
  if (!between.empty()) sections.push_back({"", between});
  return sections;
}

// A YAML scalar; in quotes where it would be read as something else.
std::string scalar(const std::string& text) {
  const bool plain = !text.empty() && std::isalnum(static_cast<unsigned char>(text[0])) != 0 &&
                     text.back() != ':' && text.back() != ' ' &&
                     text.find(": ") == std::string::npos && text.find(" #") == std::string::npos;
  if (plain) return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? "''" : std::string(1, c);
  return quoted + "'";
}

void write_statements(const std::vector<Statement>& statements, std::size_t indent,
                      std::string& text) {
  const std::string margin(indent, ' ');
  for (const Statement& statement : statements) {
    if (statement.call != Call::kLoop) {
      text += margin + "- " + scalar(statement.text) + "\n";
      continue;
    }
    text += fmt::format("{}- loop:\n{}    times: {}\n{}    do:\n", margin, margin, statement.times,
                        margin);
    write_statements(statement.body, indent + 6, text);
  }
}

std::string tasks_text(const std::vector<TaskSpec>& tasks) {
  std::string text = "tasks:\n";
  for (const TaskSpec& task : tasks) {
    text += "  " + task.name + ":\n";
    write_statements(task.statements, 4, text);
  }
  return text;
}

std::string list_text(const std::vector<std::string>& items) {
  return fmt::format("[{}]", fmt::join(items, ", "));
}

std::string daemons_text(const std::vector<DaemonSpec>& daemons) {
  std::string text = "daemons:\n";
  for (const DaemonSpec& daemon : daemons) {
    text += "  - " + daemon.name;
    const char* before = ": {";
    for (const auto& [key, value] : daemon.options) {
      text += fmt::format("{}{}: {}", std::exchange(before, ", "), key, value);
    }
    text += daemon.options.empty() ? "\n" : "}\n";
  }
  return text;
}

std::string faults_text(const std::map<std::string, std::uint64_t>& faults) {
  std::vector<std::string> items;
  for (const auto& [kind, budget] : faults) items.push_back(fmt::format("{}: {}", kind, budget));
  return fmt::format("faults: {{{}}}\n", fmt::join(items, ", "));
}

std::string windows_text(const std::vector<WindowSpec>& windows) {
  std::vector<std::string> items;
  for (const WindowSpec& window : windows) {
    const std::string text = window_text(window);
    items.push_back(window.nth == 1 ? text : "\"" + text + "\"");
  }
  return "window: " + list_text(items) + "\n";
}

std::string double_quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text)
    quoted += c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
  return quoted + "\"";
}

// What is known of the smaller workload: the verdict on this kernel.
std::string expect_text(const Configuration& configuration, const std::string& verdict) {
  Expectation expectation;
  if (const Expectation* matching = matching_expectation(configuration)) {
    expectation = *matching;
  } else {
    expectation.with = configuration.overrides.with;
    expectation.without = configuration.overrides.without;
  }
  std::string text = "expect: {";
  if (!expectation.with.empty()) text += "with: " + list_text(expectation.with) + ", ";
  if (!expectation.without.empty()) text += "without: " + list_text(expectation.without) + ", ";
  if (expectation.kernel) text += "kernel: " + *expectation.kernel + ", ";
  if (expectation.persona) text += "persona: " + *expectation.persona + ", ";
  text += "verdict: " + verdict;
  std::vector<std::string> known;
  for (const std::string& prefix : expectation.known) known.push_back(double_quoted(prefix));
  if (!known.empty()) text += ", known: " + list_text(known);
  return text + "}\n";
}

void collect(const std::vector<Statement>& statements, std::vector<std::string>& lines) {
  for (const Statement& statement : statements) {
    lines.push_back(statement.call == Call::kLoop ? fmt::format("loop {}", statement.times)
                                                  : statement.text);
    collect(statement.body, lines);
  }
}

std::vector<std::string> lines_of(const std::vector<TaskSpec>& tasks) {
  std::vector<std::string> lines;
  for (const TaskSpec& task : tasks) {
    lines.push_back("task " + task.name);
    collect(task.statements, lines);
  }
  return lines;
}

bool is_meant(const Scenario& read, const ScenarioEdit& edit) {
  const auto same = [](const DaemonSpec& a, const DaemonSpec& b) {
    return a.name == b.name && a.options == b.options;
  };
  return lines_of(read.tasks) == lines_of(edit.tasks) && read.faults == edit.faults &&
         std::equal(read.daemons.begin(), read.daemons.end(), edit.daemons.begin(),
                    edit.daemons.end(), same);
}

}  // namespace

ScenarioEdit edit_of(const Scenario& scenario, std::string verdict) {
  ScenarioEdit edit;
  edit.tasks = scenario.tasks;
  edit.daemons = scenario.daemons;
  edit.faults = scenario.faults;
  edit.verdict = std::move(verdict);
  return edit;
}

std::optional<std::string> edited_text(const Configuration& configuration,
                                       const ScenarioEdit& edit) {
  const Scenario& scenario = configuration.scenario;
  if (edit.tasks.empty()) return std::nullopt;
  std::string text;
  for (Section& section : sections_of(scenario.text)) {
    if (section.key.empty()) continue;
    if (section.key == "tasks" && lines_of(edit.tasks) != lines_of(scenario.tasks)) {
      section.text = tasks_text(edit.tasks);
    } else if (section.key == "daemons" && edit.daemons.size() != scenario.daemons.size()) {
      section.text = edit.daemons.empty() ? "" : daemons_text(edit.daemons);
    } else if (section.key == "faults" && edit.faults != scenario.faults) {
      section.text = edit.faults.empty() ? "" : faults_text(edit.faults);
    } else if (section.key == "window" && edit.window.size() != scenario.window.size()) {
      section.text = edit.window.empty() ? "" : windows_text(edit.window);
    } else if (section.key == "table" || section.key == "tables") {
      if (!edit.tables) section.text = "";
    } else if (section.key == "expect") {
      section.text = expect_text(configuration, edit.verdict);
    }
    text += section.text;
  }
  try {
    const Scenario read =
        parse_scenario(text, scenario.name + ".yaml", configuration.overrides.settings);
    if (is_meant(read, edit)) return text;
  } catch (const UserError&) {
    // The part that is gone was needed.
  }
  return std::nullopt;
}

std::string with_headline(std::string_view comment, const std::string& text) {
  std::string lines = "# ";
  for (const char c : comment) lines += c == '\n' ? std::string("\n# ") : std::string(1, c);
  return lines + "\n#\n" + text;
}

}  // namespace interleaf
