// SPDX-License-Identifier: GPL-2.0-only
#include "engine/crash_oracle.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "engine/promise_check.h"

namespace interleaf {
namespace {

using Effect = CrashLog::Effect;

std::vector<StepNumber> steps_of(const CrashLog& log) {
  std::vector<StepNumber> steps;
  for (const Effect& effect : log.effects()) {
    if (steps.empty() || steps.back() != effect.step) steps.push_back(effect.step);
  }
  return steps;
}

class Hasher {
 public:
  Hasher() : low_(XXH64_createState()), high_(XXH64_createState()) {
    XXH64_reset(low_, 0);
    XXH64_reset(high_, 1);
  }
  ~Hasher() {
    XXH64_freeState(low_);
    XXH64_freeState(high_);
  }
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;

  void add(const void* bytes, std::size_t size) {
    XXH64_update(low_, bytes, size);
    XXH64_update(high_, bytes, size);
  }
  void add(std::uint64_t word) { add(&word, sizeof(word)); }
  Hash128 result() const { return {XXH64_digest(low_), XXH64_digest(high_)}; }

 private:
  XXH64_state_t* low_;
  XXH64_state_t* high_;
};

}  // namespace

CrashOracle::CrashOracle(const CrashLog& log, const kernel::geometry& geometry)
    : log_(log),
      geometry_(geometry),
      steps_(steps_of(log)),
      units_(steps_.size()),
      order_(steps_.size(),
             [this](std::size_t i, std::size_t j) { return log_.before(steps_[i], steps_[j]); }) {
  std::size_t unit = 0;
  for (std::size_t i = 0; i < log.effects().size(); ++i) {
    while (steps_[unit] != log.effects()[i].step) ++unit;
    units_[unit].push_back(static_cast<std::uint32_t>(i));
  }
  for (const CrashLog::UserWrite& write : log.user_writes()) {
    EventSet& needs = needs_.emplace_back(steps_.size());
    for (std::size_t i = 0; i < steps_.size() && write.acknowledged; ++i) {
      if (log.before(steps_[i], write.end)) needs.add(i);
    }
  }
}

std::vector<std::size_t> CrashOracle::promises() const {
  std::vector<std::size_t> units;
  for (std::size_t unit = 0; unit < units_.size(); ++unit) {
    for (const std::uint32_t effect : units_[unit]) {
      if (log_.effects()[effect].kind == Effect::Kind::kPromise) units.push_back(unit);
    }
  }
  return units;
}

EventSet CrashOracle::prefix(std::uint64_t steps) const {
  EventSet set(steps_.size());
  for (std::size_t unit = 0; unit < steps_.size(); ++unit) {
    if (steps_[unit] < steps) set.add(unit);
  }
  return set;
}

// Writes, flushes and log records of a run are ordered among each other where it matters, so the
// order of the run will do.
CrashOracle::Disk CrashOracle::disk(const EventSet& set) const {
  Disk disk;
  for (std::size_t unit = 0; unit < units_.size(); ++unit) {
    if (!set.test(unit)) continue;
    for (const std::uint32_t index : units_[unit]) {
      const Effect& effect = log_.effects()[index];
      switch (effect.kind) {
        case Effect::Kind::kWrite:
          disk.writes.push_back(effect.index);
          break;
        case Effect::Kind::kFlush:
          disk.flushed = disk.writes.size();
          break;
        case Effect::Kind::kLogged:
          disk.logged.push_back(effect.index);
          break;
        case Effect::Kind::kCommitted:
          disk.committed = static_cast<std::size_t>(
              std::count_if(disk.logged.begin(), disk.logged.end(),
                            [&](std::uint32_t logged) { return logged < effect.index; }));
          break;
        case Effect::Kind::kPromise:
          disk.promises.push_back(effect.index);
          break;
      }
    }
  }
  if (geometry_.volatile_cache == 0) disk.flushed = disk.writes.size();
  disk.begun = log_.tells_all_commits() ? disk.committed : disk.logged.size();
  // Without barriers the log's own blocks are in the cache.
  if (geometry_.volatile_cache != 0 && geometry_.barriers == 0) disk.committed = 0;
  return disk;
}

EventSet CrashOracle::acknowledged(const EventSet& set) const {
  EventSet writes(needs_.size());
  for (std::size_t i = 0; i < needs_.size(); ++i) {
    if (log_.user_writes()[i].acknowledged && set.contains(needs_[i])) writes.add(i);
  }
  return writes;
}

Hash128 CrashOracle::key(const EventSet& set) const {
  const Disk disk = this->disk(set);
  Hasher hasher;
  // Which writes there are decides what the cache may lose; else only the last of each block
  // counts.
  for (std::size_t i = 0; i < disk.writes.size(); ++i) {
    const CrashLog::BlockWrite& write = log_.writes()[disk.writes[i]];
    const bool last = std::none_of(
        disk.writes.begin() + static_cast<std::ptrdiff_t>(i) + 1, disk.writes.end(),
        [&](std::uint32_t later) { return log_.writes()[later].block == write.block; });
    if (!last && i < disk.flushed) continue;
    hasher.add(i < disk.flushed ? 0 : 1 + disk.writes[i]);
    hasher.add(write.block);
    hasher.add(write.hash);
  }
  hasher.add(~std::uint64_t{0});
  hasher.add(disk.logged.size());
  hasher.add(disk.committed);
  for (const std::uint32_t promise : disk.promises) hasher.add(promise);
  const EventSet writes = acknowledged(set);
  for (std::size_t i = 0; i < needs_.size(); ++i) hasher.add(writes.test(i) ? 1 : 0);
  return hasher.result();
}

void CrashOracle::for_each_cut(const EventSet& set, const CrashBudget& budget,
                               const std::function<bool(const PowerCut&)>& each) const {
  const Disk disk = this->disk(set);
  const auto sectors = geometry_.block_size / std::min(geometry_.sector_size, geometry_.block_size);
  PowerCut cut;
  // Decides about write `next` and those after it.
  std::function<bool(std::size_t)> decide = [&](std::size_t next) {
    if (next == disk.writes.size()) return each(cut);
    if (!decide(next + 1)) return false;
    // The log is written behind a flush of what it depends on.
    const bool needed = geometry_.barriers != 0 && cut.logged > disk.committed &&
                        log_.before(log_.writes()[disk.writes[next]].step,
                                    log_.logged()[disk.logged[cut.logged - 1]].step);
    if (needed) return true;
    const auto number = static_cast<std::uint32_t>(next);
    if (cut.lost.size() < budget.lost) {
      cut.lost.push_back(number);
      const bool more = decide(next + 1);
      cut.lost.pop_back();
      if (!more) return false;
    }
    for (unsigned n = 1; n < sectors && cut.torn.size() < budget.torn; ++n) {
      for (const bool last : {false, true}) {
        cut.torn.push_back({number, n, last});
        const bool more = decide(next + 1);
        cut.torn.pop_back();
        if (!more) return false;
      }
    }
    return true;
  };
  for (cut.logged = static_cast<std::uint32_t>(disk.committed); cut.logged <= disk.begun;
       ++cut.logged) {
    if (!decide(disk.flushed)) return;
  }
}

std::vector<CrashOracle::Block> CrashOracle::blocks(const Disk& disk, const PowerCut& cut) const {
  std::vector<Block> blocks;
  const std::size_t size = geometry_.block_size;
  for (std::uint32_t i = 0; i < disk.writes.size(); ++i) {
    const CrashLog::BlockWrite& write = log_.writes()[disk.writes[i]];
    auto block = std::find_if(blocks.begin(), blocks.end(),
                              [&](const Block& each) { return each.block == write.block; });
    if (block == blocks.end()) {
      const std::uint8_t* initial = log_.initial_block(write.block);
      Block made{write.block, std::vector<std::uint8_t>(size), false};
      if (initial != nullptr) std::memcpy(made.bytes.data(), initial, size);
      block = blocks.insert(blocks.end(), std::move(made));
    }
    const auto torn = std::find_if(cut.torn.begin(), cut.torn.end(),
                                   [&](const PowerCut::Torn& each) { return each.write == i; });
    const bool lost = std::find(cut.lost.begin(), cut.lost.end(), i) != cut.lost.end();
    block->damaged = lost || torn != cut.torn.end();
    if (lost) continue;
    const std::size_t part =
        torn == cut.torn.end()
            ? size
            : std::min<std::size_t>(size, std::size_t{torn->sectors} * geometry_.sector_size);
    const std::size_t from = torn != cut.torn.end() && torn->last ? size - part : 0;
    std::memcpy(block->bytes.data() + from, write.bytes.data() + from, part);
  }
  std::sort(blocks.begin(), blocks.end(),
            [](const Block& a, const Block& b) { return a.block < b.block; });
  return blocks;
}

StepNumber CrashOracle::metadata_step(const Disk& disk, const PowerCut& cut,
                                      std::uint32_t file) const {
  for (std::size_t i = std::min<std::size_t>(cut.logged, disk.logged.size()); i-- > 0;) {
    const CrashLog::Logged& logged = log_.logged()[disk.logged[i]];
    if (logged.file == file) return logged.step;
  }
  return kNoStep;
}

const CrashLog::Metadata& CrashOracle::metadata(const Disk& disk, const PowerCut& cut,
                                                std::uint32_t file) const {
  for (std::size_t i = std::min<std::size_t>(cut.logged, disk.logged.size()); i-- > 0;) {
    const CrashLog::Logged& logged = log_.logged()[disk.logged[i]];
    if (logged.file == file) return logged.metadata;
  }
  return log_.files()[file].initial;
}

Hash128 CrashOracle::state(const EventSet& set, const PowerCut& cut) const {
  const Disk disk = this->disk(set);
  Hasher hasher;
  for (const Block& block : blocks(disk, cut)) {
    hasher.add(block.block);
    hasher.add(block.bytes.data(), block.bytes.size());
  }
  for (std::uint32_t file = 0; file < log_.files().size(); ++file) {
    const CrashLog::Metadata& metadata = this->metadata(disk, cut, file);
    hasher.add(metadata.size);
    for (const std::uint64_t block : metadata.blocks) hasher.add(block);
    hasher.add(~std::uint64_t{0});
  }
  std::vector<std::string> promises;
  for (const std::uint32_t promise : disk.promises) {
    promises.push_back(log_.promises()[promise].name);
  }
  std::sort(promises.begin(), promises.end());
  for (const std::string& name : promises) hasher.add(name.c_str(), name.size() + 1);
  return hasher.result();
}

std::optional<BrokenPromise> CrashOracle::judge(const EventSet& set, const PowerCut& cut) const {
  const Disk disk = this->disk(set);
  for (const std::uint32_t promise : disk.promises) {
    if (auto broken = PromiseCheck(*this, set, disk, cut).check(promise)) return broken;
  }
  if (auto broken = PromiseCheck(*this, set, disk, cut).check(BrokenPromise::kStart)) {
    return broken;
  }
  // Without barriers nothing orders the log behind the data.
  if (geometry_.volatile_cache != 0 && geometry_.barriers == 0) return std::nullopt;
  return PromiseCheck(*this, set, disk, cut).check_exposed();
}

}  // namespace interleaf
