// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/checkpoint.h"

#include <bit>

namespace interleaf {
namespace {

void put(CheckpointWriter& out, const std::vector<Branch>& branches) {
  std::uint64_t count = 0;
  for (const Branch& branch : branches) count += !branch.at.empty() || branch.schedule.empty();
  out.number(count);
  for (const Branch& branch : branches) {
    if (branch.at.empty() && !branch.schedule.empty()) continue;
    out.schedule(branch.schedule);
    out.number(branch.sleeps.size());
    for (const std::uint32_t choice : branch.sleeps) out.number(choice);
    out.number(branch.at.size());
    for (const Branch::At& at : branch.at) {
      out.number(std::uint64_t{at.choice} | std::uint64_t{at.part} << 32 |
                 std::uint64_t{at.alone} << 40);
      out.number(at.todo);
    }
  }
}

std::vector<Branch> get_branches(CheckpointReader& in) {
  std::vector<Branch> branches(in.count(16));
  for (Branch& branch : branches) {
    branch.schedule = in.schedule();
    branch.sleeps.resize(in.count(8));
    for (std::uint32_t& choice : branch.sleeps) {
      choice = static_cast<std::uint32_t>(in.number());
      if (choice >= branch.schedule.size()) in.damaged();
    }
    branch.at.resize(in.count(16));
    for (Branch::At& at : branch.at) {
      const std::uint64_t word = in.number();
      at.choice = static_cast<std::uint32_t>(word);
      at.part = static_cast<std::uint8_t>(word >> 32);
      at.alone = (word >> 40 & 1) != 0;
      at.todo = in.number();
      if (at.choice >= branch.schedule.size()) in.damaged();
    }
  }
  return branches;
}

void put(CheckpointWriter& out, const PrefixSet& set) {
  out.number(set.size());
  set.for_each([&](const Hash128& key) { out.hash(key); });
}

void get(CheckpointReader& in, PrefixSet& set) {
  for (std::uint64_t left = in.count(16); left > 0; --left) set.insert(in.hash());
}

void put(CheckpointWriter& out, const BoundedState& state) {
  for (const std::uint64_t n :
       {std::uint64_t{state.level}, std::uint64_t{state.pass}, state.runs, state.choices}) {
    out.number(n);
  }
  out.number(state.levels.size());
  for (const BoundedLevel& level : state.levels) {
    for (const std::uint64_t n : {level.classes, level.runs, level.pruned, level.cut}) {
      out.number(n);
    }
    out.number(std::bit_cast<std::uint64_t>(level.seconds));
  }
  out.tally(state.tally);
  put(out, state.given);
  put(out, state.frontier);
  put(out, state.next);
}

void get(CheckpointReader& in, BoundedState& state) {
  state.level = static_cast<unsigned>(in.number());
  state.pass = static_cast<unsigned>(in.number());
  state.runs = in.number();
  state.choices = in.number();
  state.levels.resize(in.count(40));
  for (BoundedLevel& level : state.levels) {
    for (std::uint64_t* n : {&level.classes, &level.runs, &level.pruned, &level.cut}) {
      *n = in.number();
    }
    level.seconds = std::bit_cast<double>(in.number());
  }
  in.tally(state.tally);
  state.given = get_branches(in);
  state.frontier = get_branches(in);
  state.next = get_branches(in);
  if (state.levels.size() != state.level + std::size_t{1}) in.damaged();
}

}  // namespace

void write_checkpoint(const std::string& path, const Identity& identity, const BoundedState& state,
                      const PrefixSet& seen, const PrefixSet& orders) {
  CheckpointWriter out(path, identity);
  put(out, state);
  put(out, seen);
  put(out, orders);
  out.finish();
}

bool read_checkpoint(const std::string& path, const Identity& identity, BoundedState& state,
                     PrefixSet& seen, PrefixSet& orders) {
  const auto in = CheckpointReader::open(path, identity);
  if (!in) return false;
  get(*in, state);
  get(*in, seen);
  get(*in, orders);
  in->finish();
  return true;
}

}  // namespace interleaf
