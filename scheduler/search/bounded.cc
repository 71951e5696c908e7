// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/bounded.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <utility>

#include "scheduler/check.h"
#include "scheduler/search/bounded_worker.h"
#include "scheduler/search/checkpoint.h"
#include "scheduler/search/crew.h"
#include "scheduler/search/normal_form.h"

namespace interleaf {
namespace {

using Clock = std::chrono::steady_clock;

// Frontiers of fewer choices are not worth more than one part.
constexpr std::uint64_t kSmallFrontier = 1024;
constexpr double kProgressSeconds = 0.5;
// A checkpoint may take this part of the time at most.
constexpr double kCheckpointShare = 0.05;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::uint64_t bytes_of(const std::vector<Branch>& branches) {
  std::uint64_t bytes = 0;
  for (const Branch& branch : branches) bytes += branch.bytes();
  return bytes;
}

// From the level at hand: if the rest of it branches like what was done, and further levels grow
// like this one did.
BoundedEstimate estimate_of(const BoundedResult& result, double level_done, unsigned levels_max) {
  BoundedEstimate estimate;
  estimate.level_done = level_done;
  const std::size_t level = result.levels.size() - 1;
  if (level == 0 || level_done < 0.01) return estimate;
  estimate.known = true;
  const auto seen = static_cast<double>(result.levels[level].classes);
  const auto before = static_cast<double>(result.levels[level - 1].classes);
  const double whole = seen / level_done;
  const double growth = std::max(1.0, whole / std::max(1.0, before));
  double rest = whole;
  double factor = 1;
  for (std::size_t more = level; more < levels_max && more < level + 8; ++more) {
    factor *= growth;
    rest += whole * factor;
  }
  const double done = static_cast<double>(result.classes) - seen;
  // Early choices find what later ones then need not: the middle of the range is too high, not low.
  estimate.orders_least = std::max(static_cast<double>(result.classes), done + rest / std::sqrt(3));
  estimate.orders_most = std::max(estimate.orders_least, done + rest * std::sqrt(3));
  return estimate;
}

class Search {
 public:
  Search(const WithWorld& with_world, const BoundedOptions& options)
      : with_world_(with_world), options_(options), shared_(options), state_(options.sample_max) {}

  BoundedResult explore(World& world) {
    workers_.resize(options_.jobs);
    workers_[0] = std::make_unique<BoundedWorker>(0, world, shared_, [this] { tick(); });
    restore();
    {
      Crew crew(options_.jobs, [this](unsigned index, const std::function<void()>& serve) {
        with_world_(index, [&](World& own) {
          workers_[index] = std::make_unique<BoundedWorker>(index, own, shared_, [] {});
          serve();
        });
      });
      go_through_levels(crew);
    }
    finish(world);
    return std::move(result_);
  }

 private:
  Identity identity() const {
    Identity identity = options_.identity;
    identity.emplace_back("preemptions", std::to_string(options_.preemptions_max));
    identity.emplace_back("stop at first", options_.stop_at_first ? "yes" : "no");
    identity.emplace_back("steps", std::to_string(options_.run.steps_max));
    identity.emplace_back("retries", std::to_string(options_.run.retries_max));
    identity.emplace_back("sample", std::to_string(options_.sample_max));
    return identity;
  }

  void restore() {
    if (options_.checkpoint.empty() ||
        !read_checkpoint(options_.checkpoint, identity(), state_, shared_.seen, shared_.orders)) {
      state_.levels.emplace_back();
      state_.given.emplace_back();  // the run of level 0
    }
    shared_.runs.reset(state_.runs);
    for (unsigned level = 0; level < state_.level; ++level) level_is_whole(level);
    shared_.next_bytes.reset(bytes_of(state_.next));
  }

  void go_through_levels(Crew& crew) {
    for (;; ++state_.level) {
      keeps_later_ = state_.level < options_.preemptions_max;
      begin_level();
      const bool whole = explore_level(crew);
      if (!whole) break;
      level_is_whole(state_.level);
      if (state_.next.empty() || !keeps_later_) {
        result_.complete = cut_ == 0;
        result_.exhausted = keeps_later_ && cut_ == 0;
        break;
      }
      state_.frontier = std::exchange(state_.next, {});
      state_.choices = 0;
      for (const Branch& branch : state_.frontier) state_.choices += branch.at.size();
      state_.pass = 0;
      state_.levels.emplace_back();
    }
  }

  void level_is_whole(unsigned level) {
    cut_ += state_.levels[level].cut;
    if (cut_ == 0) result_.complete_up_to = static_cast<int>(level);
  }

  void begin_level() {
    shared_.frontier_bytes = bytes_of(state_.frontier);
    shared_.next_bytes.reset(bytes_of(state_.next));
    shared_.branches.begin_level(std::move(state_.frontier));
    state_.frontier.clear();
    for (Branch& branch : state_.given) shared_.branches.give(std::move(branch));
    state_.given.clear();
    level_start_ = Clock::now();
  }

  // False if the search ends here.
  bool explore_level(Crew& crew) {
    const bool in_parts = options_.stop_at_first && state_.choices > kSmallFrontier;
    const unsigned passes = in_parts ? kLevelParts : 1;
    for (; state_.pass < passes; ++state_.pass) {
      const unsigned first = in_parts ? state_.pass : 0;
      const unsigned last = in_parts ? state_.pass : kLevelParts - 1;
      while (!explore_part(crew, first, last)) {
        if (shared_.hidden || shared_.budget != nullptr) return false;
        write();
      }
      if (options_.stop_at_first && !state_.tally.hits.empty()) return false;
    }
    return true;
  }

  // False if it was left for a checkpoint, or as the search ends.
  bool explore_part(Crew& crew, unsigned first, unsigned last) {
    shared_.stop = false;
    shared_.branches.begin_parts(first, last);
    crew.run([&](unsigned index) {
      try {
        workers_[index]->work(keeps_later_);
      } catch (...) {
        shared_.stop = true;  // the others would wait for what this one has
        throw;
      }
    });
    BoundedTally done(options_.sample_max);
    for (const auto& worker : workers_) {
      done.merge(worker->take_tally());
      for (Branch& branch : worker->take_next()) state_.next.push_back(std::move(branch));
    }
    BoundedLevel& level = state_.levels.back();
    level.classes += done.classes;
    level.runs += done.runs;
    level.pruned += done.pruned;
    level.cut += done.cut;
    level.seconds += seconds_since(level_start_);
    level_start_ = Clock::now();
    state_.tally.merge(done);
    return !shared_.stop;
  }

  // Called by worker 0 after every run and while it waits.
  void tick() {
    if (options_.interrupted != nullptr && *options_.interrupted) spend("interrupted");
    const double now = seconds_since(start_);
    if (options_.seconds_max > 0 && now >= options_.seconds_max) spend("time");
    if (!options_.checkpoint.empty() && now >= next_checkpoint_) shared_.stop = true;
    if (!options_.progress || now < next_progress_) return;
    next_progress_ = now + kProgressSeconds;
    options_.progress({state_.level, shared_.runs.total(), shared_.seen.size(), level_done(), now});
  }

  void spend(const char* budget) {
    shared_.budget = budget;
    shared_.stop = true;
  }

  double level_done() const {
    if (state_.choices == 0) return 0;
    return 1 - static_cast<double>(shared_.branches.choices_left()) /
                   static_cast<double>(state_.choices);
  }

  void write() {
    if (options_.checkpoint.empty()) return;
    const double begin = seconds_since(start_);
    state_.runs = shared_.runs.total();
    shared_.branches.lend(state_.given, state_.frontier);
    write_checkpoint(options_.checkpoint, identity(), state_, shared_.seen, shared_.orders);
    shared_.branches.take_back(state_.given, state_.frontier);
    const double now = seconds_since(start_);
    next_checkpoint_ =
        now + std::max(options_.checkpoint_seconds, (now - begin) / kCheckpointShare);
  }

  void finish(World& world) {
    result_.levels = state_.levels;
    result_.runs = state_.tally.runs;
    result_.pruned = state_.tally.pruned;
    result_.cut = state_.tally.cut;
    result_.classes = state_.tally.classes;
    result_.known = state_.tally.known;
    result_.retry_cuts = state_.tally.retry_cuts;
    for (const auto& [order, schedule] : state_.tally.sample.schedules()) {
      result_.sample.push_back(schedule);
    }
    result_.hidden_dependence = shared_.check.found();
    if (const char* budget = shared_.budget; budget != nullptr && !result_.complete) {
      result_.out_of_budget = true;
      result_.budget = budget;
      result_.estimate = estimate_of(result_, level_done(), options_.preemptions_max);
      write();
    } else if (!options_.checkpoint.empty()) {
      remove_checkpoint(options_.checkpoint);  // there is nothing to go on with
    }
    for (const auto& [signature, hit] : state_.tally.hits) report(world, signature, hit);
    std::stable_sort(result_.findings.begin(), result_.findings.end(),
                     [](const BoundedFinding& a, const BoundedFinding& b) {
                       return a.preemptions < b.preemptions;
                     });
  }

  void report(World& world, const std::string& signature, const BoundedHit& hit) {
    const auto accepted = [&](const RunResult& run) {
      if (hit.judged) return true;
      const std::vector<std::string> has = signatures_of(options_, run);
      return std::find(has.begin(), has.end(), signature) != has.end();
    };
    BoundedFinding finding{signature, hit.preemptions, hit.order, {}, hit.count};
    finding.schedule = normal_form(world, options_.run, hit.schedule, hit.preemptions, accepted);
    if (options_.run.retries_max != 0) {
      finding.schedule = without_retry_limit(world, options_.run, finding.schedule);
    }
    result_.findings.push_back(std::move(finding));
  }

  const WithWorld& with_world_;
  const BoundedOptions& options_;
  BoundedShared shared_;
  BoundedState state_;
  BoundedResult result_;
  std::vector<std::unique_ptr<BoundedWorker>> workers_;
  bool keeps_later_ = false;
  std::uint64_t cut_ = 0;
  const Clock::time_point start_ = Clock::now();
  Clock::time_point level_start_;
  double next_checkpoint_ = options_.checkpoint_seconds;
  double next_progress_ = kProgressSeconds;
};

}  // namespace

BoundedResult explore_bounded(const WithWorld& with_world, const BoundedOptions& options) {
  CHECK(options.jobs >= 1 && options.jobs <= 64);
  CHECK(!options.judge || options.checkpoint.empty());
  CHECK(!options.signatures || options.checkpoint.empty());
  CHECK(options.filter == nullptr || (options.jobs == 1 && !options.snapshots));
  CHECK(options.filter == nullptr || options.checkpoint.empty());
  BoundedResult result;
  with_world(0, [&](World& world) { result = Search(with_world, options).explore(world); });
  return result;
}

BoundedResult explore_bounded(World& world, BoundedOptions options) {
  options.jobs = 1;
  if (options.filter != nullptr) options.snapshots = false;
  return explore_bounded([&](unsigned, const std::function<void(World&)>& work) { work(world); },
                         options);
}

}  // namespace interleaf
