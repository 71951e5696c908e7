// SPDX-License-Identifier: GPL-2.0-only
// Goes over every recording in recordings/: it replays exactly, to the verdict it says, and its
// rendered table is the golden text beside it. GOLDEN_UPDATE=1 rewrites the texts.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "engine/replay.h"
#include "engine/report.h"
#include "tests/searched_scenarios.h"

namespace interleaf {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> recordings() {
  std::vector<std::string> paths;
  for (const auto& entry : fs::recursive_directory_iterator(INTERLEAF_SOURCE_DIR "/recordings")) {
    if (entry.path().extension() == ".rec") paths.push_back(entry.path().string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

class Recordings : public testing::TestWithParam<std::string> {};

TEST_P(Recordings, ReplayExactlyToTheirGoldenTable) {
  const Recording recording = load(GetParam());
  const ReplayResult result = replay(recording);
  EXPECT_TRUE(result.exact) << result.divergence;
  EXPECT_EQ(verdict_of(result.run.result), recording.verdict);
  EXPECT_EQ(signature_of(result.run.result), recording.signature);
  TableOptions options;
  options.full = !recording.minimality;
  const std::string text = cpu_table(*result.configuration, result.run, options) + "\n" +
                           consequence(result.run) + minimality_line(recording) + " digest " +
                           digest_text(result.run.result.digest) + "\n";
  const fs::path golden = fs::path(GetParam()).replace_extension(".txt");
  if (std::getenv("GOLDEN_UPDATE") != nullptr) {
    std::ofstream(golden) << text;
    return;
  }
  std::stringstream wanted;
  wanted << std::ifstream(golden).rdbuf();
  EXPECT_EQ(text, wanted.str()) << "GOLDEN_UPDATE=1 rewrites " << golden;
}

TEST_P(Recordings, ReplayByLandmarksToTheSameVerdict) {
  const Recording recording = load(GetParam());
  const ReplayResult result = replay(recording, true);
  EXPECT_TRUE(result.same_verdict) << verdict_of(result.run.result);
  EXPECT_EQ(result.missed, std::vector<std::string>());
}

// One of a power cut is as it was found, with the story of its scenario.
TEST_P(Recordings, AreSmall) {
  EXPECT_LT(fs::file_size(GetParam()), load(GetParam()).cut ? 1280u : 1024u);
}

INSTANTIATE_TEST_SUITE_P(All, Recordings, testing::ValuesIn(recordings()), [](const auto& each) {
  std::string name = fs::path(each.param).stem().string();
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '-' || c == '.'; }, '_');
  return name;
});

TEST(RecordingsDirectory, HasOneOfEveryScenarioThatLoses) {
  for (const std::string& name : searched_scenarios()) {
    const Scenario scenario = load_scenario(name);
    const std::string& verdict = scenario.expect.front().verdict;
    if (verdict == "clean" || verdict == "unknown") continue;
    EXPECT_TRUE(fs::exists(INTERLEAF_SOURCE_DIR "/recordings/" + name + ".rec")) << name;
  }
}

}  // namespace
}  // namespace interleaf
