// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/cause.h"

#include <algorithm>
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
    CauseResult result;
    result.run = log_.run;
    if (races_.size() > options_.flips_max) {
      result.out_of_budget = true;
      races_.erase(races_.begin(), races_.end() - static_cast<std::ptrdiff_t>(options_.flips_max));
    }
    for (const RacingSteps& race : races_) {
      result.flips.push_back(flip(race));
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
      for_races_of_step(order_, first, [&](EventNumber i, EventNumber j) {
        add_race(i, step, order_[j].object, order_[j].op);
      });
    }
    for (std::size_t i = 0; i < log_.pending.size(); ++i) {
      const OrderedStep& wanted = log_.pending[i];
      const Access& next = wanted.access;
      std::uint32_t known[kTasksMax];
      order_.copy_clock(order_.last_of_task(wanted.task), known);
      for_races(order_, {wanted.task, next.op, next.object, next.gated},
                order_.last_of_object(next.object), known, [&](EventNumber earlier) {
                  add_race(earlier, log_.steps.size() + i, next.object, next.op);
                });
    }
  }

  // Two steps may race on several objects: reversing them is one flip.
  void add_race(EventNumber i, std::size_t later, std::uint32_t object, Op op) {
    const RacingSteps race{step_of_[i], later, object, order_[i].op, op};
    for (const RacingSteps& known : races_) {
      if (known.earlier == race.earlier && known.later == later) return;
    }
    races_.push_back(race);
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
