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

}  // namespace
}  // namespace interleaf
