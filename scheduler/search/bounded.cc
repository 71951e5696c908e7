// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/bounded.h"

#include <bit>
#include <chrono>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "scheduler/check.h"

namespace interleaf {
namespace {

using Clock = std::chrono::steady_clock;

// A set of hashes: open addressing, doubled when half full.
class PrefixSet {
 public:
  // True if it is new. Requires: key is not {}.
  bool insert(const Hash128& key) {
    if (2 * (count_ + 1) > keys_.size()) grow();
    Hash128& place = place_of(key);
    if (place == key) return false;
    place = key;
    ++count_;
    return true;
  }
  std::uint64_t size() const { return count_; }

 private:
  Hash128& place_of(const Hash128& key) {
    const std::size_t mask = keys_.size() - 1;
    std::size_t at = key.low & mask;
    while (keys_[at] != Hash128{} && keys_[at] != key) at = (at + 1) & mask;
    return keys_[at];
  }
  void grow() {
    std::vector<Hash128> old(keys_.empty() ? 1024 : 2 * keys_.size());
    old.swap(keys_);
    for (const Hash128& key : old) {
      if (key != Hash128{}) place_of(key) = key;
    }
  }

  std::vector<Hash128> keys_;  // {} is a free place
  std::uint64_t count_ = 0;
};

struct HashOfHash {
  std::size_t operator()(const Hash128& hash) const { return hash.low; }
};

// A choice of the run at hand, as its byte in the schedule.
struct Choice {
  std::uint8_t taken = 0;
  TaskMask todo = 0;   // tasks or values that this level has yet to try here
  TaskMask later = 0;  // tasks that would be one preemption too many
};

// Preemptions left over from a level, along one run.
struct Seeds {
  struct At {
    std::uint32_t choice;
    TaskMask tasks;
  };
  Schedule schedule;
  std::vector<At> at;
};

// Follows the path, then goes on without preemption and appends to the path what it chose and what
// else there was to choose.
class Walk final : public Strategy {
 public:
  explicit Walk(const BoundedOptions& options) : options_(options) {}

  // ---- for the search ----

  enum class Pause : std::uint8_t { kNone, kSeen, kSnapshot };
  struct Mark {
    OrderHash order;
    std::size_t choices = 0;
    std::uint64_t step = 0;
  };

  std::vector<Choice> path;
  bool keeps_later = false;  // there is a next level
  std::string hidden;        // a hidden dependence; empty: none was seen

  Pause pause() const { return pause_; }
  const OrderHash& order() const { return order_; }
  std::uint64_t prefixes() const { return seen_.size(); }
  void save(const Scheduler& s, Mark& mark) const { mark = {order_, s.choices(), s.step()}; }
  // The World was restored to `mark`, or is still there.
  void go_on_from(const Mark& mark) {
    order_ = mark.order;
    saved_step_ = mark.step;
    saved_choice_ = mark.choices;
    pause_ = Pause::kNone;
  }

  // ---- for the scheduler ----

  void begin(std::uint64_t) override {
    order_.clear();
    saved_step_ = 0;
    saved_choice_ = kNever;
    pause_ = Pause::kNone;
  }

  TaskId pick(const Scheduler& s, TaskMask runnable) override {
    const HeapScope heap;
    const std::size_t at = s.choices();
    if (at == path.size()) {
      if (seen(s, runnable)) return kPause;
      path.push_back(fresh(s, runnable));
    }
    const Choice& choice = path[at];
    CHECK(choice.taken < kDataChoice);
    if (options_.snapshots && choice.todo != 0 && at != saved_choice_ &&
        s.step() >= saved_step_ + options_.snapshot_steps) {
      pause_ = Pause::kSnapshot;
      return kPause;
    }
    order_.event(choice.taken, s.task(choice.taken).next);
    return choice.taken;
  }

  unsigned pick_value(const Scheduler& s, const char*, unsigned count) override {
    const HeapScope heap;
    if (s.choices() == path.size()) {
      // 64 values fit the mask; nobody has more.
      CHECK(count <= 64);
      const TaskMask all = count == 64 ? ~TaskMask{0} : (TaskMask{1} << count) - 1;
      path.push_back({kDataChoice, all & ~TaskMask{1}, 0});
    }
    const unsigned value = path[s.choices()].taken & ~unsigned{kDataChoice};
    order_.value(s.current_id(), value);
    return value;
  }

  bool sees_forced() const override { return true; }
  void forced(const Scheduler& s, TaskId only) override {
    const HeapScope heap;
    if (options_.verify_cache && s.choices() == path.size()) {
      verify(s, task_bit(only), announced_by_all(s, task_bit(only)));
    }
    order_.event(only, s.task(only).next);
  }
  bool sees_also() const override { return true; }
  void also(const Scheduler& s, Op op, std::uint32_t object) override {
    order_.event(s.current_id(), op, object);
  }

 private:
  static constexpr std::size_t kNever = ~std::size_t{0};

  struct Announced {
    std::uint64_t hash = 0;
    std::vector<std::string> tasks;
  };

  Choice fresh(const Scheduler& s, TaskMask runnable) const {
    Choice choice;
    const TaskId ran = s.current_id();
    if (ran != kNoTask && (runnable & task_bit(ran)) != 0) {
      choice.taken = ran;
      if (keeps_later) choice.later = runnable & ~task_bit(ran);
    } else {
      choice.taken = static_cast<TaskId>(std::countr_zero(runnable));
      choice.todo = runnable & ~task_bit(choice.taken);
    }
    return choice;
  }

  // True if the prefix was seen before; then the run is to be left.
  bool seen(const Scheduler& s, TaskMask runnable) {
    const TaskId ran = s.current_id();
    const bool goes_on = ran != kNoTask && (runnable & task_bit(ran)) != 0;
    const std::uint64_t announced = announced_by_all(s, runnable);
    if (options_.verify_cache) verify(s, runnable, announced);
    // Prefixes that differ visibly are different prefixes, whatever the reason.
    Hash128 key = order_.total();
    key.mix({goes_on ? ran + 1u : 0u, announced});
    if (seen_.insert(key)) return false;
    pause_ = Pause::kSeen;
    return true;
  }

  // The same events in another order must leave every task at the same access.
  void verify(const Scheduler& s, TaskMask runnable, std::uint64_t announced) {
    const auto [known, is_new] = announced_.try_emplace(order_.total());
    if (is_new) {
      known->second = {announced, describe(s, runnable)};
      return;
    }
    if (known->second.hash == announced || !hidden.empty()) return;
    hidden = "hidden dependence: the same events in two orders lead to different accesses;";
    const std::vector<std::string> now = describe(s, runnable);
    for (std::size_t i = 0; i < now.size(); ++i) {
      if (now[i] == known->second.tasks[i]) continue;
      hidden += std::string("\n  ") + s.task(static_cast<TaskId>(i)).name + ": " + now[i] +
                "\n    and: " + known->second.tasks[i];
    }
  }

  // What all tasks are about to do, in terms that do not depend on the order of what commutes.
  std::uint64_t announced_by_all(const Scheduler& s, TaskMask runnable) const {
    Hash128 hash{runnable, 0};
    for (TaskId id = 0; id < s.task_count(); ++id) {
      const Task& task = s.task(id);
      hash.mix(order_.object(task.finished ? 0 : task.next.object));
      const Function* function = task.function();
      hash.mix({static_cast<std::uint64_t>(task.next.op) | std::uint64_t{task.finished} << 8 |
                    std::uint64_t{task.next.where.line()} << 16,
                (function == nullptr ? 0 : function->hash) | std::uint64_t{task.own_steps} << 32});
    }
    return hash.low;
  }

  // A line per task: what it is about to do, and to an object with which past.
  std::vector<std::string> describe(const Scheduler& s, TaskMask runnable) const {
    std::vector<std::string> lines;
    for (TaskId id = 0; id < s.task_count(); ++id) {
      const Task& task = s.task(id);
      const Access& next = task.next;
      std::string& line = lines.emplace_back(task.finished ? "ended" : "");
      if (task.finished) continue;
      if ((runnable & task_bit(id)) == 0) line = "blocked at ";
      line += std::string(op_name(next.op)) + " at " + next.where.file_name() + ":" +
              std::to_string(next.where.line());
      if (task.function() != nullptr) line += std::string(" in ") + task.function()->name;
      line += ", access " + std::to_string(task.own_steps + 1) + " of the task, object with past " +
              std::to_string(order_.object(next.object).low % 10'000);
    }
    return lines;
  }

  const BoundedOptions& options_;
  OrderHash order_;
  PrefixSet seen_;
  std::unordered_map<Hash128, Announced, HashOfHash> announced_;  // if verify_cache
  Pause pause_ = Pause::kNone;
  std::uint64_t saved_step_ = 0;
  std::size_t saved_choice_ = kNever;
};

class Search {
 public:
  Search(World& world, const BoundedOptions& options)
      : world_(world), options_(options), walk_(options) {}

  BoundedResult explore() {
    std::vector<Seeds> seeds;
    for (unsigned level = 0;; ++level) {
      walk_.keeps_later = level < options_.preemptions_max;
      result_.levels.emplace_back();
      level_start_ = Clock::now();
      explore_level(level, seeds);
      result_.levels.back().seconds = seconds_since(level_start_);
      if (stopped_) break;
      if (!cut_) result_.complete_up_to = static_cast<int>(level);
      seeds = std::exchange(next_seeds_, {});
      kept_ = 0;
      if (seeds.empty() || level == options_.preemptions_max) {
        result_.complete = !cut_;
        result_.exhausted = walk_.keeps_later && !cut_;
        break;
      }
    }
    result_.classes = orders_.size();
    return std::move(result_);
  }

 private:
  struct Saved {
    World::Snapshot world;
    Walk::Mark walk;
  };

  static double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
  }

  void explore_level(unsigned level, std::vector<Seeds>& seeds) {
    if (level == 0) {
      walk_.path.clear();
      saved_count_ = 0;
      run();
      explore_path();
      return;
    }
    for (Seeds& along : seeds) {
      if (stopped_) return;
      walk_.path.clear();
      for (const std::uint8_t taken : along.schedule) walk_.path.push_back({taken});
      for (const Seeds::At& at : along.at) walk_.path[at.choice].todo = at.tasks;
      along = {};
      saved_count_ = 0;
      explore_path();
    }
  }

  // Tries what is left to do along the path, the deepest first.
  void explore_path() {
    std::vector<Choice>& path = walk_.path;
    while (!stopped_) {
      while (!path.empty() && path.back().todo == 0) path.pop_back();
      if (path.empty()) return;
      Choice& choice = path.back();
      const auto next = static_cast<std::uint8_t>(std::countr_zero(choice.todo));
      choice.todo &= choice.todo - 1;
      choice.taken = static_cast<std::uint8_t>((choice.taken & kDataChoice) | next);
      choice.later = 0;  // kept already, by the run that came here first
      run();
    }
  }

  // One run along the path and on to an end or a known prefix.
  void run() {
    const std::size_t known = walk_.path.size();
    const std::size_t last = known == 0 ? 0 : known - 1;
    while (saved_count_ > 0 && saved_[saved_count_ - 1].walk.choices > last) --saved_count_;
    const RunResult* run = nullptr;
    if (saved_count_ > 0) {
      world_.restore(saved_[saved_count_ - 1].world);
      walk_.go_on_from(saved_[saved_count_ - 1].walk);
      run = &world_.resume(walk_);
    } else {
      run = &world_.run(walk_, options_.run);
    }
    while (run->end == RunEnd::kPaused && walk_.pause() == Walk::Pause::kSnapshot) {
      save();
      run = &world_.resume(walk_);
    }
    BoundedLevel& level = result_.levels.back();
    if (run->end == RunEnd::kPaused) {
      ++level.pruned;
      ++result_.pruned;
      if (!run->findings.empty()) complete_pruned(*run);
    } else {
      ++level.runs;
      ++result_.runs;
      if (run->steps >= options_.run.steps_max) cut_ = true;
      if (orders_.insert(walk_.order().total()).second) ++level.classes;
      if (options_.ended) options_.ended(*run, walk_.order().total());
      if (options_.verify_cache) verify(*run);
      note(*run);
    }
    if (!walk_.hidden.empty()) {
      result_.hidden_dependence = walk_.hidden;
      stopped_ = true;
    }
    keep_seeds(known);
    look_at_budget();
  }

  void save() {
    if (saved_count_ == saved_.size()) saved_.emplace_back();
    Saved& saved = saved_[saved_count_++];
    world_.save(saved.world);
    walk_.save(world_.scheduler(), saved.walk);
    walk_.go_on_from(saved.walk);
  }

  // Runs of the same order must come to the same end.
  void verify(const RunResult& run) {
    const std::string outcome = signature_of(run);
    const auto [known, is_new] = outcomes_.emplace(walk_.order().total(), outcome);
    if (is_new || known->second == outcome || !walk_.hidden.empty()) return;
    const auto named = [](const std::string& text) { return text.empty() ? "clean" : text; };
    walk_.hidden = "hidden dependence: runs of the same order end differently:\n  " +
                   named(known->second) + "\n  " + named(outcome);
  }

  // A finding before the known prefix may be one that the first run to come there did not have.
  void complete_pruned(const RunResult& pruned) {
    const std::string signature = signature_of(pruned);
    for (const BoundedFinding& finding : result_.findings) {
      if (finding.signature == signature) return;
    }
    const auto replay = make_replay(pruned.schedule);
    note(world_.run(*replay, options_.run));
  }

  std::string signature_of(const RunResult& run) const {
    if (options_.signature) return options_.signature(run);
    return run.clean() ? std::string() : run.verdict()->signature();
  }

  void note(const RunResult& run) {
    const std::string signature = signature_of(run);
    if (signature.empty()) return;
    if (options_.stop_at_first) stopped_ = true;
    for (BoundedFinding& finding : result_.findings) {
      if (finding.signature != signature) continue;
      ++finding.count;
      return;
    }
    result_.findings.push_back({signature, run.preemptions, run.schedule, 1});
  }

  // Keeps what this level may not do from choice `known` on.
  void keep_seeds(std::size_t known) {
    if (!walk_.keeps_later) return;
    std::vector<Choice>& path = walk_.path;
    Seeds seeds;
    for (std::size_t i = known; i < path.size(); ++i) {
      if (path[i].later == 0) continue;
      seeds.at.push_back({static_cast<std::uint32_t>(i), path[i].later});
      path[i].later = 0;
    }
    if (seeds.at.empty()) return;
    for (std::size_t i = 0; i <= seeds.at.back().choice; ++i) {
      seeds.schedule.push_back(path[i].taken);
    }
    seeds.at.shrink_to_fit();
    kept_ += seeds.at.size() + seeds.schedule.size() / 16;
    next_seeds_.push_back(std::move(seeds));
  }

  void look_at_budget() {
    const std::uint64_t runs = result_.runs + result_.pruned;
    const char*& budget = result_.budget;
    if (options_.runs_max != 0 && runs >= options_.runs_max) budget = "runs";
    if (options_.prefixes_max != 0 && walk_.prefixes() + kept_ >= options_.prefixes_max) {
      budget = "memory";
    }
    if (options_.seconds_max > 0 && seconds_since(start_) >= options_.seconds_max) budget = "time";
    if (*budget != 0) {
      result_.out_of_budget = true;
      stopped_ = true;
    }
  }

  World& world_;
  const BoundedOptions& options_;
  Walk walk_;
  BoundedResult result_;
  std::vector<Saved> saved_;  // the first saved_count_, by depth
  std::size_t saved_count_ = 0;
  std::vector<Seeds> next_seeds_;
  std::uint64_t kept_ = 0;
  std::unordered_set<Hash128, HashOfHash> orders_;
  std::unordered_map<Hash128, std::string, HashOfHash> outcomes_;  // if verify_cache
  const Clock::time_point start_ = Clock::now();
  Clock::time_point level_start_;
  bool stopped_ = false;
  bool cut_ = false;
};

}  // namespace

BoundedResult explore_bounded(World& world, const BoundedOptions& options) {
  return Search(world, options).explore();
}

}  // namespace interleaf
