// SPDX-License-Identifier: GPL-2.0-only
// Which of a scenario's expectations speaks of a configuration.
#pragma once

#include <string>
#include <vector>

#include "engine/configuration.h"

namespace interleaf {

// The first expectation whose kernel and persona (if it names them) are this one's, whose `with`
// patches are all in effect and whose `without` patches are not; null if none.
const Expectation* matching_expectation(const Configuration& configuration);

// What that expectation lists as known: prefixes of signatures that are counted, shown, and are no
// findings.
std::vector<std::string> known_signatures(const Configuration& configuration);

}  // namespace interleaf
