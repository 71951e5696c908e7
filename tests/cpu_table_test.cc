// SPDX-License-Identifier: GPL-2.0-only
#include "engine/cpu_table.h"

#include <gtest/gtest.h>

#include "engine/user_error.h"
#include "scheduler/prng.h"

namespace interleaf {
namespace {

const std::vector<std::string> kTasks = {"writer", "opener", "flusher"};

// "2:writer.close 3:opener.open" or the error.
std::string parsed(std::string_view text) {
  try {
    std::string shown;
    for (const TableRow& row : parse_cpu_table(text, kTasks, "t")) {
      shown += (shown.empty() ? "" : " ") + std::to_string(row.line) + ":" + row.task + "." +
               row.function;
    }
    return shown;
  } catch (const UserError& error) {
    return error.what();
  }
}

TEST(CpuTable, TakesRoleNamesAsHeadings) {
  EXPECT_EQ(parsed("writer     opener       flusher\n"
                   "close\n"
                   "           do_dentry_open\n"
                   "                        writepages\n"),
            "2:writer.close 3:opener.do_dentry_open 4:flusher.writepages");
}

TEST(CpuTable, NumbersAreTasksInFileOrder) {
  const std::string_view rows = "\na\n               b\n";
  for (const std::string_view heading :
       {"CPU0           CPU1", "CPU1           CPU2", "T1             T2", "CPU A          CPU B",
        "Thread 1       Thread 2", "Process #1     Process #2", "P0             P1"}) {
    EXPECT_EQ(parsed(std::string(heading) + std::string(rows)), "2:writer.a 3:opener.b") << heading;
  }
}

TEST(CpuTable, HeadingMayNameTheTaskOfANumber) {
  EXPECT_EQ(parsed("CPU1=opener    CPU2 = writer\n"
                   "a\n"
                   "               b\n"),
            "2:opener.a 3:writer.b");
}

TEST(CpuTable, NumbersMayStandInAnyOrder) {
  EXPECT_EQ(parsed("CPU1           CPU0\na              b\n"), "2:opener.a 2:writer.b");
}

TEST(CpuTable, CloseIsTheSameInAllSpellings) {
  EXPECT_EQ(parsed("writer    opener\nclose\nclose()\nclose(fd)\nclose (fd)\n"),
            "2:writer.close 3:writer.close 4:writer.close 5:writer.close");
}

TEST(CpuTable, TakesTabsUnderlinesEllipsesAndQuotedMail) {
  EXPECT_EQ(parsed("> CPU1\t\t\tCPU2\n"
                   "> ====\t\t\t====\n"
                   "> close()\n"
                   ">\t\t\tdo_dentry_open()\n"
                   "> ...\n"
                   "> \t\t\t  truncate_inode_pages()\n"
                   ">\n"
                   "> longer_than_7\t\tput\n"),
            "3:writer.close 4:opener.do_dentry_open 6:opener.truncate_inode_pages "
            "8:writer.longer_than_7 8:opener.put");
}

TEST(CpuTable, TakesPipesWithCentredHeadings) {
  EXPECT_EQ(parsed("|       CPU0       |       CPU1       |\n"
                   "|------------------|------------------|\n"
                   "| close()          |                  |\n"
                   "|                  | do_dentry_open() |\n"),
            "3:writer.close 4:opener.do_dentry_open");
  EXPECT_EQ(parsed("CPU0 | CPU1\n a   |\n     | b\n"), "2:writer.a 3:opener.b");
}

TEST(CpuTable, CellsMayDriftByThreeColumnsAndIndent) {
  EXPECT_EQ(parsed("  writer              opener\n"
                   "close\n"
                   "     fput\n"
                   "                   open\n"
                   "                           do_dentry_open\n"),
            "2:writer.close 3:writer.fput 4:opener.open 5:opener.do_dentry_open");
}

TEST(CpuTable, NarrowColumnsDriftLess) {
  EXPECT_EQ(parsed("T1  T2  T3\na\n    b\n        c\n"), "2:writer.a 3:opener.b 4:flusher.c");
}

TEST(CpuTable, TwoCellsInARowComeLeftFirst) {
  EXPECT_EQ(parsed("writer     opener\nclose      open\n"), "2:writer.close 2:opener.open");
}

TEST(CpuTable, DropsCommentsAndRemarks) {
  EXPECT_EQ(parsed("writer               opener\n"
                   "// nothing has happened yet\n"
                   "close // keeps it    open  # for write\n"
                   "fput /* last */      drop() --> data lost\n"),
            "3:writer.close 3:opener.open 4:writer.fput 4:opener.drop");
}

TEST(CpuTable, TakesTheFirstCallOfASourceLine) {
  EXPECT_EQ(
      parsed("writer                                 opener\n"
             "if (!folio_test_dirty(folio))\n"
             "                                       err = filemap_write_and_wait(mapping);\n"),
      "2:writer.folio_test_dirty 3:opener.filemap_write_and_wait");
}

TEST(CpuTable, TakesWrappedArguments) {
  EXPECT_EQ(parsed("writer                 opener\n"
                   "unmap_mapping_range(m,\n"
                   "              0, 0)    open\n"
                   "close\n"),
            "2:writer.unmap_mapping_range 3:opener.open 4:writer.close");
}

TEST(CpuTable, SaysWhichLineAndWhy) {
  const std::vector<std::pair<std::string_view, std::string_view>> golden = {
      {"", "table: the table has no heading (t:1): start it with a line of task names"},
      {"writer  opener\n\n", "table: the table has no rows (t:1): name a function to enter"},
      {"writer  openr\n", R"(table: heading "openr" names no task (t:1): did you mean "opener"?)"},
      {"close\n", R"(table: heading "close" names no task (t:1): known: writer, opener, flusher)"},
      {"CPU1  CPU4\na\n",
       "table: heading \"CPU4\" is task number 4, and the scenario has 3 (t:1): write CPU4=NAME"},
      {"CPU1=writer  CPU2=writer\n", R"(table: task "writer" has two columns (t:1))"},
      {"writer  opener\nclose\nthe file is closed\n",
       "table: \"the file is closed\" names no function to enter (t:3): write the function, and "
       "remarks behind \"//\""},
      {"writer  opener\n<power failure>\n",
       "table: \"<power failure>\" names no function to enter (t:2): write the function, and "
       "remarks behind \"//\""},
      {"writer  opener\nclose /* wide\n",
       "table: a comment is not closed on its line (t:2): add \"*/\", or use \"//\""},
      {"writer  opener\nclose(fd\n", "table: a \"(\" is not closed (t:2)"},
      {"writer  opener\nclose)\n", R"-(table: a ")" without its "(" in "close)" (t:2))-"},
  };
  for (const auto& [text, message] : golden) EXPECT_EQ(parsed(text), message);
}

TEST(CpuTable, MutantsNeverCrashTheParser) {
  const std::string good =
      "> CPU1 | CPU2=opener | flusher\n> ====\n> close(a, | x /* c */ |\n\tb) | y // r\n...\n";
  Prng random(47);
  for (int round = 0; round < 50000; ++round) {
    std::string text = good;
    for (std::uint64_t edits = 1 + random.below(5); edits > 0; --edits) {
      const auto size = static_cast<std::uint32_t>(text.size());
      const std::size_t at = random.below(size);
      if (random.below(2) == 0) {
        text[at] = static_cast<char>(random.below(256));
      } else {
        text.insert(at, text.substr(random.below(size), random.below(10)));
      }
    }
    parsed(text);
  }
}

}  // namespace
}  // namespace interleaf
