// SPDX-License-Identifier: GPL-2.0-only
// A DPOR search that is stopped again and again and resumed from its file comes to the same result;
// a file that is damaged or of another search is refused.
#include "scheduler/search/dpor_checkpoint.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "scheduler/prng.h"
#include "tests/litmus/buffers.h"
#include "tests/litmus/classics.h"
#include "tests/litmus/counters.h"
#include "tests/litmus/dpor_outcome.h"
#include "tests/litmus/locks.h"
#include "tests/litmus/random_programs.h"
#include "tests/litmus/stack.h"
#include "tests/litmus/statements.h"

namespace interleaf {
namespace {

namespace fs = std::filesystem;

class DporCheckpoint : public testing::Test {
 protected:
  DporCheckpoint() {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    path_ = fs::temp_directory_path() /
            ("interleaf-" + std::to_string(getpid()) + "-" + test->name() + ".search");
    fs::remove(path_);
  }
  ~DporCheckpoint() override { fs::remove(path_); }

  DporOptions options() const {
    DporOptions options;
    options.sample_max = 8;
    options.checkpoint = path_.string();
    options.identity = {{"scenario", "litmus"}};
    return options;
  }

  // Stops after up to `runs_each` runs and resumes, with 1 to `jobs_max` workers, until it is done.
  Outcome in_pieces(const LitmusProgram& program, Prng& prng, std::uint64_t runs_each,
                    unsigned jobs_max) {
    DporOptions some = options();
    std::set<Hash128> classes;
    for (;;) {
      some.runs_max += 1 + prng.below(static_cast<std::uint32_t>(runs_each));
      some.jobs = 1 + prng.below(jobs_max);
      Outcome part = explore(program, some);
      classes.merge(part.classes);
      EXPECT_EQ(fs::exists(path_), part.result.out_of_budget);
      if (part.result.out_of_budget) {
        ++resumed_;
        continue;
      }
      part.classes = classes;
      return part;
    }
  }

  void expect_same_in_pieces(const LitmusProgram& program, Prng& prng, std::uint64_t runs_each,
                             unsigned jobs_max) {
    SCOPED_TRACE(program.name);
    DporOptions plain = options();
    plain.checkpoint.clear();
    const Outcome whole = explore(program, plain);
    const Outcome pieces = in_pieces(program, prng, runs_each, jobs_max);
    expect_equal(whole, pieces);
    EXPECT_EQ(whole.result.sample.size(), pieces.result.sample.size());
    EXPECT_EQ(whole.result.cut, pieces.result.cut);
    findings_ += whole.result.findings.size();
  }

  std::string contents() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void write(const std::string& bytes) const {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << bytes;
  }
  std::string leave_a_file() const {
    DporOptions some = options();
    some.runs_max = 20;
    explore(program_, some);
    return contents();
  }
  std::string error_of(const LitmusProgram& program, const DporOptions& with) const {
    try {
      explore(program, with);
    } catch (const CheckpointError& error) {
      return error.what();
    }
    return "";
  }

  fs::path path_;
  unsigned resumed_ = 0;
  std::size_t findings_ = 0;
  // With data choices, and steps that wait.
  LitmusProgram program_ = statements_program({"l0 w0 u0 ?3 w1", "l0 r0 u0 r1", "i1 ?2 i0"});
};

TEST_F(DporCheckpoint, OneWorkerResumesToTheResultOfAnUninterruptedSearch) {
  Prng prng(1);
  for (const std::uint64_t each : {1u, 7u}) expect_same_in_pieces(program_, prng, each, 1);
  for (const LitmusProgram& program :
       {cnt(2, 4), lockcnt(2, 6), readers(8), bbuf2(), treiber_stack_aba()}) {
    expect_same_in_pieces(program, prng, 60, 1);
  }
  EXPECT_GT(resumed_, 100u);
  EXPECT_GT(findings_, 0u);
}

TEST_F(DporCheckpoint, AnyNumbersOfWorkersResumeOneAnother) {
  Prng prng(2);
  for (const LitmusProgram& program :
       {cnt(3, 2), lockcnt(2, 6), readers(8), bbuf2(), treiber_stack_aba(), program_}) {
    expect_same_in_pieces(program, prng, 40, 5);
  }
  EXPECT_GT(resumed_, 10u);
  EXPECT_GT(findings_, 0u);
}

TEST_F(DporCheckpoint, RandomProgramsOfEveryKindAreResumed) {
  Prng prng(3);
  for (const std::string& kind : random_program_kinds()) {
    for (std::uint64_t seed = 0; seed < 6; ++seed) {
      const LitmusProgram program = statements_program(random_program(kind, seed));
      SCOPED_TRACE(kind + ", seed " + std::to_string(seed));
      expect_same_in_pieces(program, prng, 20, 1 + seed % 3);
    }
  }
  EXPECT_GT(resumed_, 100u);
}

TEST_F(DporCheckpoint, MayBeWrittenAfterEveryRun) {
  DporOptions plain = options();
  plain.checkpoint.clear();
  const Outcome whole = explore(program_, plain);
  for (const unsigned jobs : {1u, 3u}) {
    DporOptions often = options();
    often.jobs = jobs;
    often.checkpoint_seconds = 0;
    expect_equal(whole, explore(program_, often));
    EXPECT_FALSE(fs::exists(path_));
  }
}

// What was counted after the file was written is done again: nothing counts twice.
TEST_F(DporCheckpoint, AnOldFileLosesWhatCameAfterItAndNothingElse) {
  const std::string old = leave_a_file();
  DporOptions more = options();
  more.runs_max = 60;
  explore(program_, more);
  ASSERT_NE(contents(), old);
  write(old);
  DporOptions plain = options();
  plain.checkpoint.clear();
  const Outcome whole = explore(program_, plain);
  const Outcome rest = explore(program_, options());
  EXPECT_EQ(rest.result.classes, whole.result.classes);
  EXPECT_TRUE(rest.result.complete);
  EXPECT_LT(rest.classes.size(), whole.classes.size());
}

TEST_F(DporCheckpoint, IsRefusedWhenItIsDamaged) {
  const std::string good = leave_a_file();
  ASSERT_GT(good.size(), 400u);
  for (std::size_t size = 0; size < good.size(); size += 1 + size / 16) {
    write(good.substr(0, size));
    ASSERT_NE(error_of(program_, options()), "") << "cut to " << size;
  }
  write(good + "x");
  EXPECT_NE(error_of(program_, options()), "");
  for (std::size_t at = 0; at < good.size(); at += 1 + at / 16) {
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ 0x40);
    write(bad);
    ASSERT_NE(error_of(program_, options()), "") << "byte " << at;
  }
  write(good);
  EXPECT_EQ(error_of(program_, options()), "");
}

TEST_F(DporCheckpoint, IsRefusedWhenItIsOfAnotherSearch) {
  leave_a_file();
  DporOptions other = options();
  other.identity[0].second = "numbers";
  EXPECT_NE(error_of(program_, other).find("scenario was 'litmus' and is 'numbers'"),
            std::string::npos);
  other = options();
  other.run.steps_max = 99;
  EXPECT_NE(error_of(program_, other).find("steps was '1000000' and is '99'"), std::string::npos);
  // The same in all that has a name: another build, say.
  EXPECT_NE(error_of(cnt(2, 2), options()).find("digest of a first run was "), std::string::npos);
}

TEST_F(DporCheckpoint, SaysThatItCannotBeWritten) {
  DporOptions nowhere = options();
  nowhere.checkpoint = "/nonexistent/file";
  nowhere.runs_max = 10;
  EXPECT_NE(error_of(program_, nowhere).find("/nonexistent/file"), std::string::npos);
  nowhere.checkpoint = fs::temp_directory_path().string();
  EXPECT_NE(error_of(program_, nowhere), "");
}

}  // namespace
}  // namespace interleaf
