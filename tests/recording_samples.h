// SPDX-License-Identifier: GPL-2.0-only
//
// Recordings to test with: like those of a fuzz run and of a minimised finding, and random ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/recording.h"

namespace interleaf {

using Bytes = std::vector<std::byte>;

// splitmix64: the same recordings on every machine.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
  }
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }
  std::uint64_t number() { return next() >> below(64); }  // of every magnitude

  std::string text(std::size_t size_max) {
    std::string result;
    for (std::uint64_t i = below(size_max + 1); i > 0; --i) result += static_cast<char>(below(256));
    return result;
  }
  std::string name() { return below(8) == 0 ? text(20) : "name" + std::to_string(below(12)); }

  template <typename Make>
  auto list(std::size_t size_max, Make make) {
    std::vector<decltype(make())> result;
    for (std::uint64_t i = below(size_max + 1); i > 0; --i) result.push_back(make());
    return result;
  }

 private:
  std::uint64_t state_;
};

inline Recording random_recording(Random& random) {
  const auto name = [&] { return random.name(); };
  Recording r;
  r.format = static_cast<std::uint16_t>(random.next());
  r.tool_version = random.text(30);
  r.scenario_name = random.name();
  r.scenario_text = random.text(600);
  r.scenario_digest = random.number();
  r.kernel = random.name();
  r.patches = random.list(5, name);
  r.patches_with = random.list(3, name);
  r.patches_without = random.list(3, name);
  r.persona = random.name();
  r.settings = random.list(4, [&] { return Recording::Setting{random.name(), random.text(9)}; });
  r.strategy = random.name();
  r.seed = random.number();
  const std::uint64_t tasks = 1 + random.below(255);
  r.choices = random.list(400, [&] { return static_cast<std::uint8_t>(random.below(tasks)); });
  r.switches = random.list(12, [&] {
    return Recording::Switch{static_cast<Recording::Switch::Kind>(random.below(2)),
                             random.number(),
                             name(),
                             name(),
                             name(),
                             random.number(),
                             name()};
  });
  r.data_choices = random.list(6, [&] {
    return Recording::DataChoice{name(), name(), random.number(), random.number()};
  });
  r.steps = random.number();
  r.checkpoints = random.list(9, [&] {
    return Recording::Checkpoint{random.number(), random.next()};
  });
  r.final_digest = random.next();
  r.verdict = random.name();
  r.signature = random.text(60);
  r.evidence = random.text(100);
  r.preemptions = random.number();
  if (random.below(2) == 0)
    r.minimality = {random.number(), random.text(20), random.number(), true, false};
  r.quirks = random.list(2, name);
  r.note = random.text(30);
  r.provenance = random.text(30);
  return r;
}

// About one kilobyte, as a scenario has.
inline constexpr char kScenario[] = R"(# iomap_zero_range() against writeback.
#
#   A write over an unwritten extent leaves a dirty folio. Zeroing looks the extent up, finds it
#   unwritten and expects dirty folios in the cache. Before it collects them, writeback writes the
#   folio, converts the extent and cleans the folio: zeroing finds no dirty folio and skips the
#   range, so stale data stays behind the new end of the file.
name: iomap-zero-range-vs-writeback
persona: xfs
geometry: {page: 4k, block: 4k, disk: 64k}
files:
  data: {size: 16384, extents: [{at: 0, length: 16384, state: unwritten}]}
tasks:
  zero:
    - pwrite data 4096 4096 A
    - fallocate zero data 4096 4096
  wb:
    - sync_file_range data 0 16384
table: |
  zero                               wb
  iomap_lookup() // unwritten
                                     iomap_writepages()
                                     xfs_iomap_write_unwritten()
  iomap_zero_iter() // skips
expect:
  "6.12": stale-data
  "6.12 +iomap-zero-fill-dirty": clean
links: [20250605173357.579720-1-bfoster@redhat.com]
)";

inline Recording recording_of_scenario() {
  Recording r;
  r.tool_version = "0.1.0 (4f2a9c1e77d0)";
  r.scenario_name = "iomap-zero-range-vs-writeback";
  r.scenario_text = kScenario;
  r.scenario_digest = scenario_digest_of(kScenario);
  r.kernel = "6.12";
  r.patches = {"iomap-stale-cow", "iomap-zero-flush", "xfs-cow-end-io"};
  r.patches_without = {"iomap-zero-fill-dirty"};
  r.persona = "xfs";
  r.settings = {{"page", "4096"}, {"block", "4096"}, {"batch", "2"}};
  r.strategy = "random";
  r.seed = 0x51f3;
  r.steps = 300;
  r.final_digest = 0x9c1e77d0a4b3c2d1;
  r.verdict = "stale-data";
  r.signature = "stale-data iomap_zero_iter <- iomap_zero_range / iomap_writepages data";
  r.evidence = "bytes 4096..8191 of data: expected zero, read A (write #1)";
  return r;
}

// A run of 300 points with three tasks, each switch with one of 40 sites.
inline Recording fuzzed(bool with_landmarks) {
  Recording r = recording_of_scenario();
  Random random(1);
  for (std::uint64_t step = 1; step <= 300; ++step) {
    r.choices.push_back(static_cast<std::uint8_t>(random.below(3)));
    if ((step & (step - 1)) == 0) r.checkpoints.push_back({step, random.next()});
    const std::size_t last = r.choices.size() - 1;
    if (!with_landmarks || last == 0 || r.choices[last] == r.choices[last - 1]) continue;
    const std::string tasks[] = {"zero", "wb", "end_io"};
    const auto site = random.below(40);
    r.switches.push_back({Recording::Switch::Kind::kPreemption, step, tasks[r.choices[last - 1]],
                          "iomap_function_" + std::to_string(site / 3),
                          "field_" + std::to_string(site % 7), 1 + step / 40,
                          tasks[r.choices[last]]});
  }
  r.preemptions = r.switches.size();
  return r;
}

inline Recording minimised() {
  Recording r = recording_of_scenario();
  r.choices.assign(14, 0);
  r.choices.insert(r.choices.end(), 60, 1);
  r.choices.insert(r.choices.end(), 20, 0);
  r.switches = {{Recording::Switch::Kind::kPreemption, 14, "zero", "iomap_zero_range",
                 "iomap_lookup", 1, "wb"},
                {Recording::Switch::Kind::kBlock, 74, "wb", "folio_wait_writeback", "PG_writeback",
                 1, "zero"}};
  r.steps = 94;
  for (std::uint64_t step = 1; step < 94; step *= 2) {
    r.checkpoints.push_back({step, 0x9e3779b97f4a7c15 * step});
  }
  r.preemptions = 1;
  r.minimality = {1, "preemptions=1, clean-at=0, classes=412", 412, false, true};
  return r;
}

inline Bytes bytes_of(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

}  // namespace interleaf
