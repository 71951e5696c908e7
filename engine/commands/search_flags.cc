// SPDX-License-Identifier: GPL-2.0-only
#include "engine/commands/search_flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "engine/commands/command.h"
#include "engine/user_error.h"

namespace interleaf {
namespace {

// Bytes of "800M", "4G", "65536".
std::uint64_t parse_bytes(const std::string& text) {
  const char unit = text.empty() ? '0' : text.back();
  const unsigned shift = unit == 'K' ? 10 : unit == 'M' ? 20 : unit == 'G' ? 30 : 0;
  const std::string digits = shift == 0 ? text : text.substr(0, text.size() - 1);
  const bool number = !digits.empty() && digits.size() < 10 &&
                      digits.find_first_not_of("0123456789") == std::string::npos;
  if (!number || std::stoull(digits) == 0) {
    throw UserError("--memory " + text + " is no size", "", "for example 800M or 4G");
  }
  return std::stoull(digits) << shift;
}

}  // namespace

void RetriesFlag::add_to(CLI::App& verb) {
  verb.add_option(
      "--retries", value,
      fmt::format("a loop is repeated in vain at most so often, by each task; {}0: no limit",
                  value == 0 ? "" : fmt::format("{}; ", value)));
}

std::string RetriesFlag::text() const {
  return value == 0 ? "" : fmt::format(" --retries {}", value);
}

std::string retry_cuts_text(const RetryCuts& cuts, std::uint32_t retries_max, const char* what) {
  std::string text;
  for (const auto& [function, count] : cuts.functions) {
    text += fmt::format("{} cut after {} of {}\n", counted(count, what),
                        counted(retries_max, "fruitless repetition"), function);
  }
  return text;
}

CLI::Option* SearchFlags::add_to(CLI::App& verb) {
  verb.add_option("-j,--jobs", jobs, "worlds in parallel; all cores");
  retries.add_to(verb);
  verb.add_option("--time", time, "stop after this long (90s, 10m, 2h)");
  verb.add_option("--runs", runs, "stop after so many runs");
  return verb.add_option("--memory", memory, "stop when the search takes so much (800M, 4G); 2G");
}

void SearchFlags::apply(ExploreOptions& options) const {
  options.seconds_max = parse_time(time);
  options.runs_max = runs;
  options.retries_max = retries.value;
  if (!memory.empty()) options.memory_max = parse_bytes(memory);
  options.jobs = std::clamp(jobs != 0 ? jobs : std::thread::hardware_concurrency(), 1u, 64u);
}

}  // namespace interleaf
