// SPDX-License-Identifier: GPL-2.0-only
// Random programs of two or three tasks with up to four statements each, and mostly a closing part
// that drops the locks. The seed decides.
#pragma once

#include <cstdint>
#include <string_view>

#include "tests/litmus/statements.h"

namespace interleaf {

// The kinds of statement_kinds(), then "mixed" (the statements of two or three kinds).
std::vector<std::string> random_program_kinds();

// Requires: `kind` is one of random_program_kinds().
StatementTexts random_program(std::string_view kind, std::uint64_t seed);

}  // namespace interleaf
