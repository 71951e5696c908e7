// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/dpor.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <map>
#include <memory>
#include <utility>

#include "scheduler/check.h"
#include "scheduler/search/crew.h"
#include "scheduler/search/dpor_checkpoint.h"
#include "scheduler/search/dpor_worker.h"
#include "scheduler/search/normal_form.h"

namespace interleaf {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kProgressSeconds = 0.5;
// A checkpoint may take this part of the time at most.
constexpr double kCheckpointShare = 0.05;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// The part of the tree that is done: at every choice of an open path, the share of what was tried
// and is not open any more.
double done_of(const std::vector<DporPath>& open) {
  std::map<const DporNode*, TaskMask> at_hand;
  for (const DporPath& path : open) {
    for (const DporStep& step : path) at_hand[step.node.get()] |= task_bit(step.taken);
  }
  double done = 0;
  std::map<const DporNode*, bool> counted;
  for (const DporPath& path : open) {
    double weight = 1;
    for (const DporStep& step : path) {
      const DporNode& node = *step.node;
      const TaskMask all = node.data ? node.backtrack : node.backtrack & ~node.sleep;
      const int width = std::max(1, std::popcount(all | node.done));
      if (!std::exchange(counted[&node], true)) {
        done += weight * std::popcount(node.done & ~at_hand[&node]) / width;
      }
      weight /= width;
    }
  }
  return done;
}

class Search {
 public:
  Search(const WithWorld& with_world, const DporOptions& options)
      : with_world_(with_world), options_(options), shared_(options), state_(options.sample_max) {}

  DporResult explore(World& world) {
    restore(world);
    workers_.resize(options_.jobs);
    workers_[0] = std::make_unique<DporWorker>(0, world, shared_, [this] { tick(); });
    {
      Crew crew(options_.jobs, [this](unsigned index, const std::function<void()>& serve) {
        with_world_(index, [&](World& own) {
          workers_[index] = std::make_unique<DporWorker>(index, own, shared_, [this] {
            if (all_runs_made()) shared_.stop_workers();
          });
          serve();
        });
      });
      while (!explore_on(crew)) write();
      finish();
    }
    report(world);
    return std::move(result_);
  }

 private:
  // What the program does by itself tells whether it is the one of the file.
  Identity identity_of(World& world) const {
    const auto strategy = make_keep_running();
    const RunResult& run = world.run(*strategy, options_.run);
    Identity identity = options_.identity;
    identity.emplace_back("preemptions", "any number");
    identity.emplace_back("steps", std::to_string(options_.run.steps_max));
    identity.emplace_back("retries", std::to_string(options_.run.retries_max));
    identity.emplace_back("sample", std::to_string(options_.sample_max));
    identity.emplace_back("digest of a first run", std::to_string(run.digest));
    identity.emplace_back("memory of a first run", std::to_string(world.arena().used()));
    return identity;
  }

  void restore(World& world) {
    if (!options_.checkpoint.empty()) identity_ = identity_of(world);
    if (options_.checkpoint.empty() ||
        !read_dpor_checkpoint(options_.checkpoint, identity_, state_)) {
      shared_.open.add({});
      return;
    }
    restored_ = state_.counts;
    shared_.runs.reset(state_.tally.runs + state_.tally.pruned);
    for (DporPath& path : state_.paths) {
      const bool chosen = path.empty();
      shared_.open.add({std::move(path), chosen});
    }
  }

  // False if the workers stopped for a checkpoint.
  bool explore_on(Crew& crew) {
    shared_.stop = false;
    state_.paths.clear();
    shared_.open.begin(options_.jobs);
    crew.run([this](unsigned index) {
      try {
        workers_[index]->work();
      } catch (...) {
        shared_.stop_workers();  // the others would wait for what this one has
        throw;
      }
    });
    take_state();
    if (all_runs_made() && !state_.paths.empty()) budget_ = "runs";
    return budget_ != nullptr || state_.paths.empty();
  }

  void take_state() {
    shared_.open.take_back_choices();
    for (const DporOpenPath& open : shared_.open.left()) state_.paths.push_back(open.path);
    state_.counts = restored_;
    state_.counts.seconds += seconds_since(start_);
    for (const auto& worker : workers_) {
      const DporWalk& walk = worker->walk();
      state_.counts.events += walk.events;
      state_.counts.replayed += walk.replayed;
      state_.counts.fallbacks += walk.fallbacks;
      state_.tally.merge(worker->take_tally());
      if (!walk.path().empty()) state_.paths.push_back(walk.path());
    }
  }

  // Looked at by all workers, since one may get no CPU while the others make all the runs.
  bool all_runs_made() const {
    return options_.runs_max != 0 && shared_.runs.total() >= options_.runs_max;
  }

  // Called by worker 0 after every run and while it waits.
  void tick() {
    if (all_runs_made()) spend("runs");
    if (options_.interrupted != nullptr && *options_.interrupted) spend("interrupted");
    if (options_.seconds_max <= 0 && !options_.progress && options_.checkpoint.empty()) return;
    const double now = seconds_since(start_);
    if (options_.seconds_max > 0 && now >= options_.seconds_max) spend("time");
    if (!options_.checkpoint.empty() && now >= next_checkpoint_) shared_.stop_workers();
    if (!options_.progress || now < next_progress_) return;
    next_progress_ = now + kProgressSeconds;
    options_.progress({shared_.runs.total(), now});
  }

  void spend(const char* budget) {
    budget_ = budget;
    shared_.stop_workers();
  }

  void write() {
    if (options_.checkpoint.empty()) return;
    const double begin = seconds_since(start_);
    write_dpor_checkpoint(options_.checkpoint, identity_, state_);
    const double end = seconds_since(start_);
    next_checkpoint_ =
        end + std::max(options_.checkpoint_seconds, (end - begin) / kCheckpointShare);
  }

  void finish() {
    result_.classes = state_.tally.classes;
    result_.redundant = state_.tally.pruned;
    result_.cut = state_.tally.cut;
    result_.retry_cuts = state_.tally.retry_cuts;
    result_.events = state_.counts.events;
    result_.replayed = state_.counts.replayed;
    result_.fallbacks = state_.counts.fallbacks;
    result_.seconds = state_.counts.seconds;
    for (const auto& worker : workers_) result_.snapshot_bytes += worker->snapshot_bytes();
    for (const auto& [order, schedule] : state_.tally.sample.schedules()) {
      result_.sample.push_back(schedule);
    }
    if (budget_ != nullptr && !state_.paths.empty()) {
      result_.out_of_budget = true;
      result_.budget = budget_;
      result_.done = done_of(state_.paths);
      write();
    } else if (!options_.checkpoint.empty()) {
      remove_checkpoint(options_.checkpoint);  // there is nothing to go on with
    }
    result_.complete = !result_.out_of_budget && result_.cut == 0;
  }

  void report(World& world) {
    for (const auto& found : state_.tally.hits) {
      const std::string& signature = found.first;
      const BoundedHit& hit = found.second;
      const auto accepted = [&](const RunResult& run) {
        const std::vector<std::string> all = dpor_signatures(options_, run);
        return std::find(all.begin(), all.end(), signature) != all.end();
      };
      DporFinding finding{signature, hit.order, {}, 0, hit.count};
      finding.schedule =
          normal_form(world, options_.run, hit.schedule, ~std::uint64_t{0}, accepted);
      const auto replay = make_replay(finding.schedule);
      finding.preemptions = world.run(*replay, options_.run).preemptions;
      if (options_.run.retries_max != 0) {
        finding.schedule = without_retry_limit(world, options_.run, finding.schedule);
      }
      result_.findings.push_back(std::move(finding));
    }
  }

  const WithWorld& with_world_;
  const DporOptions& options_;
  DporShared shared_;
  DporState state_;      // its paths and counts are valid between two runs
  DporCounts restored_;  // of earlier processes
  Identity identity_;
  std::vector<std::unique_ptr<DporWorker>> workers_;
  const char* budget_ = nullptr;  // not null: the search ends
  DporResult result_;
  const Clock::time_point start_ = Clock::now();
  double next_checkpoint_ = options_.checkpoint_seconds;
  double next_progress_ = kProgressSeconds;
};

}  // namespace

DporResult explore_dpor(const WithWorld& with_world, const DporOptions& options) {
  CHECK(options.jobs >= 1 && options.jobs <= 64);
  DporResult result;
  with_world(0, [&](World& world) { result = Search(with_world, options).explore(world); });
  return result;
}

DporResult explore_dpor(World& world, DporOptions options) {
  options.jobs = 1;
  return explore_dpor([&](unsigned, const std::function<void(World&)>& work) { work(world); },
                      options);
}

}  // namespace interleaf
