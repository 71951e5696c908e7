// SPDX-License-Identifier: GPL-2.0-only
// What the oracle calls a loss, and what it does not.
#include "engine/oracle.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "engine/fuzz.h"
#include "engine/kernel/folio.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/writeback.h"
#include "engine/report.h"
#include "tests/kernel_harness.h"

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
// And when the truncation removed the folio, with the old block below it not yet freed.
TEST(Oracle, DoesNotCallAStoreLostThatATruncationOverlaps) {
  for (const char* persona : {"ext4", "btrfs", "generic"}) {
    EXPECT_EQ(found(R"(
tasks:
  a:
    - fd = open("f", O_RDWR)
    - p = mmap(fd, 0, 4K, PROT_READ|PROT_WRITE, MAP_SHARED)
    - store(p, pattern(3), 1K)
  c:
    - fd = open("f", O_RDWR)
    - ftruncate(fd, 0) = 0
)",
                    persona),
              "");
  }
}

// Truncate zeroes the block at the new end in the cache: its buffer is uptodate, its folio is not.
TEST(Oracle, SeesTheBuffersOfAFolioThatIsNotUptodate) {
  EXPECT_EQ(found(R"(
tasks:
  c:
    - fd = open("f", O_RDWR)
    - ftruncate(fd, 3K) = 0
    - ftruncate(fd, 14K) = 0
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

TEST(Oracle, SeesOldBytesBehindTheEndShowAgain) {
  const std::string body = R"(
tasks:
  a:
    - fd = open("f", O_RDWR)
    - ftruncate(fd, 10K) = 0
    - p = mmap(fd, 0, 16K, PROT_READ|PROT_WRITE, MAP_SHARED)
    - store(p + 11K, pattern(3), 100)
    - ftruncate(fd, 16K) = 0
)";
  // Nothing is zeroed when the file grows: the store shows until the page has left the cache.
  EXPECT_NE(found(body, "generic")
                .find("bytes 11264..11363 of f were zeroed, and 100 of them are "
                      "not zero"),
            std::string::npos)
      << found(body, "generic");
  EXPECT_EQ(found(body, "btrfs"), "");
}

// Which of the two came first nobody can say.
TEST(Oracle, AllowsStoresBehindTheEndWhileTheFileGrows) {
  EXPECT_EQ(found(R"(
tasks:
  a:
    - fd = open("f", O_RDWR)
    - ftruncate(fd, 10K) = 0
    - ftruncate(fd, 16K) = 0
  b:
    - fd = open("f", O_RDWR)
    - p = mmap(fd, 0, 16K, PROT_READ|PROT_WRITE, MAP_SHARED)
    - store(p + 11K, pattern(3), 100)
)",
                  "btrfs"),
            "");
}

// An oracle whose calls a test makes itself. The task runs it on "f", 4 pages of 'a'.
RunResult judged(const std::function<void(Oracle&, kernel::inode&)>& body) {
  kernel::kernel_harness harness({.persona_name = "btrfs"});
  harness.file("f", std::string(16384, 'a'));
  Oracle* oracle = nullptr;
  static const std::vector<std::uint8_t> image(16384, 'a');
  harness.setup([&] {
    oracle = new Oracle();
    kernel::this_machine().watcher = oracle;
    oracle->add_file(*kernel::find_inode("f"), 16384, image);
  });
  harness.task("t", [&] { body(*oracle, *kernel::find_inode("f")); });
  return harness.run_in_order();
}

std::string message(const RunResult& result) {
  return result.clean() ? "clean" : verdict_of(result) + ": " + result.verdict()->message;
}

const std::vector<std::uint8_t> kLetters(16384, 'b');

void write_letters(kernel::inode& node, kernel::loff_t pos, std::size_t len) {
  kernel::file* f = kernel::do_open(&node, O_RDWR);
  kernel::vfs_write(f, pos, kLetters.data(), len);
  kernel::filp_close(f);
}

void zero_in_cache(kernel::inode& node, std::uint64_t page, std::size_t begin, std::size_t end) {
  auto* folio = static_cast<kernel::folio*>(kernel::xa_peek(&node.i_mapping->i_pages, page).entry);
  kernel::folio_zero_contents(folio, begin, end - begin);
}

// Page i of the file, in the cache, holds pages[i]; '0' is zeros.
void write_contents(kernel::inode& node, std::string_view pages) {
  for (std::size_t page = 0; page < pages.size(); ++page) {
    auto* folio = kernel::__filemap_get_folio(node.i_mapping, page, kernel::FGP_WRITEBEGIN);
    const std::string bytes(4096, pages[page] == '0' ? '\0' : pages[page]);
    kernel::folio_write_contents(folio, 0, bytes.data(), bytes.size());
    kernel::folio_set_uptodate(folio);
    kernel::folio_unlock(folio);
    kernel::folio_put(folio);
  }
}

// The failed write never came to the bytes that the other one had written meanwhile.
TEST(Oracle, AFailedWriteThatOverlapsDoesNotExcuseWhatWasThereBefore) {
  static const std::vector<std::uint8_t> other(16384, 'c');
  const auto run = [&](bool lose) {
    return message(judged([&](Oracle& oracle, kernel::inode& node) {
      const unsigned failing = oracle.write_begin(node, 0, other.data(), 16384);
      write_letters(node, 8192, 10);
      if (lose) {
        kernel::folio_write_contents(
            static_cast<kernel::folio*>(kernel::xa_peek(&node.i_mapping->i_pages, 2).entry), 3,
            "aa", 2);
      }
      oracle.write_end(failing, -EFAULT);
      oracle.check_all(false);
    }));
  };
  EXPECT_EQ(run(false), "clean");
  EXPECT_EQ(run(true),
            "lost-dirty-data: bytes 8195..8196 of f, acknowledged by write #2, are lost: neither "
            "in the cache nor on disk at the end");
}

TEST(Oracle, ZeroedBytesMustBeZeroForReaders) {
  const auto run = [&](std::size_t zeroed_to) {
    return message(judged([&](Oracle& oracle, kernel::inode& node) {
      write_letters(node, 0, 8192);
      const unsigned zeroing = oracle.zero_begin(node, 1000, 3000);
      zero_in_cache(node, 0, 1000, zeroed_to);
      oracle.zero_end(zeroing, true);
    }));
  };
  EXPECT_EQ(run(4000), "clean");
  EXPECT_EQ(run(3999),
            "stale-data: bytes 3999..3999 of f were zeroed, and 1 of them are not zero: the call "
            "that zeroed them returned");
}

// Zero in the cache, and nobody knows that it must be written.
TEST(Oracle, ZeroedBytesMustReachTheDisk) {
  EXPECT_EQ(message(judged([&](Oracle& oracle, kernel::inode& node) {
              kernel::file* f = kernel::do_open(&node, O_RDWR);
              char bytes[4096];
              kernel::vfs_read(f, 0, bytes, sizeof(bytes));
              const unsigned zeroing = oracle.zero_begin(node, 0, 4096);
              zero_in_cache(node, 0, 0, 4096);
              oracle.zero_end(zeroing, true);
              oracle.check_all(true);
            })),
            "stale-data: bytes 0..4095 of f were zeroed, and 4096 of them are not zero: not on "
            "disk after a clean unmount");
}

// A store through a mapping, as one step: nothing else sees it half done.
void store_in_cache(Oracle& oracle, kernel::inode& node, std::uint64_t pos, std::size_t len) {
  auto* folio =
      static_cast<kernel::folio*>(kernel::xa_peek(&node.i_mapping->i_pages, pos / 4096).entry);
  kernel::folio_write_contents(folio, pos % 4096, kLetters.data(), len);
  const auto size = static_cast<std::uint64_t>(node.i_size.look());
  const std::size_t inside = pos >= size ? 0 : std::min<std::size_t>(len, size - pos);
  if (inside < len) {
    oracle.store_behind_end(node, static_cast<kernel::loff_t>(pos + inside), len - inside);
  }
  if (inside == 0) return;
  oracle.write_end(
      oracle.write_begin(node, static_cast<kernel::loff_t>(pos), kLetters.data(), inside),
      static_cast<long>(inside));
}

// The folio that holds the store goes while the old bytes are still on the disk.
TEST(Oracle, WhatAPunchTakesFirstIsItsOwnAffair) {
  const auto run = [&](bool overlaps, bool takes_all) {
    return message(judged([&](Oracle& oracle, kernel::inode& node) {
      write_contents(node, "aaaa");
      unsigned punch = overlaps ? oracle.zero_begin(node, 0, 4096) : 0;
      store_in_cache(oracle, node, 0, 10);
      kernel::truncate_inode_pages_range(node.i_mapping, 0, 4095);
      if (!overlaps) punch = oracle.zero_begin(node, 0, 4096);
      if (takes_all) write_contents(node, "0");
      oracle.zero_end(punch, true);
    }));
  };
  EXPECT_EQ(run(true, true), "clean");
  EXPECT_EQ(run(true, false),
            "stale-data: bytes 0..4095 of f were zeroed, and 4096 of them are not zero: the call "
            "that zeroed them returned");
  EXPECT_EQ(run(false, true),
            "lost-dirty-data: bytes 0..9 of f, acknowledged by write #1, are lost: the last copy "
            "left the page cache");
}

// A truncate may come before what it meets before it has got i_rwsem: the file was longer then.
TEST(Oracle, AStoreBehindTheEndThatAGrowingTruncateMeetsMayStay) {
  const auto run = [&](bool before) {
    return message(judged([&](Oracle& oracle, kernel::inode& node) {
      write_contents(node, "aaaa");
      unsigned truncation = oracle.truncate_begin(node);
      oracle.truncate_range(truncation, 1500, -1);
      zero_in_cache(node, 0, 1500, 4096);
      node.i_size.poke(1500);
      oracle.zero_end(truncation, true);
      if (before) store_in_cache(oracle, node, 1400, 200);
      truncation = oracle.truncate_begin(node);
      if (!before) store_in_cache(oracle, node, 1400, 200);
      oracle.truncate_range(truncation, 1500, 2596);
      node.i_size.poke(4096);
      oracle.zero_end(truncation, true);
    }));
  };
  EXPECT_EQ(run(false), "clean");
  EXPECT_EQ(run(true),
            "stale-data: bytes 1500..1599 of f were zeroed, and 100 of them are not zero: the call "
            "that zeroed them returned");
}

TEST(Oracle, ATruncateThatWaitsExcusesNothing) {
  EXPECT_EQ(message(judged([&](Oracle& oracle, kernel::inode& node) {
              write_contents(node, "aaaa");
              oracle.truncate_begin(node);
              store_in_cache(oracle, node, 0, 10);
              kernel::truncate_inode_pages_range(node.i_mapping, 0, 4095);
            })),
            "lost-dirty-data: bytes 0..9 of f, acknowledged by write #1, are lost: the last copy "
            "left the page cache");
}

TEST(Oracle, AZeroingThatFailedPromisesNothing) {
  EXPECT_EQ(message(judged([&](Oracle& oracle, kernel::inode& node) {
              write_letters(node, 0, 8192);
              const unsigned zeroing = oracle.zero_begin(node, 1000, 3000);
              zero_in_cache(node, 0, 1000, 2000);
              oracle.zero_end(zeroing, false);
              oracle.check_all(false);
            })),
            "clean");
}

TEST(Oracle, AWriteAfterAZeroingCountsAlone) {
  EXPECT_EQ(message(judged([&](Oracle& oracle, kernel::inode& node) {
              write_letters(node, 0, 8192);
              const unsigned zeroing = oracle.zero_begin(node, 1000, 3000);
              zero_in_cache(node, 0, 1000, 4000);
              oracle.zero_end(zeroing, true);
              write_letters(node, 2000, 10);
              oracle.check_all(false);
              zero_in_cache(node, 0, 2000, 2010);
              oracle.check_all(false);
            })),
            "lost-dirty-data: bytes 2000..2009 of f, acknowledged by write #2, are lost: neither "
            "in the cache nor on disk at the end");
}

// What the file must hold after bytes were moved, as a string of runs.
TEST(Oracle, KnowsWhereCollapsedAndInsertedRangesGo) {
  const auto run = [&](kernel::loff_t shift, bool moves) {
    return message(judged([&](Oracle& oracle, kernel::inode& node) {
      write_letters(node, 8192, 8192);  // a a b b
      const unsigned handle = oracle.shift_begin(node, 4096, shift);
      if (moves && shift < 0) {  // a b b
        write_contents(node, "abb");
        node.i_size.poke(12288);
      } else if (moves) {  // a 0 a b b
        write_contents(node, "a0abb");
        node.i_size.poke(20480);
      }
      oracle.shift_end(handle, true);
      oracle.check_all(false);
    }));
  };
  EXPECT_EQ(run(-4096, true), "clean");
  EXPECT_EQ(run(4096, true), "clean");
  EXPECT_EQ(run(-4096, false),
            "lost-dirty-data: bytes 4096..8191 of f, acknowledged, are lost: neither in the cache "
            "nor on disk at the end");
}

TEST(Oracle, KnowsWhatAClonedRangeHolds) {
  const auto run = [&](bool clones, bool races) {
    return message(judged([&](Oracle& oracle, kernel::inode& node) {
      write_letters(node, 4096, 4096);
      static const std::vector<std::uint8_t> other(4096, 'c');
      const unsigned racing = races ? oracle.write_begin(node, 4096, other.data(), 4096) : 0;
      const unsigned handle = oracle.clone_begin(node, 4096, node, 12288, 4096);
      if (clones) write_contents(node, "abab");
      oracle.clone_end(handle, 4096);
      if (races) oracle.write_end(racing, -EIO);
      oracle.check_all(false);
    }));
  };
  EXPECT_EQ(run(true, false), "clean");
  EXPECT_EQ(run(false, true), "clean");  // the source was being written
  EXPECT_EQ(run(false, false),
            "lost-dirty-data: bytes 12288..16383 of f, acknowledged, are lost: the clone was "
            "acknowledged");
}

// An error is recorded; `then` is done to the file; two syncs, and what they return.
std::string told(const std::function<void(kernel::file&)>& then, std::string& results) {
  return message(judged([&](Oracle&, kernel::inode& node) {
    kernel::file* f = kernel::do_open(&node, O_RDWR);
    kernel::file* other = kernel::do_open(&node, O_RDWR);
    kernel::mapping_set_error(node.i_mapping, -EIO);
    kernel::file* late = kernel::do_open(&node, O_RDWR);
    const auto sync = [&](kernel::file* which) {
      const int error = kernel::vfs_fsync_range(which, 0, INT64_MAX, false);
      const HeapScope heap;
      results += error == 0 ? " 0" : " EIO";
    };
    then(*f);
    sync(f);
    sync(f);
    sync(other);
    sync(other);
    sync(late);
    sync(late);
    kernel::filp_close(f);
    kernel::filp_close(other);
    kernel::filp_close(late);
  }));
}

TEST(Oracle, KnowsWhoWasToldOfAnErrorOfWriteback) {
  std::string results;
  EXPECT_EQ(told([](kernel::file&) {}, results), "clean");
  EXPECT_EQ(results, " EIO 0 EIO 0 EIO 0");
  results.clear();
  const auto forgets = [](kernel::file& f) { f.f_wb_err.poke(f.f_mapping->wb_err.peek()); };
  EXPECT_EQ(told(forgets, results),
            "unexpected-return: a sync of f returned 0, and the file has not been told of an error "
            "of its writeback");
  EXPECT_EQ(results.substr(0, 4), " 0 0");
  results.clear();
  const auto repeats = [](kernel::file& f) {
    kernel::vfs_fsync_range(&f, 0, INT64_MAX, false);
    f.f_wb_err.poke(0);
  };
  EXPECT_EQ(told(repeats, results),
            "unexpected-return: a sync of f returned -EIO, and the file has been told of every "
            "error of its writeback");
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
