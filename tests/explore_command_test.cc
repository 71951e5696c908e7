// SPDX-License-Identifier: GPL-2.0-only
// `interleaf explore` as a user meets it: jobs, budgets, kills, resume files.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "scheduler/prng.h"

namespace interleaf {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct Output {
  int status = -1;  // minus the signal if one ended it
  std::string out;
  std::string err;
};

std::string contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

class ExploreCommand : public testing::Test {
 protected:
  ExploreCommand() {
    std::string pattern = (fs::temp_directory_path() / "interleaf-test-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
  }
  ~ExploreCommand() override { fs::remove_all(directory_); }

  // Runs `BEFORE interleaf explore ARGUMENTS` in a directory of its own.
  Output explore(const std::string& arguments, const std::string& before = "exec") const {
    const std::string command = "cd " + directory_.string() + " && " + before + " " +
                                INTERLEAF_PROGRAM + " explore " + arguments +
                                " >out.txt 2>err.txt </dev/null";
    const int status = std::system(command.c_str());
    Output output;
    output.status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    output.out = contents(directory_ / "out.txt");
    output.err = contents(directory_ / "err.txt");
    return output;
  }
  bool has_state() const { return fs::exists(directory_ / "state"); }
  static std::string limited(const char* signal, unsigned milliseconds) {
    return std::string("timeout --foreground --preserve-status -s ") + signal + " 0." +
           std::to_string(1000 + milliseconds).substr(1);
  }

  fs::path directory_;
};

constexpr char kClean[] = "control --preemptions 0 ";
constexpr char kFinding[] = "canary --preemptions 0 --keep-going ";

TEST_F(ExploreCommand, PrintsTheSameBytesForAnyNumberOfJobs) {
  for (const std::string search : {kClean, kFinding, "canary --preemptions 2 "}) {
    const Output one = explore(search + "-j 1");
    EXPECT_TRUE(one.status == 0 || one.status == 1) << one.err;
    EXPECT_EQ(explore(search + "--jobs 3").out, one.out);
    EXPECT_EQ(explore(search + "-j 2 --no-snapshots").out, one.out);
  }
}

// Two opens, small enough to be exhausted either way.
constexpr char kSmall[] =
    "title: Small\nkernel: 6.12.95\npersona: ext4\ngeometry: {hpage_pages: 4}\n"
    "files:\n  f: {size: 4K, content: pattern(1)}\n"
    "tasks:\n  a:\n    - fd = open(\"f\", O_RDWR)\n"
    "  b:\n    - fd = open(\"f\", O_RDWR)\n    - close(fd)\n"
    "expect: {verdict: clean}\n";

TEST_F(ExploreCommand, FindsTheSameOrdersBoundedAndUnbounded) {
  std::ofstream(directory_ / "small.yaml") << kSmall;
  const Output unbounded = explore("small.yaml --unbounded --json");
  EXPECT_EQ(unbounded.status, 0) << unbounded.err;
  const Json all = Json::parse(unbounded.out);
  EXPECT_EQ(all["complete"], true);
  EXPECT_EQ(all["bound"], nullptr);
  EXPECT_GT(all["orders"], 1);
  const Json bounded = Json::parse(explore("small.yaml --preemptions 1000 --json").out);
  EXPECT_EQ(bounded["complete"], true);
  EXPECT_EQ(bounded["orders"], all["orders"]);
  EXPECT_NE(explore("small.yaml --unbounded").out.find("\nno finding in any order: "),
            std::string::npos);
}

TEST_F(ExploreCommand, UnboundedPrintsTheSameBytesForAnyNumberOfJobs) {
  std::ofstream(directory_ / "small.yaml") << kSmall;
  EXPECT_EQ(explore("small.yaml --unbounded -j 1").out, explore("small.yaml --unbounded -j 3").out);
}

// Objects that a step is the first to touch have another number in each branch: told by it,
// sleeping tasks were woken whose orders were run already.
TEST_F(ExploreCommand, UnboundedRunsAnOrderOnceThoughItsNumbersDiffer) {
  std::string text = kSmall;
  text.replace(text.find("close(fd)"), 9, "pread(fd, 4K, 0)");
  std::ofstream(directory_ / "read.yaml") << text;
  for (const char* jobs : {"1", "3"}) {
    const Output output = explore(std::string("read.yaml --unbounded --json -j ") + jobs);
    EXPECT_EQ(Json::parse(output.out)["orders"], 222) << output.err;
  }
}

// Without the check that nobody blocks in what comes before (Segment::at_choice) 16 orders were
// lost here, and in no litmus program.
TEST_F(ExploreCommand, LeavesOutNoOrderThatTheSearchWithoutReductionHas) {
  const std::string search = "thp-small-deadlock --preemptions 1 --keep-going --json";
  const Json reduced = Json::parse(explore(search).out);
  const Json whole = Json::parse(explore(search + " --verify-cache").out);
  EXPECT_EQ(reduced["orders"], whole["orders"]);
  EXPECT_EQ(reduced["findings"], whole["findings"]);
  EXPECT_LT(reduced["runs"], whole["runs"]);
}

TEST_F(ExploreCommand, UnboundedSaysWhenItIsNotComplete) {
  const Output stopped = explore("control --unbounded --runs 500");
  EXPECT_EQ(stopped.status, 125);
  EXPECT_NE(stopped.out.find("stopped, out of runs\n"), std::string::npos) << stopped.out;
  EXPECT_NE(stopped.out.find(", not complete\n"), std::string::npos);
  EXPECT_EQ(explore("canary --unbounded --runs 500").status, 1);
  for (const char* no : {"--preemptions 1", "--memory 1G", "--verify-cache"}) {
    EXPECT_EQ(explore(std::string("control --unbounded ") + no).status, 129) << no;
  }
}

TEST_F(ExploreCommand, StatesWhatWasCheckedInALine) {
  const Output clean = explore(kClean);
  EXPECT_EQ(clean.status, 0);
  EXPECT_NE(clean.out.find("\nno finding with at most 0 preemptions: 384 orders, 2 tasks, "
                           "kernel 6.12.95, geometry 4k/4, complete\n"),
            std::string::npos)
      << clean.out;
}

TEST_F(ExploreCommand, SaysHowFarItCameWhenABudgetIsSpent) {
  const Output runs = explore("control --preemptions 1 --runs 60000 -j 2");
  EXPECT_EQ(runs.status, 125);
  EXPECT_NE(runs.out.find("at level 1, out of runs; complete up to 0 preemptions\n"),
            std::string::npos)
      << runs.out;
  EXPECT_NE(runs.out.find(" orders with at most 1 preemption\nif the rest is like that\n"),
            std::string::npos)
      << runs.out;
  EXPECT_NE(runs.out.find(", not complete\n"), std::string::npos);
  const Output memory = explore("control --preemptions 3 --memory 1M --json");
  EXPECT_EQ(memory.status, 125);
  EXPECT_EQ(Json::parse(memory.out)["out_of_budget"], "memory");
  EXPECT_EQ(Json::parse(memory.out)["complete"], false);
  // What was found counts all the same.
  EXPECT_EQ(explore(std::string(kFinding) + "--runs 30").status, 1);
}

TEST_F(ExploreCommand, CountsRunsThatTheStepLimitCut) {
  std::string text = contents(fs::path(INTERLEAF_SOURCE_DIR) / "scenarios/control.yaml");
  text += "\nsteps_max: 150\n";
  std::ofstream(directory_ / "short.yaml") << text;
  const Output cut = explore("./short.yaml --preemptions 0 --ignore livelock");
  EXPECT_EQ(cut.status, 125) << cut.out << cut.err;
  EXPECT_NE(cut.out.find(" runs cut in a loop by the step limit: not complete\n"),
            std::string::npos)
      << cut.out;
  EXPECT_EQ(cut.out.find(", complete"), std::string::npos);
}

// A lookup meets a folio whose references are frozen, and again, before the owner goes on.
TEST_F(ExploreCommand, SaysWhichLoopsWereCut) {
  std::string text = kSmall;
  text.replace(text.find("close(fd)"), 9,
               "pread(fd, 4K, 0)\n    - fadvise(fd, 0, 4K, POSIX_FADV_DONTNEED)");
  text.insert(text.find("  b:"), "    - pread(fd, 4K, 0)\n");
  std::ofstream(directory_ / "frozen.yaml") << text;
  const std::string search = "frozen.yaml --preemptions 1 ";
  const Output cut = explore(search + "--retries 1 -j 1");
  EXPECT_EQ(cut.status, 0) << cut.err;
  EXPECT_NE(cut.out.find("\n2 orders cut after 1 fruitless repetition of filemap_get_read_batch\n"
                         "no finding with at most 1 preemption: "),
            std::string::npos)
      << cut.out;
  EXPECT_NE(cut.out.find(", complete but for these\n"), std::string::npos);
  EXPECT_EQ(explore(search + "--retries 1 -j 3").out, cut.out);
  for (const char* more : {"", "--retries 2", "--retries 0"}) {
    const Output all = explore(search + more);
    EXPECT_EQ(all.status, 0) << all.err;
    EXPECT_NE(all.out.find(", complete\n"), std::string::npos) << all.out;
    EXPECT_EQ(all.out.find("cut after"), std::string::npos) << all.out;
  }
  const Json json = Json::parse(explore(search + "--retries 1 --json").out);
  EXPECT_EQ(json["cut_by_retries"]["functions"]["filemap_get_read_batch"], 2);
  EXPECT_EQ(explore(search + "--retries few").status, 129);
}

TEST_F(ExploreCommand, ComesToTheSameBytesHoweverOftenItIsKilled) {
  Prng prng(4);
  for (const std::string search : {kClean, kFinding}) {
    const std::string whole = explore(search + "-j 1").out;
    unsigned killed = 0;
    Output output;
    for (unsigned tries = 0; tries < 60; ++tries) {
      const bool last = tries == 40;
      output = explore(
          search + "-j 2 --resume state --resume-every 0",
          last ? "exec"
               : limited(tries % 3 == 0 ? "TERM" : "KILL", 1 + tries + prng.below(1 + 2 * tries)));
      if ((output.status == 0 || output.status == 1) && !has_state()) break;
      ++killed;
    }
    EXPECT_EQ(output.out, whole) << output.err;
    EXPECT_FALSE(has_state());
    EXPECT_GT(killed, 0u);
  }
}

// Two opens and two calls: about as much as an unbounded search exhausts in a second.
std::string small_with(const std::string& first, const std::string& second) {
  std::string text = kSmall;
  text.replace(text.find("close(fd)"), 9, second);
  text.insert(text.find("  b:"), "    - " + first + "\n");
  return text;
}

// Thousands of runs, with and without a bound: long enough to be killed a few times. On btrfs,
// where truncation writes back.
std::string write_and_truncate() {
  std::string text = small_with("pwrite(fd, pattern(2), 2K, 0)", "ftruncate(fd, 2K)");
  text.replace(text.find("ext4"), 4, "btrfs");
  return text;
}

TEST_F(ExploreCommand, UnboundedComesToTheSameBytesHoweverOftenItIsKilled) {
  Prng prng(5);
  std::ofstream(directory_ / "small.yaml") << write_and_truncate();
  const std::string search = "small.yaml --unbounded ";
  const std::string whole = explore(search + "-j 1").out;
  ASSERT_NE(whole.find(", complete\n"), std::string::npos) << whole;
  unsigned killed = 0, resumed = 0;
  Output output;
  for (unsigned tries = 0; tries < 20; ++tries) {
    const char* signal = tries % 3 == 0 ? "TERM" : "KILL";
    resumed += has_state();
    output =
        explore(search + "--resume state --resume-every 0 -j " + std::to_string(1 + tries % 3),
                tries == 12 ? "exec" : limited(signal, 2 + 4 * tries + prng.below(1 + 4 * tries)));
    if (output.status == 0 && !has_state()) break;
    ++killed;
  }
  EXPECT_EQ(output.out, whole) << output.err;
  EXPECT_FALSE(has_state());
  EXPECT_GT(killed, 0u);
  EXPECT_GT(resumed, 0u);
}

TEST_F(ExploreCommand, UnboundedGoesOnToTheSameFindings) {
  std::ofstream(directory_ / "small.yaml")
      << small_with("close(fd)", "expect_read(fd, pattern(2), 4K, 0)");
  const std::string search = "small.yaml --unbounded ";
  const Output whole = explore(search + "-j 1");
  EXPECT_EQ(whole.status, 1) << whole.err;
  EXPECT_NE(whole.out.find(", complete\n"), std::string::npos) << whole.out;
  const std::string resume = search + "--resume state -j ";
  for (const char* stop : {"1 --runs 50", "1 --runs 150", "2 --runs 200"}) {
    const Output part = explore(resume + stop);
    EXPECT_EQ(part.status, 1) << part.err;
    EXPECT_NE(part.err.find("the same command goes on from state\n"), std::string::npos);
  }
  EXPECT_EQ(explore(resume + "2").out, whole.out);
  EXPECT_FALSE(has_state());
}

TEST_F(ExploreCommand, WritesItsStateWhenItIsAskedToEnd) {
  const std::string search = "control --preemptions 3 -j 2 --resume state";
  const Output stopped = explore(search, limited("TERM", 400));
  EXPECT_EQ(stopped.status, 125) << stopped.out << stopped.err;
  EXPECT_NE(stopped.out.find(", interrupted; "), std::string::npos) << stopped.out;
  EXPECT_NE(stopped.err.find("the same command goes on from state\n"), std::string::npos);
  EXPECT_TRUE(has_state());
  EXPECT_EQ(explore(search, limited("INT", 400)).status, 125);
}

TEST_F(ExploreCommand, RefusesAStateThatDoesNotFit) {
  const std::string resume = "control --preemptions 1 --runs 500 --resume state ";
  ASSERT_EQ(explore(resume).status, 125);
  ASSERT_TRUE(has_state());
  const auto refused = [&](const std::string& search, const std::string& why) {
    const Output output = explore(search);
    EXPECT_EQ(output.status, 129) << output.out;
    EXPECT_NE(output.err.find(why), std::string::npos) << output.err;
    EXPECT_EQ(output.out, "");
  };
  refused("canary --preemptions 1 --resume state", "scenario was 'control' and is 'canary'");
  refused(resume + "--kernel 6.12.96", "kernel was '6.12.95' and is '6.12.96'");
  refused(resume + "--set hpage_pages=8", "--set was ");
  refused(resume + "--keep-going", "stop at first was 'yes' and is 'no'");
  refused("control --unbounded --resume state", "preemptions was '1' and is 'any number'");
  const std::string good = contents(directory_ / "state");
  std::ofstream(directory_ / "state", std::ios::binary) << good.substr(0, good.size() / 2);
  refused(resume, "damaged or not whole");
  std::ofstream(directory_ / "state", std::ios::binary) << "A diary, of some length at least.\n";
  refused(resume, "no file of a search");
  refused("control --resume /nonexistent/state --resume-every 0", "/nonexistent/state");
}

TEST_F(ExploreCommand, EstimatesWithoutASearch) {
  const Output text = explore("control --estimate --preemptions 2");
  EXPECT_EQ(text.status, 0);
  EXPECT_NE(text.out.find("about 10^"), std::string::npos) << text.out;
  EXPECT_NE(text.out.find(" interleavings with at most 2 preemptions\n"), std::string::npos);
  const Json json = Json::parse(explore("control --estimate --preemptions 2 --json").out);
  EXPECT_GT(json["interleavings_log10"], json["bounded_log10"]);
  EXPECT_EQ(json["bound"], 2);
}

TEST_F(ExploreCommand, RefusesWrongNumbers) {
  EXPECT_EQ(explore("control --memory lots").status, 129);
  EXPECT_EQ(explore("control --memory 0").status, 129);
  EXPECT_EQ(explore("control --memory 99999999999999G").status, 129);
  EXPECT_EQ(explore("control --runs few").status, 129);
  EXPECT_EQ(explore("control -j many").status, 129);
}

}  // namespace
}  // namespace interleaf
