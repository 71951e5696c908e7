// SPDX-License-Identifier: GPL-2.0-only
// Calls of a scenario's tasks that are more than a hand-over to the port: what they answer on each
// persona, and what they leave.
#include <gtest/gtest.h>

#include "engine/run.h"
#include "engine/user_error.h"

namespace interleaf {
namespace {

constexpr const char* kHead = R"(title: test
kernel: 6.12.95
persona: ext4
geometry: {hpage_pages: 4}
expect: {verdict: unknown}
files:
  f: {size: 16K, content: pattern(7)}
  g: absent
tasks:
  a:
    - fd = open("f", O_RDWR)
)";

// The verdict of these calls of one task, without preemptions, and what it says.
std::string verdict(const std::string& calls, const std::string& persona) {
  Overrides overrides;
  overrides.persona = persona;
  ScenarioWorld world(0,
                      configure(parse_scenario(kHead + calls, "test.yaml"), std::move(overrides)));
  const TracedRun run = run_traced(world, *make_keep_running(), 0);
  const Finding* finding = run.result.verdict();
  return finding == nullptr ? "clean" : verdict_of(run.result) + ": " + finding->message;
}

constexpr const char* kPersonas[] = {"generic", "ext4", "btrfs", "xfs"};

TEST(Calls, WriteFromMemoryThatEndsIsShortOrFails) {
  for (const char* persona : kPersonas) {
    EXPECT_EQ(verdict(R"(
    - pwrite(fd, unreadable(pattern(91), 4K), 16K, 0) = 4096
    - expect_read(fd, pattern(91), 4K, 0)
    - expect_read(fd, pattern(7, 4096), 12K, 4K)
    - pwrite(fd, unreadable(pattern(92), 0), 4K, 0) = -EFAULT
    - pwrite(fd, unreadable(pattern(93), 100), 4K, 8K) = 100
    - drop_caches()
    - pwrite(fd, unreadable(pattern(94), 5000), 9000, 1000) = 5000
    - write(fd, unreadable(zeros, 1), 2) = 1
    - expect_read(fd, zeros, 1, 0)
    - expect_read(fd, pattern(91, 1), 999, 1)
    - expect_read(fd, pattern(94), 5000, 1000)
    - expect_read(fd, pattern(7, 6000), 2192, 6000)
    - expect_read(fd, pattern(93), 100, 8K)
    - expect_read(fd, pattern(7, 8292), 8092, 8292)
)",
                      persona),
              "clean")
        << persona;
  }
}

TEST(Calls, FailedAppendDoesNotGrowTheFile) {
  for (const char* persona : kPersonas) {
    EXPECT_EQ(verdict(R"(
    - pwrite(fd, unreadable(pattern(91), 0), 8K, 16K) = -EFAULT
    - lseek(fd, 0, SEEK_END) = 16384
    - pwrite(fd, unreadable(pattern(91), 10), 8K, 16K) = 10
    - lseek(fd, 0, SEEK_END) = 16394
)",
                      persona),
              "clean")
        << persona;
  }
}

TEST(Calls, FallocateIsCheckedBeforeTheFilesystemIsAsked) {
  for (const char* persona : {"generic", "btrfs"}) {
    EXPECT_EQ(verdict(R"(
    - fallocate(fd, 0, 0, 0) = -EINVAL
    - fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 4K) = -EOPNOTSUPP
    - fallocate(fd, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_ZERO_RANGE|FALLOC_FL_KEEP_SIZE, 0, 4K) = -EOPNOTSUPP
    - fallocate(fd, FALLOC_FL_COLLAPSE_RANGE|FALLOC_FL_KEEP_SIZE, 0, 4K) = -EOPNOTSUPP
    - fallocate(fd, FALLOC_FL_ZERO_RANGE, 0x7fffffffffffffff, 4K) = -EFBIG
    - rd = open("f", O_RDONLY)
    - fallocate(rd, 0, 0, 4K) = -EBADF
    - fallocate(fd, FALLOC_FL_UNSHARE_RANGE, 0, 4K) = -EOPNOTSUPP
    - fallocate(fd, FALLOC_FL_INSERT_RANGE, 0, 4K) = -EOPNOTSUPP
)",
                      persona),
              "clean")
        << persona;
  }
}

TEST(Calls, LseekSetsThePositionOfReadsAndWrites) {
  for (const char* persona : kPersonas) {
    EXPECT_EQ(verdict(R"(
    - lseek(fd, 4K, SEEK_SET) = 4096
    - write(fd, pattern(91), 100) = 100
    - lseek(fd, 20, SEEK_CUR) = 4216
    - lseek(fd, 0, SEEK_END) = 16384
    - lseek(fd, 5000, SEEK_DATA) = 5000
    - read(fd, 20K) = 11384
    - lseek(fd, 5000, SEEK_HOLE) = 16384
    - lseek(fd, 16K, SEEK_DATA) = -ENXIO
    - lseek(fd, 16K, SEEK_HOLE) = -ENXIO
    - read(fd, 4K) = 0
    - expect_read(fd, pattern(91), 100, 4K)
)",
                      persona),
              "clean")
        << persona;
  }
}

TEST(Calls, ReflinkNeedsAFilesystemThatShares) {
  EXPECT_EQ(verdict(R"(
    - out = open("g", O_RDWR|O_CREAT)
    - rd = open("g", O_RDONLY)
    - reflink(rd, fd, 0, 4K, 0) = -EBADF
    - reflink(out, fd, 0, 4K, 0) = -EOPNOTSUPP
)",
                    "generic"),
            "clean");
}

// Of the file only what is dirty stays: a request to the disk shows what was read again.
TEST(Calls, DropCachesLeavesDirtyPages) {
  for (const char* persona : kPersonas) {
    const std::string calls = R"(
    - pread(fd, 16K, 0) = 16384
    - pwrite(fd, pattern(91), 4K, 4K) = 4096
    - drop_caches() = 0
    - pread(fd, 4K, 4K) = 4096
    - pread(fd, 4K, 8K) = 4096
)";
    Overrides overrides;
    overrides.persona = persona;
    overrides.settings = {{"readahead_pages", "0"}};
    ScenarioWorld world(
        0, configure(parse_scenario(kHead + calls, "test.yaml"), std::move(overrides)));
    const TracedRun run = run_traced(world, *make_keep_running(), 0);
    EXPECT_TRUE(run.result.clean());
    std::string seen;
    bool dropped = false;
    for (const TraceEvent& event : run.trace.events) {
      if (event.kind == TraceEvent::Kind::kEnter) {
        const std::string_view name = event.function->name;
        if (name == "drop_caches") dropped = true;
        if (dropped && name == "pread") seen += "pread ";
        if (dropped && name == "submit_bio" && run.trace.tasks[event.task] == "a") seen += "disk ";
      }
    }
    EXPECT_EQ(seen, "pread pread disk ") << persona;
  }
}

TEST(Calls, UnreadableIsForWrites) {
  const auto error = [](const std::string& call) -> std::string {
    try {
      parse_scenario(kHead + ("    - " + call + "\n"), "t.yaml");
    } catch (const UserError& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_EQ(error("pwrite(fd, unreadable(pattern(1), 4K), 8K, 0)"), "no error");
  EXPECT_EQ(error("pwrite(fd, unreadable(4K, 4K), 8K, 0)"),
            "parameter \"data\" of pwrite(fd, data, len, off) must be pattern(seed), zeros or a "
            "string, not unreadable(4K, 4K) (t.yaml:12:18)");
  EXPECT_EQ(error("expect_read(fd, unreadable(zeros, 1), 2, 0)"),
            "parameter \"data\" of expect_read(fd, data, len, off) must be data that can be read, "
            "not unreadable(zeros, 1) (t.yaml:12:23)");
  EXPECT_EQ(error("write(fd, unreadable(unreadable(zeros, 1), 1), 2)"),
            "unreadable() stands in unreadable() (t.yaml:12:28): write one of them");
  EXPECT_EQ(error("write(fd, unreadable(zeros), 2)"),
            "expected \",\" after the data of unreadable(data, bytes), found \")\" (t.yaml:12:33)");
}

TEST(Calls, DirectReadsStoreIntoMappingsAndBuffers) {
  for (const char* persona : {"ext4", "xfs"}) {
    EXPECT_EQ(verdict(R"(
    - p = mmap(fd, 0, 16K, PROT_READ|PROT_WRITE, MAP_SHARED)
    - pwrite(fd, pattern(9), 4K, 0)
    - d = open("f", O_RDONLY|O_DIRECT)
    - expect_read(d, pattern(9), 4K, 0)
    - pread_into(d, p + 8K, 4K, 0) = 4096
    - expect_load(p + 8K, pattern(9), 4K)
    - expect_read(fd, pattern(9), 4K, 8K)
    - fsync(fd) = 0
    - pread_into(fd, p, 4K, 0) = -EOPNOTSUPP
    - pread_into(d, p + 100, 4K, 0) = -EINVAL
    - pread(d, 100, 0) = -EINVAL
    - pread_into(d, p + 16K, 4K, 0) = -EFAULT
    - pread(d, 8K, 12K) = 4096
)",
                      persona),
              "clean")
        << persona;
  }
  EXPECT_EQ(verdict(R"(
    - open("f", O_RDONLY|O_DIRECT) = -EINVAL
)",
                    "btrfs"),
            "clean");
}

}  // namespace
}  // namespace interleaf
