// SPDX-License-Identifier: GPL-2.0-only
//
// The run-length code of a recording's choice stream: about 1.2 bits per choice for two tasks under
// a random schedule, a few bytes for a schedule of few switches. The bits are specified in
// recordings/recording.capnp at `choiceRuns`.
//
// Invariant: decode_choices(encode_choices(c)) == c for every c. Pure functions, any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace interleaf {

struct ChoiceCode {
  std::vector<std::uint8_t> alphabet;  // distinct choices, by first appearance
  std::vector<std::uint8_t> runs;      // bit stream
};

ChoiceCode encode_choices(std::span<const std::uint8_t> choices);

// Returns nothing if the code is malformed. Allocates `count` bytes: bounding it is the caller's.
std::optional<std::vector<std::uint8_t>> decode_choices(std::size_t count,
                                                        std::span<const std::uint8_t> alphabet,
                                                        std::span<const std::uint8_t> runs);

}  // namespace interleaf
