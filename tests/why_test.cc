// SPDX-License-Identifier: GPL-2.0-only
// The cause of recorded findings: which two places of the port, in which order, and that nothing is
// said of a recording that does not replay.
#include "engine/why.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "engine/minimize.h"
#include "engine/replay.h"
#include "engine/user_error.h"

namespace interleaf {
namespace {

// A run of the scenario's own table, else of the keep-running policy.
Recording recorded(const std::string& scenario) {
  const auto configuration = configure(load_scenario(scenario), {});
  ScenarioWorld world(0, configuration);
  const auto straight = make_keep_running();
  const auto random = make_random();
  TracedRun run = run_traced(world, *straight, 0);
  for (std::uint64_t seed = 0; seed < 200 && run.result.clean(); ++seed) {
    run = run_traced(world, *random, seed);
  }
  return make_recording(*configuration, run, {"test", 0, ""});
}

WhyOptions quick() {
  WhyOptions options;
  options.tests = 1;
  options.search_runs = 2000;
  options.sample_runs = 20;
  return options;
}

TEST(Why, NamesThePurgeAndWhatItRacesWith) {
  const WhyReport report = explain_recording(recorded("thp-write-open"), quick());
  EXPECT_EQ(report.verdict, "lost-dirty-data");
  EXPECT_GT(report.waits, 0u);
  ASSERT_FALSE(report.chain.empty());
  // Had the opener come before the collapse looked for writers, there were no huge page and no
  // purge.
  const bool named =
      std::any_of(report.chain.begin(), report.chain.end(), [&](const WhyLink& link) {
        const Flip& flip = report.causes.flips[link.group.flips.front()];
        return flip.earlier.task_name == "collapser" && flip.later.task_name == "opener" &&
               flip.earlier.function == "inode_is_open_for_write" &&
               flip.later.function == "get_write_access" && flip.instead.empty();
      });
  EXPECT_TRUE(named) << why_text(report);
  for (const WhyLink& link : report.chain) {
    const Flip& flip = report.causes.flips[link.group.flips.front()];
    EXPECT_FALSE(flip.later.object_text.empty());
    if (flip.later.function != "get_write_access") continue;
    EXPECT_EQ(flip.later.object_text, "i_writecount of inode f");
    EXPECT_NE(flip.later.before, flip.later.after);
    EXPECT_NE(why_text(report).find("rmw of i_writecount of inode f: " + flip.later.before +
                                    " -> " + flip.later.after),
              std::string::npos);
  }
  EXPECT_TRUE(report.chain[0].tested);
  for (const WhyLink& link : report.chain) EXPECT_FALSE(link.group.flips.empty());
}

TEST(Why, PrintsTheSameBytesEveryTimeAndWithHelpers) {
  const Recording recording = recorded("thp-write-open");
  WhyOptions options = quick();
  options.tests = 2;
  const std::string text = why_text(explain_recording(recording, options));
  options.jobs = 2;
  EXPECT_EQ(why_text(explain_recording(recording, options)), text);
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    EXPECT_LE(line.size(), 100u) << line;
    EXPECT_FALSE(line.ends_with(' ')) << line;
  }
}

TEST(Why, KeepsTheWaitsIfAsked) {
  WhyOptions options = quick();
  options.keep_waits = true;
  const WhyReport report = explain_recording(recorded("thp-write-open"), options);
  EXPECT_EQ(report.waits, 0u);
  EXPECT_FALSE(report.waits_needed);
}

TEST(Why, RefusesWhatIsCleanOrDoesNotReplay) {
  EXPECT_THROW(explain_recording(recorded("control"), quick()), UserError);
  Recording recording = recorded("canary");
  recording.final_digest ^= 1;
  EXPECT_THROW(explain_recording(recording, quick()), CannotJudge);
}

}  // namespace
}  // namespace interleaf
