// SPDX-License-Identifier: GPL-2.0-only
// Whether the bytes that one promise covers are right after a power cut. CrashOracle says which
// bytes are; this goes over them. Internal to crash_oracle.h.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "engine/crash_oracle.h"

namespace interleaf {

// For one cut of one state. Refers to what it is made from.
class PromiseCheck {
 public:
  PromiseCheck(const CrashOracle& oracle, const EventSet& set, const CrashOracle::Disk& disk,
               const PowerCut& cut);

  // `promise`: in the log's promises, or BrokenPromise::kStart. Once.
  std::optional<BrokenPromise> check(std::uint32_t promise);
  // Whether a file shows bytes that were never in it: garbage, or what was there before a truncate
  // that recovery knows of; or zeros where nothing but other bytes was ever written, so that its
  // size went ahead of its data; or whether a file ends where only a clone behind that could have
  // made it longer. Once.
  std::optional<BrokenPromise> check_exposed();

 private:
  using UserWrite = CrashLog::UserWrite;
  // A stretch of one file's bytes, in one block, of which every write covers all or nothing.
  struct Segment {
    std::uint32_t file;
    std::uint64_t pos;
    std::size_t len;
  };

  void go_over(std::uint32_t file, std::uint64_t pos, std::uint64_t end);
  std::uint64_t end_of_segment(std::uint32_t file, std::uint64_t pos, std::uint64_t end) const;
  void judge(const Segment& segment);
  void judge_exposed(const Segment& segment);
  void check_end(std::uint32_t file);
  // Recovery knows of a truncate that came after what ended at `end`.
  bool is_cut_off(std::uint64_t pos, StepNumber end) const;
  bool is_promised(std::uint32_t write) const;
  void note(const Segment& segment, const std::uint8_t* found,
            const std::vector<const std::uint8_t*>& right, std::uint32_t write);
  const char* where_of(std::uint64_t pos) const;
  std::uint64_t block_of(const CrashLog::Metadata& metadata, std::uint64_t pos) const;
  std::vector<CrashOracle::Block>::const_iterator find(std::uint64_t block) const;
  // Null: zeros.
  const std::uint8_t* bytes_after_recovery(std::uint64_t pos) const;
  const std::uint8_t* initial_bytes(const CrashLog::Metadata& metadata, std::uint64_t pos) const;

  const CrashOracle& oracle_;
  const CrashLog& log_;
  const CrashOracle::Disk& disk_;
  const PowerCut& cut_;
  std::vector<CrashOracle::Block> blocks_;
  EventSet acknowledged_;
  std::uint32_t index_ = BrokenPromise::kStart;
  const CrashLog::Promise* promise_ = nullptr;  // null: what was there at the start
  bool exposed_ = false;                        // no promise is judged
  StepNumber metadata_step_ = kNoStep;
  const CrashLog::Metadata* metadata_ = nullptr;  // of the file, after recovery
  std::vector<std::uint32_t> writes_;             // to the file
  std::optional<BrokenPromise> broken_;
};

}  // namespace interleaf
