// SPDX-License-Identifier: GPL-2.0-only
#include "engine/task_reader.h"

#include <algorithm>
#include <utility>

#include "engine/call_parser.h"
#include "engine/user_error.h"

namespace interleaf {
namespace {

std::string quoted(std::string_view text) { return "\"" + std::string(text) + "\""; }

bool is_task_name(std::string_view text) {
  return !text.empty() && text.front() >= 'a' && text.front() <= 'z' &&
         text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789_-") == text.npos;
}

class TaskReader {
 public:
  TaskReader(const YamlReader& yaml, CallScope scope, const std::vector<std::string>& reserved)
      : yaml_(yaml), scope_(std::move(scope)), reserved_(reserved) {}

  std::vector<TaskSpec> read(const YAML::Node& node) {
    const std::vector<YamlReader::Entry> tasks = yaml_.entries(node, "tasks");
    if (tasks.empty()) yaml_.fail(node, "there are no tasks", "name one with a list of calls");
    for (const YamlReader::Entry& task : tasks) {
      if (scope_.tasks.size() == kScenarioTasksMax) {
        yaml_.fail(task.key, "there are more than " + std::to_string(kScenarioTasksMax) + " tasks");
      }
      check_task_name(task.key);
      scope_.tasks.push_back(task.key.text);
    }
    for (const YamlReader::Entry& task : tasks) read_task(task);
    check_waits();
    return std::move(tasks_);
  }

 private:
  void check_task_name(const LocatedText& name) const {
    if (!is_task_name(name.text)) {
      yaml_.fail(name, quoted(name.text) + " is not a task name",
                 "a letter, then letters, digits, \"_\" and \"-\", all lower case");
    }
    if (std::find(reserved_.begin(), reserved_.end(), name.text) == reserved_.end()) return;
    yaml_.fail(name, quoted(name.text) + " is a daemon and can not be a task",
               "use another name, or `daemons: [" + name.text + "]`");
  }

  void read_task(const YamlReader::Entry& entry) {
    scope_.task = static_cast<int>(tasks_.size());
    scope_.variables.clear();
    statements_ = 0;
    if (entry.value.IsNull()) fail_empty(entry.key);
    TaskSpec task;
    task.name = entry.key.text;
    task.position = entry.key.positions.front();
    task.statements = statements(entry.value, "task " + quoted(task.name), 0);
    for (const Variable& variable : scope_.variables) task.variables.push_back(variable.name);
    tasks_.push_back(std::move(task));
  }

  [[noreturn]] void fail_empty(const LocatedText& task) const {
    yaml_.fail(task, "task " + quoted(task.text) + " has no calls", "list them: - fsync(fd)");
  }

  std::vector<Statement> statements(const YAML::Node& node, const std::string& name, int depth) {
    if (depth > kLoopDepthMax) {
      yaml_.fail(node, "loops are nested more than " + std::to_string(kLoopDepthMax) + " deep");
    }
    const bool flow = node.Style() == YAML::EmitterStyle::Flow;
    std::vector<Statement> result;
    for (const YAML::Node& item : yaml_.items(node, name)) {
      if (++statements_ > kStatementsMax) {
        yaml_.fail(item, name + " has more than " + std::to_string(kStatementsMax) + " calls");
      }
      result.push_back(item.IsMap() ? loop(item, depth) : call(item, flow));
    }
    if (result.empty()) yaml_.fail(node, name + " has no calls", "list them: - fsync(fd)");
    return result;
  }

  // In a [...] list YAML itself splits at the commas of a call that is not in quotes.
  Statement call(const YAML::Node& node, bool flow) {
    const LocatedText line = yaml_.text(node, "a call");
    const auto opened = std::count(line.text.begin(), line.text.end(), '(');
    if (flow && opened > std::count(line.text.begin(), line.text.end(), ')')) {
      yaml_.fail(line, "the call " + quoted(line.text) + " was cut at a comma",
                 "in [...] put calls in quotes, or write each behind \"- \" on its own line");
    }
    return parse_call(line, scope_);
  }

  Statement loop(const YAML::Node& node, int depth) {
    const std::vector<YamlReader::Entry> outer = yaml_.entries(node, "a call", {"loop"});
    if (outer.empty()) yaml_.fail(node, "a call is empty");
    Statement loop;
    loop.call = Call::kLoop;
    loop.position = yaml_.position(node);
    const YAML::Node& body = outer.front().value;
    for (const YamlReader::Entry& entry : yaml_.entries(body, "loop", {"times", "do"})) {
      if (entry.key.text == "times") {
        loop.times = yaml_.number(entry.value, "times");
        if (loop.times == 0 || loop.times > kStatementsMax) {
          yaml_.fail(entry.value, "times must be from 1 to " + std::to_string(kStatementsMax));
        }
      } else {
        loop.body = statements(entry.value, "the loop", depth + 1);
      }
    }
    if (loop.times == 0 || loop.body.empty()) {
      yaml_.fail(node, "a loop needs both keys, times and do");
    }
    loop.text = "loop " + std::to_string(loop.times) + " times";
    return loop;
  }

  // A circle of wait() calls can never end, whatever the schedule.
  void check_waits() const {
    std::vector<int> path;
    for (std::size_t task = 0; task < tasks_.size(); ++task) {
      std::vector<bool> seen(tasks_.size(), false);
      path.assign(1, static_cast<int>(task));
      follow_waits(tasks_[task].statements, path, seen);
    }
  }

  void follow_waits(const std::vector<Statement>& statements, std::vector<int>& path,
                    std::vector<bool>& seen) const {
    for (const Statement& statement : statements) {
      follow_waits(statement.body, path, seen);
      if (statement.call != Call::kWait) continue;
      const Argument& other = statement.arguments.front();
      path.push_back(other.task);
      if (other.task == path.front()) fail_waits(path, other.position);
      const auto index = static_cast<std::size_t>(other.task);
      if (!seen[index]) {
        seen[index] = true;
        follow_waits(tasks_[index].statements, path, seen);
      }
      path.pop_back();
    }
  }

  [[noreturn]] void fail_waits(const std::vector<int>& path, SourcePosition position) const {
    std::string circle;
    for (const int task : path) {
      circle += (circle.empty() ? "" : " -> ") + tasks_[static_cast<std::size_t>(task)].name;
    }
    throw UserError("tasks wait for each other: " + circle, where(yaml_.file_name(), position),
                    "remove one wait");
  }

  const YamlReader& yaml_;
  CallScope scope_;
  const std::vector<std::string>& reserved_;
  std::vector<TaskSpec> tasks_;
  std::size_t statements_ = 0;  // of the task that is being read
};

}  // namespace

std::vector<TaskSpec> read_tasks(const YamlReader& yaml, const YAML::Node& node,
                                 const std::vector<std::string>& files,
                                 const std::vector<std::string>& reserved,
                                 std::uint64_t page_size) {
  CallScope scope;
  scope.file_name = yaml.file_name();
  scope.files = files;
  scope.page_size = page_size;
  return TaskReader(yaml, std::move(scope), reserved).read(node);
}

}  // namespace interleaf
