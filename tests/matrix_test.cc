// SPDX-License-Identifier: GPL-2.0-only
// `interleaf matrix`: what a cell says, which cells there are, and the verb as a user meets it.
#include "engine/matrix.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

#include "engine/user_error.h"
#include "scheduler/prng.h"

namespace interleaf {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr char kFix[] = "khugepaged-write-all-dirty";
constexpr char kFirstFix[] = "khugepaged-write-all-dirty-v1";
constexpr char kFlush[] = "open-flush-before-purge";

// ---- without I/O ----

std::vector<std::string> names_of(const std::vector<Combination>& rows) {
  std::vector<std::string> names;
  for (const Combination& row : rows) names.push_back(row.name);
  return names;
}

TEST(Combinations, AreNoneThenEveryPatchThenEveryKernel) {
  const std::vector<std::string> names = names_of(combinations({}));
  ASSERT_EQ(names.size(), 1 + kernel::patch_count() + kernel::kernel_count());
  EXPECT_EQ(names.front(), "none");
  for (unsigned i = 0; i < kernel::patch_count(); ++i) {
    const std::string slug(kernel::patch_at(i).slug);
    EXPECT_TRUE(names[1 + i] == slug || names[1 + i].ends_with("+" + slug)) << names[1 + i];
  }
  EXPECT_EQ(names[1 + kernel::patch_count()], kernel::kernel_at(0).name);
}

TEST(Combinations, AreThoseThatWereNamedEachOnce) {
  using Names = std::vector<std::string>;
  CombinationNames names;
  names.kernels = {{"6.12"}};  // an alias
  names.with = {{kFlush, kFix}, {kFix, kFlush}, {kFix, kFix}};
  EXPECT_EQ(names_of(combinations(names)),
            (Names{"none", std::string(kFlush) + "+" + kFix, kFix, "6.12.95"}));
  names = {};
  names.patches = Names();  // none
  EXPECT_EQ(names_of(combinations(names)), Names{"none"});
  names.patches = {{"open-flush"}};
  EXPECT_THROW(combinations(names), UserError);
}

constexpr char kTwoOpens[] =
    "title: Small\nkernel: 6.12.95\npersona: ext4\ngeometry: {hpage_pages: 4}\n"
    "files:\n  f: {size: 4K, content: pattern(1)}\n"
    "tasks:\n  a:\n    - fd = open(\"f\", O_RDWR)\n"
    "  b:\n    - fd = open(\"f\", O_RDWR)\n    - close(fd)\n";

Scenario two_opens(const std::string& more = "") {
  return parse_scenario(kTwoOpens + more + "expect: {verdict: clean}\n", "two-opens.yaml");
}

TEST(Matrix, TakesTheRowsPatchesAndNotTheScenarios) {
  const std::string own = std::string("patches: {with: [") + kFlush + "]}\n";
  const Matrix matrix = make_matrix({two_opens(own)}, combinations({}), {});
  const auto slugs = [&](const std::string& name) {
    for (const MatrixCell& cell : matrix.cells) {
      if (matrix.combinations[cell.combination].name == name) {
        return cell.configuration->patch_slugs();
      }
    }
    return std::vector<std::string>{"no such row"};
  };
  const auto and_one = [&](const std::string& slug) {
    std::vector<std::string> all = slugs("none");
    all.push_back(slug);
    std::sort(all.begin(), all.end());
    return all;
  };
  EXPECT_EQ(slugs("none"), configure(two_opens(), {})->patch_slugs());
  EXPECT_EQ(slugs(kFlush), and_one(kFlush));
  EXPECT_EQ(slugs("open-flush-under-lock"), and_one("open-flush-under-lock"));
  EXPECT_EQ(slugs("6.12.96"), and_one(kFix));
}

TEST(Matrix, KeepsWhatAScenarioBackports) {
  std::string text = kTwoOpens;
  text.replace(text.find("6.12.95"), 7, "5.14.0");
  text += "patches: {with: [madvise-collapse, no-tail-assert]}\nexpect: {verdict: clean}\n";
  CombinationNames names;
  names.patches = {{"no-index-assert"}};
  const Matrix matrix = make_matrix({parse_scenario(text, "old.yaml")}, combinations(names), {});
  EXPECT_EQ(matrix.cells[0].configuration->patch_slugs(),
            (std::vector<std::string>{"madvise-collapse", "xfs-writeback-validity"}));
  EXPECT_EQ(
      matrix.cells[1].configuration->patch_slugs(),
      (std::vector<std::string>{"madvise-collapse", "no-index-assert", "xfs-writeback-validity"}));
}

TEST(Matrix, LeavesOutRowsThatAskNothing) {
  Matrix matrix = make_matrix({two_opens()}, combinations({}), {});
  drop_rows_without_question(matrix);
  const std::vector<std::string> names = names_of(matrix.combinations);
  const auto has = [&](const char* name) { return std::ranges::count(names, name) == 1; };
  EXPECT_TRUE(has("none"));
  EXPECT_TRUE(has(kFix));
  EXPECT_TRUE(has("5.14.0"));
  EXPECT_FALSE(has("purge-under-lock"));  // 6.12 has it
  EXPECT_FALSE(has("no-tail-assert"));    // of older code
  ASSERT_EQ(matrix.cells.size(), names.size());
  for (std::size_t i = 0; i < matrix.cells.size(); ++i) {
    EXPECT_EQ(matrix.cells[i].combination, i);
    EXPECT_LE(matrix.cells[i].same_as, i);
  }
}

// The family of a scenario is that of the patches that it names.
TEST(Matrix, LeavesOutRowsOfTheOtherFamily) {
  const auto rows = [](const char* named) {
    std::string text = kTwoOpens;
    text += std::string("expect: {verdict: clean") + named + "}\n";
    Matrix matrix = make_matrix({parse_scenario(text, "x.yaml")}, combinations({}), {});
    drop_rows_without_question(matrix);
    return names_of(matrix.combinations);
  };
  const auto has = [](const std::vector<std::string>& names, const char* name) {
    return std::ranges::count(names, name) == 1;
  };
  const std::vector<std::string> huge = rows((std::string(", with: [") + kFix + "]").c_str());
  EXPECT_TRUE(has(huge, kFix));
  EXPECT_FALSE(has(huge, "ext4-iomap"));
  const std::vector<std::string> filesystems = rows(", with: [ext4-iomap]");
  EXPECT_FALSE(has(filesystems, kFix));
  EXPECT_TRUE(has(filesystems, "ext4-iomap"));
  const std::vector<std::string> all = rows("");
  EXPECT_TRUE(has(all, kFix));
  EXPECT_TRUE(has(all, "ext4-iomap"));
  EXPECT_TRUE(has(huge, "5.14.0"));
  EXPECT_FALSE(has(huge, "ext4-iomap-v2"));
  EXPECT_TRUE(has(filesystems, "ext4-iomap-v2"));
}

TEST(Matrix, SearchesOneQuestionOnce) {
  Matrix matrix = make_matrix({two_opens()}, combinations({}), {});
  std::map<std::string, std::size_t> index;
  for (std::size_t i = 0; i < matrix.cells.size(); ++i) {
    index[matrix.combinations[matrix.cells[i].combination].name] = i;
  }
  EXPECT_EQ(matrix.cells[index["6.12.95"]].same_as, index["none"]);
  EXPECT_EQ(matrix.cells[index["6.12.96"]].same_as, index[kFix]);
  EXPECT_EQ(matrix.cells[index[kFlush]].same_as, index[kFlush]);
  CellResult result;
  result.orders = 7;
  set_result(matrix, index["6.12.96"], result);
  EXPECT_EQ(matrix.cells[index[kFix]].result->orders, 7u);
  EXPECT_FALSE(matrix.cells[index["none"]].result);
}

TEST(Matrix, TakesTheAnswerOfASearchThatNeverAskedForWhatDiffers) {
  CombinationNames names;
  names.patches = {{kFix, kFlush}};
  Matrix matrix = make_matrix({two_opens()}, combinations(names), {});
  EXPECT_EQ(answered_by(matrix, 1), std::nullopt);  // nothing was searched
  CellResult result;
  result.orders = 7;
  result.asked = kernel::patch_bit(kernel::Patch::kOpenFlushBeforePurge);
  set_result(matrix, 0, result);
  EXPECT_EQ(answered_by(matrix, 1), 0u);
  EXPECT_EQ(answered_by(matrix, 2), std::nullopt);
  EXPECT_EQ(answered_by(matrix, 0), std::nullopt);  // only earlier ones
  set_like(matrix, 1, 0);
  EXPECT_EQ(matrix.cells[1].like, 0u);
  EXPECT_EQ(matrix.cells[1].result->orders, 7u);
  matrix.cells[0].result->budget = "interrupted";
  EXPECT_EQ(answered_by(matrix, 1), std::nullopt);
}

TEST(Matrix, TakesNoAnswerFromAnotherSizeOrScenario) {
  CombinationNames names;
  names.kernels = {{"6.1.192"}};  // another folio_batch
  std::string other = kTwoOpens;
  other += "expect: {verdict: clean}\n";
  Matrix matrix =
      make_matrix({two_opens(), parse_scenario(other, "others.yaml")}, combinations(names), {});
  ASSERT_EQ(matrix.cells.size(), 4u);
  set_result(matrix, 0, CellResult());
  for (std::size_t i = 1; i < 4; ++i) EXPECT_EQ(answered_by(matrix, i), std::nullopt) << i;
}

TEST(Matrix, KnowsWhatASearchAskedFor) {
  ExploreOptions options;
  options.preemptions_max = 0;
  const CellResult result = search_cell(configure(two_opens(), {}), options);
  const auto asks = [&](kernel::Patch patch) {
    return (result.asked & kernel::patch_bit(patch)) != 0;
  };
  EXPECT_TRUE(asks(kernel::Patch::kNoPurge));             // every write-open
  EXPECT_FALSE(asks(kernel::Patch::kPurgeCleanOnly));     // only where there is a huge page
  EXPECT_FALSE(asks(kernel::Patch::kCollapseDenyWrite));  // nobody collapses
  options.jobs = 2;
  EXPECT_EQ(search_cell(configure(two_opens(), {}), options).asked, result.asked);
}

TEST(Matrix, KnowsWhatTheKernelHasAlready) {
  Overrides base;
  base.kernel = "6.12.96";
  CombinationNames names;
  names.patches = {{kFix, kFlush}};
  const Matrix matrix = make_matrix({two_opens()}, combinations(names), base);
  EXPECT_FALSE(matrix.cells[0].in_kernel);
  EXPECT_TRUE(matrix.cells[1].in_kernel);
  EXPECT_EQ(matrix.cells[1].same_as, 0u);
  EXPECT_FALSE(matrix.cells[2].in_kernel);
}

TEST(Matrix, RefusesACellAndKeepsTheRest) {
  CombinationNames names;
  names.with = {{kFix, kFirstFix}};
  const Matrix matrix = make_matrix({two_opens()}, combinations(names), {});
  EXPECT_EQ(matrix.cells[0].state(), CellState::kNotSearched);
  EXPECT_EQ(matrix.cells[1].state(), CellState::kRefused);
  EXPECT_NE(matrix.cells[1].refusal.find("change the same place in two ways"), std::string::npos);
}

TEST(Matrix, RefusesTwoScenariosOfOneName) {
  EXPECT_EQ(make_matrix({two_opens(), two_opens()}, combinations({}), {}).scenarios.size(), 1u);
  EXPECT_THROW(make_matrix({two_opens(), two_opens("# other\n")}, combinations({}), {}), UserError);
}

TEST(CellResult, ClaimsTheFewestOnlyBehindCompleteLevels) {
  CellResult result;
  const CellFinding with_none{"deadlock:f:o", 0, 1, {}};
  const CellFinding with_two{"deadlock:f:o", 2, 1, {}};
  EXPECT_TRUE(result.fewest(with_none));
  EXPECT_FALSE(result.fewest(with_two));
  result.complete_up_to = 0;
  EXPECT_FALSE(result.fewest(with_two));
  result.complete_up_to = 1;
  EXPECT_TRUE(result.fewest(with_two));
}

TEST(ScenariosNamed, TakesAGroupForItsPrefixUpToADash) {
  const std::vector<std::string> group = scenarios_named("thp");
  EXPECT_GT(group.size(), 1u);
  for (const std::string& name : group) EXPECT_TRUE(name.starts_with("thp-")) << name;
  EXPECT_TRUE(std::is_sorted(group.begin(), group.end()));
  // A whole name is itself, though others begin so.
  EXPECT_EQ(scenarios_named("thp-write-open"), std::vector<std::string>{"thp-write-open"});
  EXPECT_EQ(scenarios_named("./x.yaml"), std::vector<std::string>{"./x.yaml"});
  for (const char* wrong : {"th", "thp-", "", "-", "canari"}) {
    EXPECT_THROW(scenarios_named(wrong), UserError) << wrong;
  }
}

// ---- the verb ----

struct Output {
  int status = -1;  // minus the signal if one ended it
  std::string out;
  std::string err;
};

std::string contents(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

class MatrixCommand : public testing::Test {
 protected:
  MatrixCommand() {
    std::string pattern = (fs::temp_directory_path() / "interleaf-test-XXXXXX").string();
    directory_ = mkdtemp(pattern.data());
    write("two-opens.yaml", std::string(kTwoOpens) + "expect: {verdict: clean}\n");
  }
  ~MatrixCommand() override { fs::remove_all(directory_); }

  Output interleaf(const std::string& arguments, const std::string& before = "exec") const {
    const std::string command = "cd " + directory_.string() + " && " + before + " " +
                                INTERLEAF_PROGRAM + " " + arguments +
                                " >out.txt 2>err.txt </dev/null";
    const int status = std::system(command.c_str());
    Output output;
    output.status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    output.out = contents(directory_ / "out.txt");
    output.err = contents(directory_ / "err.txt");
    return output;
  }
  Output matrix(const std::string& arguments) const { return interleaf("matrix " + arguments); }

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(directory_ / name) << text;
  }
  // A shipped scenario with changes.
  void write_changed(const std::string& name, const std::string& from,
                     const std::vector<std::pair<std::string, std::string>>& changes) const {
    std::string text = contents(fs::path(INTERLEAF_SOURCE_DIR) / "scenarios" / (from + ".yaml"));
    for (const auto& [old, now] : changes) {
      ASSERT_TRUE(has(text, old)) << old;
      text.replace(text.find(old), old.size(), now);
    }
    write(name, text);
  }
  static void expect_golden(const std::string& name, const std::string& text) {
    const fs::path golden = fs::path(INTERLEAF_SOURCE_DIR) / "tests/golden" / name;
    if (std::getenv("GOLDEN_UPDATE") != nullptr) {
      std::ofstream(golden) << text;
      return;
    }
    EXPECT_EQ(text, contents(golden)) << "GOLDEN_UPDATE=1 rewrites " << golden;
  }

  fs::path directory_;
};

// One row that loses, one that does not, one that is refused.
const std::string kRows = std::string("--patches ") + kFlush + " --with " + kFix + "," + kFirstFix;
const std::string kSmall = "canary control --preemptions 0 " + kRows;

TEST_F(MatrixCommand, PrintsWhatEachPatchCloses) {
  const Output text = matrix(kSmall);
  EXPECT_EQ(text.status, 1) << text.err;
  expect_golden("matrix.txt", text.out);
  expect_golden("matrix.md", matrix(kSmall + " --markdown").out);
  expect_golden("matrix.json", matrix(kSmall + " --json").out);
  EXPECT_EQ(text.err.substr(0, 25), "interleaf explore canary ");
  EXPECT_EQ(interleaf(text.err.substr(10, text.err.size() - 11)).status, 1);
}

TEST_F(MatrixCommand, PrintsTheSameBytesForAnyNumberOfJobs) {
  for (const std::string& rows : {kSmall, "two-opens.yaml --preemptions 3 " + kRows}) {
    EXPECT_EQ(matrix(rows + " -j 1").out, matrix(rows + " -j 2").out);
  }
}

// Every cell that a search of another row answers, searched for itself: all the same.
TEST_F(MatrixCommand, FindsTheSameWithoutReuse) {
  const std::string cells =
      "two-opens.yaml thp-small-write-open thp-small-deadlock --json "
      "--preemptions 0";
  Json reused = Json::parse(matrix(cells).out);
  Json searched = Json::parse(matrix(cells + " --no-reuse").out);
  unsigned likes = 0;
  for (Json* json : {&reused, &searched}) {
    for (Json& scenario : (*json)["scenarios"]) {
      for (Json& cell : scenario["cells"]) {
        likes += !cell["like"].is_null();
        EXPECT_TRUE(json == &reused || cell["like"].is_null());
        cell["like"] = nullptr;
      }
    }
  }
  EXPECT_GT(likes, 10u);
  EXPECT_EQ(reused, searched);
}

TEST_F(MatrixCommand, SaysWhoseSearchItWas) {
  const std::string rows = "two-opens.yaml --preemptions 0 --patches " + std::string(kFlush);
  const Output text = matrix(rows);
  EXPECT_TRUE(has(text.out, "complete up to 0, as none")) << text.out;
  EXPECT_TRUE(has(text.out, "as ROW: no run of that row's search asked")) << text.out;
  EXPECT_TRUE(has(matrix(rows + " --markdown").out, "complete up to 0, as none)"));
  const Output fresh = matrix(rows + " --no-reuse");
  EXPECT_FALSE(has(fresh.out, ", as none")) << fresh.out;
  // A file has the searches alone; the rest follows from them again.
  EXPECT_EQ(matrix(rows + " --resume state").out, text.out);
  EXPECT_EQ(matrix(rows + " --resume state").out, text.out);
}

TEST_F(MatrixCommand, AgreesWithItsJson) {
  const Output text = matrix("two-opens.yaml canary --preemptions 0 " + kRows);
  const Json json =
      Json::parse(matrix("two-opens.yaml canary --preemptions 0 --json " + kRows).out);
  ASSERT_EQ(json["scenarios"].size(), 2u);
  unsigned rows = 0;
  for (const Json& scenario : json["scenarios"]) {
    ASSERT_EQ(scenario["cells"].size(), json["combinations"].size());
    for (const Json& cell : scenario["cells"]) {
      if (cell["result"].is_null()) {
        EXPECT_EQ(cell["state"], "refused");
        EXPECT_TRUE(has(text.out, "change the same place in two ways"));
        continue;
      }
      std::istringstream lines(text.out);
      for (std::string line; std::getline(lines, line);) {
        std::istringstream words(line);
        std::string row, verdict, fewest, orders;
        words >> row >> verdict >> fewest >> orders;
        rows += row == cell["combination"] && verdict == cell["verdict"] &&
                orders == std::to_string(cell["result"]["orders"].get<int>());
      }
    }
  }
  EXPECT_EQ(rows, 4u) << text.out;
}

TEST_F(MatrixCommand, ComesToTheSameBytesHoweverOftenItIsKilled) {
  const std::string search = "two-opens.yaml canary --preemptions 0 --kernels 6.12.96 -o d";
  const Output whole = matrix(search);
  ASSERT_EQ(whole.status, 1) << whole.err;
  fs::remove_all(directory_ / "d");
  Prng prng(7);
  unsigned killed = 0;
  Output output;
  for (unsigned tries = 0; tries < 60; ++tries) {
    // From too short for anything to long enough, on fast and slow machines.
    const std::string wait = std::to_string(1004 + 6 * tries + prng.below(20)).substr(1);
    const char* signal = tries % 3 == 0 ? "TERM" : "KILL";
    output = interleaf("matrix " + search + " --resume state",
                       tries == 40 ? "exec"
                                   : std::string("timeout --foreground --preserve-status -s ") +
                                         signal + " 0." + wait);
    if (output.status == whole.status && output.out == whole.out) break;
    ++killed;
  }
  EXPECT_EQ(output.out, whole.out) << output.err;
  EXPECT_EQ(output.err, whole.err);
  EXPECT_GT(killed, 0u);
  // All is known: a second time nothing is searched, and another form needs no search.
  EXPECT_EQ(matrix(search + " --resume state").out, whole.out);
  EXPECT_EQ(matrix(search + " --resume state --json").out, matrix(search + " --force --json").out);
}

TEST_F(MatrixCommand, GoesOnWithMoreRowsAndScenarios) {
  const std::string state = " --preemptions 0 --resume state ";
  ASSERT_EQ(matrix("two-opens.yaml --patches none" + state).status, 0);
  const Output more = matrix("two-opens.yaml control" + state + kRows);
  EXPECT_EQ(more.out, matrix("two-opens.yaml control --preemptions 0 " + kRows).out);
}

TEST_F(MatrixCommand, RefusesAFileThatDoesNotFit) {
  const std::string search = "two-opens.yaml --patches none --resume state ";
  ASSERT_EQ(matrix(search).status, 0);
  const auto refused = [&](const std::string& arguments, const std::string& why) {
    const Output output = matrix(arguments);
    EXPECT_EQ(output.status, 129) << output.out;
    EXPECT_TRUE(has(output.err, why)) << output.err;
    EXPECT_EQ(output.out, "");
  };
  refused(search + "--preemptions 2", "--preemptions was '1' and is '2'");
  refused(search + "--runs 7", "--runs was '0' and is '7'");
  refused(search + "--set hpage_pages=8", "--set was ");
  refused(search + "--ignore lock-order", "--ignore was ");
  refused(search + "--persona xfs", "--persona was ");
  write("two-opens.yaml", std::string(kTwoOpens) + "expect: {verdict: unknown}\n");
  refused(search, "the digest of scenario two-opens was ");
  write("two-opens.yaml", std::string(kTwoOpens) + "expect: {verdict: clean}\n");
  const std::string good = contents(directory_ / "state");
  EXPECT_EQ(matrix(search).status, 0);
  EXPECT_EQ(contents(directory_ / "state"), good);
  std::string bad = good;
  bad[bad.size() / 2] ^= 1;
  for (const std::string& text : {bad, good.substr(0, good.size() / 2), good.substr(0, 25)}) {
    write("state", text);
    refused(search, "damaged");
  }
  write("state", "A diary.\n");
  refused(search, "no file of a matrix (state)");
  write("state", "");
  refused(search, "no file of a matrix (state)");
  refused("two-opens.yaml --patches none --resume /nonexistent/state", "/nonexistent/state");
}

TEST_F(MatrixCommand, NamesWhatIsWrong) {
  const auto wrong = [&](const std::string& arguments, const std::string& why) {
    const Output output = matrix(arguments);
    EXPECT_EQ(output.status, 129) << arguments;
    EXPECT_TRUE(has(output.err, why)) << output.err;
    EXPECT_EQ(output.out, "");
  };
  wrong("canari", "unknown scenario \"canari\": did you mean \"canary\"?");
  wrong("tph", "did you mean \"thp\"?");
  wrong("missing.yaml", "missing.yaml");
  wrong("canary --patches open-flush-befor-purge", "did you mean \"open-flush-before-purge\"?");
  wrong("canary --with open-flush-befor-purge", "did you mean \"open-flush-before-purge\"?");
  wrong("canary --kernels 6.12.59", "did you mean \"6.12.95\"?");
  wrong("canary --kernel 6.12.59", "did you mean \"6.12.95\"?");
  wrong("canary --persona ext5", "did you mean \"ext4\"?");
  wrong("canary --with a,,b", "--with a,,b has an empty name");
  wrong("canary --patches ,", "has an empty name");
  wrong("canary --preemptions many", "many");
  wrong("canary --preemptions -1", "-1");
  wrong("canary --memory lots", "--memory lots is no size");
  wrong("canary --time soon", "\"soon\" is no time");
  wrong("canary --json --markdown", "give one of them");
  wrong("", "SCENARIO");
}

TEST_F(MatrixCommand, DoesNotCountWhatIsRefused) {
  const std::string both = std::string(" --with ") + kFix + "," + kFirstFix;
  const Output output = matrix("two-opens.yaml --preemptions 1" + both);
  EXPECT_EQ(output.status, 0) << output.err;
  EXPECT_TRUE(has(output.out, "refused")) << output.out;
  EXPECT_TRUE(has(output.out, "\n2 cells: 1 clean, 1 refused\n")) << output.out;
}

TEST_F(MatrixCommand, CannotJudgeACellThatMissesTheWindow) {
  const std::string window = "window: [a:collapse_file]\nexpect: {verdict: clean}\n";
  write("missed.yaml", kTwoOpens + window);
  const Output output = matrix("missed.yaml --patches none");
  EXPECT_EQ(output.status, 125);
  EXPECT_TRUE(has(output.out, "cannot judge")) << output.out;
  EXPECT_TRUE(has(output.out, "\n     the window was not reached: a:collapse_file\n"))
      << output.out;
  EXPECT_FALSE(has(output.out, "clean"));
  EXPECT_EQ(matrix("missed.yaml canary --patches none --preemptions 0").status, 1);
}

TEST_F(MatrixCommand, SaysHowFarACellCameWhenABudgetIsSpent) {
  const Output none = matrix("control --patches none --preemptions 1 --runs 500");
  EXPECT_EQ(none.status, 125);
  EXPECT_TRUE(has(none.out, " nothing so far  ")) << none.out;
  EXPECT_TRUE(has(none.out, "  out of runs\n")) << none.out;
  const Output one = matrix("two-opens.yaml --patches none --preemptions 9 --runs 60 -j 1");
  EXPECT_EQ(one.status, 125);
  EXPECT_TRUE(has(one.out, "  up to ") && has(one.out, ", out of runs\n")) << one.out;
  EXPECT_FALSE(has(one.out, "clean"));
  // What was found counts all the same.
  EXPECT_EQ(matrix("canary --patches none --runs 40").status, 1);
}

TEST_F(MatrixCommand, TellsAllOrdersFromThoseWithinTheBound) {
  EXPECT_TRUE(
      has(matrix("two-opens.yaml --patches none --preemptions 1").out, "  complete up to 1\n"));
  EXPECT_TRUE(has(matrix("two-opens.yaml --patches none --preemptions 1000").out, "  complete\n"));
}

TEST_F(MatrixCommand, ShowsEveryKindOfFindingOfACell) {
  // The reader of the lost bytes gets others: a second, lesser finding of the same runs.
  write_changed("reads.yaml", "canary",
                {{"    - fd = open(\"f\", O_RDWR)\n    - close(fd)\nwindow",
                  "    - fd = open(\"f\", O_RDWR)\n    - expect_read(fd, pattern(91), 4K, 1H)\n"
                  "    - close(fd)\nwindow"}});
  const Output text = matrix("reads.yaml --patches none --preemptions 0");
  EXPECT_TRUE(has(text.out, " none     lost-dirty-data  0 ")) << text.out;
  EXPECT_TRUE(has(text.out, "\n     also unexpected-return (0)\n")) << text.out;
  const Json json = Json::parse(matrix("reads.yaml --patches none --preemptions 0 --json").out);
  const Json& cell = json["scenarios"][0]["cells"][0];
  EXPECT_EQ(cell["verdict"], "lost-dirty-data");
  EXPECT_EQ(cell["result"]["findings"].back()["verdict"], "unexpected-return");
  EXPECT_EQ(cell["result"]["findings"].back()["count"], cell["result"]["findings"][0]["count"]);
}

TEST_F(MatrixCommand, TellsKnownFindingsFromThoseThatCount) {
  const std::string rows = std::string(" --preemptions 0 --patches ") + kFix;
  const Output counts = matrix("canary" + rows);
  EXPECT_TRUE(has(counts.out, " khugepaged-write-all-dirty  lock-order       0 ")) << counts.out;
  write_changed("knows.yaml", "canary",
                {{"expect: {without: khugepaged-write-all-dirty, verdict: lost-dirty-data}",
                  "expect:\n  - {without: khugepaged-write-all-dirty, verdict: lost-dirty-data}\n"
                  "  - {verdict: clean, known: [\"lock-order:\"]}"}});
  const Output known = matrix("knows.yaml" + rows);
  EXPECT_TRUE(has(known.out, " khugepaged-write-all-dirty  clean            - ")) << known.out;
  EXPECT_TRUE(has(known.out, "\n     known, does not count: lock-order\n")) << known.out;
  // Asked for on the command line it is the same.
  EXPECT_TRUE(has(matrix("canary --ignore lock-order" + rows).out, "known, does not count"));
}

TEST_F(MatrixCommand, StoresARecordingOfEveryCellWithAFinding) {
  const std::string search =
      "canary --preemptions 0 -o d --kernels 6.12.95 --patches " + std::string(kFlush);
  const Output first = matrix(search);
  EXPECT_EQ(first.status, 1);
  EXPECT_EQ(first.err,
            "interleaf replay d/canary--none.rec\ninterleaf replay d/canary--6.12.95.rec\n");
  EXPECT_FALSE(fs::exists(directory_ / ("d/canary--" + std::string(kFlush) + ".rec")));
  const Json replay = Json::parse(interleaf("replay d/canary--none.rec --json").out);
  EXPECT_EQ(replay["verdict"], "lost-dirty-data");
  EXPECT_EQ(replay["exact"], true);
  const Json json = Json::parse(matrix(search + " --force --json").out);
  EXPECT_EQ(json["scenarios"][0]["cells"][0]["recording"], "d/canary--none.rec");
  EXPECT_EQ(json["scenarios"][0]["cells"][1]["recording"], "");
  // Never overwritten without being told so, and that is known before the work.
  const Output again = matrix(search);
  EXPECT_EQ(again.status, 129);
  EXPECT_EQ(again.out, "");
  EXPECT_TRUE(has(again.err, "the file exists already (d/canary--none.rec)")) << again.err;
}

TEST_F(MatrixCommand, KeepsToAHundredColumns) {
  const std::string long_row = std::string(" --with ") + kFix + "," + kFlush;
  const Output output =
      matrix("canary control two-opens.yaml --preemptions 0 --runs 9000" + long_row + " " + kRows);
  std::istringstream lines(output.out);
  for (std::string line; std::getline(lines, line);) {
    EXPECT_LE(line.size(), 100u) << line;
    EXPECT_TRUE(line.empty() || line.back() != ' ') << line;
  }
  EXPECT_TRUE(has(output.out, std::string(" ") + kFix + "+" + kFlush + "\n")) << output.out;
}

}  // namespace
}  // namespace interleaf
