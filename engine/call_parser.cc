// SPDX-License-Identifier: GPL-2.0-only
#include "engine/call_parser.h"

#include <utility>

#include "engine/nearest.h"
#include "engine/user_error.h"

namespace interleaf {
namespace {

std::string quoted(std::string_view text) { return "\"" + std::string(text) + "\""; }

std::string count(std::size_t number, std::string_view noun) {
  return std::to_string(number) + " " + std::string(noun) + (number == 1 ? "" : "s");
}

bool is_zeros(const Expression& expression) {
  return expression.kind == Expression::Kind::kNames && expression.names.size() == 1 &&
         expression.names.front().text == "zeros";
}

// Gives the parts of a line their meaning: each argument by what the signature asks for.
class Binder {
 public:
  explicit Binder(CallScope& scope) : scope_(scope) {}

  Statement statement(const CallLine& line) {
    const CallSignature& signature = find_signature(line.name);
    check_count(line, signature);
    Statement statement;
    statement.call = signature.call;
    statement.returns = line.returns;
    for (std::size_t i = 0; i < signature.parameters.size(); ++i) {
      const Parameter& parameter = signature.parameters[i];
      if (i < line.arguments.size()) {
        statement.arguments.push_back(argument(signature, parameter, line.arguments[i]));
      } else {
        Argument left_out;
        left_out.kind = parameter.kind;
        left_out.position = line.end;
        statement.arguments.push_back(std::move(left_out));
      }
    }
    check_data_length(statement, signature);
    statement.variable = bind_result(line, signature);
    return statement;
  }

 private:
  [[noreturn]] void fail(const std::string& what, SourcePosition position,
                         const std::string& remedy = "") const {
    throw UserError(what, where(scope_.file_name, position), remedy);
  }

  const CallSignature& find_signature(const Word& name) const {
    std::vector<std::string> known;
    for (const CallSignature& signature : call_signatures()) {
      if (signature.name == name.text) return signature;
      known.emplace_back(signature.name);
    }
    const std::string near = nearest(name.text, known);
    fail("unknown call " + quoted(name.text), name.position,
         near.empty() ? "docs/SCENARIOS.md lists the calls" : "did you mean \"" + near + "\"?");
  }

  void check_count(const CallLine& line, const CallSignature& signature) const {
    std::size_t required = 0;
    for (const Parameter& parameter : signature.parameters) required += !parameter.optional;
    const std::size_t given = line.arguments.size();
    if (given >= required && given <= signature.parameters.size()) return;
    const SourcePosition position =
        given < required ? line.end : line.arguments[signature.parameters.size()].position;
    fail(signature.text() + " takes " + count(required, "argument") +
             (required < signature.parameters.size() ? " or more" : "") + ", not " +
             std::to_string(given),
         position);
  }

  Argument argument(const CallSignature& signature, const Parameter& parameter,
                    const Expression& expression) const {
    Argument argument;
    argument.kind = parameter.kind;
    argument.position = expression.position;
    context_ = "parameter " + quoted(parameter.name) + " of " + signature.text();
    switch (parameter.kind) {
      case ParameterKind::kPath:
        argument.file = file(expression);
        break;
      case ParameterKind::kFd:
        argument.variable = variable(expression, ResultKind::kFd);
        break;
      case ParameterKind::kAddress:
      case ParameterKind::kPageAddress:
        argument.variable = variable(expression, ResultKind::kAddress);
        argument.value = expression.kind == Expression::Kind::kSum ? expression.number : 0;
        break;
      case ParameterKind::kBytes:
      case ParameterKind::kPageBytes:
      case ParameterKind::kMode:
        argument.value = number(expression);
        break;
      case ParameterKind::kData:
        argument.data = data(expression);
        check_readable(signature, expression);
        break;
      case ParameterKind::kTask:
        argument.task = task(expression);
        break;
      default:
        argument.value = flags(expression, flags_of(parameter.kind));
    }
    check_alignment(argument, expression);
    return argument;
  }

  [[noreturn]] void wrong_kind(const Expression& expression, const std::string& wanted) const {
    fail(context_ + " must be " + wanted + ", not " + expression.written, expression.position);
  }

  int file(const Expression& expression) const {
    if (expression.kind != Expression::Kind::kString) {
      wrong_kind(expression, "the name of a file in quotes");
    }
    return index_of(expression.text, "file", scope_.files, expression.position);
  }

  int task(const Expression& expression) const {
    if (expression.kind != Expression::Kind::kNames || expression.names.size() != 1) {
      wrong_kind(expression, "the name of a task");
    }
    const Word& name = expression.names.front();
    const int index = index_of(name.text, "task", scope_.tasks, name.position);
    if (index == scope_.task) {
      fail("task " + quoted(name.text) + " waits for itself", name.position,
           "wait for another task");
    }
    return index;
  }

  int index_of(const std::string& name, const std::string& noun,
               const std::vector<std::string>& known, SourcePosition position) const {
    for (std::size_t i = 0; i < known.size(); ++i) {
      if (known[i] == name) return static_cast<int>(i);
    }
    fail("unknown " + noun + " " + quoted(name), position, nearest_or_list(name, known));
  }

  int variable(const Expression& expression, ResultKind wanted) const {
    const bool address = wanted == ResultKind::kAddress;
    const bool sum = expression.kind == Expression::Kind::kSum;
    const std::string description = address ? "an address, as mmap() gives it" : "an open file";
    if (expression.names.size() != 1 || (sum && !address) ||
        (expression.kind != Expression::Kind::kNames && !sum)) {
      wrong_kind(expression, description);
    }
    const Word& name = expression.names.front();
    std::vector<std::string> known;
    for (std::size_t i = 0; i < scope_.variables.size(); ++i) {
      const Variable& variable = scope_.variables[i];
      known.push_back(variable.name);
      if (variable.name != name.text) continue;
      if (variable.kind == wanted) return static_cast<int>(i);
      fail(context_ + " must be " + description + ", and " + quoted(name.text) + " is " +
               (address ? "an open file" : "an address") + " (set in line " +
               std::to_string(variable.line) + ")",
           name.position);
    }
    const std::string near = nearest(name.text, known);
    fail("variable " + quoted(name.text) + " is used before it is set", name.position,
         near.empty() ? "set it earlier in the same task: " + name.text +
                            (address ? " = mmap(...)" : " = open(...)")
                      : "did you mean \"" + near + "\"?");
  }

  std::uint64_t number(const Expression& expression) const {
    if (expression.kind != Expression::Kind::kNumber) wrong_kind(expression, "a number");
    return expression.number;
  }

  DataSource data(const Expression& expression) const {
    DataSource data;
    if (expression.kind == Expression::Kind::kPattern) {
      data = expression.pattern;
    } else if (expression.kind == Expression::Kind::kString) {
      data.kind = DataSource::Kind::kString;
      data.text = expression.text;
    } else if (!is_zeros(expression)) {
      wrong_kind(expression, "pattern(seed), zeros or a string");
    }
    data.readable = expression.readable.value_or(DataSource::kAllReadable);
    return data;
  }

  // Others than write and pwrite do not read from a buffer of the task.
  void check_readable(const CallSignature& signature, const Expression& expression) const {
    if (!expression.readable.has_value() || signature.call == Call::kWrite ||
        signature.call == Call::kPwrite) {
      return;
    }
    wrong_kind(expression, "data that can be read");
  }

  std::uint64_t flags(const Expression& expression, const std::vector<Flag>& known) const {
    std::vector<std::string> names, exclusive;
    for (const Flag& flag : known) {
      names.emplace_back(flag.name);
      if (flag.exclusive) exclusive.emplace_back(flag.name);
    }
    if (expression.kind == Expression::Kind::kNumber && expression.number == 0 &&
        exclusive.empty()) {
      return 0;
    }
    if (expression.kind != Expression::Kind::kNames) wrong_kind(expression, "made of flags");
    std::uint64_t value = 0;
    std::size_t chosen = 0;
    for (const Word& name : expression.names) {
      const Flag& flag =
          known[static_cast<std::size_t>(index_of(name.text, "flag", names, name.position))];
      value |= flag.value;
      chosen += flag.exclusive;
    }
    if (chosen != (exclusive.empty() ? 0 : 1)) {
      std::string list;
      for (const std::string& name : exclusive) list += (list.empty() ? "" : ", ") + name;
      fail(context_ + " must hold exactly one of " + list, expression.position);
    }
    return value;
  }

  void check_alignment(const Argument& argument, const Expression& expression) const {
    const std::uint64_t page = scope_.page_size;
    if (argument.kind != ParameterKind::kPageBytes &&
        argument.kind != ParameterKind::kPageAddress) {
      return;
    }
    if (argument.value % page == 0) return;
    fail(context_ + " must be a multiple of the page size (" + std::to_string(page) + "), not " +
             std::to_string(argument.value),
         expression.position,
         "the page before it starts at " + std::to_string(argument.value - argument.value % page));
  }

  void check_data_length(const Statement& statement, const CallSignature& signature) const {
    for (std::size_t i = 0; i + 1 < statement.arguments.size(); ++i) {
      const Argument& data = statement.arguments[i];
      if (data.kind != ParameterKind::kData || data.data.kind != DataSource::Kind::kString)
        continue;
      const Argument& length = statement.arguments[i + 1];
      if (length.value <= data.data.text.size()) continue;
      fail(signature.text() + " takes " + std::to_string(length.value) +
               " bytes from a string that has " + std::to_string(data.data.text.size()),
           length.position);
    }
  }

  int bind_result(const CallLine& line, const CallSignature& signature) const {
    const Word& name = line.variable;
    if (name.text.empty()) return -1;
    if (signature.result == ResultKind::kStatus) {
      fail(quoted(signature.name) + " gives nothing that a later call can use", name.position,
           "leave out \"" + name.text + " =\"; to check the result write \"= 0\" after the call");
    }
    for (std::size_t i = 0; i < scope_.variables.size(); ++i) {
      const Variable& variable = scope_.variables[i];
      if (variable.name != name.text) continue;
      if (variable.kind == signature.result) return static_cast<int>(i);
      fail("variable " + quoted(name.text) + " already is " +
               (variable.kind == ResultKind::kFd ? "an open file" : "an address") +
               " (set in line " + std::to_string(variable.line) + ")",
           name.position, "use another name");
    }
    if (name.text == "zeros" || name.text == "pattern" || name.text == "unreadable") {
      fail(quoted(name.text) + " is a word of its own and can not be a variable", name.position,
           "use another name");
    }
    scope_.variables.push_back({name.text, signature.result, name.position.line});
    return static_cast<int>(scope_.variables.size()) - 1;
  }

  CallScope& scope_;
  mutable std::string context_;  // the parameter that is being bound, for messages
};

}  // namespace

Statement parse_call(const LocatedText& line, CallScope& scope) {
  Statement statement = Binder(scope).statement(parse_call_line(line, scope.file_name));
  statement.text = line.text;
  statement.position = line.positions.front();
  return statement;
}

DataSource parse_data(const LocatedText& text, std::string_view file_name) {
  const Expression expression = parse_expression(text, file_name);
  const bool readable = !expression.readable.has_value();
  if (readable && expression.kind == Expression::Kind::kPattern) return expression.pattern;
  if (readable && is_zeros(expression)) return {};
  throw UserError(expression.written + " is not a content", where(file_name, expression.position),
                  "pattern(seed), zeros, hole or a string in quotes");
}

}  // namespace interleaf
