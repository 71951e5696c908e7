// SPDX-License-Identifier: GPL-2.0-only
// What the oracle calls a loss, and what it does not.
#include "engine/oracle.h"

#include <gtest/gtest.h>

#include "engine/fuzz.h"
#include "engine/report.h"

namespace interleaf {
namespace {

constexpr const char* kHead = R"(title: test
kernel: 6.12.95
persona: ext4
geometry: {hpage_pages: 4}
expect: {verdict: unknown}
files:
  f: {size: 16K, content: pattern(7)}
)";

// The signatures that 500 random schedules of these tasks show; "" if none.
std::string found(const std::string& body, const std::string& persona = "ext4") {
  Overrides overrides;
  overrides.persona = persona;
  const auto configuration =
      configure(parse_scenario(kHead + body, "test.yaml"), std::move(overrides));
  FuzzOptions options;
  options.seed_last = 499;
  options.keep_going = true;
  std::string text;
  for (const FuzzFinding& finding : fuzz(configuration, options, nullptr).findings) {
    text += signature_of(finding.run.result) + "\n" + cpu_table(*configuration, finding.run, {}) +
            consequence(finding.run);
  }
  return text;
}

TEST(Oracle, DoesNotCallTruncatedDataLost) {
  EXPECT_EQ(found(R"(
tasks:
  writer:
    - fd = open("f", O_RDWR)
    - pwrite(fd, pattern(91), 8K, 12K) = 8192
    - ftruncate(fd, 6K) = 0
    - fsync(fd) = 0
    - expect_read(fd, pattern(7), 6K, 0)
    - close(fd)
daemons: [flusher]
)"),
            "");
}

// Called a loss at unmount: a store that came after the truncation began and before it unmapped.
TEST(Oracle, DoesNotCallAStoreLostThatATruncationOverlaps) {
  EXPECT_EQ(found(R"(
tasks:
  a:
    - fd = open("f", O_RDWR)
    - p = mmap(fd, 0, 4K, PROT_READ|PROT_WRITE, MAP_SHARED)
    - store(p, pattern(3), 1K)
  c:
    - fd = open("f", O_RDWR)
    - ftruncate(fd, 0) = 0
)"),
            "");
}

TEST(Oracle, TakesEitherOfTwoOverlappingWrites) {
  EXPECT_EQ(found(R"(
tasks:
  a:
    - fd = open("f", O_RDWR)
    - pwrite(fd, pattern(1), 8K, 0)
    - close(fd)
  b:
    - fd = open("f", O_RDWR)
    - pwrite(fd, pattern(2), 8K, 4K)
    - close(fd)
daemons: [flusher]
)"),
            "");
}

TEST(Oracle, TakesOldOrNewBytesFromAReadThatOverlapsAWrite) {
  EXPECT_EQ(found(R"(
tasks:
  writer:
    - fd = open("f", O_RDWR)
    - pwrite(fd, pattern(91), 16K, 0)
    - close(fd)
  reader:
    - fd = open("f", O_RDONLY)
    - pread(fd, 16K, 0)
    - pread(fd, 16K, 0)
    - close(fd)
)"),
            "");
}

TEST(Oracle, DoesNotCallWrittenBackDataLostWhenTheCacheIsDropped) {
  for (const char* persona : {"generic", "ext4", "btrfs", "xfs"}) {
    EXPECT_EQ(found(R"(
tasks:
  writer:
    - fd = open("f", O_RDWR)
    - pwrite(fd, pattern(91), 16K, 8K) = 16384
    - fsync(fd) = 0
    - fadvise(fd, 0, 24K, POSIX_FADV_DONTNEED)
    - expect_read(fd, pattern(91), 16K, 8K)
    - close(fd)
  reader:
    - fd = open("f", O_RDONLY)
    - pread(fd, 24K, 0)
    - close(fd)
daemons: [flusher]
)",
                    persona),
              "")
        << persona;
  }
}

TEST(Oracle, SeesStoresThroughASharedMappingReachTheDisk) {
  for (const char* persona : {"generic", "ext4", "btrfs", "xfs"}) {
    EXPECT_EQ(found(R"(
tasks:
  mapper:
    - fd = open("f", O_RDWR)
    - p = mmap(fd, 0, 16K, PROT_READ|PROT_WRITE, MAP_SHARED)
    - store(p, pattern(91), 6K)
    - load(p, 8K)
    - munmap(p, 16K)
    - fsync(fd) = 0
    - fadvise(fd, 0, 16K, POSIX_FADV_DONTNEED)
    - expect_read(fd, pattern(91), 6K, 0)
    - close(fd)
daemons: [flusher]
)",
                    persona),
              "")
        << persona;
  }
}

TEST(Oracle, DoesNotBlameTheCacheForARecordedWriteError) {
  EXPECT_EQ(found(R"(
faults: {bio: 1}
tasks:
  writer:
    - fd = open("f", O_RDWR)
    - pwrite(fd, pattern(91), 4K, 16K)
    - fsync(fd)
    - close(fd)
)"),
            "");
}

TEST(Oracle, NamesTheStepThatDestroyedTheLastCopy) {
  const auto configuration = configure(load_scenario("canary"), {});
  ScenarioWorld world(0, configuration);
  const auto keep = make_keep_running();
  const TracedRun run = run_traced(world, *keep, 0);
  const Finding* finding = run.result.verdict();
  ASSERT_NE(finding, nullptr);
  EXPECT_EQ(finding->kind, FindingKind::kLostDirtyData);
  EXPECT_EQ(finding->message,
            "bytes 16384..20479 of f, acknowledged by write #1, are lost: the last copy left the "
            "page cache");
  ASSERT_EQ(finding->details.size(), 2u);
  EXPECT_EQ(finding->details[0], "4096 of 4096 bytes there now are zero");
  EXPECT_NE(finding->signature().find("delete_from_page_cache_batch<truncate_inode_pages_range<"
                                      "truncate_inode_pages<do_dentry_open"),
            std::string::npos)
      << finding->signature();
}

}  // namespace
}  // namespace interleaf
