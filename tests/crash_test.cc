// SPDX-License-Identifier: GPL-2.0-only
// Power cuts: the states computed from one run of an order against cuts at every step of many runs
// and against runs made to go straight to each state; filesystems that break their promises; and
// recordings of a cut.
#include "engine/crash.h"

#include <gtest/gtest.h>

#include <map>
#include <set>

#include "engine/explore.h"
#include "engine/minimize.h"
#include "engine/replay.h"
#include "engine/user_error.h"
#include "scheduler/search/order_hash.h"

namespace interleaf {
namespace {

constexpr char kTwoFiles[] = R"(title: two files, two tasks that sync
kernel: 6.12.95
persona: ext4
geometry: {hpage_pages: 4, volatile_cache: 1}
files:
  f: {size: 4K, content: pattern(7)}
  g: {size: 8K, content: pattern(9)}
tasks:
  one:
    - fd = open("f", O_RDWR)
    - pwrite(fd, pattern(91), 8K, 0)
    - fsync(fd) = 0
  two:
    - fd = open("g", O_RDWR)
    - pwrite(fd, pattern(92), 4K, 0)
    - fdatasync(fd) = 0
expect: {verdict: clean}
)";

std::shared_ptr<const Configuration> configured(
    const std::string& text, std::vector<std::pair<std::string, std::string>> settings = {}) {
  Overrides overrides;
  overrides.settings = std::move(settings);
  return configure(parse_scenario(text, "t.yaml"), std::move(overrides));
}

using States = std::set<Hash128>;
constexpr CrashBudget kBudget;

void add_states(const CrashOracle& oracle, const EventSet& set, States& states) {
  oracle.for_each_cut(set, kBudget, [&](const PowerCut& cut) {
    states.insert(oracle.state(set, cut));
    return true;
  });
}

// One World whose runs are logged.
class Logged {
 public:
  explicit Logged(std::shared_ptr<const Configuration> configuration)
      : world_(0, std::move(configuration), &log_) {}

  const RunResult& run(Strategy& strategy, std::uint64_t seed = 0) {
    return log_.run(world_.world(), strategy, {.seed = seed});
  }
  CrashOracle oracle() const { return {log_, world_.configuration().geometry}; }
  const CrashLog& log() const { return log_; }

  // The order of the last run, as a hash of every event's clock.
  std::string name_of_order() const {
    std::string name;
    for (TaskId task = 0; task < log_.tasks(); ++task) {
      for (StepNumber i = 0; i < log_.steps(); ++i) {
        if (log_.task(i) != task) continue;
        for (unsigned t = 0; t < log_.tasks(); ++t) name += std::to_string(log_.clock(i)[t]) + ",";
      }
      for (const std::uint8_t value : log_.values()[task]) name += static_cast<char>('a' + value);
    }
    return name;
  }

 private:
  CrashLog log_;
  ScenarioWorld world_;
};

TEST(Crash, StatesOfOneRunHoldThoseOfEveryCutAndEveryRunOfItsOrder) {
  for (const char* cache : {"0", "1"}) {
    Logged logged(configured(kTwoFiles, {{"volatile_cache", cache}}));
    const auto random = make_random();
    std::map<std::string, States> of_order;
    std::uint64_t more = 0;  // states that no step of the run itself is in
    std::uint64_t again = 0;
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
      // Few preemptions, so that orders come again.
      const auto pct = make_pct(2);
      logged.run(seed % 2 == 0 ? *pct : *random, seed / 2);
      const CrashOracle oracle = logged.oracle();
      States states;
      for_each_crash_state(
          oracle.order(), {}, [&](const EventSet& set) { return oracle.key(set); },
          [&](const EventSet& set) {
            add_states(oracle, set, states);
            return true;
          });
      States cut_at_steps;
      for (std::uint64_t steps = 0; steps <= logged.log().steps(); ++steps) {
        add_states(oracle, oracle.prefix(steps), cut_at_steps);
      }
      for (const Hash128& state : cut_at_steps) EXPECT_TRUE(states.contains(state)) << seed;
      more += states.size() - cut_at_steps.size();
      const auto [known, is_new] = of_order.emplace(logged.name_of_order(), states);
      if (!is_new) ++again;
      EXPECT_EQ(known->second, states) << seed;
    }
    EXPECT_GT(more, 0u);
    EXPECT_GT(again, 0u);
  }
}

TEST(Crash, EveryStateOfAnOrderIsReachedByARunOfIt) {
  Logged logged(configured(kTwoFiles));
  const auto random = make_random();
  std::uint64_t reached = 0;
  for (std::uint64_t seed = 0; seed < 4; ++seed) {
    logged.run(*random, seed);
    struct Target {
      std::vector<TaskId> order;
      std::uint64_t steps;
      States states;
    };
    std::vector<Target> targets;
    std::vector<std::vector<std::uint8_t>> values;
    {
      const CrashOracle oracle = logged.oracle();
      const CrashLog& log = logged.log();
      values = log.values();
      for_each_crash_state(
          oracle.order(), {}, [&](const EventSet& set) { return oracle.key(set); },
          [&](const EventSet& set) {
            Target target;
            std::vector<TaskId> after;
            for (StepNumber step = 0; step < log.steps(); ++step) {
              bool needed = false;
              for (std::size_t unit = 0; unit < oracle.order().size(); ++unit) {
                needed = needed || (set.test(unit) && log.before(step, oracle.step(unit)));
              }
              (needed ? target.order : after).push_back(log.task(step));
            }
            target.steps = target.order.size();
            target.order.insert(target.order.end(), after.begin(), after.end());
            add_states(oracle, set, target.states);
            targets.push_back(std::move(target));
            return true;
          });
    }
    for (const Target& target : targets) {
      const auto strategy = make_in_order(target.order, values);
      logged.run(*strategy);
      for (StepNumber step = 0; step < target.steps; ++step) {
        ASSERT_EQ(logged.log().task(step), target.order[step]) << seed;
      }
      const CrashOracle oracle = logged.oracle();
      States states;
      add_states(oracle, oracle.prefix(target.steps), states);
      EXPECT_EQ(states, target.states) << seed;
      ++reached;
    }
  }
  EXPECT_GT(reached, 20u);
}

std::set<std::string> signatures_of(const std::shared_ptr<const Configuration>& configuration,
                                    const CrashBudget& budget = {}) {
  ExploreOptions options;
  options.preemptions_max = 0;
  options.keep_going = true;
  options.crash = true;
  options.crash_budget = budget;
  std::set<std::string> signatures;
  const ExploreReport report = explore(configuration, options);
  EXPECT_TRUE(report.search.complete);
  EXPECT_TRUE(report.crash->complete);
  EXPECT_EQ(report.crash->orders, report.search.classes);
  EXPECT_EQ(report.crash->hidden_dependence, "");
  for (const ExploreFinding& finding : report.findings) {
    signatures.insert(finding.recording.signature);
    EXPECT_TRUE(finding.recording.cut.has_value());
  }
  return signatures;
}

TEST(Crash, PromisesAreKeptByEveryPersona) {
  for (const char* persona : {"generic", "ext4", "btrfs", "xfs"}) {
    for (const char* cache : {"0", "1"}) {
      Overrides overrides;
      overrides.persona = persona;
      overrides.settings = {{"volatile_cache", cache}};
      EXPECT_TRUE(
          signatures_of(configure(load_scenario("fsync-power-cut"), std::move(overrides))).empty())
          << persona << cache;
    }
  }
}

TEST(Crash, ACacheThatIsNotFlushedBreaksThePromise) {
  const auto configuration = configure(load_scenario("fsync-nobarrier"), {});
  const std::string call = "lost-after-power-cut:vfs_fsync_range<fsync:";
  EXPECT_EQ(
      signatures_of(configuration),
      (std::set<std::string>{call + "block map", call + "device cache", call + "size on disk"}));
  // With nothing lost from the cache the log is: its blocks are in there too.
  EXPECT_EQ(signatures_of(configuration, {.lost = 0, .torn = 0}),
            (std::set<std::string>{call + "block map", call + "size on disk"}));
}

const std::set<std::string> kStaleBlock = {"lost-after-power-cut:power cut:stale block"};

// The commit that has a larger size writes the zeros at the old end first, or does not.
TEST(Crash, OrderedDataCoversWhatIsBehindTheEndOfTheFile) {
  const auto configuration = [](const char* ordered) {
    Overrides overrides;
    overrides.settings = {{"data_ordered", ordered}};
    return configure(load_scenario("ext4-stale-tail-power-cut"), std::move(overrides));
  };
  EXPECT_EQ(signatures_of(configuration("0")), kStaleBlock);
  EXPECT_TRUE(signatures_of(configuration("1")).empty());
}

TEST(Crash, WhatNobodySyncedMayBeLost) {
  std::string text = kTwoFiles;
  text.replace(text.find("    - fsync(fd) = 0\n"), 20, "");
  text.replace(text.find("    - fdatasync(fd) = 0\n"), 24, "");
  EXPECT_TRUE(signatures_of(configured(text)).empty());
}

constexpr char kTruncates[] = R"(title: a truncate, and the file grows over what it took
kernel: 6.12.95
persona: xfs
geometry: {hpage_pages: 4}
files:
  f: {size: 8K, content: pattern(7)}
tasks:
  one:
    - fd = open("f", O_RDWR)
    - ftruncate(fd, 2K) = 0
    - ftruncate(fd, 8K) = 0
expect: {verdict: clean}
)";

// XFS writes the zeros of the block at the new end before it logs the size; ext2 does not care.
TEST(Crash, WhatATruncateTookMustNotShowAgain) {
  EXPECT_TRUE(signatures_of(configured(kTruncates)).empty());
  std::string text = kTruncates;
  text.replace(text.find("xfs"), 3, "generic");
  EXPECT_EQ(signatures_of(configured(text)), kStaleBlock);
}

// The same on ext4, where a sync of another file commits both sizes.
TEST(Crash, WhatATruncateTookComesBackWithoutOrderedData) {
  std::string text = kTruncates;
  text.replace(text.find("xfs"), 3, "ext4");
  text.replace(text.find("tasks:"), 0, "  g: {size: 4K, content: pattern(8)}\n");
  text.replace(text.find("expect:"), 0,
               "    - gd = open(\"g\", O_RDWR)\n    - pwrite(gd, pattern(9), 4K, 4K)\n"
               "    - fsync(gd) = 0\n");
  EXPECT_TRUE(signatures_of(configured(text)).empty());
  text.replace(text.find("hpage_pages: 4"), 14, "hpage_pages: 4, data_ordered: 0");
  EXPECT_EQ(signatures_of(configured(text)), kStaleBlock);
}

// The promise of a sync is about the zeros too, and about the size.
TEST(Crash, ASyncPromisesATruncate) {
  std::string text = kTruncates;
  text.replace(text.find("    - ftruncate(fd, 8K) = 0\n"), 28, "    - fsync(fd) = 0\n");
  EXPECT_TRUE(signatures_of(configured(text)).empty());
  const auto configuration = configured(text);
  class NeverForced : public CrashLog {
    void metadata_committed(std::uint64_t) override {}
  } log;
  ScenarioWorld world(0, configuration, &log);
  const auto strategy = make_keep_running();
  EXPECT_TRUE(log.run(world.world(), *strategy, {}).clean());
  const CrashOracle oracle(log, configuration->geometry);
  const EventSet all = oracle.prefix(log.steps());
  std::set<std::string> broken;
  oracle.for_each_cut(all, kBudget, [&](const PowerCut& cut) {
    if (const auto promise = oracle.judge(all, cut)) {
      broken.insert(std::to_string(promise->first) + " " + promise->where);
    }
    return true;
  });
  EXPECT_EQ(broken, std::set<std::string>{"4096 block"});
}

TEST(Crash, AWriteWithDsyncPromisesItself) {
  std::string text = kTwoFiles;
  text.replace(text.find("    - fsync(fd) = 0\n"), 20, "");
  text.replace(text.find("    - fdatasync(fd) = 0\n"), 24, "");
  text.replace(text.find("O_RDWR"), 6, "O_RDWR|O_DSYNC");
  EXPECT_TRUE(signatures_of(configured(text)).empty());
  const auto found = signatures_of(configured(text, {{"barriers", "0"}}), {.lost = 1, .torn = 0});
  EXPECT_EQ(found.size(), 3u);
  for (const std::string& signature : found) {
    EXPECT_NE(signature.find("<pwrite:"), std::string::npos) << signature;
  }
}

// The log of a filesystem that breaks its promises, in one way or another.
class BrokenLog : public CrashLog {
 public:
  bool forces_log = true;
  bool writes_before_sync = true;
  bool spoils_block = false;

  void metadata_committed(std::uint64_t logged) override {
    if (forces_log) CrashLog::metadata_committed(logged);
  }
  void disk_wrote(std::uint64_t block, const unsigned char* bytes) override {
    if (writes_before_sync) CrashLog::disk_wrote(block, bytes);
    if (!spoils_block) return;
    static const unsigned char kZeros[4096] = {};
    CrashLog::disk_wrote(0, kZeros);
  }
};

// On btrfs, where neither task's promise comes before the other's: of two the first is named.
std::set<std::string> broken_by(void (*breaks)(BrokenLog&)) {
  std::string text = kTwoFiles;
  text.replace(text.find("ext4"), 4, "btrfs");
  const auto configuration = configured(text, {{"volatile_cache", "0"}});
  BrokenLog log;
  breaks(log);
  ScenarioWorld world(0, configuration, &log);
  const auto strategy = make_keep_running();
  EXPECT_TRUE(log.run(world.world(), *strategy, {}).clean());
  const CrashOracle oracle(log, configuration->geometry);
  std::set<std::string> broken;
  for_each_crash_state(
      oracle.order(), {}, [&](const EventSet& set) { return oracle.key(set); },
      [&](const EventSet& set) {
        oracle.for_each_cut(set, kBudget, [&](const PowerCut& cut) {
          if (const auto promise = oracle.judge(set, cut)) {
            broken.insert((promise->promise == BrokenPromise::kStart
                               ? "start"
                               : log.promises()[promise->promise].name) +
                          " " + log.files()[promise->file].name + " " + promise->where);
          }
          return true;
        });
        return true;
      });
  return broken;
}

TEST(Crash, FilesystemsThatBreakTheirPromisesAreFound) {
  using Broken = std::set<std::string>;
  EXPECT_EQ(broken_by([](BrokenLog&) {}), Broken{});
  EXPECT_EQ(broken_by([](BrokenLog& log) { log.forces_log = false; }),
            Broken{"one:fsync#1 f size on disk"});
  EXPECT_EQ(broken_by([](BrokenLog& log) { log.writes_before_sync = false; }),
            (Broken{"one:fsync#1 f block", "start f size beyond data", "two:fdatasync#1 g block"}));
  EXPECT_EQ(broken_by([](BrokenLog& log) { log.spoils_block = true; }),
            (Broken{"one:fsync#1 f block", "start f block"}));
}

// What is counted and found is of the orders, whoever met them and in which run.
TEST(Crash, AnyNumberOfWorkersReportsTheSame) {
  ExploreOptions options;
  options.preemptions_max = 1;
  options.keep_going = true;
  options.crash = true;
  options.crash_budget.sets_max = 3;  // spent by every order: which moments come first counts
  const auto explored = [&](unsigned jobs) {
    options.jobs = jobs;
    return explore(configure(load_scenario("fsync-nobarrier"), {}), options);
  };
  const ExploreReport one = explored(1);
  const ExploreReport three = explored(3);
  EXPECT_FALSE(one.crash->complete);
  EXPECT_EQ(one.crash->orders, one.search.classes);
  EXPECT_GT(one.crash->orders, 1u);
  EXPECT_EQ(one.crash->hidden_dependence, "");
  EXPECT_EQ(three.crash->orders, one.crash->orders);
  EXPECT_EQ(three.crash->sets, one.crash->sets);
  EXPECT_EQ(three.crash->cuts, one.crash->cuts);
  EXPECT_EQ(three.crash->states, one.crash->states);
  ASSERT_FALSE(one.findings.empty());
  ASSERT_EQ(three.findings.size(), one.findings.size());
  for (std::size_t i = 0; i < one.findings.size(); ++i) {
    EXPECT_EQ(three.findings[i].recording, one.findings[i].recording);
    EXPECT_EQ(three.findings[i].count, one.findings[i].count);
  }
}

TEST(Crash, ASearchWithCutsCannotBeResumed) {
  ExploreOptions options;
  options.crash = true;
  options.resume = "state";
  EXPECT_THROW(explore(configured(kTwoFiles), options), UserError);
}

TEST(Crash, ARecordedCutIsReplayedExactlyAndByItsLandmarks) {
  ExploreOptions options;
  options.crash = true;
  const ExploreReport report = explore(configure(load_scenario("fsync-nobarrier"), {}), options);
  ASSERT_FALSE(report.findings.empty());
  for (const ExploreFinding& finding : report.findings) {
    const Recording recording = decode(encode(finding.recording), "test");
    EXPECT_EQ(recording, finding.recording);
    const ReplayResult exact = replay(recording);
    EXPECT_TRUE(exact.exact);
    EXPECT_TRUE(exact.same_verdict);
    const ReplayResult loose = replay(recording, true);
    EXPECT_TRUE(loose.missed.empty());
    EXPECT_TRUE(loose.same_verdict);
    Recording nowhere = recording;
    nowhere.cut->writes = 99;
    EXPECT_EQ(replay(nowhere, true).missed.back(), "the moment of the power cut");
    EXPECT_THROW(minimize_recording(recording, {}), UserError);
  }
}

}  // namespace
}  // namespace interleaf
