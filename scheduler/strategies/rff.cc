// SPDX-License-Identifier: GPL-2.0-only
// RFF: Wolff, Shi, Duck, Mathur, Roychoudhury: "Greybox fuzzing for concurrency testing", ASPLOS
// 2024. A corpus of abstract schedules: a seed of POS and a set of obligations, each that some read
// sees some write (+) or does not (-), in abstract events. An obligation bends the choice and never
// blocks: accesses that further one go before others, accesses that would break one after them, POS
// among equals. Runs that show a new reads-from pair, or a new set of them, are kept and mutated:
// more often the rarer their set is.
//
// Deviations: the first pool of pairs is predicted from one sequential run; the paper begins with
// what a run showed. Only pairs of two tasks count. Locks are objects that are read and written.
// A run has one to three mutations; of three pairs drawn the least seen is taken. "Swap" replaces
// an obligation. Energy is in integers and capped. Obligations lapse for the rest of a run once
// they bent kBendsMax choices: a task that polls may wait for what they hold back. What is learnt
// belongs to a campaign (learning.h).
#include <algorithm>
#include <unordered_map>

#include "scheduler/prng.h"
#include "scheduler/strategies/learning.h"
#include "scheduler/strategies/obligation.h"
#include "scheduler/strategies/pos_priorities.h"
#include "scheduler/strategies/reads_from.h"

namespace interleaf {
namespace {

constexpr std::size_t kObligationsMax = 8;
constexpr std::size_t kCorpusMax = 4096;
constexpr std::uint64_t kEnergyMax = 16;
constexpr std::uint32_t kBendsMax = 1000;

struct AbstractSchedule {
  std::uint64_t seed = 0;
  std::vector<Obligation> obligations;
};

// An abstract schedule that was kept.
struct Entry {
  AbstractSchedule schedule;
  std::uint64_t shown = 0;  // its set of pairs
  unsigned chosen = 0;
};

class Rff final : public LearningStrategy {
 public:
  explicit Rff(const std::vector<ReadsFrom>& predicted) {
    for (const ReadsFrom& pair : predicted) pool_[index_of(pair)].count = 0;
    machines_.reserve(kObligationsMax);
  }

  void begin(std::uint64_t seed) override {
    prng_ = Prng(seed);
    choose_schedule();
    draws_ = Prng(schedule_.seed);
    priorities_.clear();
    machines_.clear();
    for (const Obligation& obligation : schedule_.obligations) machines_.emplace_back(obligation);
    bends_ = 0;
    events_.begin_run();
    ++run_;
    shown_ = 0;
    shows_new_pair_ = false;
  }

  TaskId pick(const Scheduler& scheduler, TaskMask runnable) override {
    priorities_.deal(runnable, [&] { return draws_.next(); });
    const TaskId task = priorities_.highest(preferred(scheduler, runnable));
    goes_on(scheduler, task);
    return task;
  }

  bool sees_forced() const override { return true; }
  void forced(const Scheduler& scheduler, TaskId only) override { goes_on(scheduler, only); }

  unsigned pick_value(const Scheduler&, const char*, unsigned count) override {
    return draws_.below(count);
  }

  void ended(const RunResult&) override {
    ++runs_;
    const bool is_new = ++frequency_[shown_] == 1;
    if ((!is_new && !shows_new_pair_) || corpus_.size() == kCorpusMax) return;
    corpus_.push_back({schedule_, shown_});
  }

 private:
  struct Pair {
    ReadsFrom pair;
    std::uint64_t count = 0;  // runs that showed it
    std::uint64_t run = 0;    // the last of them
  };
  struct LastWrite {
    std::uint64_t run = 0;
    AbstractEvent event = 0;
    TaskId task = kNoTask;
  };
  struct HashOfPair {
    std::size_t operator()(const ReadsFrom& pair) const {
      return pair.write ^ (pair.read * 0x9e3779b97f4a7c15);
    }
  };

  // ---- between runs ----

  void choose_schedule() {
    if (corpus_.empty()) {
      schedule_.seed = prng_.next();
      schedule_.obligations.clear();
    } else {
      if (energy_ == 0) next_entry();
      --energy_;
      schedule_ = corpus_[at_].schedule;
    }
    for (std::uint32_t left = 1 + prng_.below(3); left > 0; --left) mutate();
  }

  // Goes round the corpus and passes over what is seen more often than the mean; what was kept last
  // may be anywhere.
  void next_entry() {
    for (std::size_t tries = 0; tries < corpus_.size(); ++tries) {
      at_ = (at_ + 1) % corpus_.size();
      Entry& entry = corpus_[at_];
      const std::uint64_t own = frequency_.find(entry.shown)->second * frequency_.size();
      if (own > runs_) continue;
      energy_ =
          std::clamp<std::uint64_t>((runs_ << std::min(entry.chosen, 4u)) / own, 1, kEnergyMax);
      ++entry.chosen;
      return;
    }
    at_ = (at_ + 1) % corpus_.size();
    energy_ = 1;
  }

  void mutate() {
    std::vector<Obligation>& all = schedule_.obligations;
    const auto any = [&] { return prng_.below(static_cast<std::uint32_t>(all.size())); };
    switch (prng_.below(5)) {
      case 0:
        if (!all.empty()) {
          Obligation& flipped = all[any()];
          flipped.positive = !flipped.positive;
          break;
        }
        [[fallthrough]];
      case 1:
        if (!pool_.empty() && all.size() < kObligationsMax) {
          all.push_back(drawn_obligation());
          break;
        }
        [[fallthrough]];
      case 2:
        if (!pool_.empty() && !all.empty()) {
          all[any()] = drawn_obligation();
          break;
        }
        [[fallthrough]];
      case 3:
        if (!all.empty()) {
          all.erase(all.begin() + any());
          break;
        }
        [[fallthrough]];
      default:
        schedule_.seed = prng_.next();
    }
  }

  Obligation drawn_obligation() {
    const Pair* rarest = nullptr;
    for (int i = 0; i < 3; ++i) {
      const Pair& drawn = pool_[prng_.below(static_cast<std::uint32_t>(pool_.size()))];
      if (rarest == nullptr || drawn.count < rarest->count) rarest = &drawn;
    }
    return {rarest->pair, prng_.below(4) != 0};
  }

  // ---- inside a run ----

  // The tasks of `runnable` on the highest level.
  TaskMask preferred(const Scheduler& scheduler, TaskMask runnable) {
    if (machines_.empty()) return runnable;
    TaskMask take = 0, avoid = 0;
    for_each_task(runnable, [&](TaskId id) {
      const Task& task = scheduler.task(id);
      if (task.next.object == kPrivateObject) return;
      const AbstractEvent event = events_.of(scheduler, task, task.next);
      for (const ObligationMachine& machine : machines_) {
        const ObligationMachine::Advice advice = machine.advise(id, event, task.next);
        if (advice == ObligationMachine::Advice::kTake) take |= task_bit(id);
        if (advice == ObligationMachine::Advice::kAvoid) avoid |= task_bit(id);
      }
    });
    const TaskMask neutral = runnable & ~avoid;
    const TaskMask best = take != 0 ? take : neutral != 0 ? neutral : runnable;
    if (best != runnable && ++bends_ == kBendsMax) machines_.clear();
    return best;
  }

  void goes_on(const Scheduler& scheduler, TaskId id) {
    priorities_.goes_on(scheduler, id);
    const Task& task = scheduler.task(id);
    const Access& access = task.next;
    if (access.object == kPrivateObject) return;
    const AbstractEvent event = events_.of(scheduler, task, access);
    for (ObligationMachine& machine : machines_) machine.performed(id, event, access);
    const HeapScope heap;
    if (access.object >= written_.size()) {
      written_.resize(std::max(2 * written_.size(), access.object + std::size_t{64}));
    }
    LastWrite& written = written_[access.object];
    if (written.run != run_) written = {run_};
    if (op_observes(access.op) && written.task != kNoTask && written.task != id) {
      show({written.event, event});
    }
    if (op_affects(access.op)) written = {run_, event, id};
  }

  void show(const ReadsFrom& pair) {
    Pair& shown = pool_[index_of(pair)];
    if (shown.run == run_) return;
    shown.run = run_;
    shows_new_pair_ = shows_new_pair_ || shown.count == 0;
    ++shown.count;
    std::uint64_t state = HashOfPair()(pair);
    shown_ += split_mix(state);  // sums forget the order
  }

  std::size_t index_of(const ReadsFrom& pair) {
    const auto [at, is_new] = index_.try_emplace(pair, pool_.size());
    if (is_new) pool_.push_back({pair});
    return at->second;
  }

  // Of the campaign.
  std::vector<Pair> pool_;  // seen or predicted
  std::unordered_map<ReadsFrom, std::size_t, HashOfPair> index_;
  std::unordered_map<std::uint64_t, std::uint64_t> frequency_;  // runs per set of pairs
  std::vector<Entry> corpus_;
  std::size_t at_ = 0;        // whose turn it is
  std::uint64_t energy_ = 0;  // runs left of it
  std::uint64_t runs_ = 0;

  // Of the run.
  Prng prng_{0};   // decides what to run
  Prng draws_{0};  // of the abstract schedule
  AbstractSchedule schedule_;
  PosPriorities priorities_;
  std::vector<ObligationMachine> machines_;
  AbstractEvents events_;
  std::vector<LastWrite> written_;  // by number of the object
  std::uint64_t run_ = 0;
  std::uint64_t shown_ = 0;
  bool shows_new_pair_ = false;
  std::uint32_t bends_ = 0;
};

}  // namespace

std::unique_ptr<LearningStrategy> make_rff(const std::vector<ReadsFrom>& predicted) {
  return std::make_unique<Rff>(predicted);
}

}  // namespace interleaf
