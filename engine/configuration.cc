// SPDX-License-Identifier: GPL-2.0-only
#include "engine/configuration.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/kernel/ext4/ext4.h"
#include "engine/nearest.h"
#include "engine/user_error.h"
#include "scheduler/check.h"

namespace interleaf {
namespace {

using kernel::patch_set;

template <typename Name>
std::string nearest_of(std::string_view wanted, unsigned count, Name name) {
  std::vector<std::string> names;
  for (unsigned i = 0; i < count; ++i) names.emplace_back(name(i));
  return nearest_or_list(wanted, names);
}

patch_set patch_named(std::string_view slug) {
  const kernel::patch_info* patch = kernel::find_patch(slug);
  if (patch == nullptr) {
    throw UserError("unknown patch \"" + std::string(slug) + "\"", "",
                    nearest_of(slug, kernel::patch_count(),
                               [](unsigned i) { return kernel::patch_at(i).slug; }));
  }
  return kernel::patch_bit(patch->patch);
}

kernel::geometry to_kernel(const Geometry& geometry) {
  kernel::geometry result;
  result.page_size = static_cast<unsigned>(geometry.page_size);
  result.block_size = static_cast<unsigned>(geometry.block_size);
  result.hpage_pages = static_cast<unsigned>(geometry.hpage_pages);
  result.folio_batch = static_cast<unsigned>(geometry.folio_batch);
  result.xa_slots = static_cast<unsigned>(geometry.xa_slots);
  result.ra_pages = static_cast<unsigned>(geometry.readahead_pages);
  result.disk_blocks = geometry.disk_blocks;
  result.volatile_cache = static_cast<unsigned>(geometry.volatile_cache);
  result.barriers = static_cast<unsigned>(geometry.barriers);
  result.journal_blocks = static_cast<unsigned>(geometry.journal_blocks);
  result.data_ordered = static_cast<unsigned>(geometry.data_ordered);
  result.dioread_nolock = static_cast<unsigned>(geometry.dioread_nolock);
  result.sector_size = static_cast<unsigned>(geometry.sector_size);
  return result;
}

// A handle that fits into no transaction would wait for ever.
void check_journal(const kernel::geometry& geometry, patch_set patches) {
  const unsigned least = kernel::ext4_least_journal_blocks(geometry, patches);
  if (geometry.journal_blocks == 0 || geometry.journal_blocks >= least) return;
  throw UserError(
      fmt::format("journal_blocks ({}) is too small for what ext4 changes in one transaction",
                  geometry.journal_blocks),
      "", fmt::format("make it {} or more, or 0 for a log without end", least));
}

// Adds and takes out what the command line says.
patch_set changed(const kernel::kernel_info& kernel, patch_set patches,
                  const Overrides& overrides) {
  for (const std::string& slug : overrides.with) {
    const patch_set bit = patch_named(slug);
    if (overrides.strict && (patches & bit) != 0) {
      throw CannotJudge(fmt::format("{} has {} already: leave --with {} away",
                                    (kernel.patches & bit) != 0 ? kernel.name : "the scenario",
                                    slug, slug));
    }
    patches |= bit;
  }
  for (const std::string& slug : overrides.without) {
    const patch_set bit = patch_named(slug);
    if (overrides.strict && (patches & bit) == 0) {
      throw CannotJudge(
          fmt::format("{} does not have {}: leave --without {} away", kernel.name, slug, slug));
    }
    patches &= ~bit;
  }
  return patches;
}

}  // namespace

std::vector<std::string> Configuration::patch_slugs() const {
  std::vector<std::string> slugs;
  for (unsigned i = 0; i < kernel::patch_count(); ++i) {
    const kernel::patch_info& patch = kernel::patch_at(i);
    if ((patches & kernel::patch_bit(patch.patch)) != 0) slugs.emplace_back(patch.slug);
  }
  std::sort(slugs.begin(), slugs.end());
  return slugs;
}

std::string Configuration::kernel_text() const {
  std::string text(kernel->name);
  for (unsigned i = 0; i < kernel::patch_count(); ++i) {
    const kernel::patch_info& patch = kernel::patch_at(i);
    const patch_set bit = kernel::patch_bit(patch.patch);
    if ((patches & bit) == (kernel->patches & bit)) continue;
    text += (patches & bit) != 0 ? " + " : " - ";
    text += patch.slug;
  }
  return text;
}

void Configuration::prepare(const DataSource& source, std::size_t length) {
  for (const auto& buffer : buffers_) {
    if (buffer->source == source) {
      while (buffer->bytes.size() < length) {
        buffer->bytes.push_back(data_byte(source, buffer->bytes.size()));
      }
      return;
    }
  }
  buffers_.push_back(std::make_unique<Buffer>(Buffer{source, {}}));
  prepare(source, length);
}

void Configuration::prepare(const std::vector<Statement>& statements) {
  for (const Statement& statement : statements) {
    prepare(statement.body);
    const Argument* data = nullptr;
    for (std::size_t i = 0; i < statement.arguments.size(); ++i) {
      const Argument& argument = statement.arguments[i];
      if (argument.kind == ParameterKind::kData) {
        data = &argument;
      } else if (argument.kind == ParameterKind::kBytes && data != nullptr) {
        prepare(data->data, argument.value);  // the length follows the data in every signature
        data = nullptr;
      }
    }
  }
}

const std::uint8_t* Configuration::bytes(const DataSource& source, std::size_t length) const {
  for (const auto& buffer : buffers_) {
    if (buffer->source == source && buffer->bytes.size() >= length) return buffer->bytes.data();
  }
  CHECK(false);
}

std::vector<std::pair<const std::uint8_t*, const std::uint8_t*>> Configuration::unreadable() const {
  std::vector<std::pair<const std::uint8_t*, const std::uint8_t*>> ranges;
  for (const auto& buffer : buffers_) {
    const std::vector<std::uint8_t>& bytes = buffer->bytes;
    if (buffer->source.readable >= bytes.size()) continue;
    ranges.emplace_back(bytes.data() + buffer->source.readable, bytes.data() + bytes.size());
  }
  return ranges;
}

std::shared_ptr<const Configuration> configure(Scenario scenario, Overrides overrides) {
  auto result = std::make_shared<Configuration>();
  Configuration& c = *result;
  if (!overrides.settings.empty()) {  // sizes in units of a huge page follow them
    scenario = parse_scenario(scenario.text, scenario.file_name, overrides.settings);
  }
  const std::string& kernel_name = overrides.kernel.empty() ? scenario.kernel : overrides.kernel;
  c.kernel = kernel::find_kernel(kernel_name);
  if (c.kernel == nullptr) {
    throw UserError("unknown kernel \"" + kernel_name + "\"", "",
                    nearest_of(kernel_name, kernel::kernel_count(),
                               [](unsigned i) { return kernel::kernel_at(i).name; }));
  }
  const std::string& persona = overrides.persona.empty() ? scenario.persona : overrides.persona;
  c.persona = kernel::find_persona(persona);
  if (c.persona == nullptr) {
    throw UserError("unknown persona \"" + persona + "\"", "",
                    nearest_of(persona, kernel::persona_count(),
                               [](unsigned i) { return kernel::persona_at(i).name; }));
  }
  c.patches = c.kernel->patches;
  for (const std::string& slug : scenario.patches_with) c.patches |= patch_named(slug);
  for (const std::string& slug : scenario.patches_without) c.patches &= ~patch_named(slug);
  c.patches = changed(*c.kernel, c.patches, overrides);
  const std::string refusal = kernel::patch_refusal(*c.kernel, c.patches);
  if (!refusal.empty()) throw CannotJudge(refusal);

  switch_detectors(c.detectors, scenario.detect, true);
  switch_detectors(c.detectors, overrides.detect, true);
  switch_detectors(c.detectors, overrides.no_detect, false);
  if (overrides.detectors) c.detectors = *overrides.detectors;

  Geometry& geometry = scenario.geometry;
  if (geometry.folio_batch == 0) geometry.folio_batch = c.kernel->folio_batch;
  c.geometry = to_kernel(geometry);
  if (c.persona->name == "ext4") check_journal(c.geometry, c.patches);
  for (const DaemonSpec& daemon : scenario.daemons) {
    const auto scans = daemon.options.find("scans");
    if (scans != daemon.options.end()) {
      c.geometry.khugepaged_scans = static_cast<unsigned>(scans->second);
    }
  }
  for (const TaskSpec& task : scenario.tasks) c.prepare(task.statements);
  for (const FileSpec& file : scenario.files) {
    // Whole pages; behind the end of the file a disk block holds zeros.
    const std::size_t pages = (file.size + geometry.page_size - 1) / geometry.page_size;
    std::vector<std::uint8_t> image;
    if (file.content == FileSpec::Content::kData) {
      image.resize(pages * geometry.page_size);
      for (std::size_t i = 0; i < file.size; ++i) image[i] = data_byte(file.data, i);
    }
    c.images_.push_back(std::move(image));
  }
  c.scenario = std::move(scenario);
  c.overrides = std::move(overrides);
  return result;
}

void switch_detectors(Detectors& detectors, const std::vector<std::string>& names, bool on) {
  for (const std::string& name : names) {
    const auto table = detector_table();
    const auto found = std::find_if(table.begin(), table.end(),
                                    [&](const DetectorInfo& info) { return info.name == name; });
    if (found == table.end()) {
      std::vector<std::string> known;
      for (const DetectorInfo& info : table) known.emplace_back(info.name);
      throw UserError("unknown detector \"" + name + "\"", "", nearest_or_list(name, known));
    }
    detectors.*found->on = on;
  }
}

std::vector<std::string> detector_names(const Detectors& detectors) {
  std::vector<std::string> names;
  if (detectors == Detectors()) return names;
  for (const DetectorInfo& info : detector_table()) {
    if (detectors.*info.on) names.emplace_back(info.name);
  }
  if (names.empty()) names.emplace_back("none");
  return names;
}

Detectors detectors_named(const std::vector<std::string>& names) {
  Detectors detectors;
  if (names.empty()) return detectors;
  for (const DetectorInfo& info : detector_table()) detectors.*info.on = false;
  if (names != std::vector<std::string>{"none"}) switch_detectors(detectors, names, true);
  return detectors;
}

}  // namespace interleaf
