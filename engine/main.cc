// SPDX-License-Identifier: GPL-2.0-only
// The program: parses the command line, calls one verb, turns errors into messages and exit codes.
#include <fmt/format.h>

#include <exception>

#include "engine/commands/command.h"
#include "engine/user_error.h"
#include "engine/version.h"

namespace interleaf {
namespace {

constexpr const char* kFooter =
    "Exit status: 0 nothing found, 1 found, 125 cannot judge, 128 the tool failed, 129 usage or "
    "bad "
    "input.\n`interleaf VERB --help` describes a verb.";

int main(int argc, char** argv) {
  CLI::App program("Deterministic replay of races in Linux's page cache", "interleaf");
  program.set_version_flag("--version", "interleaf " + version());
  program.require_subcommand(1);
  program.footer(kFooter);
  const Verb verbs[] = {add_list(program),    add_run(program),      add_fuzz(program),
                        add_explore(program), add_minimize(program), add_replay(program),
                        add_table(program),   add_calls(program),    add_why(program),
                        add_matrix(program),  add_fsx(program)};
  try {
    program.parse(argc, argv);
    for (const Verb& verb : verbs) {
      if (verb.app->parsed()) return verb.main();
    }
  } catch (const CLI::ParseError& error) {
    return program.exit(error) == 0 ? kExitClean : kExitUsage;
  } catch (const CannotJudge& error) {
    fmt::print(stderr, "interleaf: cannot judge: {}\n", error.what());
    return kExitCannotJudge;
  } catch (const UserError& error) {
    fmt::print(stderr, "interleaf: {}\n", error.what());
    return kExitUsage;
  } catch (const std::exception& error) {
    fmt::print(stderr, "interleaf: {}\n", error.what());
    return kExitToolFailed;
  }
  return kExitToolFailed;
}

}  // namespace
}  // namespace interleaf

int main(int argc, char** argv) { return interleaf::main(argc, argv); }
