// SPDX-License-Identifier: GPL-2.0-only
// Unmapping, storing, truncating, syncing and collapsing against each other, under some hundred
// schedules. Every run ends with the whole machine unmapped and all counts back where they began.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <array>
#include <string>
#include <vector>

#include "engine/kernel/writeback.h"
#include "tests/mm_machine.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

namespace kernel {
namespace {

constexpr unsigned kSeeds = 300;

/* Runs the tasks of `test` under many schedules, and then looks at what is left. */
void run_seeds(machine_of_test& test, const char* what) {
  for (unsigned seed = 0; seed < kSeeds; ++seed) {
    const interleaf::RunResult& result = test.harness.run(seed);
    ASSERT_TRUE(result.clean()) << what << " seed " << seed << "\n" << describe(result);
    ASSERT_EQ(result.end, interleaf::RunEnd::kFinished) << what << " seed " << seed;
    ASSERT_EQ(leftovers(test), "") << what << " seed " << seed;
  }
}

void race_munmap_and_truncate(const char* persona, unsigned fault_around) {
  harness_options options{.persona_name = persona, .faults_max = 1};
  options.geo.fault_around_pages = fault_around;
  machine_of_test test(3, options);
  unsigned sigbus = 0;
  unsigned segv = 0;
  unsigned done = 0;
  const auto count = [&](char got) { ++(got == '!' ? sigbus : got == '?' ? segv : done); };
  test.harness.task("process", [&] {
    file* f = do_open(find_inode("f"), O_RDWR);
    const std::uint64_t at = map(test.mm, f, 3, kRW, MAP_SHARED);
    filp_close(f);
    /* From here on there is no I/O that would take longer than the race. */
    for (unsigned page = 0; page < 3; ++page) count(load(test.mm, at + page * kPage));
    do_madvise(test.mm, at, 3 * kPage, MADV_DONTNEED);
    *test.ready = true;
    for (const unsigned page : {2u, 0u, 1u}) {
      count(load(test.mm, at + page * kPage));
      test.check_mapped_folios_are_cached();
      count(store(test.mm, at + page * kPage, 'x'));
      test.check_mapped_folios_are_cached();
    }
    do_munmap(test.mm, at, 2 * kPage);
    mmput(test.mm);
    lru_add_drain_all();
  });
  test.harness.task("thread", [&] {
    if (!test.join()) return;
    for (const unsigned page : {0u, 2u, 1u}) {
      count(load(test.mm, pmd_size() + page * kPage));
      test.check_mapped_folios_are_cached();
      count(store(test.mm, pmd_size() + page * kPage, 'y'));
      test.check_mapped_folios_are_cached();
    }
    mmput(test.mm);
    lru_add_drain_all();
  });
  test.harness.task("truncate", [&] {
    test.wait_until_ready();
    for (const loff_t size : {kPage / 2, 3 * kPage, kPage, 3 * kPage}) {
      vfs_truncate(find_inode("f"), size);
      test.check_mapped_folios_are_cached();
    }
    lru_add_drain_all();
  });
  run_seeds(test, persona);
  /* The windows were reached. */
  EXPECT_GT(sigbus, 10u) << persona;
  EXPECT_GT(segv, 10u) << persona;
  EXPECT_GT(done, 10u) << persona;
}

TEST(Race, MunmapAgainstTruncateAndStores) {
  for (const char* persona : {"generic", "ext4", "btrfs", "xfs"}) {
    race_munmap_and_truncate(persona, 1);
    race_munmap_and_truncate(persona, 4);
  }
}

/* One thread stores to pages that it has read, another drops them. */
TEST(Race, StoresAgainstDontneed) {
  for (const int type : {MAP_SHARED, MAP_PRIVATE}) {
    machine_of_test test(2);
    test.harness.task("process", [&, type] {
      file* f = do_open(find_inode("f"), O_RDWR);
      const std::uint64_t at = map(test.mm, f, 2, kRW, type);
      filp_close(f);
      /* From here on there is no I/O that would take longer than the race. */
      load(test.mm, at);
      load(test.mm, at + kPage);
      *test.ready = true;
      for (unsigned i = 0; i < 4; ++i) {
        const std::uint64_t page = at + i % 2 * kPage;
        load(test.mm, page);
        BUG_ON(store(test.mm, page, 'x') != 'x');
      }
      mmput(test.mm);
      lru_add_drain_all();
    });
    test.harness.task("thread", [&] {
      if (!test.join()) return;
      for (unsigned i = 0; i < 3; ++i) do_madvise(test.mm, pmd_size(), 2 * kPage, MADV_DONTNEED);
      mmput(test.mm);
      lru_add_drain_all();
    });
    run_seeds(test, type == MAP_SHARED ? "shared" : "private");
  }
}

/* Writeback write-protects while a process stores: after the last sync nothing is lost. */
TEST(Race, StoresAgainstWriteback) {
  for (const char* persona : {"generic", "ext4", "btrfs", "xfs"}) {
    machine_of_test test(1, {.persona_name = persona});
    test.harness.task("process", [&] {
      file* f = do_open(find_inode("f"), O_RDWR);
      const std::uint64_t at = map(test.mm, f, 1, kRW, MAP_SHARED);
      *test.ready = true;
      for (char byte = '1'; byte <= '4'; ++byte) store(test.mm, at, byte);
      BUG_ON(do_msync(test.mm, at, kPage, MS_SYNC) != 0);
      mmput(test.mm);
      lru_add_drain_all();
      filp_close(f);
    });
    test.harness.task("sync", [&] {
      test.wait_until_ready();
      for (unsigned i = 0; i < 2; ++i) filemap_write_and_wait(mapping_of("f"));
      lru_add_drain_all();
    });
    for (unsigned seed = 0; seed < kSeeds; ++seed) {
      const interleaf::RunResult& result = test.harness.run(seed);
      ASSERT_TRUE(result.clean()) << persona << " seed " << seed << "\n" << describe(result);
      ASSERT_EQ(leftovers(test), "") << persona << " seed " << seed;
      const char on_disk = test.harness.inspect([] {
        std::array<char, kPage> block{};
        const inode* node = find_inode("f");
        peek_disk(node, 0, block.size(), block.data());
        return block[0];
      });
      ASSERT_EQ(on_disk, '4') << persona << " seed " << seed;
    }
  }
}

/* Two threads of a process and somebody who unmaps the file's pages; private copies survive. */
TEST(Race, PrivateCopiesAgainstUnmapMappingRange) {
  harness_options options;
  options.geo.fault_around_pages = 2;
  machine_of_test test(2, options);
  unsigned rights = 0;
  test.harness.task("process", [&] {
    file* f = do_open(find_inode("f"), O_RDONLY);
    const std::uint64_t at = map(test.mm, f, 2, kRW, MAP_PRIVATE);
    filp_close(f);
    load(test.mm, at);
    *test.ready = true;
    for (char byte = '1'; byte <= '3'; ++byte) {
      BUG_ON(load(test.mm, at + kPage + 1) != 'b');
      store(test.mm, at, byte);
      rights += load(test.mm, at) == byte ? 1 : 0;
    }
    mmput(test.mm);
    lru_add_drain_all();
  });
  test.harness.task("thread", [&] {
    if (!test.join()) return;
    for (unsigned i = 0; i < 2; ++i) store(test.mm, pmd_size() + kPage, 'z');
    mmput(test.mm);
    lru_add_drain_all();
  });
  test.harness.task("unmapper", [&] {
    test.wait_until_ready();
    for (unsigned i = 0; i < 3; ++i) unmap_mapping_range(mapping_of("f"), 0, 0, false);
  });
  run_seeds(test, "private");
  EXPECT_EQ(rights, 3 * kSeeds);
}

/* Huge entries come, go by stores, partial zaps and truncate, and no count is off. */
TEST(Race, HugeEntriesAgainstTruncateAndZap) {
  machine_of_test test(4, {.persona_name = "xfs"});
  unsigned huge = 0;
  unsigned sigbus = 0;
  test.harness.task("process", [&] {
    add_huge_folio();
    file* f = do_open(find_inode("f"), O_RDWR);
    const std::uint64_t at = map(test.mm, f, 4, kRW, MAP_SHARED);
    filp_close(f);
    load(test.mm, at);
    *test.ready = true;
    huge += pmd_trans_huge(pmd_offset(test.mm, at)->peek());
    sigbus += store(test.mm, at + kPage, 'x') == '!';
    do_munmap(test.mm, at + 3 * kPage, kPage);
    load(test.mm, at);
    mmput(test.mm);
    lru_add_drain_all();
  });
  test.harness.task("thread", [&] {
    if (!test.join()) return;
    load(test.mm, pmd_size() + 2 * kPage);
    store(test.mm, pmd_size(), 'y');
    do_madvise(test.mm, pmd_size(), 2 * kPage, MADV_DONTNEED);
    mmput(test.mm);
    lru_add_drain_all();
  });
  test.harness.task("truncate", [&] {
    test.wait_until_ready();
    vfs_truncate(find_inode("f"), 0);
    lru_add_drain_all();
  });
  run_seeds(test, "huge");
  EXPECT_GT(huge, 10u);
  EXPECT_GT(sigbus, 10u);
}

/* Page tables are taken away by a collapse while others fault and load. */
TEST(Race, CollapseAgainstLoads) {
  machine_of_test test(4);
  unsigned collapsed = 0;
  unsigned loads = 0;
  test.harness.task("process", [&] {
    file* f = do_open(find_inode("f"), O_RDONLY);
    const std::uint64_t at = map(test.mm, f, 4, PROT_READ, MAP_PRIVATE);
    filp_close(f);
    *test.ready = true;
    for (unsigned page = 0; page < 4; ++page) load(test.mm, at + page * kPage);
    if (do_madvise(test.mm, at, 4 * kPage, MADV_COLLAPSE) == 0) ++collapsed;
    mmput(test.mm);
    lru_add_drain_all();
  });
  test.harness.task("thread", [&] {
    if (!test.join()) return;
    for (unsigned i = 0; i < 8; ++i) {
      const unsigned page = i % 4;
      const char got = load(test.mm, pmd_size() + page * kPage);
      BUG_ON(got != '?' && got != static_cast<char>('a' + page));
      loads += got != '?';
    }
    mmput(test.mm);
    lru_add_drain_all();
  });
  run_seeds(test, "collapse");
  EXPECT_GT(collapsed, 10u);
  EXPECT_GT(loads, 10u);
}

}  // namespace
}  // namespace kernel
