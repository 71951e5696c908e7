// SPDX-License-Identifier: GPL-2.0-only
#include "engine/fuzz.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "engine/user_error.h"
#include "scheduler/strategies/learning.h"

namespace interleaf {
namespace {

std::shared_ptr<const Configuration> losing() {
  return configure(load_scenario("thp-write-open"), {});
}

// What a report says, but for time.
std::string summary(const FuzzReport& report) {
  std::string text = std::to_string(report.runs) + " runs";
  for (const FuzzFinding& finding : report.findings) {
    text += "; seed " + std::to_string(finding.seed) + " x" + std::to_string(finding.count) + " " +
            signature_of(finding.run.result) + " " + digest_text(finding.run.result.digest);
  }
  for (const auto& [signature, count] : report.ignored) {
    text += "; ignored " + signature + " x" + std::to_string(count);
  }
  for (const auto& [name, runs] : report.statistics.strategies) {
    text += "; " + name.substr(0, name.find(':')) + " " + std::to_string(runs.runs) + "/" +
            std::to_string(runs.found) + "/" + std::to_string(runs.orders.classes()) + "/" +
            std::to_string(runs.orders.seen_once()) + "/" + std::to_string(runs.orders.last_new());
  }
  text += "; " + std::to_string(report.statistics.handoffs) + " handoffs to " +
          std::to_string(report.statistics.handoff_last_new);
  return text;
}

TEST(Fuzz, FindsTheSameWhateverTheNumberOfJobs) {
  for (const bool keep_going : {false, true}) {
    FuzzOptions options;
    options.keep_going = keep_going;
    options.seed_last = 999;
    options.jobs = 1;
    const std::string one = summary(fuzz(losing(), options, nullptr));
    for (const unsigned jobs : {2u, 3u, 7u}) {
      options.jobs = jobs;
      EXPECT_EQ(summary(fuzz(losing(), options, nullptr)), one) << jobs << " jobs";
    }
  }
}

TEST(Fuzz, EveryStrategyGivesTheSameWhateverTheNumberOfJobs) {
  for (const char* strategy : {"pct", "pos", "delay", "urw", "surw", "surw:kind", "portfolio"}) {
    FuzzOptions options;
    options.strategy = strategy;
    options.keep_going = true;
    options.seed_last = 499;
    const std::string one = summary(fuzz(losing(), options, nullptr));
    options.jobs = 3;
    EXPECT_EQ(summary(fuzz(losing(), options, nullptr)), one) << strategy;
  }
}

TEST(Fuzz, CampaignsOfWhatLearnsGiveTheSameWhateverTheNumberOfJobs) {
  for (const char* strategy : {"rff", "feedback"}) {
    FuzzOptions options;
    options.strategy = strategy;
    options.keep_going = true;
    options.minimize = false;
    options.seed_first = 7;
    options.seed_last = 7 + kCampaignRuns + 200;
    const std::string one = summary(fuzz(losing(), options, nullptr));
    options.jobs = 2;
    EXPECT_EQ(summary(fuzz(losing(), options, nullptr)), one) << strategy;
  }
}

TEST(Fuzz, NamesTheSeedsThatBringARunBack) {
  FuzzOptions options;
  options.seed_first = 100;
  EXPECT_EQ(seeds_of_run(options, 130), "0x82");
  options.strategy = "rff";
  EXPECT_EQ(seeds_of_run(options, 100), "0x64");
  EXPECT_EQ(seeds_of_run(options, 130), "0x64..0x82");
  EXPECT_EQ(seeds_of_run(options, 100 + kCampaignRuns + 1), "0x1064..0x1065");
  options.strategy = "dfs";
  EXPECT_EQ(seeds_of_run(options, 100'000), "0x64..0x186a0");
}

TEST(Fuzz, StopsAtTheLowestSeedThatFinds) {
  FuzzOptions options;
  options.seed_last = 999;
  options.jobs = 2;
  const FuzzReport report = fuzz(losing(), options, nullptr);
  ASSERT_EQ(report.findings.size(), 1u);
  EXPECT_EQ(report.runs, report.findings.front().seed + 1);
  EXPECT_EQ(report.findings.front().count, 1u);
}

TEST(Fuzz, CountsNoRunBeyondTheFindingThatEndsIt) {
  FuzzOptions options;
  options.strategy = "random";
  options.seed_last = 9999;
  options.jobs = 4;
  const FuzzReport stopped = fuzz(losing(), options, nullptr);
  ASSERT_TRUE(stopped.stopped);
  options.seed_last = stopped.runs - 1;
  options.keep_going = true;
  options.jobs = 1;
  EXPECT_EQ(summary(stopped), summary(fuzz(losing(), options, nullptr)));
  EXPECT_EQ(stopped.statistics.strategies.at("random").runs, stopped.runs);
}

TEST(Fuzz, APortfolioRepeatsARunFromItsSeedAlone) {
  FuzzOptions options;
  options.keep_going = true;
  options.seed_first = 3'000;
  options.seed_last = 3'099;
  const FuzzReport all = fuzz(losing(), options, nullptr);
  ASSERT_FALSE(all.findings.empty());
  const FuzzFinding& found = all.findings.front();
  options.seed_first = options.seed_last = found.seed;
  const FuzzReport alone = fuzz(losing(), options, nullptr);
  ASSERT_EQ(alone.findings.size(), 1u);
  EXPECT_EQ(alone.findings.front().strategy, found.strategy);
  EXPECT_EQ(alone.findings.front().run.result.digest, found.run.result.digest);
  EXPECT_EQ(alone.findings.front().recording.strategy, "portfolio");
}

TEST(Fuzz, AttributesFindingsToTheStrategyThatMadeTheRun) {
  FuzzOptions options;
  options.keep_going = true;
  options.minimize = false;
  options.seed_last = 499;
  const FuzzReport report = fuzz(losing(), options, nullptr);
  std::uint64_t runs = 0, found = 0, counted = 0;
  for (const auto& [name, of_strategy] : report.statistics.strategies) {
    runs += of_strategy.runs;
    found += of_strategy.found;
    EXPECT_EQ(of_strategy.pct.has_value(), name == "pct");
    EXPECT_EQ(of_strategy.orders.runs(), of_strategy.runs);
  }
  for (const FuzzFinding& finding : report.findings) {
    std::uint64_t count = 0, lowest = ~std::uint64_t{0};
    for (const auto& [name, hits] : finding.by_strategy) {
      count += hits.count;
      lowest = std::min(lowest, hits.seed);
    }
    EXPECT_EQ(count, finding.count);
    EXPECT_EQ(lowest, finding.seed);
    EXPECT_EQ(finding.by_strategy.at(finding.strategy).seed, finding.seed);
    counted += count;
  }
  EXPECT_EQ(runs, 500u);
  EXPECT_EQ(found, counted);
}

TEST(Fuzz, WatchingChangesNoRun) {
  FuzzOptions options;
  options.keep_going = true;
  options.seed_last = 199;
  const FuzzReport watched = fuzz(losing(), options, nullptr);
  options.statistics = false;
  const FuzzReport bare = fuzz(losing(), options, nullptr);
  ASSERT_EQ(bare.findings.size(), watched.findings.size());
  for (std::size_t i = 0; i < bare.findings.size(); ++i) {
    EXPECT_EQ(bare.findings[i].count, watched.findings[i].count);
    EXPECT_EQ(bare.findings[i].run.result.digest, watched.findings[i].run.result.digest);
  }
  EXPECT_EQ(bare.statistics.watched, 0u);
  EXPECT_EQ(watched.statistics.watched, 200u);
}

TEST(Fuzz, ByTheClockMakesAllRunsUpToSomeSeed) {
  FuzzOptions options;
  options.keep_going = true;
  options.minimize = false;
  options.seed_first = 7;
  options.seed_last = ~std::uint64_t{0};
  options.seconds_max = 0.02;
  options.jobs = 3;
  const FuzzReport timed = fuzz(losing(), options, nullptr);
  EXPECT_TRUE(timed.out_of_time);
  ASSERT_GT(timed.runs, 0u);
  options.seconds_max = 0;
  options.seed_last = 7 + timed.runs - 1;
  options.jobs = 1;
  EXPECT_EQ(summary(fuzz(losing(), options, nullptr)), summary(timed));
}

TEST(Fuzz, RunsTheLastSeedThereIs) {
  FuzzOptions options;
  options.seed_last = ~std::uint64_t{0};
  options.seed_first = options.seed_last - 99;
  options.keep_going = true;
  EXPECT_EQ(fuzz(losing(), options, nullptr).runs, 100u);
}

TEST(Fuzz, PctHasNoBoundWhereARunWasLongerThanItAssumed) {
  PctRuns runs;
  runs.decisions_max = 100;
  runs.decisions_assumed_min = runs.decisions_assumed_max = 100;
  EXPECT_TRUE(runs.bound_holds());
  runs.decisions_max = 101;
  EXPECT_FALSE(runs.bound_holds());
  runs.decisions_max = 100;
  runs.bent = 1;
  EXPECT_FALSE(runs.bound_holds());
}

TEST(Fuzz, DoesNotCountWhatIsIgnored) {
  FuzzOptions options;
  options.seed_last = 99;
  options.ignore = {""};  // everything
  const FuzzReport report = fuzz(losing(), options, nullptr);
  EXPECT_TRUE(report.findings.empty());
  EXPECT_FALSE(report.ignored.empty());
  EXPECT_EQ(report.runs, 100u);
}

TEST(Fuzz, MinimisedRunsHaveTheSameSignatureAndNoMorePreemptions) {
  FuzzOptions options;
  options.keep_going = true;
  options.seed_last = 299;
  options.minimize = false;
  const FuzzReport as_found = fuzz(losing(), options, nullptr);
  options.minimize = true;
  const FuzzReport minimised = fuzz(losing(), options, nullptr);
  ASSERT_EQ(minimised.findings.size(), as_found.findings.size());
  for (std::size_t i = 0; i < minimised.findings.size(); ++i) {
    const RunResult& small = minimised.findings[i].run.result;
    const RunResult& large = as_found.findings[i].run.result;
    EXPECT_EQ(signature_of(small), signature_of(large));
    EXPECT_LE(small.preemptions, large.preemptions);
  }
}

TEST(Fuzz, SaysWhenTheWindowWasNeverReached) {
  Scenario scenario = load_scenario("thp-write-open-mitigated");
  scenario.window = {{"", "collapse_file", 1}};
  FuzzOptions options;
  options.seed_last = 99;
  const FuzzReport report = fuzz(configure(scenario, {}), options, nullptr);
  EXPECT_FALSE(report.window_reached);
  EXPECT_EQ(report.window_missed, std::vector<std::string>{"collapse_file"});
}

// One task that does little, beside the machine's own.
std::shared_ptr<const Configuration> small() {
  return configure(parse_scenario("title: small\nkernel: 6.12.95\npersona: ext4\n"
                                  "files:\n  f: {size: 4K}\n"
                                  "tasks:\n  one:\n    - fd = open(\"f\", O_RDONLY)\n"
                                  "expect: {verdict: clean}\n",
                                  "small"),
                   {});
}

TEST(Fuzz, DepthFirstSaysWhenThereIsNoOtherSchedule) {
  FuzzOptions options;
  options.strategy = "dfs";
  options.seed_first = 5;
  options.seed_last = ~std::uint64_t{0};
  options.jobs = 3;
  const FuzzReport all = fuzz(small(), options, nullptr);
  EXPECT_TRUE(all.exhausted);
  EXPECT_GT(all.runs, 1u);
  options.seed_last = 5 + all.runs - 2;
  const FuzzReport less = fuzz(small(), options, nullptr);
  EXPECT_FALSE(less.exhausted);
  EXPECT_EQ(less.runs, all.runs - 1);
  options.seed_last += 1;
  EXPECT_TRUE(fuzz(small(), options, nullptr).exhausted);
}

TEST(Fuzz, RefusesAnUnknownStrategy) {
  FuzzOptions options;
  for (const char* name :
       {"rndom", "", "random:1", "pct:0", "pct:33", "pct:x", "pct:3:", "pct:3:4:5", "delay:-1",
        "surw:folio", "surw:kind:2", "pct:3:1000001", "pct:99999999999"}) {
    options.strategy = name;
    EXPECT_THROW(fuzz(losing(), options, nullptr), UserError) << name;
  }
}

// Its changes are spread over what runs of this scenario were seen to have, so that its bound
// holds.
TEST(Fuzz, PctLearnsTheNumberOfDecisions) {
  FuzzOptions options;
  options.strategy = "pct:2";
  options.seed_last = 499;
  options.keep_going = true;
  const FuzzReport report = fuzz(losing(), options, nullptr);
  const PctRuns& runs = *report.statistics.strategies.at("pct:2").pct;
  EXPECT_LE(runs.decisions_max, runs.k());
  EXPECT_LT(runs.k(), 2 * runs.decisions_max);
  EXPECT_EQ(runs.decisions_assumed_min, runs.k());
  // No seed has a part in it.
  options.seed_first = 100;
  options.jobs = 3;
  EXPECT_EQ(fuzz(losing(), options, nullptr).statistics.strategies.at("pct:2").pct->k(), runs.k());
  options.strategy = "pct:2:50";
  EXPECT_EQ(fuzz(losing(), options, nullptr).statistics.strategies.at("pct:2:50").pct->k(), 50u);
}

TEST(Fuzz, TakesParametersOfStrategies) {
  FuzzOptions options;
  options.keep_going = true;
  options.minimize = false;
  options.seed_last = 299;
  const auto with = [&](const char* strategy) {
    options.strategy = strategy;
    return summary(fuzz(losing(), options, nullptr));
  };
  EXPECT_EQ(with("delay:3"), with("delay:3:1000"));
  EXPECT_NE(with("pct:3"), with("pct:3:50"));
  EXPECT_NE(with("delay:1"), with("delay:5"));
  EXPECT_NE(with("surw"), with("surw:kind"));
}

}  // namespace
}  // namespace interleaf
