// SPDX-License-Identifier: GPL-2.0-only
// The program as a user meets it: exit status, streams, JSON, wrong input.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

namespace interleaf {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

struct Output {
  int status = -1;
  std::string out;
  std::string err;
};

std::string contents(const fs::path& path) {
  std::stringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

class Commands : public testing::Test {
 protected:
  Commands() {
    std::string pattern = (fs::temp_directory_path() / "interleaf-test-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
  }
  ~Commands() override { fs::remove_all(directory_); }

  // Runs `interleaf ARGUMENTS` in a directory of its own.
  Output interleaf(const std::string& arguments) const {
    Output output;
    const std::string command = "cd " + directory_.string() + " && " + INTERLEAF_PROGRAM + " " +
                                arguments + " >out.txt 2>err.txt </dev/null";
    const int status = std::system(command.c_str());
    output.status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    output.out = contents(directory_ / "out.txt");
    output.err = contents(directory_ / "err.txt");
    return output;
  }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(directory_ / name) << text;
  }

  // The JSON that a command prints, against tests/golden/NAME. What depends on the machine's speed
  // is left out.
  void expect_golden(const std::string& name, const Output& output) const {
    Json json = Json::parse(output.out);
    if (json.contains("runs_per_second")) json["runs_per_second"] = "(a number)";
    const std::string text = json.dump(2) + "\n";
    const fs::path golden = fs::path(INTERLEAF_SOURCE_DIR) / "tests/golden" / name;
    if (std::getenv("GOLDEN_UPDATE") != nullptr) {
      std::ofstream(golden) << text;
      return;
    }
    EXPECT_EQ(text, contents(golden)) << "GOLDEN_UPDATE=1 rewrites " << golden;
  }

  fs::path directory_;
};

TEST_F(Commands, ExitWithZeroOneAndTheUsageCode) {
  EXPECT_EQ(interleaf("run control").status, 0);
  EXPECT_EQ(interleaf("run canary").status, 1);
  EXPECT_EQ(interleaf("run canary --expect lost-dirty-data").status, 0);
  EXPECT_EQ(interleaf("run canary --expect found").status, 0);
  EXPECT_EQ(interleaf("run canary --expect clean").status, 1);
  EXPECT_EQ(interleaf("run control --expect lost-dirty-data").status, 1);
  EXPECT_EQ(interleaf("").status, 129);
  EXPECT_EQ(interleaf("frobnicate").status, 129);
  EXPECT_EQ(interleaf("run").status, 129);
  EXPECT_EQ(interleaf("run canary --no-such-flag").status, 129);
  EXPECT_EQ(interleaf("--help").status, 0);
  EXPECT_EQ(interleaf("fuzz --help").status, 0);
  EXPECT_EQ(interleaf("--version").status, 0);
}

TEST_F(Commands, NameTheNearestOfWhatIsUnknown) {
  EXPECT_EQ(interleaf("run canari").err,
            "interleaf: unknown scenario \"canari\": did you mean \"canary\"?\n");
  EXPECT_EQ(interleaf("run canary --kernel 6.12.59").err,
            "interleaf: unknown kernel \"6.12.59\": did you mean \"6.12.95\"?\n");
  EXPECT_EQ(interleaf("run canary --persona ext5").err,
            "interleaf: unknown persona \"ext5\": did you mean \"ext4\"?\n");
  EXPECT_EQ(interleaf("run canary --with open-flush-under-lok").err,
            "interleaf: unknown patch \"open-flush-under-lok\": did you mean "
            "\"open-flush-under-lock\"?\n");
  EXPECT_EQ(interleaf("run canary --set hpage_page=4").status, 129);
  EXPECT_EQ(interleaf("run canary --set hpage_pages").status, 129);
  EXPECT_EQ(interleaf("run canary --strategy rndom").status, 129);
  EXPECT_EQ(interleaf("fuzz canary --strategy feedbak").err,
            "interleaf: unknown strategy \"feedbak\": did you mean \"feedback\"?\n");
  EXPECT_EQ(
      interleaf("fuzz canary --strategy pct:x").err,
      "interleaf: strategy \"pct:x\": \"x\" is not a number from 1 to 32: see `interleaf list "
      "strategies`\n");
  EXPECT_EQ(interleaf("run canary --expect lost").status, 129);
  EXPECT_EQ(interleaf("list kernls").err,
            "interleaf: nothing called \"kernls\" to list: did you mean \"kernels\"?\n");
  EXPECT_EQ(interleaf("fuzz canary --seeds 5..3").status, 129);
  EXPECT_EQ(interleaf("fuzz canary --seeds five").status, 129);
  EXPECT_EQ(interleaf("fuzz canary --time soon").status, 129);
  EXPECT_EQ(interleaf("fuzz canary --time 0").status, 129);
  EXPECT_EQ(interleaf("fuzz canary --time -5s").status, 129);
  EXPECT_EQ(interleaf("fuzz canary -j 0").status, 129);
  EXPECT_EQ(interleaf("fuzz canary --seeds 3..").err,
            "interleaf: --seeds 3.. has no end: add one, or --time\n");
}

TEST_F(Commands, ErrorsInAScenarioNameFileLineAndColumn) {
  write("bad.yaml",
        "title: t\nkernel: 6.12.95\nfiles:\n  f: {size: 4K}\ntasks:\n  a:\n"
        "    - fd = opn(\"f\", O_RDWR)\nexpect: {verdict: clean}\n");
  const Output output = interleaf("run ./bad.yaml");
  EXPECT_EQ(output.status, 129);
  EXPECT_NE(output.err.find("bad.yaml:7:12"), std::string::npos) << output.err;
  EXPECT_NE(output.err.find("did you mean \"open\"?"), std::string::npos) << output.err;
}

TEST_F(Commands, RefuseALogThatHasNoRoomForAHandle) {
  const auto with_log = [&](const std::string& blocks, const std::string& rest) {
    write("log.yaml",
          "title: t\nkernel: 6.12.95\ngeometry: {hpage_pages: 4, journal_blocks: " + blocks +
              "}\nfiles:\n  f: absent\ntasks:\n  a:\n    - fd = open(\"f\", O_RDWR|O_CREAT)\n"
              "    - pwrite(fd, pattern(1), 4K, 0)\n    - fsync(fd) = 0\n"
              "    - ftruncate(fd, 100) = 0\n    - pwrite(fd, pattern(2), 16K, 4K)\n"
              "    - fsync(fd) = 0\nexpect: {verdict: clean}\n");
    return interleaf("fuzz ./log.yaml --seeds 0..99 " + rest);
  };
  const struct {
    const char* most;   // that is too small
    const char* least;  // that is not
    const char* rest;
  } cases[] = {
      {"39", "40", ""},
      {"23", "24", "--set dioread_nolock=0"},
      {"23", "24", "--with ext4-iomap --with ext4-zero-on-extend --with ext4-zero-before-handle"}};
  for (const auto& [most, least, rest] : cases) {
    const Output refused = with_log(most, rest);
    EXPECT_EQ(refused.status, 129) << rest;
    EXPECT_NE(refused.err.find("journal_blocks (" + std::string(most) + ") is too small"),
              std::string::npos)
        << refused.err;
    EXPECT_NE(refused.err.find("make it " + std::string(least) + " or more"), std::string::npos)
        << refused.err;
    const Output taken = with_log(least, rest);
    EXPECT_EQ(taken.status, 0) << taken.out << taken.err;
  }
  EXPECT_EQ(with_log("1", "--persona xfs").status, 0);
}

TEST_F(Commands, CannotJudgePatchesThatExcludeEachOther) {
  const Output output =
      interleaf("run canary --with open-flush-under-lock --with open-flush-before-purge");
  EXPECT_EQ(output.status, 125);
  EXPECT_NE(output.err.find("change the same place in two ways"), std::string::npos) << output.err;
}

TEST_F(Commands, CannotJudgePatchesThatAreThereOrNotThere) {
  const std::pair<const char*, const char*> cases[] = {
      {"run canary --kernel 6.12.96 --with khugepaged-write-all-dirty",
       "6.12.96 has khugepaged-write-all-dirty already: leave --with khugepaged-write-all-dirty "
       "away"},
      {"run thp-write-open-flush-before-purge --with open-flush-before-purge",
       "the scenario has open-flush-before-purge already: leave --with"},
      {"run canary --without khugepaged-write-all-dirty",
       "6.12.95 does not have khugepaged-write-all-dirty: leave --without"},
      {"run thp-write-open --kernel 7.2 --with open-recheck-under-lock",
       "open-recheck-under-lock does not fit 7.2, where no-write-open-purge"},
      {"explore canary --kernel 5.14 --with purge-under-lock",
       "purge-under-lock does not fit 5.14.0, it builds on invalidate-lock"},
  };
  for (const auto& [arguments, sentence] : cases) {
    const Output output = interleaf(arguments);
    EXPECT_EQ(output.status, 125) << arguments;
    EXPECT_NE(output.err.find(sentence), std::string::npos) << output.err;
  }
  /* What the scenario says of patches may be changed by the command line. */
  const Output output =
      interleaf("run thp-write-open-flush-before-purge --without open-flush-before-purge");
  EXPECT_NE(output.status, 129);
  EXPECT_EQ(output.err.find("leave"), std::string::npos) << output.err;
}

TEST_F(Commands, CannotJudgeATableThatCanNotHappen) {
  write("table.yaml",
        "title: t\nkernel: 6.12.95\nfiles:\n  f: {size: 4K}\ntasks:\n  a:\n"
        "    - fd = open(\"f\", O_RDWR)\n  b:\n    - fd = open(\"f\", O_RDWR)\n"
        "table: |\n  a                b\n  do_dentry_open\n"
        "                   collapse_file\nexpect: {verdict: clean}\n");
  const Output output = interleaf("run ./table.yaml");
  EXPECT_EQ(output.status, 125);
  EXPECT_NE(output.out.find("row 2 of the table cannot happen"), std::string::npos) << output.out;
}

TEST_F(Commands, FuzzStoresARecordingAndSaysHowToReplayIt) {
  const Output fuzz = interleaf("fuzz thp-write-open --seeds 0..999 -o found");
  EXPECT_EQ(fuzz.status, 1);
  const std::string last = fuzz.err.substr(fuzz.err.rfind("interleaf replay "));
  const std::string path = last.substr(17, last.size() - 18);
  const Output replay = interleaf("replay --json " + path);
  EXPECT_EQ(replay.status, 1) << replay.err;
  const Json json = Json::parse(replay.out);
  EXPECT_EQ(json["verdict"], "lost-dirty-data");
  EXPECT_EQ(json["digest"], json["recorded_digest"]);
  EXPECT_EQ(json["exact"], true);
  EXPECT_LT(fs::file_size(directory_ / path), 1024u);
  // Never overwritten without being told so.
  EXPECT_EQ(interleaf("fuzz thp-write-open --seeds 0..999 -o found").status, 129);
  EXPECT_EQ(interleaf("fuzz thp-write-open --seeds 0..999 -o found --force").status, 1);
}

TEST_F(Commands, FuzzPrintsTheSameWhateverTheNumberOfJobs) {
  for (const char* rest : {"thp-write-open", "thp-write-open --keep-going --seeds 0..299",
                           "control --seeds 0..299", "control --seeds 0..299 --strategy pct"}) {
    const Output one = interleaf(std::string("fuzz -j 1 ") + rest);
    const Output two = interleaf(std::string("fuzz -j 2 ") + rest);
    EXPECT_EQ(one.out, two.out);
    EXPECT_EQ(one.status, two.status);
  }
}

TEST_F(Commands, FuzzSaysOfCleanRunsOnlyWhatHolds) {
  const auto says = [&](const Output& output, const char* text) {
    return output.out.find(text) != std::string::npos;
  };
  const char* if_exists = "if such a bug exists for this workload";
  const Output portfolio = interleaf("fuzz control --seeds 0..499");
  EXPECT_EQ(portfolio.status, 0);
  EXPECT_TRUE(says(portfolio, "p >= 0.006 would have been seen (95 %)")) << portfolio.out;
  EXPECT_TRUE(says(portfolio, if_exists)) << portfolio.out;
  EXPECT_TRUE(says(portfolio, "next new, p"));
  // No run was one of PCT; nothing was drawn; nothing was watched; something was found.
  const Output random = interleaf("fuzz control --seeds 0..99 --strategy random");
  EXPECT_TRUE(says(random, "would have been seen"));
  EXPECT_FALSE(says(random, "pct")) << random.out;
  const Output straight = interleaf("fuzz control --seeds 0..9 --strategy keep-running");
  EXPECT_TRUE(says(straight, "makes the same run of every seed")) << straight.out;
  EXPECT_FALSE(says(straight, "95 %")) << straight.out;
  EXPECT_FALSE(says(straight, "next new"));
  const Output bare = interleaf("fuzz control --seeds 0..99 --no-statistics");
  EXPECT_FALSE(says(bare, "orders")) << bare.out;
  EXPECT_FALSE(says(bare, "handoffs"));
  const Output learnt = interleaf("fuzz control --seeds 0..99 --strategy feedback");
  EXPECT_TRUE(says(learnt, "depend on each other")) << learnt.out;
  EXPECT_FALSE(says(learnt, "95 %")) << learnt.out;
  EXPECT_FALSE(says(learnt, "next new"));
  const Output lost = interleaf("fuzz thp-write-open --strategy pct");
  EXPECT_EQ(lost.status, 1);
  EXPECT_FALSE(says(lost, if_exists)) << lost.out;
  EXPECT_FALSE(says(lost, "would have been seen"));
  EXPECT_FALSE(says(lost, "next new"));
}

TEST_F(Commands, FuzzEndsWithASummaryOfAtMostTwelveLines) {
  std::istringstream lines(interleaf("fuzz control --seeds 0..1999").out);
  unsigned count = 0;
  for (std::string line; std::getline(lines, line);) {
    EXPECT_LE(line.size(), 100u) << line;
    EXPECT_TRUE(line.empty() || line.back() != ' ') << line;
    if (!line.empty()) ++count;
  }
  EXPECT_LE(count, 13u);
}

TEST_F(Commands, FuzzByTheClockEndsWithASeedRange) {
  const Output timed = interleaf("fuzz control --time 1s --json");
  EXPECT_EQ(timed.status, 0) << timed.err;  // nobody asked for more
  const Json json = Json::parse(timed.out);
  EXPECT_EQ(json["out_of_time"], true);
  EXPECT_EQ(json["seed_first"], 0);
  EXPECT_EQ(json["seed_last"].get<std::uint64_t>() + 1, json["runs"].get<std::uint64_t>());
  EXPECT_EQ(interleaf("fuzz control --time 1s --seeds 0..99999999").status, 125);
}

TEST_F(Commands, FuzzFindingsNameTheSeedAndStrategyThatRepeatThem) {
  const Output found = interleaf("fuzz thp-write-open --json");
  const Json json = Json::parse(found.out);
  const std::string last = found.err.substr(found.err.rfind("interleaf fuzz "));
  EXPECT_NE(last.find("--strategy portfolio --seeds"), std::string::npos) << last;
  const Json again = Json::parse(interleaf(last.substr(10, last.size() - 11) + " --json").out);
  EXPECT_EQ(again["digest"], json["digest"]);
  EXPECT_EQ(again["findings"][0]["strategy"], json["findings"][0]["strategy"]);
}

// A lookup meets a folio whose references are frozen, and again, before the owner goes on.
constexpr char kFrozen[] =
    "title: Small\nkernel: 6.12.95\npersona: ext4\ngeometry: {hpage_pages: 4}\n"
    "files:\n  f: {size: 4K, content: pattern(1)}\n"
    "tasks:\n  a:\n    - fd = open(\"f\", O_RDWR)\n    - pread(fd, 4K, 0)\n"
    "  b:\n    - fd = open(\"f\", O_RDWR)\n    - pread(fd, 4K, 0)\n"
    "    - fadvise(fd, 0, 4K, POSIX_FADV_DONTNEED)\n"
    "expect: {verdict: clean}\n";

TEST_F(Commands, FuzzSaysWhichRunsWereCutInALoop) {
  write("frozen.yaml", kFrozen);
  const std::string search = "fuzz frozen.yaml --strategy pct:2:150 --seeds 0..1999 ";
  const Output cut = interleaf(search + "--retries 1 -j 1");
  EXPECT_EQ(cut.status, 0) << cut.err;
  EXPECT_NE(cut.out.find(" cut after 1 fruitless repetition of filemap_get_read_batch\n"),
            std::string::npos)
      << cut.out;
  EXPECT_NE(cut.out.find("\nnothing found: what a run of pct:2:150, cut like that, shows"),
            std::string::npos);
  EXPECT_EQ(interleaf(search + "--retries 1 -j 3").out, cut.out);
  EXPECT_EQ(interleaf(search + "--retries 1 --twice").status, 0);
  const Output free = interleaf(search + "--retries 0");
  EXPECT_EQ(free.out.find(" cut "), std::string::npos) << free.out;
  EXPECT_EQ(interleaf(search).out, free.out);
  const Json json = Json::parse(interleaf(search + "--retries 1 --json").out);
  EXPECT_EQ(json["retries"], 1);
  EXPECT_GT(json["cut_by_retries"]["runs"], 0);
  EXPECT_EQ(json["cut_by_retries"]["runs"],
            json["cut_by_retries"]["functions"]["filemap_get_read_batch"]);
  for (const char* verb : {"run control", "fuzz control", "minimize a.rec"}) {
    EXPECT_EQ(interleaf(std::string(verb) + " --retries few").status, 129);
  }
}

TEST_F(Commands, ARunThatWasCutInALoopIsNotJudged) {
  write("frozen.yaml", kFrozen);
  unsigned cut = 0;
  for (unsigned seed = 0; seed < 200 && cut == 0; ++seed) {
    const std::string run =
        "run frozen.yaml --strategy pct:3:200 -s " + std::to_string(seed) + " --retries 1";
    const Output json = interleaf(run + " --json -o a.rec --force");
    if (Json::parse(json.out)["cut_by_retries"]["runs"] == 0) {
      EXPECT_EQ(json.status, 0) << json.err;
      continue;
    }
    ++cut;
    EXPECT_EQ(json.status, 125);
    EXPECT_EQ(json.err, "no recording of a run that was cut: a.rec not written\n");
    EXPECT_EQ(Json::parse(json.out)["recording"], "");
    const Output text = interleaf(run);
    EXPECT_EQ(text.status, 125);
    EXPECT_NE(text.out.find("1 run cut after 1 fruitless repetition of filemap_get_read_batch\n"),
              std::string::npos)
        << text.out;
    EXPECT_EQ(interleaf(run + " --retries 0").status, 129);  // one is enough
  }
  EXPECT_EQ(cut, 1u);
}

// The recording of a finding has no such limit: it replays whatever the search was told.
TEST_F(Commands, FindingsOfRunsThatWereCutReplayWithoutTheLimit) {
  std::string losing = kFrozen;
  losing.replace(losing.find("pread(fd, 4K, 0)"), 16, "expect_read(fd, pattern(2), 4K, 0)");
  write("losing.yaml", losing);
  const Output fuzz = interleaf(
      "fuzz losing.yaml --strategy pct:2:150 --seeds 0..1999 --retries 1 --keep-going -o found");
  EXPECT_EQ(fuzz.status, 1) << fuzz.err;
  EXPECT_NE(fuzz.out.find(" cut after 1 fruitless"), std::string::npos) << fuzz.out;
  for (const auto& entry : fs::directory_iterator(directory_ / "found")) {
    const Output replay = interleaf("replay " + entry.path().string());
    EXPECT_EQ(replay.status, 1) << replay.err;
    EXPECT_NE(replay.out.find("exact: "), std::string::npos) << replay.out;
    const Output minimized =
        interleaf("minimize " + entry.path().string() + " --retries 1 --keep-workload --json");
    EXPECT_EQ(minimized.status, 0) << minimized.err;
    EXPECT_EQ(Json::parse(minimized.out)["retries"], 1);
  }
}

TEST_F(Commands, MinimizeSaysWhatItTookAwayAndStoresTheRest) {
  ASSERT_EQ(interleaf("run canary -o a.rec").status, 1);
  const Output first = interleaf("minimize a.rec -o b.rec");
  EXPECT_EQ(first.status, 0) << first.err;
  EXPECT_EQ(first.err, "interleaf replay b.rec\n");
  EXPECT_NE(first.out.find(" calls 10 -> 8\n"), std::string::npos) << first.out;
  EXPECT_NE(first.out.find(" preemptions 0 -> 0 (minimum)\n"), std::string::npos) << first.out;
  const Output replay = interleaf("replay b.rec");
  EXPECT_EQ(replay.status, 1);
  EXPECT_NE(replay.out.find(" minimised to 0 preemptions (minimum)\n"), std::string::npos);
  EXPECT_LT(interleaf("table b.rec").out.size(), interleaf("table b.rec --full").out.size());

  EXPECT_EQ(interleaf("minimize a.rec -o b.rec").status, 129);
  const Output again = interleaf("minimise a.rec -o b.rec --force --json");
  EXPECT_EQ(again.status, 0);
  const Json json = Json::parse(again.out);
  EXPECT_EQ(json["reduced"]["calls"], Json({10, 8}));
  EXPECT_EQ(json["minimum"], true);
  EXPECT_EQ(json["recording"], "b.rec");
}

TEST_F(Commands, MinimizeRefusesWhatItCanNotMinimise) {
  ASSERT_EQ(interleaf("run control -o clean.rec").status, 0);
  EXPECT_EQ(interleaf("minimize clean.rec").err,
            "interleaf: the recording is clean: there is nothing to minimise\n");
  EXPECT_EQ(interleaf("minimize clean.rec").status, 129);
  EXPECT_EQ(interleaf("minimize missing.rec").status, 129);
  EXPECT_EQ(interleaf("minimize").status, 129);
  EXPECT_EQ(interleaf("minimize clean.rec --time soon").status, 129);
}

TEST_F(Commands, RecordingsSurviveAMail) {
  ASSERT_EQ(interleaf("run canary -o a.rec").status, 1);
  const Output text = interleaf("table a.rec --text");
  ASSERT_EQ(text.status, 0);
  std::string mail = "From: a maintainer\r\n\r\nSee below.\r\n\r\n";
  std::istringstream lines(text.out);
  for (std::string line; std::getline(lines, line);) {
    EXPECT_LE(line.size(), 76u);
    EXPECT_EQ(line[0], ' ') << line;
    mail += "> " + line + "\r\n";
  }
  write("mail.txt", mail + "-- \r\nsignature\r\n");
  EXPECT_EQ(interleaf("replay mail.txt --expect lost-dirty-data").status, 0);
}

TEST_F(Commands, RefuseWhatIsNoRecording) {
  write("empty.rec", "");
  write("foreign.rec", "\x89PNG\r\n\x1a\n and so on");
  for (const char* file : {"empty.rec", "foreign.rec", "missing.rec"}) {
    const Output output = interleaf(std::string("replay ") + file);
    EXPECT_EQ(output.status, 129) << output.err;
    EXPECT_NE(output.err.find(file), std::string::npos) << output.err;
  }
}

TEST_F(Commands, ExploreSaysCompleteOnlyWhenItIs) {
  const Output clean = interleaf("explore control --preemptions 0");
  EXPECT_EQ(clean.status, 0) << clean.err;
  EXPECT_NE(clean.out.find("no finding with at most 0 preemptions"), std::string::npos);
  EXPECT_NE(clean.out.find(", complete\n"), std::string::npos) << clean.out;
  const Output stopped = interleaf("explore control --preemptions 3 --time 1s");
  EXPECT_EQ(stopped.status, 125) << stopped.out;
  EXPECT_NE(stopped.out.find("not complete"), std::string::npos) << stopped.out;
  EXPECT_EQ(interleaf("explore canary -o d").status, 1);
  EXPECT_EQ(interleaf("explore canary --expect lost-dirty-data").status, 0);
  // Runs with a known finding count where it is asked whether the window was reached.
  const Output known =
      interleaf("explore canary --kernel 6.12.96 --preemptions 0 --ignore lock-order");
  EXPECT_EQ(known.status, 0) << known.out;
  const Output as_before = interleaf("explore control --preemptions 0 --no-snapshots --json");
  EXPECT_EQ(Json::parse(as_before.out)["orders"],
            Json::parse(interleaf("explore control --preemptions 0 --json").out)["orders"]);
}

TEST_F(Commands, PrintTheDocumentedJson) {
  expect_golden("run-canary.json", interleaf("run canary --json"));
  expect_golden("fuzz-canary.json", interleaf("fuzz canary --json --seeds 0..9 -o d"));
  expect_golden("fuzz-control.json", interleaf("fuzz control --json --seeds 0..9"));
  ASSERT_EQ(interleaf("run canary -o a.rec").status, 1);
  expect_golden("replay-canary.json", interleaf("replay --json a.rec"));
  expect_golden("explore-control.json",
                interleaf("explore control --preemptions 0 --jobs 1 --json"));
  expect_golden("list-patches.json", interleaf("list patches --json"));
}

TEST_F(Commands, PrintTablesWithinAHundredColumns) {
  for (const char* scenario : {"canary", "thp-write-open", "thp-write-open-flush-before-purge"}) {
    std::istringstream lines(interleaf(std::string("run ") + scenario).out);
    for (std::string line; std::getline(lines, line);) {
      EXPECT_LE(line.size(), 100u) << line;
      EXPECT_TRUE(line.empty() || line.back() != ' ') << line;
    }
  }
}

TEST_F(Commands, RunTheSameScenarioInRealSizes) {
  for (const char* set : {"", "--set hpage_pages=8", "--set hpage_pages=512"}) {
    const std::string run = std::string("run thp-write-open ") + set;
    EXPECT_EQ(interleaf(run + " --expect lost-dirty-data").status, 0) << set;
    EXPECT_EQ(interleaf(run + " --kernel 6.12.96 --expect lost-dirty-data").status, 1) << set;
  }
}

TEST_F(Commands, PrintTheCallsOfATask) {
  const Output all = interleaf("calls canary");
  EXPECT_EQ(all.status, 1);
  EXPECT_NE(all.err.find("interleaf run canary"), std::string::npos) << all.err;
  const Output one = interleaf("calls thp-write-open --kernel 6.12.96 --task collapser --call 1");
  EXPECT_EQ(one.out,
            "# port of linux 6.12.96, ext4, all its functions, own task only: thp-write-open "
            "collapser 1: rd = open(\"f\", O_RDONLY)\n"
            "# returned 3\n"
            "do_open\n  do_dentry_open\n    ext4_file_open\n      generic_file_open\n");
  const Json json = Json::parse(
      interleaf("calls thp-write-open --kernel 6.12.96 --task collapser --call 4 --json").out);
  ASSERT_EQ(json["calls"].size(), 1u);
  const Json& call = json["calls"][0];
  EXPECT_EQ(call["task"], "collapser");
  EXPECT_EQ(call["text"], "madvise(p, 1H, MADV_COLLAPSE)");
  EXPECT_EQ(call["returned"], 0);
  EXPECT_EQ(call["tree"][0]["function"], "do_madvise");
  EXPECT_EQ(interleaf("calls control").status, 0);
  EXPECT_EQ(interleaf("calls canary --expect lost-dirty-data").status, 0);
}

TEST_F(Commands, RefuseCallsThatThereAreNot) {
  EXPECT_EQ(interleaf("calls thp-write-open --task colapser").err,
            "interleaf: scenario thp-write-open has no task \"colapser\": did you mean "
            "\"collapser\"?\n");
  EXPECT_EQ(interleaf("calls thp-write-open --call 2").err,
            "interleaf: --call 2 of which task?: add --task writer\n");
  const Output beyond = interleaf("calls thp-write-open --task writer --call 9");
  EXPECT_EQ(beyond.status, 129);
  EXPECT_EQ(beyond.err, "interleaf: --call 9: the task made 3 calls in this run\n");
  EXPECT_EQ(interleaf("calls thp-write-open --task writer --call 0").status, 129);
  EXPECT_EQ(interleaf("calls").status, 129);
}

}  // namespace
}  // namespace interleaf
