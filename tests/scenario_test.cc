// SPDX-License-Identifier: GPL-2.0-only
#include "engine/scenario.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>

#include "engine/nearest.h"
#include "engine/user_error.h"
#include "scheduler/prng.h"

namespace interleaf {
namespace {

constexpr std::string_view kGood = R"yaml(title: A title
reported: linux-mm 2026-06-30 "a subject"
links: [https://example.org/1]
kernel: 6.12.95
persona: ext4
geometry: {hpage_pages: 4}
files:
  f: {size: 32K, content: pattern(7)}
  g: absent
  h: {content: "abc"}
tasks:
  writer:
    - fd = open("f", O_RDWR|O_CREAT, 0x1a4)
    - pwrite(fd, pattern(91), 16K, 32K) = 16384
    - "write(fd, \"a\\n\", 2)"
    - close(fd)
  map-per:
    - wait(writer)
    - rd = open("g", O_RDONLY) = -ENOENT
    - p = mmap(rd, 16K, 16K, PROT_READ, MAP_PRIVATE)
    - loop:
        times: 3
        do:
          - touch(p + 4K, 4K)
daemons: [flusher, khugepaged: {scans: 2}]
patches: {with: [one-patch], without: other}
faults: {alloc: 0, bio: 1}
table: |
  writer    map-per
  close
            filemap_fault()
window: [close, map-per:filemap_fault#2]
steps_max: 5000
expect: {without: one-patch, verdict: lost-dirty-data, known: [data-race in a]}
)yaml";

std::string read_file(const std::string& path) {
  std::ifstream stream(path);
  return {std::istreambuf_iterator<char>(stream), {}};
}

std::string error_of(std::string_view text) {
  try {
    parse_scenario(text, "t.yaml");
  } catch (const UserError& error) {
    return error.what();
  }
  return "no error";
}

std::string replaced(std::string_view from, std::string_view to) {
  std::string text(kGood);
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

// The message if `call` stands in line 16, column 7, after fd, before the end of task "writer".
std::string error_of_call(std::string_view call) { return error_of(replaced("close(fd)", call)); }

std::string shown(const Statement& statement) {
  std::string text;
  if (statement.variable >= 0) text += "v" + std::to_string(statement.variable) + "=";
  if (statement.call == Call::kLoop) {
    text += "loop*" + std::to_string(statement.times) + "{";
    for (const Statement& inner : statement.body) text += shown(inner);
    return text + "}";
  }
  text += signature_of(statement.call).name;
  for (const Argument& argument : statement.arguments) {
    text += " ";
    if (argument.variable >= 0) text += "v" + std::to_string(argument.variable) + "+";
    if (argument.file >= 0) text += "file" + std::to_string(argument.file) + ":";
    if (argument.task >= 0) text += "task" + std::to_string(argument.task) + ":";
    text += argument.kind == ParameterKind::kData
                ? "data" + std::to_string(data_byte(argument.data, 0))
                : std::to_string(argument.value);
  }
  if (statement.returns) text += " = " + std::to_string(*statement.returns);
  return text + " @" + std::to_string(statement.position.line) + ":" +
         std::to_string(statement.position.column);
}

TEST(Scenario, HoldsWhatTheFileSays) {
  const Scenario scenario = parse_scenario(kGood, "some/dir/t.yaml");
  EXPECT_EQ(scenario.name, "t");
  EXPECT_EQ(scenario.text, kGood);
  EXPECT_EQ(scenario.reported, "linux-mm 2026-06-30 \"a subject\"");
  EXPECT_EQ(scenario.kernel, "6.12.95");
  EXPECT_EQ(scenario.geometry.hpage_pages, 4U);
  EXPECT_EQ(scenario.geometry.page_size, 4096U);
  ASSERT_EQ(scenario.files.size(), 3U);
  EXPECT_EQ(scenario.files[0].size, 32768U);
  EXPECT_EQ(scenario.files[0].data.seed, 7U);
  EXPECT_FALSE(scenario.files[1].exists);
  EXPECT_EQ(scenario.files[2].size, 3U);
  ASSERT_EQ(scenario.daemons.size(), 2U);
  EXPECT_EQ(scenario.daemons[1].options.at("scans"), 2U);
  EXPECT_EQ(scenario.patches_without, std::vector<std::string>{"other"});
  EXPECT_EQ(scenario.faults.at("bio"), 1U);
  ASSERT_EQ(scenario.tables.size(), 1U);
  const std::vector<TableRow> rows = {{"writer", "close", 30}, {"map-per", "filemap_fault", 31}};
  EXPECT_EQ(scenario.tables[0].rows, rows);
  EXPECT_EQ(scenario.window[1].task, "map-per");
  EXPECT_EQ(scenario.window[1].nth, 2U);
  EXPECT_EQ(scenario.steps_max, 5000U);
  EXPECT_EQ(scenario.expect.at(0).known, std::vector<std::string>{"data-race in a"});
}

TEST(Scenario, BindsCallsToSlotsFlagsAndPlaces) {
  const Scenario scenario = parse_scenario(kGood, "t.yaml");
  std::string text;
  for (const TaskSpec& task : scenario.tasks) {
    text += task.name + "\n";
    for (const Statement& statement : task.statements) text += shown(statement) + "\n";
  }
  EXPECT_EQ(text,
            "writer\n"
            "v0=open file0:0 66 420 @13:7\n"
            "pwrite v0+0 data92 16384 32768 = 16384 @14:7\n"
            "write v0+0 data97 2 @15:8\n"
            "close v0+0 @16:7\n"
            "map-per\n"
            "wait task0:0 @18:7\n"
            "v0=open file1:0 0 0 = -2 @19:7\n"
            "v1=mmap v0+0 16384 16384 1 2 @20:7\n"
            "loop*3{touch v1+4096 4096 @24:13}\n");
}

TEST(Scenario, PatternIsTheReproducersAndIsNeverZero) {
  const DataSource pattern{.kind = DataSource::Kind::kPattern, .seed = 91, .offset = 0, .text = ""};
  std::string text;
  for (std::uint64_t i = 0; i < 6; ++i) text += std::to_string(data_byte(pattern, i)) + " ";
  EXPECT_EQ(text, "92 223 99 230 106 237 ");
  const DataSource later{.kind = DataSource::Kind::kPattern, .seed = 91, .offset = 3, .text = ""};
  for (std::uint64_t i = 0; i < 1000; ++i) {
    EXPECT_NE(data_byte(pattern, i), 0);
    EXPECT_EQ(data_byte(pattern, i + 3), data_byte(later, i));
  }
}

TEST(Scenario, SaysWhatIsWrongWithACall) {
  const std::vector<std::pair<std::string_view, std::string_view>> golden = {
      {"pwrit(fd, zeros, 4K, 0)", R"(unknown call "pwrit" (t.yaml:16:7): did you mean "pwrite"?)"},
      {"frobnicate(fd)",
       R"(unknown call "frobnicate" (t.yaml:16:7): docs/SCENARIOS.md lists the calls)"},
      {"pwrite(fd, zeros, 4K)",
       "pwrite(fd, data, len, off) takes 4 arguments, not 3 (t.yaml:16:27)"},
      {"close(fd, fd)", "close(fd) takes 1 argument, not 2 (t.yaml:16:17)"},
      {R"(q = open("f"))",
       "open(path, flags[, mode]) takes 2 arguments or more, not 1 (t.yaml:16:19)"},
      {R"(q = open("f", O_RDRW))",
       R"(unknown flag "O_RDRW" (t.yaml:16:21): did you mean "O_RDWR"?)"},
      {R"(q = open("f", O_TRUNC))",
       "parameter \"flags\" of open(path, flags[, mode]) must hold exactly one of O_RDONLY, "
       "O_WRONLY, O_RDWR (t.yaml:16:21)"},
      {R"(q = open("e", O_RDWR))", R"(unknown file "e" (t.yaml:16:16): known: f, g, h)"},
      {"close(df)", R"(variable "df" is used before it is set (t.yaml:16:13): did you mean "fd"?)"},
      {"close(other)",
       "variable \"other\" is used before it is set (t.yaml:16:13): set it earlier in the same "
       "task: other = open(...)"},
      {"touch(fd, 4K)",
       "parameter \"addr\" of touch(addr, len) must be an address, as mmap() gives it, and \"fd\" "
       "is an open file (set in line 13) (t.yaml:16:13)"},
      {"fsync(3)", "parameter \"fd\" of fsync(fd) must be an open file, not 3 (t.yaml:16:13)"},
      {"wait(map-pre)", R"(unknown task "map-pre" (t.yaml:16:12): did you mean "map-per"?)"},
      {"wait(writer)", "task \"writer\" waits for itself (t.yaml:16:12): wait for another task"},
      {"wait(map-per)",
       "tasks wait for each other: writer -> map-per -> writer (t.yaml:18:12): remove one wait"},
      {"p = mmap(fd, 100, 4K, PROT_READ, MAP_SHARED)",
       "parameter \"off\" of mmap(fd, off, len, prot, flags) must be a multiple of the page size "
       "(4096), not 100 (t.yaml:16:20): the page before it starts at 0"},
      {"n = fsync(fd)",
       "\"fsync\" gives nothing that a later call can use (t.yaml:16:7): leave out \"n =\"; to "
       "check the result write \"= 0\" after the call"},
      {"fsync(fd) = -EOI", R"(unknown error "EOI" (t.yaml:16:20): did you mean "EIO"?)"},
      {"ftruncate(fd, 4KB)",
       "\"4KB\" is not a number (t.yaml:16:21): write 4096, 0x1000 or 4K; the units are K, M, G "
       "and H (a huge page)"},
      {"ftruncate(fd, 99999999999G)", R"("99999999999G" does not fit into 63 bits (t.yaml:16:21))"},
      {"fsync(fd",
       "expected \")\" or \",\" in the arguments of \"fsync\", found the end of the line "
       "(t.yaml:16:15)"},
      {"fsync(fd) fsync(fd)", R"(expected the end of the line, found "f" (t.yaml:16:17))"},
      {R"(write(fd, "abc", 4))",
       "write(fd, data, len) takes 4 bytes from a string that has 3 (t.yaml:16:24)"},
      {R"(write(fd, "abc, 4))", R"(a string is not closed (t.yaml:16:17): add a '"')"},
  };
  for (const auto& [call, message] : golden) EXPECT_EQ(error_of_call(call), message);
}

TEST(Scenario, SaysWhatIsWrongWithAKey) {
  struct Case {
    std::string_view from, to, message;
  };
  const std::vector<Case> golden = {
      {"kernel:", "kernal:",
       R"(unknown key "kernal" in the scenario (t.yaml:4:1): did you mean "kernel"?)"},
      {"kernel: 6.12.95\n", "",
       "the key \"kernel\" is missing (t.yaml): docs/SCENARIOS.md describes every key"},
      {"kernel: 6.12.95", "kernel:", "key \"kernel\" has no value (t.yaml:4:1)"},
      {"f: {size: 32K, content: pattern(7)}",
       "f:", "file \"f\" has no size (t.yaml:8:3): write f: {size: 16K}"},
      {"kernel: 6.12.95", "kernel: six",
       "\"six\" is not a kernel version (t.yaml:4:9): write 6.12 or 6.12.95; `interleaf list "
       "kernels` lists them"},
      {"kernel: 6.12.95", "title: B",
       "key \"title\" appears twice in the scenario (t.yaml:4:1): the first one is in line 1"},
      {"ext4", "ext5", R"(unknown persona "ext5" (t.yaml:5:10): did you mean "ext4"?)"},
      {"{hpage_pages: 4}", "{hpage_page: 4}",
       R"(unknown key "hpage_page" in geometry (t.yaml:6:12): did you mean "hpage_pages"?)"},
      {"{hpage_pages: 4}", "{hpage_pages: 3}",
       "hpage_pages can not be \"3\" (t.yaml:6:25): a power of two from 2 to 512"},
      {"{hpage_pages: 4}", "{block_size: 8K}",
       "block_size (8192) is larger than page_size (4096) (t.yaml:6:11): make it 4096 or less"},
      {"pattern(7)", "patern(7)",
       "unknown function \"patern\" (t.yaml:8:27): only pattern(seed[, offset]) and "
       "unreadable(data, bytes) can be an argument"},
      {"size: 32K, ", "", "file \"f\" has no size (t.yaml:8:3): write f: {size: 16K}"},
      {"  writer:\n", "  Writer:\n",
       "\"Writer\" is not a task name (t.yaml:12:3): a letter, then letters, digits, \"_\" and "
       "\"-\", all lower case"},
      {"  writer:\n", "  idle:\n  writer:\n",
       "task \"idle\" has no calls (t.yaml:12:3): list them: - fsync(fd)"},
      {"times: 3", "times: 0", "times must be from 1 to 1000 (t.yaml:22:16)"},
      {"        do:\n          - touch(p + 4K, 4K)", "        do: [touch(p, 4K)]",
       "the call \"touch(p\" was cut at a comma (t.yaml:23:14): in [...] put calls in quotes, or "
       "write each behind \"- \" on its own line"},
      {"flusher", "flushed", R"(unknown daemon "flushed" (t.yaml:25:11): did you mean "flusher"?)"},
      {"alloc", "aloc", R"(unknown key "aloc" in faults (t.yaml:27:10): did you mean "alloc"?)"},
      {"  writer    map-per\n", "  writer    maper\n",
       R"(table: heading "maper" names no task (t.yaml:29): did you mean "map-per"?)"},
      {"map-per:filemap_fault#2", "map-per:filemap fault",
       "\"map-per:filemap fault\" is not a place to reach (t.yaml:32:17): write function, "
       "task:function or task:function#2"},
      {", verdict: lost-dirty-data", "", "an expectation has no verdict (t.yaml:34:9)"},
      {"title: A title", "title: [a",
       "not valid YAML: end of sequence flow not found (t.yaml:2:9)"},
  };
  for (const Case& each : golden) EXPECT_EQ(error_of(replaced(each.from, each.to)), each.message);
}

TEST(Scenario, RefusesMoreThan24Tasks) {
  std::string tasks;
  for (int i = 0; i < 24; ++i) tasks += "  t" + std::to_string(i) + ":\n    - truncate(\"f\", 0)\n";
  EXPECT_EQ(error_of(replaced("tasks:\n", "tasks:\n" + tasks)),
            "there are more than 24 tasks (t.yaml:60:3)");
}

TEST(Scenario, FindsThePlaceInWrappedAndQuotedCalls) {
  EXPECT_EQ(error_of_call("pwrite(fd, zeros,\n        4K, nought)"),
            "parameter \"off\" of pwrite(fd, data, len, off) must be a number, not nought "
            "(t.yaml:17:13)");
  EXPECT_EQ(error_of_call(R"-("write(fd, \"a\", nought)")-"),
            "parameter \"len\" of write(fd, data, len) must be a number, not nought "
            "(t.yaml:16:25)");
  EXPECT_EQ(error_of_call("'close(nought)'"),
            "variable \"nought\" is used before it is set (t.yaml:16:14): set it earlier in the "
            "same task: nought = open(...)");
}

TEST(Scenario, RefusesAliasesAndMoreThanOneDocument) {
  EXPECT_EQ(error_of(",title: A"), "the file holds more than one YAML document (t.yaml)");
  EXPECT_EQ(error_of("a: 1\n---\nb: 2\n"), "the file holds more than one YAML document (t.yaml)");
  EXPECT_EQ(error_of(""), "the scenario must be a mapping (key: value) (t.yaml:1:1)");
  const std::string text =
      replaced("          - touch(p + 4K, 4K)", "          - &a loop: {times: 2, do: [*a]}");
  EXPECT_EQ(error_of(text),
            "a scenario can not use an alias (*name) (t.yaml:24:38): repeat the value");
}

TEST(Scenario, EveryScenarioOfTheProjectIsGood) {
  const std::vector<std::string> names = list_scenarios();
  ASSERT_FALSE(names.empty());
  for (const std::string& name : names) {
    SCOPED_TRACE(name);
    const Scenario scenario = load_scenario(name);
    EXPECT_EQ(scenario.name, name);
    EXPECT_FALSE(scenario.window.empty()) << "silence is no success";
  }
}

TEST(Scenario, UnknownNameGetsTheNearest) {
  try {
    load_scenario("canray");
    FAIL();
  } catch (const UserError& error) {
    EXPECT_STREQ(error.what(), "unknown scenario \"canray\": did you mean \"canary\"?");
  }
}

TEST(Scenario, ReferenceNamesEveryCallFlagAndGeometry) {
  const std::string reference = read_file(INTERLEAF_SCENARIO_DIR "/../docs/SCENARIOS.md");
  const auto expect_named = [&](std::string_view name) {
    EXPECT_NE(reference.find("`" + std::string(name) + "`"), std::string::npos) << name;
  };
  for (const CallSignature& signature : call_signatures()) {
    expect_named(signature.text());
    for (const Parameter& parameter : signature.parameters) {
      for (const Flag& flag : flags_of(parameter.kind)) expect_named(flag.name);
    }
  }
  for (const std::string& name : geometry_names()) expect_named(name);
  for (const std::string& name : errno_names()) expect_named(name);
}

// A mutant may be a good scenario; if not, the error is a UserError.
TEST(Scenario, MutantsNeverCrashTheParser) {
  Prng random(20260630);
  for (int round = 0; round < 20000; ++round) {
    std::string text(kGood);
    for (std::uint64_t edits = 1 + random.below(4); edits > 0; --edits) {
      const auto size = static_cast<std::uint32_t>(text.size());
      const std::size_t at = random.below(size);
      const std::size_t length = 1 + random.below(12);
      const std::size_t from = random.below(size);
      switch (random.below(4)) {
        case 0:
          text.erase(at, length);
          break;
        case 1:
          text.insert(at, text.substr(from, length));
          break;
        case 2:
          text[at] = static_cast<char>(random.below(256));
          break;
        default:
          text[at] = "{}[]():,|&*!\"'\n\t #-=>%@\\"[random.below(24)];
      }
      if (text.empty()) text = "x";
    }
    try {
      parse_scenario(text, "t.yaml");
    } catch (const UserError&) {
    }
  }
}

TEST(Nearest, TakesSlipsAndRefusesOtherWords) {
  const std::vector<std::string> names = {"pread", "pwrite", "fsync"};
  EXPECT_EQ(nearest("pwrtie", names), "pwrite");
  EXPECT_EQ(nearest("PREAD", names), "pread");
  EXPECT_EQ(nearest("munmap", names), "");
  EXPECT_EQ(nearest_or_list("munmap", names), "known: pread, pwrite, fsync");
}

}  // namespace
}  // namespace interleaf
