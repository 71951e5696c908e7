// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/dpor.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <utility>

#include "scheduler/check.h"
#include "scheduler/search/crew.h"
#include "scheduler/search/dpor_walk.h"
#include "scheduler/search/normal_form.h"

namespace interleaf {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kProgressSeconds = 0.5;
constexpr std::size_t kStackGuessed = 512;  // bytes in use, of a suspended task

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Paths that were given away and not begun.
class OpenPaths {
 public:
  explicit OpenPaths(unsigned workers) : working_(workers) { paths_.emplace_back(); }

  // Waits until somebody gives something away. False if the search is over.
  bool take(DporPath& path) {
    std::unique_lock lock(mutex_);
    --working_;
    ++hungry_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return !paths_.empty() || working_ == 0 || over_; });
    if (paths_.empty() || over_) return false;
    ++working_;
    path = std::move(paths_.back());
    paths_.pop_back();
    return true;
  }
  // True if somebody waits and nothing is there for it; then give() must follow. So a path never
  // waits for a worker: others may wait for what its first step does (DporNode::settled).
  bool promise() {
    if (hungry_ <= 0) return false;  // as a rule; the lock would be asked for after every run
    const std::lock_guard lock(mutex_);
    const bool hungry = hungry_ > 0;
    if (hungry) --hungry_;
    return hungry;
  }
  // Nothing, after all, if it is empty.
  void give(DporPath path) {
    const std::lock_guard lock(mutex_);
    if (path.empty()) {
      ++hungry_;
      return;
    }
    paths_.push_back(std::move(path));
    changed_.notify_one();
  }
  void end() {
    const std::lock_guard lock(mutex_);
    over_ = true;
    changed_.notify_all();
  }
  const std::vector<DporPath>& left() const { return paths_; }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<DporPath> paths_;
  unsigned working_;
  std::atomic<int> hungry_ = -1;  // those who wait, less the paths there or promised
  bool over_ = false;
};

// What one signature was found in.
struct Hit {
  Hash128 order;
  Schedule schedule;
  std::uint64_t count = 0;
};

struct Shared {
  Shared(const DporOptions& of, unsigned workers) : options(of), open(workers) {}

  const DporOptions& options;
  std::mutex tree;  // nodes that several workers have
  OpenPaths open;
  std::atomic<std::uint64_t> runs = 0;
  std::atomic<std::size_t> snapshot_bytes = 0;
  std::atomic<const char*> budget = nullptr;  // not null: the search ends
  std::mutex ended;

  void spend(const char* which) {
    budget = which;
    open.end();
  }
};

class Worker {
 public:
  // `tick` is called after every run.
  Worker(World& world, Shared& shared, std::function<void()> tick)
      : world_(world), shared_(shared), tick_(std::move(tick)), walk_(shared.options, shared.tree) {
    walk_.snapshot_steps = shared.options.snapshot_steps;
    if (walk_.snapshot_steps != 0) return;
    // Copying a KiB away and back costs about as much as repeating a step.
    const std::size_t bytes = world.arena().used() + world.scheduler().task_count() * kStackGuessed;
    walk_.snapshot_steps = static_cast<unsigned>(std::clamp<std::size_t>(bytes / 1024, 8, 256));
  }

  std::uint64_t classes = 0;
  std::uint64_t redundant = 0;
  std::uint64_t cut = 0;
  std::size_t snapshot_bytes = 0;
  std::map<std::string, Hit> hits;
  const DporWalk& walk() const { return walk_; }

  void work() {
    const std::function<bool()> ends = [this] { return shared_.budget != nullptr; };
    for (DporPath path; shared_.open.take(path);) {
      walk_.adopt(std::move(path));
      while (saved_count_ > 0) drop_snapshot();
      do {
        run();
        tick_();
        if (shared_.open.promise()) shared_.open.give(walk_.give_away());
        if (ends()) return;
      } while (walk_.back_to_open_choice(ends));
    }
  }

 private:
  struct Saved {
    World::Snapshot world;
    DporWalk::Mark walk;
  };

  void run() {
    const RunResult* run = start();
    while (run->end == RunEnd::kPaused && walk_.pause() == DporWalk::Pause::kSnapshot) {
      save();
      run = &world_.resume(walk_);
    }
    const RunOptions& options = shared_.options.run;
    const bool too_long = run->end != RunEnd::kPaused && run->steps >= options.steps_max;
    walk_.end(world_.scheduler(), too_long);
    ++shared_.runs;
    if (walk_.pause() == DporWalk::Pause::kRedundant) {
      ++redundant;
      return;
    }
    ++classes;
    if (too_long) ++cut;
    note(*run);
  }

  const RunResult* start() {
    const std::size_t known = walk_.path().empty() ? 0 : walk_.path().size() - 1;
    while (saved_count_ > 0 && saved_[saved_count_ - 1].walk.choices > known) drop_snapshot();
    if (saved_count_ == 0) return &world_.run(walk_, shared_.options.run);
    world_.restore(saved_[saved_count_ - 1].world);
    walk_.go_on_from(saved_[saved_count_ - 1].walk);
    return &world_.resume(walk_);
  }

  static std::size_t bytes(const World::Snapshot& snapshot) {
    return snapshot.arena.size() + snapshot.stacks.size();
  }
  void drop_snapshot() { held_ -= bytes(saved_[--saved_count_].world); }
  void save() {
    if (saved_count_ == saved_.size()) saved_.emplace_back();
    Saved& saved = saved_[saved_count_++];
    world_.save(saved.world);
    walk_.save(world_.scheduler(), saved.walk);
    walk_.go_on_from(saved.walk);
    held_ += bytes(saved.world);
    snapshot_bytes = std::max(snapshot_bytes, held_);
  }

  void note(const RunResult& run) {
    const DporOptions& options = shared_.options;
    if (options.ended) {
      const Hash128 order = options.hash_orders ? walk_.order() : Hash128{};
      const std::lock_guard lock(shared_.ended);
      options.ended(run, order);
    }
    if (run.clean()) return;
    std::vector<std::string> signatures;
    if (options.signatures) {
      signatures = options.signatures(run);
    } else {
      for (const Finding& finding : run.findings) signatures.push_back(finding.signature());
    }
    std::sort(signatures.begin(), signatures.end());
    signatures.erase(std::unique(signatures.begin(), signatures.end()), signatures.end());
    if (signatures.empty()) return;
    const Hash128 order = walk_.order();
    for (const std::string& signature : signatures) {
      Hit& hit = hits[signature];
      if (hit.count++ == 0 || order < hit.order) {
        hit.order = order;
        hit.schedule = run.schedule;
      }
    }
  }

  World& world_;
  Shared& shared_;
  const std::function<void()> tick_;
  DporWalk walk_;
  std::vector<Saved> saved_;  // the first saved_count_, by depth
  std::size_t saved_count_ = 0;
  std::size_t held_ = 0;
};

// The part of the tree that is done: at every choice of an open path, the share of what was tried
// and is not open any more.
double done_of(const std::vector<const DporPath*>& open) {
  std::map<const DporNode*, TaskMask> at_hand;
  for (const DporPath* path : open) {
    for (const DporStep& step : *path) at_hand[step.node.get()] |= task_bit(step.taken);
  }
  double done = 0;
  std::map<const DporNode*, bool> counted;
  for (const DporPath* path : open) {
    double weight = 1;
    for (const DporStep& step : *path) {
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
      : with_world_(with_world), options_(options), shared_(options, options.jobs) {}

  DporResult explore(World& world) {
    workers_.resize(options_.jobs);
    workers_[0] = std::make_unique<Worker>(world, shared_, [this] { tick(); });
    {
      Crew crew(options_.jobs, [this](unsigned index, const std::function<void()>& serve) {
        with_world_(index, [&](World& own) {
          workers_[index] = std::make_unique<Worker>(own, shared_, [] {});
          serve();
        });
      });
      crew.run([this](unsigned index) {
        try {
          workers_[index]->work();
        } catch (...) {
          shared_.open.end();  // the others would wait for what this one has
          throw;
        }
      });
      sum_up();
    }
    report(world);
    return std::move(result_);
  }

 private:
  // Called by worker 0 after every run.
  void tick() {
    if (options_.runs_max != 0 && shared_.runs >= options_.runs_max) shared_.spend("runs");
    if (options_.interrupted != nullptr && *options_.interrupted) shared_.spend("interrupted");
    if (options_.seconds_max <= 0 && !options_.progress) return;
    const double now = seconds_since(start_);
    if (options_.seconds_max > 0 && now >= options_.seconds_max) shared_.spend("time");
    if (!options_.progress || now < next_progress_) return;
    next_progress_ = now + kProgressSeconds;
    options_.progress({shared_.runs, now});
  }

  void sum_up() {
    std::vector<const DporPath*> open;
    for (const DporPath& path : shared_.open.left()) open.push_back(&path);
    for (const auto& worker : workers_) {
      result_.classes += worker->classes;
      result_.redundant += worker->redundant;
      result_.cut += worker->cut;
      result_.events += worker->walk().events;
      result_.replayed += worker->walk().replayed;
      result_.fallbacks += worker->walk().fallbacks;
      result_.snapshot_bytes += worker->snapshot_bytes;
      for (auto& [signature, hit] : worker->hits) {
        Hit& all = hits_[signature];
        const std::uint64_t count = all.count + hit.count;
        if (all.count == 0 || hit.order < all.order) all = hit;
        all.count = count;
      }
      if (!worker->walk().path().empty()) open.push_back(&worker->walk().path());
    }
    if (const char* budget = shared_.budget; budget != nullptr && !open.empty()) {
      result_.out_of_budget = true;
      result_.budget = budget;
      result_.done = done_of(open);
    }
    result_.complete = !result_.out_of_budget && result_.cut == 0;
  }

  void report(World& world) {
    for (const auto& found : hits_) {
      const std::string& signature = found.first;
      const Hit& hit = found.second;
      const auto accepted = [&](const RunResult& run) {
        if (run.clean()) return false;
        if (options_.signatures) {
          const std::vector<std::string> all = options_.signatures(run);
          return std::find(all.begin(), all.end(), signature) != all.end();
        }
        return std::any_of(run.findings.begin(), run.findings.end(), [&](const Finding& finding) {
          return finding.signature() == signature;
        });
      };
      DporFinding finding{signature, hit.order, {}, 0, hit.count};
      finding.schedule =
          normal_form(world, options_.run, hit.schedule, ~std::uint64_t{0}, accepted);
      const auto replay = make_replay(finding.schedule);
      finding.preemptions = world.run(*replay, options_.run).preemptions;
      result_.findings.push_back(std::move(finding));
    }
  }

  const WithWorld& with_world_;
  const DporOptions& options_;
  Shared shared_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::map<std::string, Hit> hits_;
  DporResult result_;
  const Clock::time_point start_ = Clock::now();
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
