// SPDX-License-Identifier: GPL-2.0-only
// A scenario made concrete: which kernel with which patches, which persona, which sizes. The
// command line's overrides go over what the scenario says.
//
// Errors: UserError for unknown names, CannotJudge for patches that do not fit the kernel or each
// other and for kernels that are not ported. A Configuration does not change once made;
// Worlds on several threads may share it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/kernel/config.h"
#include "engine/kernel/patch.h"
#include "engine/scenario.h"
#include "scheduler/detect/detectors.h"

namespace interleaf {

// What the command line may change.
struct Overrides {
  std::string kernel;
  std::string persona;
  std::vector<std::string> with;
  std::vector<std::string> without;
  // Refuse a patch in `with` that is there anyway, and one in `without` that is not.
  bool strict = false;
  std::vector<std::pair<std::string, std::string>> settings;  // --set key=value
  std::vector<std::string> detect;                            // also these detectors
  std::vector<std::string> no_detect;                         // not these
  // Exactly these, whatever the scenario and the two above say.
  std::optional<Detectors> detectors;
};

struct Configuration {
  Scenario scenario;
  Overrides overrides;
  const kernel::kernel_info* kernel = nullptr;
  const kernel::persona* persona = nullptr;
  kernel::patch_set patches = 0;
  kernel::geometry geometry;
  Detectors detectors;

  std::vector<std::string> patch_slugs() const;  // in effect, sorted
  // "6.12.95 + open-flush-before-purge": the kernel and how it differs from its preset.
  std::string kernel_text() const;

  // The bytes that calls store or expect, made once; valid as long as the Configuration.
  const std::uint8_t* bytes(const DataSource& source, std::size_t length) const;
  // Memory behind what can be read of such bytes: [first, second). Sorted by where they were made.
  std::vector<std::pair<const std::uint8_t*, const std::uint8_t*>> unreadable() const;
  // What file `index` holds on disk when a run starts, in whole pages; empty: a hole.
  const std::vector<std::uint8_t>& image(std::size_t index) const { return images_[index]; }

 private:
  friend std::shared_ptr<const Configuration> configure(Scenario scenario, Overrides overrides);
  struct Buffer {
    DataSource source;
    std::vector<std::uint8_t> bytes;
  };
  void prepare(const DataSource& source, std::size_t length);
  void prepare(const std::vector<Statement>& statements);
  std::vector<std::unique_ptr<Buffer>> buffers_;
  std::vector<std::vector<std::uint8_t>> images_;
};

std::shared_ptr<const Configuration> configure(Scenario scenario, Overrides overrides);

// Switches the detectors of these names. Errors: UserError for an unknown one.
void switch_detectors(Detectors& detectors, const std::vector<std::string>& names, bool on);
// The names of those that are on, sorted; "none" if there are none; nothing if it is the default.
std::vector<std::string> detector_names(const Detectors& detectors);
// The inverse. Errors: UserError for an unknown name.
Detectors detectors_named(const std::vector<std::string>& names);

}  // namespace interleaf
