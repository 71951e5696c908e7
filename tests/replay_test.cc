// SPDX-License-Identifier: GPL-2.0-only
#include "engine/replay.h"

#include <gtest/gtest.h>

#include "engine/user_error.h"

namespace interleaf {
namespace {

Recording recorded(const std::string& scenario, std::uint64_t seed) {
  const auto configuration = configure(load_scenario(scenario), {});
  ScenarioWorld world(0, configuration);
  const auto random = make_random();
  const TracedRun run = run_traced(world, *random, seed);
  Origin origin;
  origin.strategy = "random";
  origin.seed = seed;
  return make_recording(*configuration, run, origin);
}

TEST(Replay, GivesTheSameBytesForAnyRandomSchedule) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const Recording original = recorded("thp-write-open", seed);
    const ReplayResult again = replay(decode(encode(original), "test"));
    ASSERT_TRUE(again.exact) << again.divergence;
    Origin origin;
    origin.strategy = "random";
    origin.seed = seed;
    EXPECT_TRUE(make_recording(*again.configuration, again.run, origin) == original);
  }
}

TEST(Replay, StopsWhereDigestDiffers) {
  Recording recording = recorded("thp-write-open", 1);
  ASSERT_GT(recording.checkpoints.size(), 3u);
  recording.checkpoints[3].digest ^= 1;
  const ReplayResult result = replay(recording);
  EXPECT_FALSE(result.exact);
  EXPECT_EQ(result.divergence.find("between steps 5 and 8"), 0u) << result.divergence;
}

TEST(Replay, SaysWhenAChoiceIsNotPossible) {
  Recording recording = recorded("thp-write-open", 1);
  recording.choices[0] = 30;
  const ReplayResult result = replay(recording);
  EXPECT_FALSE(result.exact);
  EXPECT_FALSE(result.divergence.empty());
}

TEST(Replay, FallsBackToLandmarksWithTheSameVerdict) {
  unsigned same = 0;
  unsigned runs = 0;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const Recording recording = recorded("thp-write-open", seed);
    const ReplayResult result = replay(recording, true);
    ++runs;
    if (result.same_verdict) ++same;
  }
  EXPECT_EQ(same, runs);
}

TEST(Replay, CannotJudgeAPatchItDoesNotKnow) {
  Recording recording = recorded("canary", 0);
  recording.patches_with.push_back("from-the-future");
  EXPECT_THROW(replay(recording), CannotJudge);
}

TEST(Replay, CannotJudgeADetectorItDoesNotKnow) {
  Recording recording = recorded("canary", 0);
  recording.detectors = {"crystal-ball"};
  EXPECT_THROW(replay(recording), CannotJudge);
}

TEST(Replay, SaysWhereTheScenarioOfARecordingIsWrong) {
  Recording recording = recorded("canary", 0);
  recording.scenario_text = "title: [";
  try {
    replay(recording);
    FAIL() << "nothing is wrong";
  } catch (const UserError& error) {
    EXPECT_EQ(dynamic_cast<const CannotJudge*>(&error), nullptr);
  }
}

TEST(Replay, LooksForWhatTheRecordingLookedFor) {
  const auto recorded_with = [](const std::vector<std::string>& detect) {
    Overrides overrides;
    overrides.detect = detect;
    const auto configuration = configure(load_scenario("control"), overrides);
    ScenarioWorld world(0, configuration);
    const auto random = make_random();
    return make_recording(*configuration, run_traced(world, *random, 0), {});
  };
  const Recording with = recorded_with({"data-race"});
  EXPECT_EQ(with.verdict, "data-race");
  EXPECT_TRUE(replay(decode(encode(with), "test")).exact);
  const Recording without = recorded_with({});
  EXPECT_EQ(without.verdict, "clean");
  EXPECT_TRUE(replay(decode(encode(without), "test")).exact);
}

}  // namespace
}  // namespace interleaf
