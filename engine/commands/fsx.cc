// SPDX-License-Identifier: GPL-2.0-only
// interleaf fsx: makes sequences of file operations as fsx does, and runs them on this machine.
#include "engine/commands/fsx.h"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <iostream>
#include <iterator>

#include "engine/fsx/failure.h"
#include "engine/fsx/generate.h"
#include "engine/fsx/host_file.h"
#include "engine/fsx/run.h"
#include "engine/user_error.h"

namespace interleaf {
namespace {

constexpr std::uint64_t kTriesMax = 2000;

std::vector<FsxOp> load_ops(const std::string& path) {
  if (path == "-") {
    const std::string text{std::istreambuf_iterator<char>(std::cin), {}};
    return parse_fsx(text, "-");
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) throw UserError("cannot read " + path, "", "make one with `interleaf fsx`");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  return parse_fsx(text, path);
}

// The file's greatest size that the sequences can mean. Trims do not depend on more.
std::uint64_t length_max(const std::vector<std::vector<FsxOp>>& sequences) {
  std::uint64_t length = 4096;
  for (const std::vector<FsxOp>& ops : sequences) {
    for (const FsxOp& op : ops) {
      if (op.skip) continue;
      length = std::max({length, op.offset + op.length, op.destination + op.length, op.size});
    }
  }
  constexpr std::uint64_t kMost = std::uint64_t{1} << 30;
  if (length > kMost) {
    throw UserError(fmt::format("the file would have {:#x} bytes", length), "",
                    "it can have 1G; generate with a smaller -l");
  }
  return length;
}

void save_ops(const std::string& path, const std::vector<FsxOp>& ops) {
  std::ofstream file(path, std::ios::binary);
  file << fsx_text(ops);
  if (!file.flush()) throw UserError("cannot write " + path, "", "name another file with -o");
}

Json lines(const std::vector<FsxOp>& ops) {
  Json json = Json::array();
  for (const FsxOp& op : ops) json.push_back(fsx_line(op));
  return json;
}

std::string op_text(const std::vector<FsxOp>& ops, std::size_t op) {
  return op < ops.size() ? fmt::format("op {}: {}", op + 1, fsx_line(ops[op]))
                         : "after the last op";
}

struct GenerateFlags {
  FsxOptions options;
  std::string seed = "1";
  bool no_map_reads = false;
  bool no_map_writes = false;
  unsigned pollute = 0;
  std::string host;
  std::string ops;
  bool json = false;
};

int run_on_host(const GenerateFlags& flags, const FsxOptions& generate) {
  FsxHostFile file(flags.host);
  FsxOptions options = generate;
  options.block_size = file.block_size();
  const std::vector<FsxOp> ops = flags.ops.empty() ? generate_fsx(options) : load_ops(flags.ops);
  FsxChecks checks;
  checks.pollute = flags.pollute != 0;
  checks.seek_each = true;
  FsxExercise exercise(
      {flags.ops.empty() ? options.length_max : length_max({ops}), options.block_size}, checks);
  const bool good =
      exercise.run(file, ops, 0, ops.size()) && exercise.check_durable(file, ops.size());
  if (flags.json) {
    Json json;
    json["verdict"] = good ? "clean" : "mismatch";
    json["ops"] = exercise.done();
    json["skipped"] = exercise.skipped();
    if (!good) {
      json["op"] = exercise.mismatch()->op + 1;
      json["message"] = exercise.mismatch()->what;
    }
    print_json(json);
  } else if (good) {
    fmt::print("{} operations agree with the byte array, {} were skipped\n",
               grouped(exercise.done()), grouped(exercise.skipped()));
  } else {
    fmt::print("{}\n{}\n", op_text(ops, exercise.mismatch()->op), exercise.mismatch()->what);
  }
  return good ? kExitClean : kExitFound;
}

int fsx(const GenerateFlags& flags) {
  FsxOptions options = flags.options;
  options.seed = parse_seed(flags.seed);
  options.map_reads = !flags.no_map_reads;
  options.map_writes = !flags.no_map_writes;
  if (!flags.host.empty()) return run_on_host(flags, options);
  if (!flags.ops.empty()) {
    throw UserError("OPS is for --host", "", "on the port: interleaf run --fsx " + flags.ops);
  }
  const std::vector<FsxOp> ops = generate_fsx(options);
  if (flags.json) {
    Json json;
    json["ops"] = lines(ops);
    print_json(json);
  } else {
    fmt::print("# interleaf fsx --seed {:#x} -N {} -l {} -o {}\n{}", options.seed, options.count,
               options.length_max, options.op_max, fsx_text(ops));
  }
  return kExitClean;
}

}  // namespace

void FsxFlags::add_to(CLI::App& verb) {
  CLI::Option* fsx =
      verb.add_option("--fsx", ops, "instead of a scenario: a file of operations, or -, see `fsx`");
  verb.add_option("--second", second, "with --fsx: another task with this sequence on its own file")
      ->needs(fsx);
  verb.add_option("-e,--pollute", pollute,
                  "with --fsx: 1: garbage behind the end of the file where it is about to move")
      ->check(CLI::Range(0, 1))
      ->needs(fsx);
  verb.add_flag("--flusher", flusher, "with --fsx: the flusher runs beside it")->needs(fsx);
  verb.add_flag("--reclaim", reclaim, "with --fsx: clean pages are dropped beside it")->needs(fsx);
  verb.add_flag("--interleave", random, "with --fsx: tasks interrupt each other, by --seed")
      ->needs(fsx);
  verb.add_option("--ops-per-run", ops_per_run,
                  "with --fsx: a new machine after so many operations (default 500)")
      ->check(CLI::PositiveNumber)
      ->needs(fsx);
}

int run_fsx_command(const FsxFlags& flags, const ScenarioFlags& machine,
                    const VerdictFlags& verdict_flags, const std::string& seed,
                    const OutputFlags& output) {
  output.check();
  const auto configuration = configure_fsx(machine.overrides());
  std::vector<std::vector<FsxOp>> sequences = {load_ops(flags.ops)};
  if (!flags.second.empty()) sequences.push_back(load_ops(flags.second));
  FsxRunOptions options;
  options.limits.length_max = length_max(sequences);
  options.checks.pollute = flags.pollute != 0;
  options.flusher = flags.flusher;
  options.reclaim = flags.reclaim;
  options.random = flags.random;
  options.seed = parse_seed(seed);
  options.ops_per_run = flags.ops_per_run;
  const FsxResult result = run_fsx(configuration, sequences, options);
  const std::string verdict = fsx_verdict(result);
  const int code = verdict_flags.exit_code(verdict);
  FsxMinimum minimum;
  if (!result.clean()) {
    minimum = minimize_failure(configuration, sequences, options, result, kTriesMax);
    if (!output.path.empty() && !minimum.ops.empty()) save_ops(output.path, minimum.ops);
  }
  const std::vector<FsxOp>& ops = sequences[result.file];
  if (verdict_flags.json) {
    Json json;
    json["verdict"] = verdict;
    json["ops"] = result.done;
    json["skipped"] = result.skipped;
    json["runs"] = result.runs;
    json["steps"] = result.steps;
    if (!result.clean()) {
      json["file"] = result.file;
      json["op"] = result.op + 1;
      json["message"] = fsx_finding(result)->message;
      json["minimized"] = lines(minimum.ops);
    }
    print_json(json);
    return code;
  }
  fmt::print("fsx on {} ({}): ", configuration->kernel_text(), configuration->persona->name);
  if (result.clean()) {
    fmt::print("{} operations agree with the byte array, {} were skipped\n", grouped(result.done),
               grouped(result.skipped));
    return code;
  }
  fmt::print("{}\n\n{}{}\n {}\n\n", verdict,
             sequences.size() == 1 ? "" : fmt::format("file {}, ", result.file + 1),
             op_text(ops, result.op), fsx_finding(result)->message);
  if (minimum.ops.empty()) {
    fmt::print("It did not show again when the run was made alone.\n");
  } else {
    fmt::print("# {} of {} operations show it{}\n{}", minimum.ops.size(), result.op + 1,
               minimum.complete ? ", none of them can go" : ", more might go",
               fsx_text(minimum.ops));
  }
  return code;
}

Verb add_fsx(CLI::App& program) {
  auto flags = std::make_shared<GenerateFlags>();
  CLI::App* verb = program.add_subcommand(
      "fsx", "makes a sequence of file operations, or runs one on this machine");
  FsxOptions& options = flags->options;
  verb->add_option("OPS", flags->ops, "with --host: a file of operations, or -; else one is made");
  verb->add_option("-S,--seed", flags->seed, "of the generator (default 1)");
  verb->add_option("-N,--count", options.count, "operations (default 1000)")
      ->check(CLI::Range(std::uint64_t{0}, std::uint64_t{100'000'000}));
  verb->add_option("-l", options.length_max, "the file's greatest size (default 262144)")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1} << 30));
  verb->add_option("-o", options.op_max, "an operation's greatest length (default 65536)")
      ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1} << 30));
  verb->add_option("-b,--block-size", options.block_size,
                   "what collapse and insert range count in (default 4096)")
      ->check(CLI::Range(std::uint64_t{512}, std::uint64_t{65536}));
  verb->add_option("-c", options.close_chance, "1 in so many operations closes and opens");
  verb->add_flag("-R", flags->no_map_reads, "no reads through mappings");
  verb->add_flag("-W", flags->no_map_writes, "no writes through mappings");
  verb->add_flag("--integrity", options.integrity, "fsync is one of the operations");
  verb->add_option("-e,--pollute", flags->pollute,
                   "with --host: 1: garbage behind the end of the file where it is about to move")
      ->check(CLI::Range(0, 1));
  verb->add_option("--host", flags->host, "run it in this directory of this machine");
  verb->add_flag("--json", flags->json, "one JSON object");
  return {verb, [flags] { return fsx(*flags); }};
}

}  // namespace interleaf
