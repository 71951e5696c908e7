// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/dpor_worker.h"

#include <algorithm>
#include <utility>

namespace interleaf {
namespace {

constexpr std::size_t kStackGuessed = 512;  // bytes in use, of a suspended task

// Copying a KiB away and back costs about as much as repeating two steps.
unsigned snapshot_steps_for(const World& world) {
  const std::size_t bytes = world.arena().used() + world.scheduler().task_count() * kStackGuessed;
  return static_cast<unsigned>(std::clamp<std::size_t>(bytes / 512, 8, 256));
}

std::size_t bytes(const World::Snapshot& snapshot) {
  return snapshot.arena.size() + snapshot.stacks.size();
}

}  // namespace

std::vector<std::string> dpor_signatures(const DporOptions& options, const RunResult& run) {
  if (run.clean()) return {};
  std::vector<std::string> signatures;
  if (options.signatures) {
    signatures = options.signatures(run);
  } else {
    for (const Finding& finding : run.findings) signatures.push_back(finding.signature());
  }
  std::sort(signatures.begin(), signatures.end());
  signatures.erase(std::unique(signatures.begin(), signatures.end()), signatures.end());
  return signatures;
}

DporWorker::DporWorker(unsigned index, World& world, DporShared& shared, std::function<void()> tick)
    : index_(index),
      world_(world),
      shared_(shared),
      tick_(std::move(tick)),
      stops_([this] { return shared_.stop.load(); }),
      walk_(shared.options, shared.tree),
      tally_(shared.options.sample_max) {
  const unsigned steps = shared.options.snapshot_steps;
  walk_.snapshot_steps = steps != 0 ? steps : snapshot_steps_for(world);
}

BoundedTally DporWorker::take_tally() {
  return std::exchange(tally_, BoundedTally(shared_.options.sample_max));
}

void DporWorker::work() {
  bool more = walk_.back_to_open_choice(stops_);
  while (more || take_path()) {
    run();
    tick_();
    if (shared_.open.promise()) shared_.open.give(walk_.give_away());
    if (stops_()) return;
    more = walk_.back_to_open_choice(stops_);
  }
}

// Goes on where another worker, or another process, was. False if there is nothing to do.
bool DporWorker::take_path() {
  for (DporOpenPath open; shared_.open.take(open, tick_);) {
    walk_.adopt(std::move(open.path));
    while (saved_count_ > 0) drop_snapshot();
    if (open.chosen || walk_.back_to_open_choice(stops_)) return true;
  }
  return false;
}

void DporWorker::run() {
  const RunResult* run = start();
  while (run->end == RunEnd::kPaused && walk_.pause() == DporWalk::Pause::kSnapshot) {
    save();
    run = &world_.resume(walk_);
  }
  const bool too_long = run->end != RunEnd::kPaused && run->steps >= shared_.options.run.steps_max;
  walk_.end(world_.scheduler(), too_long);
  shared_.runs.add(index_, 1);
  if (walk_.pause() == DporWalk::Pause::kRedundant) {
    ++tally_.pruned;
    return;
  }
  ++tally_.runs;
  ++tally_.classes;
  if (too_long) ++tally_.cut;
  tally_.retry_cuts.add(world_);
  note(*run);
}

const RunResult* DporWorker::start() {
  const std::size_t known = walk_.path().empty() ? 0 : walk_.path().size() - 1;
  while (saved_count_ > 0 && saved_[saved_count_ - 1].walk.choices > known) drop_snapshot();
  if (saved_count_ == 0) return &world_.run(walk_, shared_.options.run);
  world_.restore(saved_[saved_count_ - 1].world);
  walk_.go_on_from(saved_[saved_count_ - 1].walk);
  return &world_.resume(walk_);
}

void DporWorker::drop_snapshot() { held_ -= bytes(saved_[--saved_count_].world); }

void DporWorker::save() {
  if (saved_count_ == saved_.size()) saved_.emplace_back();
  Saved& saved = saved_[saved_count_++];
  world_.save(saved.world);
  walk_.save(world_.scheduler(), saved.walk);
  walk_.go_on_from(saved.walk);
  held_ += bytes(saved.world);
  snapshot_bytes_ = std::max(snapshot_bytes_, held_);
}

void DporWorker::note(const RunResult& run) {
  const DporOptions& options = shared_.options;
  if (run.clean() && options.sample_max == 0 && !options.ended) return;
  const std::vector<std::string> signatures = dpor_signatures(options, run);
  const bool sampled =
      options.sample_max != 0 && run.left == 0 &&
      std::all_of(signatures.begin(), signatures.end(), [&](const std::string& signature) {
        return options.known && options.known(signature);
      });
  if (!sampled && signatures.empty() && !options.ended) return;
  const Hash128 order = walk_.order();
  if (sampled) tally_.sample.offer(order, run.schedule);
  for (const std::string& signature : signatures) {
    BoundedHit& hit = tally_.hits[signature];
    if (hit.count++ != 0 && !(order < hit.order)) continue;
    hit.order = order;
    hit.schedule = run.schedule;
  }
  if (!options.ended) return;
  const std::lock_guard lock(shared_.ended);
  options.ended(run, order);
}

}  // namespace interleaf
