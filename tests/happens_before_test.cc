// SPDX-License-Identifier: GPL-2.0-only
// The order of a run's events, against the definition: the transitive closure of "same task or
// dependent, and earlier".
#include "scheduler/search/happens_before.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "scheduler/prng.h"
#include "scheduler/search/races.h"

namespace interleaf {
namespace {

constexpr Op kOps[] = {Op::kRead,          Op::kWrite,         Op::kReadModifyWrite,
                       Op::kAcquireShared, Op::kReleaseShared, Op::kAcquire,
                       Op::kRcuLock,       Op::kRcuUnlock,     Op::kGracePeriod,
                       Op::kRead,          Op::kRead,          Op::kChoice};

struct Step {
  TaskId task;
  Access access;
};

std::vector<Step> random_steps(Prng& random, unsigned tasks, unsigned count) {
  std::vector<Step> steps;
  for (unsigned i = 0; i < count; ++i) {
    Step step{static_cast<TaskId>(random.below(tasks)), {}};
    step.access.op = kOps[random.below(std::size(kOps))];
    step.access.object = kPrivateObject + static_cast<std::uint32_t>(random.below(4));
    steps.push_back(step);
  }
  return steps;
}

std::vector<std::vector<bool>> closure(const std::vector<Step>& steps) {
  std::vector<std::vector<bool>> before(steps.size(), std::vector<bool>(steps.size()));
  for (std::size_t j = 0; j < steps.size(); ++j) {
    before[j][j] = true;
    for (std::size_t i = j; i-- > 0;) {
      if (steps[i].task != steps[j].task && !dependent(steps[i].access, steps[j].access)) continue;
      for (std::size_t k = 0; k <= i; ++k) {
        if (before[k][i]) before[k][j] = true;
      }
    }
  }
  return before;
}

void expect_closure(const HappensBefore& order, const std::vector<Step>& steps) {
  ASSERT_EQ(order.size(), steps.size());
  const auto expected = closure(steps);
  for (EventNumber j = 0; j < order.size(); ++j) {
    for (EventNumber i = 0; i <= j; ++i) {
      EXPECT_EQ(order.before(i, j), expected[i][j]) << i << " and " << j;
    }
  }
}

TEST(HappensBefore, IsTheClosureOfDependenceAndProgramOrder) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Prng random(seed);
    const std::vector<Step> steps = random_steps(random, 4, 24);
    HappensBefore order;
    order.begin(4);
    for (const Step& step : steps) order.add(step.task, step.access);
    expect_closure(order, steps);
  }
}

TEST(HappensBefore, TakingEventsBackIsAsIfTheyHadNeverBeen) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Prng random(seed);
    std::vector<Step> steps = random_steps(random, 3, 20);
    HappensBefore order;
    order.begin(3);
    for (const Step& step : steps) order.add(step.task, step.access);
    steps.resize(random.below(20));
    order.truncate(static_cast<EventNumber>(steps.size()));
    for (const Step& step : random_steps(random, 3, 12)) {
      order.add(step.task, step.access);
      steps.push_back(step);
    }
    expect_closure(order, steps);
  }
}

// Races of a step as for_races() has them, one event after the other.
unsigned count_races(const HappensBefore& order, EventNumber first) {
  unsigned races = 0;
  std::uint32_t known[kTasksMax];
  order.copy_clock(order[first].previous_of_task, known);
  for (EventNumber j = first; j < order.size() && order[j].step == first; ++j) {
    const LoggedEvent& event = order[j];
    for_races(order, {event.task, event.op, event.object, event.gated}, event.previous, known,
              false, [&](EventNumber) { ++races; });
  }
  return races;
}

TEST(HappensBefore, AStepJoinsIffItFollowsMoreThanTheStepBeforeOfItsTask) {
  unsigned joining = 0;
  unsigned alone = 0;
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Prng random(seed);
    HappensBefore order;
    order.begin(4);
    for (const Step& step : random_steps(random, 4, 24)) {
      const EventNumber first = order.add(step.task, step.access);
      for (std::uint32_t more = random.below(3); more > 0; --more) {
        order.also(kOps[random.below(std::size(kOps))], kPrivateObject + random.below(4));
      }
      std::uint32_t before[kTasksMax];
      order.copy_clock(order[first].previous_of_task, before);
      ++before[step.task];
      const bool follows_more = !std::equal(before, before + 4, order.clock(first));
      ASSERT_EQ(order.joins(first), follows_more) << "seed " << seed << ", event " << first;
      ++(follows_more ? joining : alone);
      if (!follows_more) {
        EXPECT_EQ(count_races(order, first), 0u);
      }
    }
  }
  EXPECT_GT(joining, 500u);
  EXPECT_GT(alone, 500u);
}

TEST(HappensBefore, WhatIsLeftOfAStepIsAsIfTheRestHadNeverBeen) {
  struct Event {
    bool also;
    Step step;
  };
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    Prng random(seed);
    const auto random_events = [&](bool also) {
      std::vector<Event> events;
      for (const Step& step : random_steps(random, 3, 20)) {
        events.push_back({also && random.below(2) == 0, step});
        also = true;
      }
      return events;
    };
    const auto add = [](HappensBefore& order, const std::vector<Event>& events) {
      for (const auto& [also, step] : events) {
        if (also) {
          order.also(step.access.op, step.access.object);
        } else {
          order.add(step.task, step.access);
        }
      }
    };
    std::vector<Event> events = random_events(false);
    HappensBefore cut;
    cut.begin(3);
    add(cut, events);
    events.resize(1 + random.below(19));
    cut.truncate(static_cast<EventNumber>(events.size()));
    HappensBefore whole;
    whole.begin(3);
    add(whole, events);
    const std::vector<Event> more = random_events(true);
    add(cut, more);
    add(whole, more);
    for (EventNumber j = 0; j < whole.size(); ++j) {
      EXPECT_EQ(cut[j].own, whole[j].own);
      EXPECT_EQ(cut.joins(j), whole.joins(j));
      for (EventNumber i = 0; i < j; ++i) {
        ASSERT_EQ(cut.before(i, j), whole.before(i, j))
            << "seed " << seed << ", " << i << ", " << j;
      }
    }
  }
}

TEST(HappensBefore, DirectPredecessorsAreTheEpochBefore) {
  HappensBefore order;
  order.begin(4);
  const auto add = [&](TaskId task, Op op) {
    Access access;
    access.op = op;
    access.object = 7;
    return order.add(task, access);
  };
  const EventNumber write = add(0, Op::kWrite);
  const EventNumber read1 = add(1, Op::kRead);
  const EventNumber read2 = add(2, Op::kRead);
  const EventNumber last = add(3, Op::kWrite);
  const auto predecessors = [&](EventNumber number) {
    std::vector<EventNumber> found;
    order.for_direct_predecessors(number, [&](EventNumber i) { found.push_back(i); });
    return found;
  };
  EXPECT_EQ(predecessors(write), std::vector<EventNumber>{});
  EXPECT_EQ(predecessors(read1), std::vector<EventNumber>{write});
  EXPECT_EQ(predecessors(read2), std::vector<EventNumber>{write});
  EXPECT_EQ(predecessors(last), (std::vector<EventNumber>{read2, read1}));
}

}  // namespace
}  // namespace interleaf
