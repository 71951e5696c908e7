// SPDX-License-Identifier: GPL-2.0-only
#include "engine/fuzz.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>

#include "engine/user_error.h"
#include "scheduler/check.h"
#include "scheduler/search/minimize.h"
#include "scheduler/strategies/twice.h"

namespace interleaf {
namespace {

constexpr std::uint64_t kChunk = 64;           // seeds handed out at a time
constexpr std::uint64_t kMinimizeRuns = 4000;  // per signature
constexpr std::uint64_t kWindowRuns = 256;     // traced to see whether the window was reached

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
  std::vector<std::uint64_t> seeds;
  std::uint64_t seed = ~std::uint64_t{0};  // the lowest; its run:
  std::uint64_t preemptions = 0;
  Schedule schedule;
};

// Shared by the worker threads.
class Search {
 public:
  Search(const std::shared_ptr<const Configuration>& configuration, const FuzzOptions& options)
      : configuration_(configuration), options_(options), next_(options.seed_first) {}

  void work(unsigned slot) {
    std::uint64_t running = options_.seed_first;
    Context context{this, &running};
    set_check_context(&Search::describe, &context);
    try {
      ScenarioWorld world(slot, configuration_);
      const auto strategy = make_strategy(world, options_.strategy);
      for (std::uint64_t first; take(first);) {
        const std::uint64_t last = std::min(options_.seed_last, first + kChunk - 1);
        for (std::uint64_t seed = first; seed <= last && !past_end(seed); ++seed) {
          running = seed;
          run(world, *strategy, seed);
        }
      }
    } catch (...) {
      const std::lock_guard lock(mutex_);
      failure_ = std::current_exception();
      stop_after_ = 0;
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
      now.runs = runs_;
      now.runs_wanted = options_.seed_last - options_.seed_first + 1;
      for (const auto& [signature, hit] : hits_) {
        if (hit.counts) now.findings += hit.seeds.size();
      }
      now.seconds = seconds_since(start_);
      now.signatures = hits_.size();
      lock.unlock();
      progress(now);
      lock.lock();
    }
  }

  // After the workers were joined: what one of them threw.
  void rethrow() const {
    if (failure_) std::rethrow_exception(failure_);
  }

  // After wait(): what seeds up to the end found, by lowest seed.
  std::vector<Hit> hits() {
    std::vector<Hit> result;
    for (auto& [signature, hit] : hits_) {
      std::erase_if(hit.seeds, [&](std::uint64_t seed) { return seed > stop_after_; });
      if (!hit.seeds.empty()) result.push_back(std::move(hit));
    }
    std::sort(result.begin(), result.end(),
              [](const Hit& a, const Hit& b) { return a.seed < b.seed; });
    return result;
  }
  // The runs the answer rests on, whatever other threads did besides.
  std::uint64_t runs() const {
    if (out_of_time_) return runs_;
    return std::min(stop_after_.load(), options_.seed_last) - options_.seed_first + 1;
  }
  double seconds() const { return seconds_since(start_); }
  bool out_of_time() const { return out_of_time_; }
  std::string nondeterminism() const { return nondeterminism_; }

 private:
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
           context->search->options_.strategy + " --seeds " + std::to_string(*context->seed);
  }

  bool take(std::uint64_t& first) {
    const std::lock_guard lock(mutex_);
    if (options_.seconds_max > 0 && seconds_since(start_) > options_.seconds_max) {
      out_of_time_ = next_ <= options_.seed_last;
      return false;
    }
    if (next_ > options_.seed_last || next_ > stop_after_) return false;
    first = next_;
    next_ += kChunk;
    return true;
  }

  bool past_end(std::uint64_t seed) const {
    return seed > stop_after_.load(std::memory_order_relaxed);
  }

  void run(ScenarioWorld& world, Strategy& strategy, std::uint64_t seed) {
    const RunOptions run_options = world.run_options(seed);
    std::optional<std::string> difference;
    const RunResult* result = nullptr;
    TwiceResult twice;
    if (options_.twice) {
      twice = run_twice(world.world(), strategy, run_options);
      difference = twice.difference;
      result = &twice.first;
    } else {
      result = &world.world().run(strategy, run_options);
    }
    runs_.fetch_add(1, std::memory_order_relaxed);
    if (result->clean() && !difference) return;
    const std::string signature = signature_of(*result);
    const std::lock_guard lock(mutex_);
    if (difference && (nondeterminism_.empty() || seed < nondeterminism_seed_)) {
      nondeterminism_seed_ = seed;
      nondeterminism_ = "seed " + std::to_string(seed) + " ran differently twice: " + *difference;
    }
    if (result->clean()) return;
    Hit& hit = hits_[signature];
    hit.signature = signature;
    hit.counts = !ignored(options_.ignore, signature);
    hit.seeds.push_back(seed);
    if (seed < hit.seed) {
      hit.seed = seed;
      hit.preemptions = result->preemptions;
      hit.schedule = result->schedule;
    }
    if (hit.counts && !options_.keep_going) stop_after_ = std::min(stop_after_.load(), seed);
  }

  const std::shared_ptr<const Configuration>& configuration_;
  const FuzzOptions& options_;
  const Clock::time_point start_ = Clock::now();
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t next_;
  std::atomic<std::uint64_t> stop_after_ = ~std::uint64_t{0};
  std::atomic<std::uint64_t> runs_ = 0;
  unsigned finished_ = 0;
  bool out_of_time_ = false;
  std::map<std::string, Hit> hits_;
  std::exception_ptr failure_;
  std::string nondeterminism_;
  std::uint64_t nondeterminism_seed_ = 0;
};

// The run that is kept of a hit: with as few switches as the finding needs.
FuzzFinding keep(ScenarioWorld& world, const Hit& hit, const FuzzOptions& options) {
  FuzzFinding finding;
  finding.seed = hit.seed;
  finding.count = hit.seeds.size();
  finding.preemptions_found = hit.preemptions;
  Schedule schedule = hit.schedule;
  if (options.minimize) {
    const RunOptions run_options = world.run_options();
    const auto same = [&](const RunResult& run) { return signature_of(run) == hit.signature; };
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

FuzzReport fuzz(const std::shared_ptr<const Configuration>& configuration,
                const FuzzOptions& options,
                const std::function<void(const FuzzProgress&)>& progress) {
  Search search(configuration, options);
  const unsigned jobs = std::clamp(options.jobs, 1u, 64u);
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < jobs; ++i) threads.emplace_back([&search, i] { search.work(i); });
  search.wait(jobs, progress);
  for (std::thread& thread : threads) thread.join();
  search.rethrow();

  FuzzReport report;
  report.seconds = search.seconds();
  report.runs = search.runs();
  report.out_of_time = search.out_of_time();
  report.nondeterminism = search.nondeterminism();
  ScenarioWorld world(0, configuration);
  for (const Hit& hit : search.hits()) {
    if (hit.counts) {
      report.findings.push_back(keep(world, hit, options));
    } else {
      report.ignored[hit.signature] = hit.seeds.size();
    }
  }
  look_at_window(world, options, report);
  return report;
}

}  // namespace interleaf
