// SPDX-License-Identifier: GPL-2.0-only
// interleaf list: what there is to name on the command line.
#include <fmt/format.h>

#include "engine/commands/command.h"
#include "engine/kernel/config.h"
#include "engine/kernel/patch.h"
#include "engine/nearest.h"
#include "engine/strategies.h"
#include "engine/user_error.h"
#include "scheduler/detect/detectors.h"

namespace interleaf {
namespace {

struct Flags {
  std::string kind = "scenarios";
  bool json = false;
};

// A named thing with columns of text; the same for a terminal and for JSON.
using Entry = std::vector<std::pair<std::string, std::string>>;

std::vector<Entry> scenarios() {
  std::vector<Entry> entries;
  for (const std::string& name : list_scenarios()) {
    const Scenario scenario = load_scenario(name);
    entries.push_back({{"name", name}, {"kernel", scenario.kernel}, {"title", scenario.title}});
  }
  return entries;
}

// The slugs of a set, separated by spaces.
std::string slugs(kernel::patch_set set) {
  std::string text;
  for (unsigned i = 0; i < kernel::patch_count(); ++i) {
    const kernel::patch_info& info = kernel::patch_at(i);
    if ((set & kernel::patch_bit(info.patch)) == 0) continue;
    text += (text.empty() ? "" : " ") + std::string(info.slug);
  }
  return text;
}

std::vector<Entry> kernels() {
  std::vector<Entry> entries;
  for (unsigned i = 0; i < kernel::kernel_count(); ++i) {
    const kernel::kernel_info& info = kernel::kernel_at(i);
    entries.push_back({{"name", std::string(info.name)},
                       {"alias", std::string(info.alias)},
                       {"on", std::string(info.on)},
                       {"ported", patch_refusal(info, info.patches).empty() ? "yes" : "no"},
                       {"summary", std::string(info.summary)},
                       {"patches", slugs(info.patches)}});
  }
  return entries;
}

// The names, separated by spaces, of the kernels that have a patch or that can take it as it is.
std::string kernels_with(const kernel::patch_info& patch, bool has) {
  std::string text;
  for (unsigned i = 0; i < kernel::kernel_count(); ++i) {
    const kernel::kernel_info& info = kernel::kernel_at(i);
    if (has ? (info.patches & kernel::patch_bit(patch.patch)) == 0 : !patch_fits(info, patch)) {
      continue;
    }
    text += (text.empty() ? "" : " ") + std::string(info.name);
  }
  return text;
}

std::vector<Entry> patches() {
  std::vector<Entry> entries;
  for (unsigned i = 0; i < kernel::patch_count(); ++i) {
    const kernel::patch_info& info = kernel::patch_at(i);
    entries.push_back({{"slug", std::string(info.slug)},
                       {"commit", info.commit.empty() ? "-" : std::string(info.commit)},
                       {"title", std::string(info.title)},
                       {"source", std::string(info.source)},
                       {"in", kernels_with(info, true)},
                       {"fits", kernels_with(info, false)},
                       {"needs", slugs(info.needs)},
                       {"needs_one", slugs(info.needs_one)},
                       {"excludes", slugs(info.excludes)},
                       {"removes", slugs(info.removes)},
                       {"ported", info.ported ? "yes" : "no"}});
  }
  return entries;
}

std::vector<Entry> personas() {
  std::vector<Entry> entries;
  auto yes = [](bool value) { return std::string(value ? "yes" : "no"); };
  for (unsigned i = 0; i < kernel::persona_count(); ++i) {
    const kernel::persona& info = kernel::persona_at(i);
    entries.push_back({{"name", std::string(info.name)},
                       {"large_folios", yes(info.large_folios)},
                       {"has_private", yes(info.has_private)},
                       {"writes_take_i_rwsem", yes(info.writes_take_i_rwsem)},
                       {"mkwrite_takes_invalidate_lock", yes(info.mkwrite_takes_invalidate_lock)},
                       {"truncate_takes_invalidate_lock", yes(info.truncate_takes_invalidate_lock)},
                       {"delayed_allocation", yes(info.delayed_allocation)}});
  }
  return entries;
}

std::vector<Entry> strategy_names() {
  std::vector<Entry> entries;
  for (const NamedStrategy& info : named_strategies()) {
    entries.push_back({{"name", std::string(info.name)},
                       {"parameters", std::string(info.parameters)},
                       {"summary", std::string(info.summary)},
                       {"source", std::string(info.source)},
                       {"deviations", std::string(info.deviations)}});
  }
  return entries;
}

std::vector<Entry> detectors() {
  std::vector<Entry> entries;
  for (const DetectorInfo& info : detector_table()) {
    entries.push_back({{"name", std::string(info.name)},
                       {"default", Detectors().*info.on ? "on" : "off"},
                       {"summary", std::string(info.summary)}});
  }
  return entries;
}

// A paragraph each: their papers and what is different from them do not fit columns.
void print_strategies() {
  for (const NamedStrategy& info : named_strategies()) {
    fmt::print("{:<14}{}\n", info.name, info.summary);
    if (!info.parameters.empty()) fmt::print("{:14}{}{}\n", "", info.name, info.parameters);
    if (!info.source.empty()) fmt::print("{:14}{}\n", "", info.source);
    if (!info.deviations.empty()) fmt::print("{:14}here: {}\n", "", info.deviations);
  }
}

// "  label     words", in lines of at most 100 columns; nothing if there are no words.
void print_words(std::string_view label, const std::string& words) {
  std::string line = fmt::format("  {:<9}", label);
  const std::size_t indent = line.size();
  for (std::size_t at = 0; at < words.size();) {
    const std::size_t end = std::min(words.find(' ', at), words.size());
    if (line.size() > indent && line.size() + 1 + end - at > 100) {
      fmt::print("{}\n", line);
      line.assign(indent, ' ');
    }
    line += " " + words.substr(at, end - at);
    at = end + 1;
  }
  if (line.size() > indent) fmt::print("{}\n", line);
}

// With what each release has on top of the one before, and the others on top of theirs.
void print_kernels() {
  kernel::patch_set before = 0;
  for (unsigned i = 0; i < kernel::kernel_count(); ++i) {
    const kernel::kernel_info& info = kernel::kernel_at(i);
    const bool ported = patch_refusal(info, info.patches).empty();
    if (!info.on.empty()) before = kernel::find_kernel(info.on)->patches;
    fmt::print("{:<17}{:<6}{}{}\n", info.name, info.alias, info.summary,
               ported ? "" : " (not ported yet)");
    print_words("adds", slugs(info.patches & ~before));
    print_words("lacks", slugs(before & ~info.patches));
    before = info.patches;
  }
}

// A paragraph each, too.
void print_patches() {
  for (unsigned i = 0; i < kernel::patch_count(); ++i) {
    const kernel::patch_info& info = kernel::patch_at(i);
    const bool landed = !kernels_with(info, true).empty();
    fmt::print("{}{}\n  {}\n", info.slug,
               info.ported ? ""
               : landed    ? " (the code before it is not ported yet)"
                           : " (not ported yet)",
               info.title);
    print_words("commit", std::string(info.commit));
    print_words("source", std::string(info.source));
    print_words("in", kernels_with(info, true));
    print_words("fits", kernels_with(info, false));
    print_words("needs", slugs(info.needs));
    print_words("one of", slugs(info.needs_one));
    print_words("not with", slugs(info.excludes));
    print_words("removes", slugs(info.removes));
  }
}

void print_entries(const std::vector<Entry>& entries) {
  if (entries.empty()) return;
  std::vector<std::size_t> widths(entries.front().size());
  for (const Entry& entry : entries) {
    for (std::size_t i = 0; i < entry.size(); ++i) {
      widths[i] = std::max({widths[i], entry[i].first.size(), entry[i].second.size()});
    }
  }
  std::string heading;
  for (std::size_t i = 0; i < widths.size(); ++i) {
    heading +=
        fmt::format("{:<{}}", entries.front()[i].first, i + 1 == widths.size() ? 0 : widths[i] + 2);
  }
  fmt::print("{}\n", heading);
  for (const Entry& entry : entries) {
    std::string line;
    for (std::size_t i = 0; i < entry.size(); ++i) {
      line += fmt::format("{:<{}}", entry[i].second, i + 1 == entry.size() ? 0 : widths[i] + 2);
    }
    line.erase(line.find_last_not_of(' ') + 1);
    fmt::print("{}\n", line);
  }
}

int list(const Flags& flags) {
  const std::vector<std::pair<std::string, std::vector<Entry> (*)()>> kinds = {
      {"scenarios", scenarios}, {"kernels", kernels},           {"patches", patches},
      {"personas", personas},   {"strategies", strategy_names}, {"detectors", detectors},
  };
  for (const auto& [name, entries_of] : kinds) {
    if (name != flags.kind) continue;
    const std::vector<Entry> entries = entries_of();
    if (!flags.json) {
      if (name == "strategies") {
        print_strategies();
      } else if (name == "kernels") {
        print_kernels();
      } else if (name == "patches") {
        print_patches();
      } else {
        print_entries(entries);
      }
      return kExitClean;
    }
    Json json = Json::array();
    for (const Entry& entry : entries) {
      Json object;
      for (const auto& [key, value] : entry) object[key] = value;
      json.push_back(object);
    }
    print_json(Json{{flags.kind, json}});
    return kExitClean;
  }
  std::vector<std::string> names;
  for (const auto& [name, entries_of] : kinds) names.push_back(name);
  throw UserError("nothing called \"" + flags.kind + "\" to list", "",
                  nearest_or_list(flags.kind, names));
}

}  // namespace

Verb add_list(CLI::App& program) {
  auto flags = std::make_shared<Flags>();
  CLI::App* verb = program.add_subcommand("list", "what can be named: scenarios, kernels, ...");
  verb->add_option("KIND", flags->kind,
                   "scenarios, kernels, patches, personas, strategies or detectors");
  add_json_flag(*verb, flags->json);
  return {verb, [flags] { return list(*flags); }};
}

}  // namespace interleaf
