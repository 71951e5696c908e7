// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/cause.h"

#include <algorithm>
#include <set>
#include <utility>

#include "scheduler/search/cause_groups.h"
#include "scheduler/search/happens_before.h"
#include "scheduler/search/races.h"
#include "scheduler/search/reorder.h"
#include "scheduler/search/run_log.h"

namespace interleaf {
namespace {

// A race as two steps of the log; `later` may be a pending one, counted behind the last.
struct RacingSteps {
  std::size_t earlier;
  std::size_t later;
  std::uint32_t object;
  Op earlier_op;
  Op later_op;
};

class Causes {
 public:
  Causes(World& world, const CauseOptions& options,
         const std::function<bool(const RunResult&)>& same, RunLog log)
      : world_(world), options_(options), same_(same), log_(std::move(log)) {
    order_.begin(world_.scheduler().task_count());
  }

  CauseResult find() {
    find_races();
    // Of each later step, the last earlier one first: reversing less says more. Two steps may race
    // on several objects: reversing them is one flip.
    const auto place = [](const RacingSteps& race) {
      return std::make_pair(race.later, ~race.earlier);
    };
    std::stable_sort(races_.begin(), races_.end(),
                     [&](const auto& a, const auto& b) { return place(a) < place(b); });
    races_.erase(std::unique(races_.begin(), races_.end(),
                             [&](const auto& a, const auto& b) { return place(a) == place(b); }),
                 races_.end());
    CauseResult result;
    result.run = log_.run;
    if (races_.size() > options_.flips_max) {
      result.out_of_budget = true;
      races_.erase(races_.begin(), races_.end() - static_cast<std::ptrdiff_t>(options_.flips_max));
    }
    std::set<std::pair<std::size_t, TaskId>> spared;  // later steps, and whose steps they precede
    for (const RacingSteps& race : races_) {
      const TaskId other = log_.steps[race.earlier].task;
      if (spared.count({race.later, other}) != 0) continue;
      result.flips.push_back(flip(race));
      if (result.flips.back().outcome == Flip::Outcome::kRemoved)
        spared.insert({race.later, other});
      result.causes += result.flips.back().outcome == Flip::Outcome::kRemoved;
      result.infeasible += result.flips.back().outcome == Flip::Outcome::kInfeasible;
    }
    result.groups = group_causes(result.flips, log_.sites);
    return result;
  }

 private:
  void find_races() {
    for (std::size_t step = 0; step < log_.steps.size(); ++step) {
      const OrderedStep& made = log_.steps[step];
      const EventNumber first = order_.add(made.task, made.access);
      for (const OrderedStep::Also& also : made.also) order_.also(also.op, also.object);
      first_event_.push_back(first);
      while (step_of_.size() < order_.size()) step_of_.push_back(step);
      std::uint32_t known[kTasksMax];
      order_.copy_clock(order_[first].previous_of_task, known);
      for (EventNumber j = first; j < order_.size(); ++j) {
        const LoggedEvent& event = order_[j];
        add_races({event.task, event.op, event.object, event.gated}, event.previous, known, step);
      }
    }
    for (std::size_t i = 0; i < log_.pending.size(); ++i) {
      const OrderedStep& wanted = log_.pending[i];
      const Access& next = wanted.access;
      std::uint32_t known[kTasksMax];
      order_.copy_clock(order_.last_of_task(wanted.task), known);
      add_races({wanted.task, next.op, next.object, next.gated}, order_.last_of_object(next.object),
                known, log_.steps.size() + i);
    }
  }

  // The events that the access conflicts with and that do not come before it in any case. The last
  // of each task is a race; an earlier one can be reversed too, with all that followed from it.
  void add_races(const RacingAccess& access, EventNumber last, const std::uint32_t* known,
                 std::size_t later) {
    if (access.object == kPrivateObject) return;
    const CommutingClass kind = commuting_class(access.op);
    for (EventNumber i = last; i != kNoEvent; i = order_[i].previous) {
      const LoggedEvent& event = order_[i];
      const bool exclusive = commuting_class(event.op) == CommutingClass::kExclusive;
      if (event.task == access.task || order_.includes(known, i)) {
        if (exclusive && order_.includes(known, i)) return;  // so are all before it
        continue;
      }
      const bool commute = !exclusive && commuting_class(event.op) == kind;
      if (!commute && may_be_coenabled(event, access)) {
        races_.push_back({step_of_[i], later, access.object, event.op, access.op});
      }
    }
  }

  const OrderedStep& step(std::size_t number) const {
    return number < log_.steps.size() ? log_.steps[number]
                                      : log_.pending[number - log_.steps.size()];
  }

  AccessSite site(std::size_t number, std::uint32_t object, Op op) const {
    AccessSite site = number < log_.steps.size() ? log_.sites[number]
                                                 : log_.pending_sites[number - log_.steps.size()];
    if (site.object == object) return site;
    // Something the step did besides: where it lies was not announced.
    site.object = object;
    site.op = op;
    site.role.clear();
    site.kind = 0;
    return site;
  }

  Flip flip(const RacingSteps& race) {
    Flip flip;
    flip.earlier = site(race.earlier, race.object, race.earlier_op);
    flip.later = site(race.later, race.object, race.later_op);
    std::vector<const OrderedStep*> order;
    std::vector<const OrderedStep*> rest = {&log_.steps[race.earlier]};
    for (std::size_t i = 0; i < log_.steps.size(); ++i) {
      if (i == race.earlier || i == race.later) continue;
      const bool follows =
          i > race.later ||
          (i > race.earlier && order_.before(first_event_[race.earlier], first_event_[i]));
      (follows ? rest : order).push_back(&log_.steps[i]);
    }
    order.push_back(&step(race.later));
    const std::size_t strict = order.size();
    order.insert(order.end(), rest.begin(), rest.end());
    const auto strategy = make_reordered(std::move(order), strict);
    const RunResult& run = world_.run(*strategy, options_.run);
    if (!strategy->kept()) return flip;
    flip.outcome = same_(run) ? Flip::Outcome::kSame : Flip::Outcome::kRemoved;
    if (flip.outcome == Flip::Outcome::kRemoved && !run.clean()) {
      flip.instead = run.verdict()->signature();
    }
    return flip;
  }

  World& world_;
  const CauseOptions& options_;
  const std::function<bool(const RunResult&)>& same_;
  const RunLog log_;
  HappensBefore order_;
  std::vector<EventNumber> first_event_;  // of each step
  std::vector<std::size_t> step_of_;      // of each event
  std::vector<RacingSteps> races_;
};

}  // namespace

CauseResult find_causes(World& world, const Schedule& schedule, const CauseOptions& options,
                        const std::function<bool(const RunResult&)>& same) {
  const auto replay = make_replay(schedule);
  return Causes(world, options, same, log_run(world, *replay, options.run)).find();
}

}  // namespace interleaf
