// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/bounded_worker.h"

#include <algorithm>
#include <bit>
#include <string>
#include <utility>

namespace interleaf {
namespace {

std::string joined(const std::vector<std::string>& signatures) {
  std::string all;
  for (const std::string& signature : signatures) all += (all.empty() ? "" : "\n") + signature;
  return all;
}

Hash128 with_signature(const Hash128& order, const std::string& signature) {
  Hash128 key = order;
  key.mix(hash_of_text(signature));
  return key;
}

}  // namespace

std::vector<std::string> signatures_of(const BoundedOptions& options, const RunResult& run) {
  if (options.signatures) return options.signatures(run);
  std::string signature = options.signature ? options.signature(run)
                          : run.clean()     ? std::string()
                                            : run.verdict()->signature();
  if (signature.empty()) return {};
  return {std::move(signature)};
}

BoundedWorker::BoundedWorker(unsigned index, World& world, BoundedShared& shared,
                             std::function<void()> tick)
    : index_(index),
      world_(world),
      shared_(shared),
      options_(shared.options),
      tick_(std::move(tick)),
      walk_(options_, shared.seen, options_.verify_cache ? &shared.check : nullptr),
      tally_(options_.sample_max) {}

BoundedTally BoundedWorker::take_tally() {
  return std::exchange(tally_, BoundedTally(options_.sample_max));
}

void BoundedWorker::work(bool keeps_later) {
  walk_.keeps_later = keeps_later;
  while (shared_.branches.take(batch_, options_.jobs, shared_.stop, tick_)) {
    while (!batch_.empty() && !shared_.stop.load(std::memory_order_relaxed)) {
      const Branch branch = std::move(batch_.front());
      batch_.pop_front();
      explore(branch);
    }
    while (give_one()) continue;  // if it was stopped
  }
}

void BoundedWorker::explore(const Branch& branch) {
  std::vector<BoundedWalk::Choice>& path = walk_.path;
  for (Chain& chain : chains_) chain.at = kNowhere;
  begin_path(branch);
  for (const Branch::At& at : branch.at) {
    path[at.choice].todo = at.todo;
    path[at.choice].alone = at.alone;
    path[at.choice].base = true;
  }
  first_run_ = true;
  if (path.empty()) run();
  while (!shared_.stop.load(std::memory_order_relaxed)) {
    while (!path.empty() && path.back().todo == 0) path.pop_back();
    if (path.empty()) return;
    if (shared_.branches.hungry()) share();
    try_next();
  }
  give_back();
}

// The next that is left to do at the end of the path.
void BoundedWorker::try_next() {
  BoundedWalk::Choice& choice = walk_.path.back();
  const auto next = static_cast<std::uint8_t>(std::countr_zero(choice.todo));
  choice.todo &= choice.todo - 1;
  const std::size_t at = walk_.path.size() - 1;
  if (choice.base) base_end_ = at;
  const bool chained = choice.base && !walk_.keeps_later;
  if (chained && leads_to_known(at, next)) return;
  choice.taken = static_cast<std::uint8_t>((choice.taken & kDataChoice) | next);
  choice.later = 0;  // kept already, by the run that came here first
  walk_.watch(chained ? at : kNowhere);
  run();
  if (first_run_) {
    along_.resize(at);
    for (std::size_t i = kept_; i < at; ++i) along_[i] = walk_.path[i];
    first_run_ = false;
    walk_.snapshot_at = kNowhere;
  }
  if (!chained) return;
  Chain& chain = chains_[next];
  Segment& segment = walk_.segment;
  const bool detour = walk_.pause() == BoundedWalk::Pause::kDetour && segment.one_part();
  chain.at = segment.whole() || detour ? at : kNowhere;
  chain.preempted = segment.preempted();
  if (chain.at == kNowhere) return;
  std::swap(chain.footprint, segment.whole() ? segment.footprint() : segment.first_part());
}

// What is known of the one before stays, as far as the two are one: its
// steps, and the snapshots.
void BoundedWorker::begin_path(const Branch& branch) {
  const auto common = [](const auto& a, const auto& b, auto same) {
    std::size_t i = 0;
    while (i < a.size() && i < b.size() && same(a[i], b[i])) ++i;
    return i;
  };
  const auto taken = [](const BoundedWalk::Choice& choice, std::uint8_t other) {
    return choice.taken == other;
  };
  kept_ = common(along_, branch.schedule, taken);
  const std::size_t valid = std::min(kept_, base_end_);
  while (saved_count_ > 0 && saved_[saved_count_ - 1].walk.choices > valid) --saved_count_;
  base_end_ = 0;
  std::vector<BoundedWalk::Choice>& path = walk_.path;
  path.assign(along_.begin(), along_.begin() + static_cast<std::ptrdiff_t>(kept_));
  for (BoundedWalk::Choice& choice : path) {
    choice.todo = choice.later = 0;
    choice.base = false;
  }
  for (std::size_t i = kept_; i < branch.schedule.size(); ++i) {
    path.push_back({.taken = branch.schedule[i]});
  }
  for (const std::uint32_t choice : branch.sleeps) path[choice].alone = path[choice].sleeps = true;
  walk_.snapshot_at = kNowhere;
  if (batch_.empty()) return;
  const auto equal = [](std::uint8_t a, std::uint8_t b) { return a == b; };
  const std::size_t next = common(branch.schedule, batch_.front().schedule, equal);
  if (next > kept_) walk_.snapshot_at = next;
}

bool BoundedWorker::leads_to_known(std::size_t at, TaskId next) {
  Chain& chain = chains_[next];
  if (chain.at == kNowhere || chain.at <= at) return false;
  for (std::size_t i = at; i < chain.at; ++i) {
    const BoundedWalk::Choice& choice = along_[i];
    if (i > at && (choice.taken & kDataChoice) != 0) continue;
    if (choice.runs_on != chain.preempted) return false;
    if (!choice.alone) return false;
    if (chain.footprint.conflicts(choice.op, choice.object)) return false;
  }
  chain.at = at;
  return true;
}

// One run along the path and on to an end or a known prefix.
void BoundedWorker::run() {
  const std::size_t known = walk_.path.size();
  const RunResult* run = &start();
  while (run->end == RunEnd::kPaused && walk_.pause() == BoundedWalk::Pause::kSnapshot) {
    save();
    run = &world_.resume(walk_);
  }
  keep_later(known);
  if (run->end == RunEnd::kPaused) {
    ++tally_.pruned;
  } else {
    note(*run);
  }
  if (options_.verify_cache && !shared_.check.found().empty()) {
    shared_.hidden = true;
    shared_.stop = true;
  }
  look_at_budget();
  tick_();
}

const RunResult& BoundedWorker::start() {
  const std::size_t last = walk_.path.empty() ? 0 : walk_.path.size() - 1;
  while (saved_count_ > 0 && saved_[saved_count_ - 1].walk.choices > last) --saved_count_;
  if (saved_count_ == 0) return world_.run(walk_, options_.run);
  world_.restore(saved_[saved_count_ - 1].world);
  walk_.go_on_from(saved_[saved_count_ - 1].walk, true);
  return world_.resume(walk_);
}

void BoundedWorker::save() {
  if (saved_count_ == saved_.size()) saved_.emplace_back();
  Saved& saved = saved_[saved_count_++];
  world_.save(saved.world);
  walk_.save(world_.scheduler(), saved.walk);
  walk_.go_on_from(saved.walk, false);
}

void BoundedWorker::note(const RunResult& run) {
  const Hash128 order = walk_.order().total();
  ++tally_.runs;
  if (run.end == RunEnd::kLivelock && run.steps >= options_.run.steps_max) ++tally_.cut;
  const std::vector<std::string> signatures = signatures_of(options_, run);
  if (options_.verify_cache) shared_.check.outcome(order, joined(signatures));
  if (options_.ended) {
    const std::lock_guard lock(shared_.ended_mutex);
    options_.ended(run, order);
  }
  note_signatures(run, signatures);
  if (!shared_.orders.insert(order)) return;
  ++tally_.classes;
  tally_.retry_cuts.add(world_);
  if (options_.judge) {
    for (const std::string& also : options_.judge(world_, run, order)) note_hit(run, also, true);
  }
  if (options_.on_new_class) options_.on_new_class(world_, run, order);
}

void BoundedWorker::note_signatures(const RunResult& run,
                                    const std::vector<std::string>& signatures) {
  const auto is_known = [&](const std::string& signature) {
    return options_.known && options_.known(signature);
  };
  if (run.left == 0 && std::all_of(signatures.begin(), signatures.end(), is_known)) {
    tally_.sample.offer(walk_.order().total(), run.schedule);
  }
  for (const std::string& signature : signatures) note_hit(run, signature, false);
}

void BoundedWorker::note_hit(const RunResult& run, const std::string& signature, bool judged) {
  const Hash128 order = walk_.order().total();
  const bool is_known = options_.known && options_.known(signature);
  const bool is_new = shared_.orders.insert(with_signature(order, signature));
  if (is_known) {
    tally_.known[signature] += is_new;
    return;
  }
  BoundedHit hit{run.preemptions, run.steps, order, {}, 0, judged};
  const auto [mine, first] = tally_.hits.try_emplace(signature);
  const std::uint64_t count = mine->second.count + is_new;
  if (first || hit.before(mine->second)) {
    hit.schedule = run.schedule;
    mine->second = std::move(hit);
  }
  mine->second.count = count;
}

// Keeps what this level may not do from choice `known` on.
void BoundedWorker::keep_later(std::size_t known) {
  if (!walk_.keeps_later) return;
  std::vector<BoundedWalk::Choice>& path = walk_.path;
  Branch branch;
  for (std::size_t i = known; i < path.size(); ++i) {
    if (path[i].later == 0) continue;
    branch.at.push_back(
        {static_cast<std::uint32_t>(i), path[i].part, path[i].alone, path[i].later});
    path[i].later = 0;
  }
  if (branch.at.empty()) return;
  const std::size_t length = branch.at.back().choice + std::size_t{1};
  branch.schedule.reserve(length);
  for (std::size_t i = 0; i < length; ++i) branch.schedule.push_back(path[i].taken);
  branch.at.shrink_to_fit();
  note_sleeps(branch);
  shared_.next_bytes.add(index_, branch.bytes());
  next_.push_back(std::move(branch));
}

void BoundedWorker::note_sleeps(Branch& branch) const {
  for (std::size_t i = 0; i < branch.schedule.size(); ++i) {
    if (walk_.path[i].sleeps) branch.sleeps.push_back(static_cast<std::uint32_t>(i));
  }
}

// Gives away a branch that was not begun. False if there is none.
bool BoundedWorker::give_one() {
  if (batch_.empty()) return false;
  shared_.branches.give(std::move(batch_.back()));
  batch_.pop_back();
  return true;
}

// Gives away a branch that was not begun; else what is left to do at the first choice of the path,
// or half of that if it is all.
void BoundedWorker::share() {
  if (give_one()) return;
  std::vector<BoundedWalk::Choice>& path = walk_.path;
  std::size_t i = 0;
  while (path[i].todo == 0) ++i;
  TaskMask given = path[i].todo;
  if (i + 1 == path.size()) given &= given - 1;
  if (given == 0) return;
  path[i].todo &= ~given;
  Branch branch;
  for (std::size_t k = 0; k <= i; ++k) branch.schedule.push_back(path[k].taken);
  branch.at.push_back({static_cast<std::uint32_t>(i), 0, path[i].alone, given});
  note_sleeps(branch);
  shared_.branches.give(std::move(branch));
}

void BoundedWorker::give_back() {
  Branch branch;
  for (std::size_t i = 0; i < walk_.path.size(); ++i) {
    const BoundedWalk::Choice& choice = walk_.path[i];
    branch.schedule.push_back(choice.taken);
    if (choice.todo == 0) continue;
    branch.at.push_back({static_cast<std::uint32_t>(i), 0, choice.alone, choice.todo});
  }
  if (branch.at.empty()) return;
  branch.schedule.resize(branch.at.back().choice + std::size_t{1});
  note_sleeps(branch);
  shared_.branches.give(std::move(branch));
}

void BoundedWorker::look_at_budget() {
  const std::uint64_t own = shared_.runs.add(index_, 1);
  const char* budget = nullptr;
  if (options_.runs_max != 0 && shared_.runs.total() >= options_.runs_max) budget = "runs";
  // What others write is looked at now and then.
  const bool looks = options_.jobs == 1 || own % 8 == 0;
  if (options_.memory_max != 0 && looks && shared_.memory() >= options_.memory_max) {
    budget = "memory";
  }
  if (options_.prefixes_max != 0 && own % 8 == 0 && shared_.seen.size() >= options_.prefixes_max) {
    budget = "memory";
  }
  if (options_.interrupted != nullptr && *options_.interrupted) budget = "interrupted";
  if (budget == nullptr) return;
  shared_.budget = budget;
  shared_.stop = true;
}

}  // namespace interleaf
