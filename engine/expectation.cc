// SPDX-License-Identifier: GPL-2.0-only
#include "engine/expectation.h"

#include <algorithm>

#include "engine/user_error.h"

namespace interleaf {
namespace {

bool applied(const Configuration& configuration, const std::string& slug, SourcePosition position) {
  const kernel::patch_info* patch = kernel::find_patch(slug);
  if (patch == nullptr) {
    throw UserError("unknown patch \"" + slug + "\" in `expect`",
                    where(configuration.scenario.file_name, position),
                    "see `interleaf list patches`");
  }
  return (configuration.patches & kernel::patch_bit(patch->patch)) != 0;
}

}  // namespace

const Expectation* matching_expectation(const Configuration& configuration) {
  for (const Expectation& expectation : configuration.scenario.expect) {
    const auto in_effect = [&](const std::string& slug) {
      return applied(configuration, slug, expectation.position);
    };
    const bool kernel = !expectation.kernel || *expectation.kernel == configuration.kernel->name;
    const bool persona =
        !expectation.persona || *expectation.persona == configuration.persona->name;
    if (kernel && persona &&
        std::all_of(expectation.with.begin(), expectation.with.end(), in_effect) &&
        std::none_of(expectation.without.begin(), expectation.without.end(), in_effect)) {
      return &expectation;
    }
  }
  return nullptr;
}

std::vector<std::string> known_signatures(const Configuration& configuration) {
  const Expectation* expectation = matching_expectation(configuration);
  return expectation == nullptr ? std::vector<std::string>() : expectation->known;
}

}  // namespace interleaf
