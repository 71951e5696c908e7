// SPDX-License-Identifier: GPL-2.0-only
// The states of a partial order against brute force: all subsets, and all prefixes of all
// interleavings of random programs.
#include "scheduler/search/crash_states.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "scheduler/prng.h"
#include "scheduler/search/happens_before.h"

namespace interleaf {
namespace {

Hash128 key_of(const EventSet& set, std::size_t events) {
  Hash128 key;
  for (std::size_t i = 0; i < events; ++i) {
    if (set.test(i)) (i < 64 ? key.low : key.high) |= std::uint64_t{1} << (i % 64);
  }
  return key;
}

// A random order: i before j with a chance of 1 in `rarity`, and what follows from that.
std::vector<std::vector<bool>> random_order(Prng& random, std::size_t events, unsigned rarity) {
  std::vector<std::vector<bool>> before(events, std::vector<bool>(events));
  for (std::size_t j = 0; j < events; ++j) {
    for (std::size_t i = j; i-- > 0;) {
      if (random.below(rarity) != 0) continue;
      before[i][j] = true;
      for (std::size_t k = 0; k < i; ++k) {
        if (before[k][i]) before[k][j] = true;
      }
    }
  }
  return before;
}

TEST(CrashStates, AreTheDownClosedSubsetsEachOnce) {
  Prng random(1);
  for (unsigned round = 0; round < 300; ++round) {
    const std::size_t events = random.below(11);
    const auto before = random_order(random, events, 2 + random.below(6));
    std::set<Hash128> expected;
    for (std::uint64_t bits = 0; bits < std::uint64_t{1} << events; ++bits) {
      bool closed = true;
      for (std::size_t j = 0; j < events; ++j) {
        for (std::size_t i = 0; i < j; ++i) {
          if (before[i][j] && (bits >> j & 1) != 0 && (bits >> i & 1) == 0) closed = false;
        }
      }
      if (closed) expected.insert({bits, 0});
    }
    const EventOrder order(events,
                           [&](std::size_t i, std::size_t j) -> bool { return before[i][j]; });
    CrashStateOptions options;
    for (std::size_t i = 0; i < events; i += 3) options.first.push_back(i);
    std::set<Hash128> found;
    const CrashStates states = for_each_crash_state(
        order, options, [&](const EventSet& set) { return key_of(set, events); },
        [&](const EventSet& set) { return found.insert(key_of(set, events)).second; });
    EXPECT_EQ(found, expected);
    EXPECT_EQ(states.sets, expected.size());
    EXPECT_EQ(states.distinct, expected.size());
    EXPECT_TRUE(states.complete);
  }
}

TEST(CrashStates, BeginWithTheSmallestStateOfWhatIsAskedFor) {
  // 0 before 2 before 3; 1 on its own.
  const EventOrder order(4, [](std::size_t i, std::size_t j) { return i != 1 && j != 1; });
  std::vector<EventSet> sets;
  for_each_crash_state(
      order, {.first = {2, 1}}, [](const EventSet& set) { return key_of(set, 4); },
      [&](const EventSet& set) {
        sets.push_back(set);
        return true;
      });
  ASSERT_EQ(sets.size(), 8u);
  EXPECT_EQ(key_of(sets[0], 4).low, 0b0101u);
  EXPECT_EQ(key_of(sets[1], 4).low, 0b0010u);
}

TEST(CrashStates, StopAtTheBudgetAndSaySo) {
  const EventOrder order(20, [](std::size_t, std::size_t) { return false; });
  std::uint64_t judged = 0;
  const CrashStates states = for_each_crash_state(
      order, {.sets_max = 1000}, [](const EventSet& set) { return key_of(set, 20); },
      [&](const EventSet&) { return ++judged != 0; });
  EXPECT_FALSE(states.complete);
  EXPECT_EQ(states.sets, 1000u);
  EXPECT_EQ(judged, 1000u);
}

TEST(CrashStates, AreJudgedOncePerKey) {
  const EventOrder order(6, [](std::size_t, std::size_t) { return false; });
  std::uint64_t judged = 0;
  const CrashStates states = for_each_crash_state(
      order, {},
      [](const EventSet& set) {
        return Hash128{set.count(), 0};
      },
      [&](const EventSet&) { return ++judged != 0; });
  EXPECT_EQ(states.sets, 64u);
  EXPECT_EQ(states.distinct, 7u);
  EXPECT_EQ(judged, 7u);
  EXPECT_TRUE(states.complete);
}

// Programs that store to folios, let a device read them, write blocks and make promises. Letters
// with a number each: w folio, r folio (what the task's device saw last), b block, p promise.
using Text = std::vector<std::string>;

struct Durable {
  char kind;
  unsigned number;
  unsigned value;
};

// What is durable, and what was promised.
using State = std::pair<std::map<unsigned, unsigned>, std::set<unsigned>>;

class Interleavings {
 public:
  explicit Interleavings(const Text& program) : program_(program), at_(program.size()) { go(); }

  std::set<State> every_prefix;
  std::map<std::string, std::vector<unsigned>> run_of_class;
  std::uint64_t runs = 0;

  // The run of these choices: its order and, of the events that count, number and effect.
  void replay(const std::vector<unsigned>& choices, HappensBefore& order,
              std::vector<std::pair<EventNumber, Durable>>& durable) const {
    std::vector<std::size_t> at(program_.size());
    std::vector<unsigned> seen(program_.size());
    std::map<unsigned, unsigned> folios;
    order.begin(static_cast<unsigned>(program_.size()));
    for (const unsigned task : choices) {
      const char kind = program_[task][at[task]];
      const unsigned number = static_cast<unsigned>(program_[task][at[task] + 1] - '0');
      const unsigned value = 100 * (task + 1) + static_cast<unsigned>(at[task]);
      Access access;
      access.object = kind == 'p' ? kPrivateObject : kind == 'b' ? 20 + number : 10 + number;
      access.op = kind == 'r' ? Op::kRead : Op::kWrite;
      const EventNumber event = order.add(static_cast<TaskId>(task), access);
      if (kind == 'w') folios[number] = value;
      if (kind == 'r') seen[task] = folios[number];
      if (kind == 'b') durable.push_back({event, {'b', number, seen[task]}});
      if (kind == 'p') durable.push_back({event, {'p', value, 0}});
      at[task] += 2;
    }
  }

  static void apply(State& state, const Durable& effect) {
    if (effect.kind == 'b') state.first[effect.number] = effect.value;
    if (effect.kind == 'p') state.second.insert(effect.number);
  }

 private:
  void go() {
    bool any = false;
    for (unsigned task = 0; task < program_.size(); ++task) {
      if (at_[task] == program_[task].size()) continue;
      any = true;
      at_[task] += 2;
      choices_.push_back(task);
      go();
      choices_.pop_back();
      at_[task] -= 2;
    }
    if (!any) ended();
  }

  void ended() {
    ++runs;
    HappensBefore order;
    std::vector<std::pair<EventNumber, Durable>> durable;
    replay(choices_, order, durable);
    State state;
    every_prefix.insert(state);
    for (const auto& [event, effect] : durable) {
      apply(state, effect);
      every_prefix.insert(state);
    }
    // The name of the class: for every event, in the order of its task, what comes before it.
    std::string name;
    for (unsigned task = 0; task < program_.size(); ++task) {
      for (EventNumber i = 0; i < order.size(); ++i) {
        if (order[i].task != task) continue;
        for (unsigned t = 0; t < order.tasks(); ++t) name += static_cast<char>(order.clock(i)[t]);
      }
    }
    run_of_class.emplace(name, choices_);
  }

  const Text& program_;
  std::vector<std::size_t> at_;
  std::vector<unsigned> choices_;
};

Text random_program(Prng& random) {
  Text program(2 + random.below(2));
  const unsigned longest = program.size() == 2 ? 5 : 3;
  for (std::string& task : program) {
    for (unsigned n = 1 + static_cast<unsigned>(random.below(longest)); n > 0; --n) {
      task += "wrbbp"[random.below(5)];
      task += static_cast<char>('0' + random.below(2));
    }
  }
  return program;
}

TEST(CrashStates, OfOneRunPerClassAreThoseOfEveryPrefixOfEveryInterleaving) {
  Prng random(2);
  std::uint64_t runs = 0;
  std::uint64_t classes = 0;
  for (unsigned round = 0; round < 400; ++round) {
    const Text program = random_program(random);
    const Interleavings all(program);
    std::set<State> found;
    for (const auto& [name, choices] : all.run_of_class) {
      HappensBefore order;
      std::vector<std::pair<EventNumber, Durable>> durable;
      all.replay(choices, order, durable);
      const EventOrder partial(durable.size(), [&](std::size_t i, std::size_t j) {
        return order.before(durable[i].first, durable[j].first);
      });
      for_each_crash_state(
          partial, {}, [&](const EventSet& set) { return key_of(set, durable.size()); },
          [&](const EventSet& set) {
            State state;
            for (std::size_t i = 0; i < durable.size(); ++i) {
              if (set.test(i)) Interleavings::apply(state, durable[i].second);
            }
            found.insert(state);
            return true;
          });
    }
    std::string text;
    for (const std::string& task : program) text += task + " | ";
    EXPECT_EQ(found, all.every_prefix) << text;
    runs += all.runs;
    classes += all.run_of_class.size();
  }
  EXPECT_GT(runs, 5 * classes);  // or there was nothing to save
}

}  // namespace
}  // namespace interleaf
