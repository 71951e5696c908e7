// SPDX-License-Identifier: GPL-2.0-only
#include "engine/crash_oracle.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "engine/kernel/fs.h"

namespace interleaf {
namespace {

using Effect = CrashLog::Effect;

std::vector<EventNumber> events_of(const CrashLog& log) {
  std::vector<EventNumber> events;
  for (const Effect& effect : log.effects()) {
    if (events.empty() || events.back() != effect.event) events.push_back(effect.event);
  }
  return events;
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
      events_(events_of(log)),
      units_(events_.size()),
      order_(events_.size(),
             [this](std::size_t i, std::size_t j) { return before(events_[i], events_[j]); }) {
  std::size_t unit = 0;
  for (std::size_t i = 0; i < log.effects().size(); ++i) {
    while (events_[unit] != log.effects()[i].event) ++unit;
    units_[unit].push_back(static_cast<std::uint32_t>(i));
  }
  for (const CrashLog::UserWrite& write : log.user_writes()) {
    EventSet& needs = needs_.emplace_back(events_.size());
    for (std::size_t i = 0; i < events_.size() && write.acknowledged; ++i) {
      if (before(events_[i], write.end)) needs.add(i);
    }
  }
}

// kNoEvent stands for the moment before the run.
bool CrashOracle::before(EventNumber i, EventNumber j) const {
  if (i == kNoEvent) return true;
  return j != kNoEvent && i <= j && log_.order().before(i, j);
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
  EventSet set(events_.size());
  for (std::size_t unit = 0; unit < events_.size(); ++unit) {
    if (events_[unit] < steps) set.add(unit);
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
          disk.committed = disk.logged.size();
          break;
        case Effect::Kind::kPromise:
          disk.promises.push_back(effect.index);
          break;
      }
    }
  }
  if (geometry_.volatile_cache == 0) disk.flushed = disk.writes.size();
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
                        before(log_.writes()[disk.writes[next]].event,
                               log_.logged()[disk.logged[cut.logged - 1]].event);
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
  for (cut.logged = static_cast<std::uint32_t>(disk.committed); cut.logged <= disk.logged.size();
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

// Goes over the bytes that a promise covers.
class PromiseCheck {
 public:
  using UserWrite = CrashLog::UserWrite;

  PromiseCheck(const CrashOracle& oracle, const EventSet& set, const CrashOracle::Disk& disk,
               const PowerCut& cut)
      : oracle_(oracle),
        log_(oracle.log_),
        disk_(disk),
        cut_(cut),
        blocks_(oracle.blocks(disk, cut)),
        acknowledged_(oracle.acknowledged(set)) {}

  std::optional<BrokenPromise> check(std::uint32_t index) {
    if (index == BrokenPromise::kStart) {
      for (std::uint32_t file = 0; file < log_.files().size() && !broken_; ++file) {
        go_over(index, file, 0, ~std::uint64_t{0}, nullptr);
      }
    } else {
      const CrashLog::Promise& promise = log_.promises()[index];
      go_over(index, promise.file, promise.pos, promise.end_pos, &promise);
    }
    return broken_;
  }

 private:
  void go_over(std::uint32_t index, std::uint32_t file, std::uint64_t pos, std::uint64_t end,
               const CrashLog::Promise* promise) {
    metadata_ = &oracle_.metadata(disk_, cut_, file);
    const std::uint64_t block_size = oracle_.geometry_.block_size;
    const std::uint64_t initial_size = log_.files()[file].initial.size;
    writes_.clear();
    std::uint64_t file_end = initial_size;
    for (std::uint32_t i = 0; i < log_.user_writes().size(); ++i) {
      const UserWrite& write = log_.user_writes()[i];
      if (write.file != file || write.len == 0) continue;
      writes_.push_back(i);
      if (write.bytes != nullptr) file_end = std::max(file_end, write.pos + write.len);
    }
    end = std::min(end, file_end);
    while (pos < end) {
      std::uint64_t stop = std::min(end, (pos / block_size + 1) * block_size);
      const auto edge = [&](std::uint64_t at) {
        if (at > pos) stop = std::min(stop, at);
      };
      edge(initial_size);
      edge(metadata_->size);
      for (const std::uint32_t i : writes_) {
        const UserWrite& write = log_.user_writes()[i];
        edge(write.pos);
        if (write.bytes != nullptr) edge(write.pos + write.len);
      }
      segment(index, file, pos, stop, promise);
      pos = stop;
    }
  }

  // [pos, end) lies in one block, and every write covers all of it or nothing.
  void segment(std::uint32_t index, std::uint32_t file, std::uint64_t pos, std::uint64_t end,
               const CrashLog::Promise* promise) {
    std::vector<std::uint32_t> covering;
    std::vector<std::uint32_t> promised;  // of them
    for (const std::uint32_t i : writes_) {
      const UserWrite& write = log_.user_writes()[i];
      if (pos < write.pos || pos - write.pos >= write.len) continue;
      covering.push_back(i);
      const bool in_time = promise != nullptr && acknowledged_.test(i) &&
                           (i == promise->own_write || !oracle_.before(promise->begin, write.end));
      if (in_time) promised.push_back(i);
    }
    const CrashLog::Metadata& initial = log_.files()[file].initial;
    if (promised.empty() && pos >= initial.size) return;
    const std::size_t len = end - pos;
    const std::uint8_t* found = pos < metadata_->size ? bytes_of(*metadata_, pos) : nullptr;
    // What the bytes may be: null in it are zeros.
    std::vector<const std::uint8_t*> right;
    if (promised.empty()) right.push_back(initial_bytes(initial, pos));
    for (const std::uint32_t i : covering) {
      const UserWrite& write = log_.user_writes()[i];
      const bool gone = std::any_of(promised.begin(), promised.end(), [&](std::uint32_t other) {
        return other != i && oracle_.before(write.end, log_.user_writes()[other].begin);
      });
      if (gone) continue;
      if (write.bytes == nullptr) return;
      right.push_back(write.bytes + (pos - write.pos));
    }
    if (pos < metadata_->size && matches(found, right, len)) return;
    note(index, file, pos, len, found, right,
         promised.empty() ? BrokenPromise::kStart : promised.back());
  }

  static bool same(const std::uint8_t* a, const std::uint8_t* b, std::size_t len) {
    if (a == b) return true;
    if (a != nullptr && b != nullptr) return std::memcmp(a, b, len) == 0;
    const std::uint8_t* one = a != nullptr ? a : b;
    return std::all_of(one, one + len, [](std::uint8_t byte) { return byte == 0; });
  }

  static bool matches(const std::uint8_t* found, const std::vector<const std::uint8_t*>& right,
                      std::size_t len) {
    return std::any_of(right.begin(), right.end(),
                       [&](const std::uint8_t* bytes) { return same(found, bytes, len); });
  }

  void note(std::uint32_t index, std::uint32_t file, std::uint64_t pos, std::size_t len,
            const std::uint8_t* found, const std::vector<const std::uint8_t*>& right,
            std::uint32_t write) {
    const bool beyond = pos >= metadata_->size;
    for (std::size_t i = 0; i < len; ++i) {
      const std::uint8_t byte = found == nullptr ? 0 : found[i];
      const bool is_right =
          !beyond && std::any_of(right.begin(), right.end(), [&](const std::uint8_t* bytes) {
            return (bytes == nullptr ? 0 : bytes[i]) == byte;
          });
      if (is_right) continue;
      if (!broken_) {
        broken_ = BrokenPromise{index, file, pos + i, pos + i, 0, 0, write, where_of(pos)};
      }
      broken_->last = pos + i;
      ++broken_->bytes;
      if (byte == 0) ++broken_->zeros;
    }
  }

  const char* where_of(std::uint64_t pos) const {
    if (pos >= metadata_->size) return "size on disk";
    const std::uint64_t block = block_of(*metadata_, pos);
    if (block == kernel::BLOCK_HOLE) return "block map";
    const auto changed = find(block);
    return changed != blocks_.end() && changed->damaged ? "device cache" : "block";
  }

  std::uint64_t block_of(const CrashLog::Metadata& metadata, std::uint64_t pos) const {
    const std::uint64_t index = pos / oracle_.geometry_.block_size;
    return index < metadata.blocks.size() ? metadata.blocks[index] : kernel::BLOCK_HOLE;
  }

  std::vector<CrashOracle::Block>::const_iterator find(std::uint64_t block) const {
    return std::find_if(blocks_.begin(), blocks_.end(),
                        [&](const CrashOracle::Block& each) { return each.block == block; });
  }

  // After recovery; null: zeros.
  const std::uint8_t* bytes_of(const CrashLog::Metadata& metadata, std::uint64_t pos) const {
    const auto changed = find(block_of(metadata, pos));
    if (changed == blocks_.end()) return initial_bytes(metadata, pos);
    return changed->bytes.data() + pos % oracle_.geometry_.block_size;
  }

  const std::uint8_t* initial_bytes(const CrashLog::Metadata& metadata, std::uint64_t pos) const {
    const std::uint64_t block = block_of(metadata, pos);
    const std::uint8_t* bytes = block == kernel::BLOCK_HOLE ? nullptr : log_.initial_block(block);
    return bytes == nullptr ? nullptr : bytes + pos % oracle_.geometry_.block_size;
  }

  const CrashOracle& oracle_;
  const CrashLog& log_;
  const CrashOracle::Disk& disk_;
  const PowerCut& cut_;
  std::vector<CrashOracle::Block> blocks_;
  EventSet acknowledged_;
  const CrashLog::Metadata* metadata_ = nullptr;
  std::vector<std::uint32_t> writes_;  // to the file
  std::optional<BrokenPromise> broken_;
};

std::optional<BrokenPromise> CrashOracle::judge(const EventSet& set, const PowerCut& cut) const {
  const Disk disk = this->disk(set);
  for (const std::uint32_t promise : disk.promises) {
    if (auto broken = PromiseCheck(*this, set, disk, cut).check(promise)) return broken;
  }
  return PromiseCheck(*this, set, disk, cut).check(BrokenPromise::kStart);
}

}  // namespace interleaf
