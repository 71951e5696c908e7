// SPDX-License-Identifier: GPL-2.0-only
// interleaf table: a recording as a CPU table, or as text that survives a mail.
#include <fmt/format.h>

#include "engine/commands/command.h"
#include "engine/replay.h"
#include "engine/report.h"

namespace interleaf {
namespace {

struct Flags {
  RecordingFlags recording;
  unsigned width = 80;
  bool steps = false;
  bool full = false;
  bool text = false;
  bool json = false;
};

int table(const Flags& flags) {
  const Recording recording = flags.recording.load();
  if (flags.text) {
    fmt::print("{}", armoured(recording));
    return kExitClean;
  }
  const ReplayResult result = replay(recording);
  TableOptions options;
  options.width = flags.width;
  options.steps = flags.steps;
  options.full = flags.full || !recording.minimality;
  const std::string text = cpu_table(*result.configuration, result.run, options);
  if (flags.json) {
    Json json = run_json(result.run.result);
    json["exact"] = result.exact;
    json["minimality"] = minimality_text(recording);
    json["table"] = text;
    print_json(json);
  } else {
    fmt::print("{}\n{}{}", text, consequence(result.run), minimality_line(recording));
  }
  return result.exact || result.same_verdict ? kExitClean : kExitCannotJudge;
}

}  // namespace

Verb add_table(CLI::App& program) {
  auto flags = std::make_shared<Flags>();
  CLI::App* verb = program.add_subcommand("table", "a recording as a CPU table, for a mail");
  flags->recording.add_to(*verb);
  verb->add_option("--width", flags->width, "columns, 40 to 100")->check(CLI::Range(40, 100));
  verb->add_flag("--steps", flags->steps, "step numbers in the margin");
  verb->add_flag("--full", flags->full, "of a minimised recording, too, the whole table");
  verb->add_flag("--text", flags->text, "the recording itself as text that survives a mail");
  add_json_flag(*verb, flags->json);
  return {verb, [flags] { return table(*flags); }};
}

}  // namespace interleaf
