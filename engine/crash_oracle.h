// SPDX-License-Identifier: GPL-2.0-only
// The judge of power cuts: of one run and everything that commutes to it, which states can the disk
// be left in, and does recovery find in each of them what was promised? docs/MODEL.md says what the
// disk and recovery are.
//
// A promise is kept if every byte that it covers is what one of these wrote: a write acknowledged
// before the call that promised, and not overwritten for certain by another such write; or a write
// that came later or at the same time. What was on disk before the run is promised by its start.
// "Before" is chosen against the filesystem: whatever order the events leave open counts as the
// worst.
//
// Refers to the log; valid until its next run.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "engine/crash_log.h"
#include "engine/power_cut.h"
#include "scheduler/search/crash_states.h"

namespace interleaf {

// Which of the writes that only the disk's cache has may be lost or torn at a power cut.
struct CrashBudget {
  unsigned lost = 1;
  unsigned torn = 1;
  std::uint64_t sets_max = 200'000;  // per order; 0: no limit
};

struct BrokenPromise {
  static constexpr std::uint32_t kStart = ~0u;

  std::uint32_t promise;  // in the log's promises; kStart: what was there before the run
  std::uint32_t file;
  std::uint64_t first;  // byte
  std::uint64_t last;
  std::uint64_t bytes;  // wrong ones between them
  std::uint64_t zeros;  // of them, zero now
  std::uint32_t write;  // in the log's user_writes; kStart: none
  // Stable: "device cache", "block map", "size on disk", "block"; for bytes that nobody promised
  // and that were never in the file at that place "stale block", for zeros that never were "size
  // beyond data", for an end in front of a clone "half-done clone".
  const char* where;
  bool stale = false;  // one of the last three
};

class CrashOracle {
 public:
  CrashOracle(const CrashLog& log, const kernel::geometry& geometry);

  // The events that matter, in the order of the run.
  const EventOrder& order() const { return order_; }
  std::vector<std::size_t> promises() const;  // those that return one
  StepNumber step(std::size_t unit) const { return steps_[unit]; }
  // Those among the first `steps` events of the run.
  EventSet prefix(std::uint64_t steps) const;

  // Equal for two sets that leave the same states.
  Hash128 key(const EventSet& set) const;
  // Every way in which a power cut after `set` can leave the disk; `steps` of the cuts is 0.
  // each() returns false to end it.
  void for_each_cut(const EventSet& set, const CrashBudget& budget,
                    const std::function<bool(const PowerCut&)>& each) const;
  // What is found after recovery and what was promised, as a hash.
  Hash128 state(const EventSet& set, const PowerCut& cut) const;
  std::optional<BrokenPromise> judge(const EventSet& set, const PowerCut& cut) const;

 private:
  // The run as far as `set` goes.
  struct Disk {
    std::vector<std::uint32_t> writes;  // in the log's writes
    std::size_t flushed = 0;            // so many of them are on the medium
    std::vector<std::uint32_t> logged;
    std::size_t committed = 0;  // so many of them for certain,
    std::size_t begun = 0;      // and at most so many
    std::vector<std::uint32_t> promises;
  };
  struct Block {
    std::uint64_t block;
    std::vector<std::uint8_t> bytes;
    bool damaged;  // by what the cache lost
  };
  Disk disk(const EventSet& set) const;
  std::vector<Block> blocks(const Disk& disk, const PowerCut& cut) const;
  // When recovery's metadata of the file was logged; kNoStep: before the run.
  StepNumber metadata_step(const Disk& disk, const PowerCut& cut, std::uint32_t file) const;
  const CrashLog::Metadata& metadata(const Disk& disk, const PowerCut& cut,
                                     std::uint32_t file) const;
  EventSet acknowledged(const EventSet& set) const;

  const CrashLog& log_;
  const kernel::geometry& geometry_;
  std::vector<StepNumber> steps_;                  // by unit
  std::vector<std::vector<std::uint32_t>> units_;  // in the log's effects
  EventOrder order_;
  std::vector<EventSet> needs_;  // by user write: the units before its acknowledgement

  friend class PromiseCheck;
};

}  // namespace interleaf
