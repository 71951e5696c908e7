// SPDX-License-Identifier: GPL-2.0-only
// A search that is stopped again and again and resumed from its file comes to the same result; a
// file that is damaged or of another search is refused.
#include "scheduler/search/checkpoint.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/bounded_programs.h"

namespace interleaf {
namespace {

namespace fs = std::filesystem;

class Checkpoint : public testing::Test {
 protected:
  Checkpoint() {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    path_ = fs::temp_directory_path() /
            ("interleaf-" + std::to_string(getpid()) + "-" + test->name() + ".search");
    fs::remove(path_);
  }
  ~Checkpoint() override { fs::remove(path_); }

  BoundedOptions options(unsigned preemptions) const {
    BoundedOptions options;
    options.preemptions_max = preemptions;
    options.sample_max = 8;
    options.checkpoint = path_.string();
    options.identity = {{"scenario", "letters"}};
    return options;
  }
  // Leaves a file of a search of a few runs.
  std::string leave_a_file() const {
    BoundedOptions some = options(2);
    some.runs_max = 40;
    explore_bounded(worlds_of({"rwi!", "rwi", "lwu"}), some);
    return contents();
  }
  std::string contents() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void write(const std::string& bytes) const {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes;
  }
  std::string error_of(const BoundedOptions& with) const {
    try {
      explore_bounded(worlds_of({"rwi!", "rwi", "lwu"}), with);
    } catch (const CheckpointError& error) {
      return error.what();
    }
    return "";
  }

  fs::path path_;
};

TEST_F(Checkpoint, ResumesToTheResultOfAnUninterruptedSearch) {
  Prng prng(99);
  unsigned resumed = 0, with_findings = 0;
  for (unsigned i = 0; i < 40; ++i) {
    const Letters texts = random_letters(prng, 6);
    BoundedOptions plain = options(1 + i % 3);
    plain.stop_at_first = i % 4 == 0;
    plain.checkpoint.clear();
    const BoundedResult whole = explore_bounded(worlds_of(texts), plain);
    with_findings += !whole.findings.empty();
    BoundedOptions stopped = plain;
    stopped.checkpoint = path_.string();
    BoundedResult result;
    do {
      stopped.runs_max += 1 + prng.below(20);
      stopped.jobs = 1 + prng.below(3);
      result = explore_bounded(worlds_of(texts), stopped);
      resumed += result.out_of_budget;
      ASSERT_EQ(fs::exists(path_), result.out_of_budget);
    } while (result.out_of_budget);
    ASSERT_EQ(text_of(result), text_of(whole)) << texts[0] << " " << texts[1];
  }
  EXPECT_GT(resumed, 100u);
  EXPECT_GT(with_findings, 10u);
}

TEST_F(Checkpoint, ResumesInTheMiddleOfALevelInParts) {
  const Letters texts = {"rwrwr!", "iRWRWi", "RWRWRWRW"};
  BoundedOptions plain = options(2);
  plain.stop_at_first = true;
  plain.checkpoint.clear();
  plain.known = [](const std::string&) { return true; };  // so that all parts are gone through
  const BoundedResult whole = explore_bounded(worlds_of(texts), plain);
  BoundedOptions stopped = plain;
  stopped.checkpoint = path_.string();
  BoundedResult result;
  do {
    stopped.runs_max += 700;
    result = explore_bounded(worlds_of(texts), stopped);
  } while (result.out_of_budget);
  EXPECT_EQ(text_of(result), text_of(whole));
}

TEST_F(Checkpoint, MayBeWrittenAfterEveryRun) {
  const Letters texts = {"rwi!", "iwr", "Rri"};
  BoundedOptions plain = options(2);
  plain.checkpoint.clear();
  const std::string whole = text_of(explore_bounded(worlds_of(texts), plain));
  BoundedOptions often = options(2);
  often.checkpoint_seconds = 0;
  EXPECT_EQ(text_of(explore_bounded(worlds_of(texts), often)), whole);
}

TEST_F(Checkpoint, IsRefusedWhenItIsDamaged) {
  const std::string good = leave_a_file();
  ASSERT_GT(good.size(), 400u);
  for (std::size_t size = 0; size < good.size(); size += 1 + size / 64) {
    write(good.substr(0, size));
    ASSERT_NE(error_of(options(2)), "") << "cut to " << size;
  }
  write(good + "x");
  EXPECT_NE(error_of(options(2)), "");
  for (std::size_t at = 0; at < good.size(); at += 1 + at / 64) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x40);
    write(bad);
    ASSERT_NE(error_of(options(2)), "") << "byte " << at;
  }
  write(good);
  EXPECT_EQ(error_of(options(2)), "");
}

TEST_F(Checkpoint, IsRefusedWhenItIsOfAnotherSearch) {
  leave_a_file();
  EXPECT_NE(error_of(options(3)).find("preemptions was '2' and is '3'"), std::string::npos)
      << error_of(options(3));
  BoundedOptions other = options(2);
  other.identity[0].second = "numbers";
  EXPECT_NE(error_of(other).find("scenario was 'letters' and is 'numbers'"), std::string::npos);
  other = options(2);
  other.stop_at_first = true;
  EXPECT_NE(error_of(other), "");
}

TEST_F(Checkpoint, SaysThatItCannotBeWritten) {
  BoundedOptions nowhere = options(2);
  nowhere.checkpoint = "/nonexistent/file";
  nowhere.runs_max = 10;
  EXPECT_NE(error_of(nowhere).find("/nonexistent/file"), std::string::npos);
  nowhere.checkpoint = fs::temp_directory_path().string();
  EXPECT_NE(error_of(nowhere), "");
}

}  // namespace
}  // namespace interleaf
