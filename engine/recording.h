// SPDX-License-Identifier: GPL-2.0-only
//
// A recording is one run as a value: what ran, every choice made, the switches with landmarks, and
// what came of it. It knows neither scheduler nor kernel. Its file is specified in
// recordings/recording.capnp, its text form for mail in armour.h.
//
// Invariants: decode(encode(r)) == r for every r within the limits below; equal recordings give
// equal bytes (with one version of zlib). No input, however damaged, does more than throw
// UserError. No path goes into a recording: scenario_name is the scenario's name, not its file.
// Errors: UserError, for damaged, foreign, newer and too large recordings and for file errors.
// Thread-safety: no shared state; every function may run in any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/power_cut.h"

namespace interleaf {

inline constexpr std::uint16_t kRecordingFormat = 2;
inline constexpr std::uint16_t kRecordingReader = 1;

inline constexpr std::size_t kRecordingRowsMax = 65536;  // of each list, names included
inline constexpr std::size_t kRecordingNameBytesMax =
    128;  // of strings in lists, kernel, persona, strategy
inline constexpr std::size_t kRecordingChoicesMax = std::size_t{1} << 24;
inline constexpr std::size_t kRecordingBytesMax = std::size_t{16} << 20;

struct Recording {
  struct Setting {
    std::string key;
    std::string value;
    bool operator==(const Setting&) const = default;
  };

  // At `step`, `task` was about to do the nth `access` within `function`, and `to` ran instead.
  struct Switch {
    enum class Kind : std::uint8_t { kPreemption, kBlock };
    Kind kind = Kind::kPreemption;
    std::uint64_t step = 0;
    std::string task;
    std::string function;
    std::string access;
    std::uint64_t nth = 0;
    std::string to;
    bool operator==(const Switch&) const = default;
  };

  struct DataChoice {
    std::string task;
    std::string kind;
    std::uint64_t nth = 0;
    std::uint64_t value = 0;
    bool operator==(const DataChoice&) const = default;
  };

  struct Checkpoint {
    std::uint64_t step = 0;
    std::uint64_t digest = 0;
    bool operator==(const Checkpoint&) const = default;
  };

  struct Minimality {
    std::uint64_t preemptions = 0;  // with fewer, all orders were searched; 0: nothing is known
    std::string text;               // why no more is known
    std::uint64_t orders = 0;       // that were searched
    bool other_findings = false;    // some of them had another finding
    bool one_minimal = false;       // no single switch or data choice can be left out
    bool operator==(const Minimality&) const = default;
  };

  std::uint16_t format = kRecordingFormat;  // a loaded recording keeps its writer's numbers
  std::uint16_t required_reader = kRecordingReader;
  std::string tool_version;

  std::string scenario_name;
  std::string scenario_text;
  std::uint64_t scenario_digest = 0;  // scenario_digest_of(scenario_text)
  std::string kernel;
  std::vector<std::string> patches;  // in effect, sorted
  std::vector<std::string> patches_with;
  std::vector<std::string> patches_without;
  std::string persona;
  std::vector<Setting> settings;

  std::string strategy;
  std::uint64_t seed = 0;
  std::vector<std::uint8_t> choices;  // < 0x40: task id; >= 0x80: data choice; else reserved
  std::vector<Switch> switches;
  std::vector<DataChoice> data_choices;

  std::uint64_t steps = 0;
  std::vector<Checkpoint> checkpoints;
  std::uint64_t final_digest = 0;
  std::string verdict;  // kebab-case
  std::string signature;
  std::string evidence;

  std::uint64_t preemptions = 0;
  std::optional<Minimality> minimality;
  std::optional<PowerCut> cut;  // the finding is what is lost if the power fails there
  std::vector<std::string> quirks;
  std::string note;
  std::string provenance;
  std::vector<std::string> detectors;  // those on, sorted; "none"; empty: the default ones

  bool operator==(const Recording&) const = default;
};

std::uint64_t scenario_digest_of(std::string_view scenario_text);

// The bytes of a recording's file, and back. `name_for_errors` is how messages call the input.
std::vector<std::byte> encode(const Recording& recording);
Recording decode(std::span<const std::byte> file, std::string_view name_for_errors);

// The payload alone, before compression: no magic, no checksum, and the format numbers of this
// engine. For tools, and for fuzzing past the checksum.
std::vector<std::byte> encode_payload(const Recording& recording);
Recording decode_payload(std::span<const std::byte> payload, std::string_view name_for_errors);

// The recording as text for a mail; load() takes it back.
std::string armoured(const Recording& recording);

enum class Overwrite { kRefuse, kForce };

// Writes under a temporary name in the same directory, syncs, renames: `path` never holds half a
// recording, and an existing file is replaced only if forced.
void save(const std::string& path, const Recording& recording, Overwrite overwrite);

// Reads a recording's file or a text that contains one armoured; "-" is standard input.
Recording load(const std::string& path);

}  // namespace interleaf
