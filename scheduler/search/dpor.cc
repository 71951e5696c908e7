// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/dpor.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <utility>

#include "scheduler/check.h"
#include "scheduler/search/happens_before.h"
#include "scheduler/search/races.h"

namespace interleaf {
namespace {

using Clock = std::chrono::steady_clock;

// What the next step of a task that sleeps does, besides what it announced.
struct Besides {
  TaskId task;
  Op op;
  std::uint32_t object;
};

bool conflict(Op a, Op b) {
  const CommutingClass kind = commuting_class(a);
  return kind == CommutingClass::kExclusive || kind != commuting_class(b);
}

// Who used which object in the runs so far, as far as a table of fixed size remembers.
class Users {
 public:
  bool contended(const Access& access) const {
    if (access.object == kPrivateObject) return false;
    const Entry& entry = entries_[place(access)];
    return entry.address == access.address && (entry.tasks & (entry.tasks - 1)) != 0;
  }
  void add(TaskId task, const Access& access) {
    if (access.object == kPrivateObject) return;
    Entry& entry = entries_[place(access)];
    if (entry.address != access.address) entry = {access.address, 0};
    entry.tasks |= task_bit(task);
  }

 private:
  struct Entry {
    const void* address = nullptr;
    TaskMask tasks = 0;
  };
  static std::size_t place(const Access& access) {
    return reinterpret_cast<std::uintptr_t>(access.address) / 4 % kEntries;
  }
  static constexpr std::size_t kEntries = 4096;
  std::vector<Entry> entries_{kEntries};
};

// A choice of the run at hand: between tasks, or between values.
struct Node {
  TaskMask enabled = 0;    // or the values there are
  TaskMask backtrack = 0;  // to be tried: done ones included
  TaskMask done = 0;       // tried, or being tried
  TaskMask sleep = 0;      // tasks whose next event was covered before the choice
  EventNumber events = 0;  // before the choice
  std::uint8_t taken = 0;
  bool data = false;
  std::vector<Besides> besides;  // of steps covered before the choice, then of those tried here

  TaskMask todo() const { return backtrack & ~done & (data ? ~TaskMask{0} : ~sleep); }
};

// Follows the path, then goes on where nothing is covered yet, and adds to the nodes of the path
// what the races of the new events ask for.
class Walk final : public Strategy {
 public:
  explicit Walk(const DporOptions& options) : options_(options) {}

  // ---- for the search ----

  enum class Pause : std::uint8_t { kNone, kRedundant, kSnapshot };
  struct Mark {
    std::size_t choices = 0;
    EventNumber events = 0;
    std::uint64_t step = 0;
  };

  std::vector<Node> path;
  unsigned snapshot_steps = 1;
  std::uint64_t events = 0;
  std::uint64_t replayed = 0;
  std::uint64_t fallbacks = 0;

  Pause pause() const { return pause_; }
  // The path was taken back to a node whose `taken` is new.
  void branch() {
    const Node& node = path.back();
    log_.truncate(node.events);
    node_of_.resize(node.events);
    value_of_.resize(node.events);
  }
  void save(const Scheduler& s, Mark& mark) const { mark = {s.choices(), at_, s.step()}; }
  // The World was restored to `mark`, or is still there.
  void go_on_from(const Mark& mark) {
    at_ = mark.events;
    open_step_ = kNoEvent;
    saved_choice_ = mark.choices;
    saved_step_ = mark.step;
    pause_ = Pause::kNone;
  }
  // The run is over: races of what will not be performed any more.
  void end(const Scheduler& s, bool cut) {
    if (pause_ == Pause::kRedundant || cut) return;
    complete_step(s);
    look_at_blocked(s);
  }
  // Of the run at hand, as OrderHash defines it.
  Hash128 order() const {
    OrderHash order;
    order.clear();
    for (EventNumber i = 0; i < at_; ++i) {
      order.event(log_[i].task, log_[i].op, log_[i].object);
      if (value_of_[i] != kNoValue) order.value(log_[i].task, value_of_[i]);
    }
    return order.total();
  }

  // ---- for the scheduler ----

  void begin(std::uint64_t) override {
    at_ = 0;
    saved_step_ = 0;
    saved_choice_ = kNever;
    pause_ = Pause::kNone;
    sleep_ = 0;
    besides_.clear();
    open_step_ = kNoEvent;
    if (log_.tasks() == 0) fresh_ = true;
  }

  TaskId pick(const Scheduler& s, TaskMask runnable) override {
    const HeapScope heap;
    const std::size_t choice = s.choices();
    if (choice < path.size()) return follow(s, path[choice], choice + 1 == path.size());
    if (fresh_) start(s);
    if (pause_ == Pause::kRedundant) return kPause;
    complete_step(s);
    look_at_blocked(s);
    const TaskMask candidates = runnable & ~sleep_;
    if (candidates == 0) {
      pause_ = Pause::kRedundant;
      return kPause;
    }
    if (options_.snapshots && choice != saved_choice_ && s.step() >= saved_step_ + snapshot_steps) {
      pause_ = Pause::kSnapshot;
      return kPause;
    }
    Node& node = path.emplace_back();
    node.enabled = runnable;
    node.taken = preferred(s, candidates);
    node.backtrack = node.done = task_bit(node.taken);
    node.sleep = sleep_;
    node.besides = besides_;
    node.events = at_;
    perform(s, node.taken, path.size() - 1);
    return node.taken;
  }

  unsigned pick_value(const Scheduler& s, const char*, unsigned count) override {
    const HeapScope heap;
    const std::size_t choice = s.choices();
    if (pause_ == Pause::kRedundant) return 0;  // a forced step was; nothing of it counts
    if (choice == path.size()) {
      CHECK(count <= 64);  // as many as the mask holds; nobody has more
      const TaskMask all = count == 64 ? ~TaskMask{0} : (TaskMask{1} << count) - 1;
      Node& node = path.emplace_back();
      node.enabled = node.backtrack = all;
      node.done = 1;
      node.sleep = sleep_;
      node.besides = besides_;
      node.events = at_;
      node.data = true;
    } else if (choice + 1 == path.size()) {
      sleep_ = path[choice].sleep;
      besides_ = path[choice].besides;
    }
    value_of_[at_ - 1] = path[choice].taken;
    return path[choice].taken;
  }

  bool sees_forced() const override { return true; }
  void forced(const Scheduler& s, TaskId only) override {
    const HeapScope heap;
    if (at_ < log_.size()) {
      repeat(only);
      return;
    }
    if (fresh_) start(s);
    if (pause_ == Pause::kRedundant) return;
    complete_step(s);
    look_at_blocked(s);
    // Covered already: left at the next choice, or when the run ends.
    if ((sleep_ & task_bit(only)) != 0) {
      pause_ = Pause::kRedundant;
      return;
    }
    perform(s, only, kForced);
  }
  bool sees_also() const override { return true; }
  void also(const Scheduler&, Op op, std::uint32_t object) override {
    const HeapScope heap;
    if (at_ < log_.size()) {  // of the known prefix
      CHECK(log_[at_].object == object);
      ++at_;
      return;
    }
    if (open_step_ == kNoEvent) return;  // left as redundant
    log_.also(op, object);
    add_event(node_of_[open_step_]);
  }

 private:
  static constexpr std::size_t kNever = ~std::size_t{0};
  static constexpr std::uint32_t kForced = ~std::uint32_t{0};
  static constexpr std::uint8_t kNoValue = 0xff;

  void start(const Scheduler& s) {
    fresh_ = false;
    log_.begin(s.task_count());
    node_of_.clear();
    value_of_.clear();
  }

  TaskId follow(const Scheduler& s, const Node& node, bool last) {
    if (at_ < log_.size()) {
      repeat(node.taken);
      return node.taken;
    }
    CHECK(last);
    if (options_.snapshots && path.size() - 1 != saved_choice_ &&
        s.step() >= saved_step_ + snapshot_steps) {
      pause_ = Pause::kSnapshot;
      return kPause;
    }
    sleep_ = node.sleep;
    besides_ = node.besides;
    perform(s, node.taken, path.size() - 1);
    return node.taken;
  }

  // A step of the known prefix.
  void repeat(TaskId task) {
    CHECK(log_[at_].task == task);
    ++at_;
    ++replayed;
  }

  // Steps that nobody else's depends on first, so that choices lie deep and little is repeated for
  // each; else the running task, so that first findings have few preemptions; then who has not run.
  TaskId preferred(const Scheduler& s, TaskMask candidates) const {
    const TaskId ran = s.current_id();
    const bool goes_on = ran != kNoTask && (candidates & task_bit(ran)) != 0;
    if (goes_on && !users_.contended(s.task(ran).next)) return ran;
    TaskId fresh = kNoTask;
    for (TaskMask rest = candidates; rest != 0; rest &= rest - 1) {
      const auto id = static_cast<TaskId>(std::countr_zero(rest));
      if (!users_.contended(s.task(id).next)) return id;
      if (fresh == kNoTask && s.task(id).own_steps == 0) fresh = id;
    }
    if (goes_on) return ran;
    return fresh != kNoTask ? fresh : static_cast<TaskId>(std::countr_zero(candidates));
  }

  // `task` is about to perform what it announced, chosen at path[place], or forced. What else the
  // step does is not known yet.
  void perform(const Scheduler& s, TaskId task, std::uint32_t place) {
    log_.add(task, s.task(task).next);
    users_.add(task, s.task(task).next);
    if (place != kForced) sleep_ |= path[place].done & ~task_bit(task);
    open_step_ = at_;
    add_event(place);
    ++events;
  }
  void add_event(std::uint32_t place) {
    node_of_.push_back(place);
    value_of_.push_back(kNoValue);
    ++at_;
  }

  // All that the last step did is known: what it races with, and who need not sleep after it.
  void complete_step(const Scheduler& s) {
    if (open_step_ == kNoEvent) return;
    const EventNumber first = std::exchange(open_step_, kNoEvent);
    for_races_of_step(log_, first, [&](EventNumber i, EventNumber) { reverse(i, first); });
    const TaskId self = log_[first].task;
    const std::uint32_t place = node_of_[first];
    for (EventNumber k = first; k < log_.size(); ++k) {
      if (log_[k].object == kPrivateObject) continue;
      wake(s, log_[k].op, log_[k].object);
      if (k != first && place != kForced) {
        path[place].besides.push_back({self, log_[k].op, log_[k].object});
      }
    }
    std::erase_if(besides_, [&](const Besides& b) { return (sleep_ & task_bit(b.task)) == 0; });
  }

  // Whoever's next step conflicts with this access need not sleep any longer.
  void wake(const Scheduler& s, Op op, std::uint32_t object) {
    for (TaskMask rest = sleep_; rest != 0; rest &= rest - 1) {
      const auto id = static_cast<TaskId>(std::countr_zero(rest));
      const Access& next = s.task(id).next;
      if (next.object == object && conflict(next.op, op)) sleep_ &= ~task_bit(id);
    }
    for (const Besides& b : besides_) {
      if (b.object == object && conflict(b.op, op)) sleep_ &= ~task_bit(b.task);
    }
  }

  // A blocked task may never perform what it announced; its races count all the same. Looked at
  // after the event that it announced it in or that touched its object.
  void look_at_blocked(const Scheduler& s) {
    if (at_ == 0) return;
    const LoggedEvent& last = log_[at_ - 1];
    for (TaskId id = 0; id < s.task_count(); ++id) {
      const Task& task = s.task(id);
      if ((s.runnable() & task_bit(id)) != 0 || task.finished) continue;
      if (id == last.task || touched_by_last_step(task.next.object)) blocked(id, task.next);
    }
  }

  bool touched_by_last_step(std::uint32_t object) const {
    const EventNumber first = log_[at_ - 1].step;
    for (EventNumber k = first; k < log_.size(); ++k) {
      if (log_[k].object == object) return true;
    }
    return false;
  }

  void blocked(TaskId id, const Access& access) {
    const RacingAccess racing{id, access.op, access.object, is_gated(access.op, access.gated)};
    std::uint32_t known[kTasksMax];
    log_.copy_clock(log_.last_of_task(id), known);
    const EventNumber last = log_.last_of_object(access.object);
    for_races(log_, racing, last, known, [&](EventNumber i) {
      reverse(i, log_.size(), racing, follows_nothing_since(i, racing, last));
    });
  }

  static bool is_gated(Op op, bool gated) { return gated || op == Op::kRelax; }

  // Sees to it that some run has the step that event `first` began before that of event i.
  void reverse(EventNumber i, EventNumber first) {
    const LoggedEvent& main = log_[first];
    const RacingAccess later{main.task, main.op, main.object, is_gated(main.op, main.gated)};
    bool free = true;
    for (EventNumber k = first; k < log_.size() && free; ++k) {
      const LoggedEvent& event = log_[k];
      free = follows_nothing_since(i, {event.task, event.op, event.object, false}, event.previous);
    }
    reverse(i, first, later, free);
  }

  // The same, with what lies before event `end`; `free`: `later` follows none of it but what
  // follows i.
  void reverse(EventNumber i, EventNumber end, const RacingAccess& later, bool free) {
    const EventNumber step = log_[i].step;
    if (node_of_[step] == kForced) return;  // nobody else could go on
    Node& node = path[node_of_[step]];
    TaskMask moved = 0;  // tasks with an event after i
    TaskMask first = initials(step, end, moved);
    if (free && (moved & task_bit(later.task)) == 0) first |= task_bit(later.task);
    first &= node.enabled;
    if (first == 0 || !can_be_reversed(i, later, node, moved)) {
      ++fallbacks;
      node.backtrack |= node.enabled;
      return;
    }
    if ((first & (node.backtrack | node.sleep)) != 0) return;
    const TaskMask own = first & task_bit(later.task);
    node.backtrack |= own != 0 ? own : first & (~first + 1);
  }

  // The tasks whose first step after step `i`, before `end`, follows neither i nor any since.
  TaskMask initials(EventNumber i, EventNumber end, TaskMask& moved) const {
    TaskMask found = 0;
    for (EventNumber k = log_.end_of_step(i); k < end; ++k) {
      if (log_[k].step != k) continue;
      const TaskMask self = task_bit(log_[k].task);
      if ((moved & self) != 0) continue;
      moved |= self;
      if (!log_.before(i, k) && begins_after(i, k)) found |= self;
    }
    return found;
  }

  // True if what the step of event k follows directly on its objects lies before event i.
  bool begins_after(EventNumber i, EventNumber k) const {
    for (EventNumber event = k; event < log_.size() && log_[event].step == k; ++event) {
      const EventNumber direct = log_.last_of_previous_epoch(event);
      if (direct != kNoEvent && direct >= i && direct < k) return false;
    }
    return true;
  }

  // True if no event from i to `last` on the object of `later` that does not itself follow i is
  // dependent with it.
  bool follows_nothing_since(EventNumber i, const RacingAccess& later, EventNumber last) const {
    if (later.object == kPrivateObject) return true;
    for (EventNumber k = last; k != kNoEvent && k > i; k = log_[k].previous) {
      if (log_[k].task == later.task || log_.before(i, k)) continue;
      if (conflict(later.op, log_[k].op)) return false;
    }
    return true;
  }

  // True if `later` is known to be enabled before event i and after what does not follow i.
  bool can_be_reversed(EventNumber i, const RacingAccess& later, const Node& node,
                       TaskMask moved) const {
    if (!later.gated) return true;
    // It had announced the same, and could have gone on.
    const TaskMask self = task_bit(later.task);
    if ((moved & self) == 0 && (node.enabled & self) != 0) return true;
    // What took it away was waiting for the same condition: "free", "done".
    const auto waits = [](Op op) { return op == Op::kAcquire || op == Op::kWait; };
    return log_[i].gated && waits(log_[i].op) && waits(later.op) && log_[i].object == later.object;
  }

  const DporOptions& options_;
  HappensBefore log_;
  Users users_;
  std::vector<std::uint32_t> node_of_;  // by event: its place in the path, or kForced
  std::vector<std::uint8_t> value_of_;  // by event: what a data choice came out as
  EventNumber at_ = 0;                  // events performed in the run at hand
  EventNumber open_step_ = kNoEvent;    // the step that is under way began with it
  TaskMask sleep_ = 0;
  std::vector<Besides> besides_;  // of those who sleep
  Pause pause_ = Pause::kNone;
  std::uint64_t saved_step_ = 0;
  std::size_t saved_choice_ = kNever;
  bool fresh_ = true;
};

class Search {
 public:
  Search(World& world, const DporOptions& options)
      : world_(world), options_(options), walk_(options) {}

  DporResult explore() {
    walk_.snapshot_steps = options_.snapshot_steps;
    if (walk_.snapshot_steps == 0) {
      // Copying a KiB away and back costs about as much as repeating a step.
      const std::size_t tasks = world_.scheduler().task_count();
      const std::size_t bytes = world_.arena().used() + tasks * kStackGuessed;
      walk_.snapshot_steps = static_cast<unsigned>(std::clamp<std::size_t>(bytes / 1024, 8, 256));
    }
    run();
    while (!stopped_ && back_to_open_choice()) run();
    finish();
    return std::move(result_);
  }

 private:
  struct Saved {
    World::Snapshot world;
    Walk::Mark walk;
  };
  static constexpr std::size_t kStackGuessed = 512;  // bytes in use, of a suspended task

  // The deepest choice with something left to try becomes the end of the path.
  bool back_to_open_choice() {
    std::vector<Node>& path = walk_.path;
    while (!path.empty() && path.back().todo() == 0) path.pop_back();
    if (path.empty()) return false;
    Node& node = path.back();
    node.taken = static_cast<std::uint8_t>(std::countr_zero(node.todo()));
    node.done |= task_bit(node.taken);
    walk_.branch();
    return true;
  }

  void run() {
    const RunResult* run = start();
    while (run->end == RunEnd::kPaused && walk_.pause() == Walk::Pause::kSnapshot) {
      save();
      run = &world_.resume(walk_);
    }
    const bool cut = run->end != RunEnd::kPaused && run->steps >= options_.run.steps_max;
    walk_.end(world_.scheduler(), cut);
    if (cut) ++result_.cut;
    if (walk_.pause() == Walk::Pause::kRedundant) {
      ++result_.redundant;
    } else {
      ++result_.classes;
      note(*run);
    }
    look_at_budget();
  }

  const RunResult* start() {
    const std::size_t known = walk_.path.empty() ? 0 : walk_.path.size() - 1;
    while (saved_count_ > 0 && saved_[saved_count_ - 1].walk.choices > known) {
      held_ -= bytes(saved_[--saved_count_].world);
    }
    if (saved_count_ == 0) return &world_.run(walk_, options_.run);
    world_.restore(saved_[saved_count_ - 1].world);
    walk_.go_on_from(saved_[saved_count_ - 1].walk);
    return &world_.resume(walk_);
  }

  static std::size_t bytes(const World::Snapshot& snapshot) {
    return snapshot.arena.size() + snapshot.stacks.size();
  }

  void save() {
    if (saved_count_ == saved_.size()) saved_.emplace_back();
    Saved& saved = saved_[saved_count_++];
    world_.save(saved.world);
    walk_.save(world_.scheduler(), saved.walk);
    walk_.go_on_from(saved.walk);
    held_ += bytes(saved.world);
    result_.snapshot_bytes = std::max(result_.snapshot_bytes, held_);
  }

  void note(const RunResult& run) {
    if (options_.ended) options_.ended(run, options_.hash_orders ? walk_.order() : Hash128{});
    if (run.clean()) return;
    std::vector<std::string> signatures;
    if (options_.signatures) {
      signatures = options_.signatures(run);
    } else {
      for (const Finding& finding : run.findings) signatures.push_back(finding.signature());
    }
    std::sort(signatures.begin(), signatures.end());
    signatures.erase(std::unique(signatures.begin(), signatures.end()), signatures.end());
    if (!signatures.empty() && options_.stop_at_first) stopped_ = true;
    for (std::string& signature : signatures) {
      const auto at = std::lower_bound(
          result_.findings.begin(), result_.findings.end(), signature,
          [](const DporFinding& a, const std::string& b) { return a.signature < b; });
      if (at != result_.findings.end() && at->signature == signature) {
        ++at->count;
      } else {
        result_.findings.insert(at, {std::move(signature), run.preemptions, run.schedule, 1});
      }
    }
  }

  void look_at_budget() {
    const char*& budget = result_.budget;
    if (options_.runs_max != 0 && result_.classes + result_.redundant >= options_.runs_max) {
      budget = "runs";
    }
    if (options_.seconds_max > 0 &&
        std::chrono::duration<double>(Clock::now() - start_).count() >= options_.seconds_max) {
      budget = "time";
    }
    if (*budget != 0) stopped_ = result_.out_of_budget = true;
  }

  void finish() {
    result_.complete = !stopped_ && result_.cut == 0;
    result_.events = walk_.events;
    result_.replayed = walk_.replayed;
    result_.fallbacks = walk_.fallbacks;
  }

  World& world_;
  const DporOptions& options_;
  Walk walk_;
  DporResult result_;
  std::vector<Saved> saved_;  // the first saved_count_, by depth
  std::size_t saved_count_ = 0;
  std::size_t held_ = 0;
  const Clock::time_point start_ = Clock::now();
  bool stopped_ = false;
};

}  // namespace

DporResult explore_dpor(World& world, const DporOptions& options) {
  return Search(world, options).explore();
}

}  // namespace interleaf
