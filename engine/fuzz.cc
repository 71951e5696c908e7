// SPDX-License-Identifier: GPL-2.0-only
#include "engine/fuzz.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <set>
#include <thread>

#include "engine/user_error.h"
#include "scheduler/check.h"
#include "scheduler/search/coverage.h"
#include "scheduler/search/minimize.h"
#include "scheduler/strategies/learning.h"
#include "scheduler/strategies/twice.h"

namespace interleaf {
namespace {

constexpr std::uint64_t kChunk = 64;           // seeds handed out at a time
constexpr std::uint64_t kMinimizeRuns = 4000;  // per signature
// A run that is watched costs half as much again: all of a short search are, few of a long one.
constexpr std::uint64_t kWatchedRuns = 16'384;
constexpr std::uint64_t kWatchedEvery = 8;
constexpr std::uint64_t kWindowRuns = 256;  // traced to see whether the window was reached

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

bool ignored(const std::vector<std::string>& prefixes, const std::string& signature) {
  return std::any_of(prefixes.begin(), prefixes.end(),
                     [&](const std::string& prefix) { return signature.starts_with(prefix); });
}

// The runs with one signature.
struct Hit {
  std::string signature;
  bool counts = true;  // not ignored
  std::uint64_t count = 0;
  std::map<std::string, FuzzHits> by_strategy;
  std::uint64_t seed = 0;  // the lowest; its run:
  std::string strategy;
  std::uint64_t preemptions = 0;
  Schedule schedule;
};

// A run that is not clean.
struct Unclean {
  std::string signature;
  std::uint64_t preemptions = 0;
  Schedule schedule;  // of the first run of a thread with this signature; else empty
};

struct Run {
  RunNote note;
  std::string difference;  // what --twice found
  RetryCuts cuts;
  std::unique_ptr<Unclean> unclean;
};

// Both included.
struct Seeds {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};

// Seeds that one thread has run one after the other. Fewer runs than seeds: it was stopped.
struct Chunk {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
  std::vector<Run> runs;
};

// Shared by the worker threads.
class Search {
 public:
  Search(const std::shared_ptr<const Configuration>& configuration, const FuzzOptions& options)
      : configuration_(configuration),
        options_(options),
        next_(options.seed_first),
        counted_next_(options.seed_first) {}

  void work(unsigned slot) {
    std::uint64_t running = options_.seed_first;
    Context context{this, &running};
    set_check_context(&Search::describe, &context);
    try {
      ScenarioWorld world(slot, configuration_);
      world.limit_retries(options_.retries_max);
      Worker worker(world, options_.strategy);
      const std::uint64_t campaign = worker.campaign_runs();
      for (Seeds seeds; take(seeds, campaign);) {
        if (worker.learning != nullptr) worker.renew();
        work_off(worker, seeds, running);
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      failure_ = std::current_exception();
      stop_after_ = 0;
      ended_ = true;
    }
    set_check_context(nullptr, nullptr);
    const std::lock_guard lock(mutex_);
    ++finished_;
    changed_.notify_all();
  }

  void wait(unsigned workers, const std::function<void(const FuzzProgress&)>& progress) {
    std::unique_lock lock(mutex_);
    while (finished_ < workers) {
      changed_.wait_for(lock, std::chrono::milliseconds(500));
      if (!progress) continue;
      FuzzProgress now;
      now.runs = counted_;
      const bool open = options_.seed_last == kNever;
      now.runs_wanted = open ? 0 : options_.seed_last - options_.seed_first + 1;
      for (const auto& [signature, hit] : hits_) {
        if (hit.counts) now.findings += hit.count;
      }
      now.seconds = seconds_since(start_);
      now.signatures = hits_.size();
      lock.unlock();
      progress(now);
      lock.lock();
    }
  }

  // After the workers were joined: throws what one of them threw, else reports all but what is
  // kept of the hits, which come by lowest seed.
  std::vector<Hit> report(FuzzReport& report) {
    if (failure_) std::rethrow_exception(failure_);
    report.seconds = seconds_since(start_);
    report.runs = counted_;
    report.stopped =
        !options_.keep_going && std::any_of(hits_.begin(), hits_.end(),
                                            [](const auto& entry) { return entry.second.counts; });
    report.exhausted = exhausted_ && !report.stopped;
    report.out_of_time = out_of_time_ && !report.stopped && !report.exhausted;
    report.nondeterminism = nondeterminism_;
    report.statistics = std::move(statistics_);
    report.retry_cuts = std::move(retry_cuts_);
    std::vector<Hit> result;
    for (auto& [signature, hit] : hits_) result.push_back(std::move(hit));
    std::sort(result.begin(), result.end(),
              [](const Hit& a, const Hit& b) { return a.seed < b.seed; });
    return result;
  }

 private:
  static constexpr std::uint64_t kNever = ~std::uint64_t{0};

  // What a failing CHECK says: the command that brings it back.
  struct Context {
    const Search* search;
    const std::uint64_t* seed;
  };
  static std::string describe(void* argument) {
    const auto* context = static_cast<const Context*>(argument);
    const Configuration& configuration = *context->search->configuration_;
    return "interleaf fuzz " + configuration.scenario.name + " on " + configuration.kernel_text() +
           " (" + std::string(configuration.persona->name) + ") --strategy " +
           context->search->options_.strategy + " --seeds " +
           seeds_of_run(context->search->options_, *context->seed);
  }

  struct Worker {
    Worker(ScenarioWorld& its_world, const std::string& strategy_name)
        : world(its_world), name(strategy_name) {
      renew();
    }
    // A strategy that has learnt nothing yet.
    void renew() {
      strategy = make_strategy(world, name);
      learning = dynamic_cast<LearningStrategy*>(strategy.get());
      watched = watch(*strategy, coverage);
    }
    // Seeds that one strategy has to run one after the other.
    std::uint64_t campaign_runs() const {
      return learning == nullptr ? kChunk : learning->campaign_runs();
    }

    ScenarioWorld& world;
    const std::string& name;
    Coverage coverage{false};
    std::unique_ptr<Strategy> strategy;
    LearningStrategy* learning = nullptr;  // the same; null if it does not learn
    std::unique_ptr<Strategy> watched;     // the same, watched
    std::set<std::string> signatures;      // that it has given with a schedule
  };

  // Seeds handed out, 64 at a time given back.
  void work_off(Worker& worker, const Seeds& seeds, std::uint64_t& running) {
    for (std::uint64_t first = seeds.first;;) {
      Chunk chunk;
      chunk.first = first;
      chunk.last = first + std::min(kChunk - 1, seeds.last - first);
      const std::uint64_t last = chunk.last;
      chunk.runs.reserve(kChunk);
      for (running = first; !past_end(running); ++running) {
        chunk.runs.push_back(run(worker, running));
        if (running == last) break;
      }
      give(std::move(chunk));
      if (last == seeds.last || past_end(last + 1) || is_late()) return;
      first = last + 1;
    }
  }

  // True if the time is up.
  bool is_late() {
    if (options_.seconds_max <= 0 || seconds_since(start_) <= options_.seconds_max) return false;
    const std::lock_guard lock(mutex_);
    out_of_time_ = true;
    return true;
  }

  // Hands out the next `count` seeds; false if there are none or no time is left.
  bool take(Seeds& seeds, std::uint64_t count) {
    const std::lock_guard lock(mutex_);
    if (ended_ || next_ > stop_after_) return false;
    // The first seeds are run in any case.
    if (options_.seconds_max > 0 && next_ != options_.seed_first &&
        seconds_since(start_) > options_.seconds_max) {
      out_of_time_ = true;
      return false;
    }
    seeds.first = next_;
    seeds.last = next_ + std::min(count - 1, options_.seed_last - next_);
    ended_ = seeds.last == options_.seed_last;
    if (!ended_) next_ = seeds.last + 1;
    return true;
  }

  bool past_end(std::uint64_t seed) const {
    return seed > stop_after_.load(std::memory_order_relaxed);
  }

  // By place in the range, so that it does not depend on where seeds begin.
  bool watches(std::uint64_t seed) const {
    const std::uint64_t at = seed - options_.seed_first;
    return options_.statistics && (at < kWatchedRuns || at % kWatchedEvery == 0);
  }

  Run run(Worker& worker, std::uint64_t seed) {
    const RunOptions run_options = worker.world.run_options(seed);
    const bool watched = watches(seed);
    Strategy& strategy = watched ? *worker.watched : *worker.strategy;
    Run run;
    const RunResult* result = nullptr;
    TwiceResult twice;
    if (options_.twice) {
      twice = run_twice(worker.world.world(), strategy, run_options);
      run.difference = twice.difference.value_or("");
      result = &twice.first;
    } else {
      result = &worker.world.world().run(strategy, run_options);
    }
    if (worker.learning != nullptr) learn(*worker.learning, *result, seed);
    run.cuts.add(worker.world.world());
    run.note = note_of(*worker.strategy, options_.strategy);
    if (watched) {
      run.note.order = worker.coverage.end_run().order;
      const auto fresh = worker.coverage.new_handoffs();
      run.note.handoffs.assign(fresh.begin(), fresh.end());
    }
    if (result->clean()) return run;
    run.unclean = std::make_unique<Unclean>();
    run.unclean->signature = signature_of(*result);
    run.unclean->preemptions = result->preemptions;
    if (worker.signatures.insert(run.unclean->signature).second) {
      run.unclean->schedule = result->schedule;
    }
    run.note.found = !ignored(options_.ignore, run.unclean->signature);
    if (run.note.found && !options_.keep_going) {
      const std::lock_guard lock(mutex_);
      stop_after_ = std::min(stop_after_.load(), seed);
    }
    return run;
  }

  // Counts what is complete from the first seed on: in order of seeds, whoever ran them.
  void give(Chunk chunk) {
    const std::lock_guard lock(mutex_);
    const std::uint64_t first = chunk.first;
    waiting_.emplace(first, std::move(chunk));
    while (!waiting_.empty() && waiting_.begin()->first == counted_next_) {
      count(waiting_.begin()->second);
      waiting_.erase(waiting_.begin());
    }
  }

  // All runs of lower seeds were counted: stop_after_ is final as far as this chunk goes.
  void count(Chunk& chunk) {
    for (std::size_t i = 0; i < chunk.runs.size() && !past_end(chunk.first + i); ++i) {
      count(chunk.first + i, chunk.runs[i]);
    }
    counted_next_ = chunk.last + 1;
  }

  void count(std::uint64_t seed, Run& run) {
    ++counted_;
    statistics_.add(run.note);
    retry_cuts_.merge(run.cuts);
    if (!run.difference.empty() && nondeterminism_.empty()) {
      nondeterminism_ =
          "seed " + std::to_string(seed) + " ran differently twice: " + run.difference;
    }
    if (run.unclean == nullptr) return;
    Hit& hit = hits_[run.unclean->signature];
    if (++hit.count == 1) {
      hit.signature = run.unclean->signature;
      hit.counts = run.note.found;
      hit.seed = seed;
      hit.strategy = run.note.strategy;
      hit.preemptions = run.unclean->preemptions;
      hit.schedule = std::move(run.unclean->schedule);
    }
    FuzzHits& of_strategy = hit.by_strategy[std::string(run.note.strategy)];
    if (++of_strategy.count == 1) of_strategy.seed = seed;
  }

  void learn(LearningStrategy& learning, const RunResult& result, std::uint64_t seed) {
    learning.ended(result);
    if (!learning.exhausted()) return;
    const std::lock_guard lock(mutex_);
    stop_after_ = std::min(stop_after_.load(), seed);
    const auto* dfs = dynamic_cast<const DfsStrategy*>(&learning);
    exhausted_ = dfs == nullptr || !dfs->cut();
  }

  const std::shared_ptr<const Configuration>& configuration_;
  const FuzzOptions& options_;
  const Clock::time_point start_ = Clock::now();
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t next_;  // the seed to hand out
  bool ended_ = false;  // none is left
  bool exhausted_ = false;
  std::atomic<std::uint64_t> stop_after_ = kNever;
  unsigned finished_ = 0;
  bool out_of_time_ = false;
  std::exception_ptr failure_;
  std::map<std::uint64_t, Chunk> waiting_;  // done, but for runs of lower seeds
  // What was counted, and up to which seed.
  std::uint64_t counted_next_;
  std::uint64_t counted_ = 0;
  std::map<std::string, Hit> hits_;
  FuzzStatistics statistics_;
  RetryCuts retry_cuts_;
  std::string nondeterminism_;
};

// The run that is kept of a hit: with as few switches as the finding needs.
FuzzFinding keep(ScenarioWorld& world, const Hit& hit, const FuzzOptions& options) {
  FuzzFinding finding;
  finding.seed = hit.seed;
  finding.count = hit.count;
  finding.strategy = hit.strategy;
  finding.by_strategy = hit.by_strategy;
  finding.preemptions_found = hit.preemptions;
  Schedule schedule = hit.schedule;
  const RunOptions run_options = world.run_options();
  const auto same = [&](const RunResult& run) { return signature_of(run) == hit.signature; };
  bool is_same = true;
  if (options.retries_max != 0) {
    RunOptions limited = run_options;
    limited.retries_max = options.retries_max;
    schedule = without_retry_limit(world.world(), limited, schedule);
    const auto replay = make_replay(schedule);
    // A loop that was left may come to something graver when it goes on.
    is_same = same(world.world().run(*replay, run_options));
  }
  if (options.minimize && is_same) {
    schedule = minimize(world.world(), schedule, run_options, same, kMinimizeRuns).run.schedule;
  }
  const auto replay = make_replay(schedule);
  finding.run = run_traced(world, *replay, 0);
  Origin origin;
  origin.strategy = options.strategy;
  origin.seed = hit.seed;
  finding.recording = make_recording(world.configuration(), finding.run, origin);
  return finding;
}

// Silence is no success: was the racy window reached in any of these runs?
void look_at_window(ScenarioWorld& world, const FuzzOptions& options, FuzzReport& report) {
  const Scenario& scenario = world.configuration().scenario;
  if (scenario.window.empty()) return;
  const auto strategy = make_strategy(world, options.strategy);
  std::vector<bool> ever(scenario.window.size());
  report.window_reached = false;
  for (std::uint64_t i = 0; i < std::min(report.runs, kWindowRuns); ++i) {
    const TracedRun run = run_traced(world, *strategy, options.seed_first + i);
    const std::vector<bool> reached = windows_reached(scenario, run.trace);
    for (std::size_t w = 0; w < reached.size(); ++w) ever[w] = ever[w] || reached[w];
    if (std::find(reached.begin(), reached.end(), false) != reached.end()) continue;
    report.window_reached = true;
    report.window_seed = options.seed_first + i;
    return;
  }
  for (std::size_t w = 0; w < ever.size(); ++w) {
    if (!ever[w]) report.window_missed.push_back(window_text(scenario.window[w]));
  }
}

}  // namespace

std::string seeds_of_run(const FuzzOptions& options, std::uint64_t seed) {
  const std::uint64_t campaign = campaign_runs(options.strategy);
  const std::uint64_t from = seed - (seed - options.seed_first) % campaign;
  return from == seed ? fmt::format("{:#x}", seed) : fmt::format("{:#x}..{:#x}", from, seed);
}

FuzzReport fuzz(const std::shared_ptr<const Configuration>& configuration,
                const FuzzOptions& options,
                const std::function<void(const FuzzProgress&)>& progress) {
  Search search(configuration, options);
  const unsigned jobs = std::clamp(options.jobs, 1u, 64u);
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < jobs; ++i) threads.emplace_back([&search, i] { search.work(i); });
  search.wait(jobs, progress);
  for (std::thread& thread : threads) thread.join();

  FuzzReport report;
  const std::vector<Hit> hits = search.report(report);
  ScenarioWorld world(0, configuration);
  report.tasks = world.world().scheduler().task_count();
  for (const Hit& hit : hits) {
    if (hit.counts) {
      report.findings.push_back(keep(world, hit, options));
    } else {
      report.ignored[hit.signature] = hit.count;
    }
  }
  world.limit_retries(options.retries_max);
  look_at_window(world, options, report);
  return report;
}

}  // namespace interleaf
