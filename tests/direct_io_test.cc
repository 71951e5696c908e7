// SPDX-License-Identifier: GPL-2.0-only
// Direct reads: what reaches the buffer, what becomes of a mapped file whose pages the buffer is,
// and the references.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <string>

#include "engine/kernel/uio.h"
#include "engine/kernel/vmscan.h"
#include "engine/kernel/writeback.h"
#include "scheduler/strategy.h"
#include "tests/mm_machine.h"
#include "tests/sticky_random.h"

namespace kernel {
namespace {

constexpr const char* kPersonas[] = {"ext4", "xfs"};

harness_options direct(std::string_view persona, std::string_view version = "6.12") {
  harness_options options{.persona_name = persona, .kernel_name = version};
  options.direct_io = true;
  return options;
}

/* The file "f" is mapped, "source" is read. */
struct two_files : machine_of_test {
  explicit two_files(const harness_options& options, unsigned pages = 2)
      : machine_of_test(pages, options) {
    std::string bytes;
    for (unsigned i = 0; i < pages; ++i) bytes.append(kPage, static_cast<char>('A' + i));
    harness.file("source", bytes);
  }
};

file* open_source() {
  file* f = do_open(find_inode("source"), O_RDONLY | O_DIRECT);
  BUG_ON(IS_ERR(f));
  return f;
}

long read_mapped(mm_struct* mm, file* f, std::uint64_t at, std::size_t len, loff_t pos) {
  user_buffer to(mm, at, len);
  return vfs_read_direct(f, pos, &to);
}

/* bio_dirty_fn() gives references back later. */
void wait_for_references(const folio* f, int references) {
  while (f->_refcount.look() > references) interleaf::Scheduler::current()->relax();
}

TEST(DirectRead, StoresIntoASharedMapping) {
  for (const char* persona : kPersonas) {
    for (const char* version : {"6.1", "6.12"}) {
      two_files test(direct(persona, version));
      std::string seen;
      seen.reserve(64);
      run_alone(test, [&seen](mm_struct* mm) {
        file* f = do_open(find_inode("f"), O_RDWR);
        const std::uint64_t at = map(mm, f, 2, kRW, MAP_SHARED);
        file* source = open_source();
        seen = std::to_string(read_mapped(mm, source, at, 2 * kPage, 0));
        seen += load(mm, at);
        seen += load(mm, at + 2 * kPage - 1);
        seen += is_dirty(0) && is_dirty(1) ? "D" : "-";
        BUG_ON(folio_maybe_dma_pinned(cached(0)));
        BUG_ON(find_inode("source")->i_data.nrpages.peek() != 0);
        BUG_ON(find_inode("source")->i_dio_count.peek() != 0);
        filp_close(source);
        filp_close(f);
      });
      EXPECT_EQ(seen, "8192ABD") << persona << version;
    }
  }
}

TEST(DirectRead, FillsABufferOfTheTask) {
  for (const char* persona : kPersonas) {
    two_files test(direct(persona));
    std::string seen;
    seen.reserve(64);
    run_alone(test, [&seen](mm_struct*) {
      file* source = open_source();
      char own[3 * kPage] = {};
      user_buffer to(own, sizeof own);
      seen = std::to_string(vfs_read_direct(source, kPage, &to));
      seen += own[0];
      seen += own[kPage - 1];
      seen += own[kPage] == 0 ? "0" : "?";
      filp_close(source);
    });
    EXPECT_EQ(seen, "4096BB0") << persona;
  }
}

TEST(DirectRead, WritesTheDirtyCacheBackFirst) {
  for (const char* persona : kPersonas) {
    two_files test(direct(persona));
    std::string seen;
    seen.reserve(64);
    run_alone(test, [&seen](mm_struct*) {
      file* f = do_open(find_inode("source"), O_RDWR);
      BUG_ON(vfs_write(f, 100, "new", 3) != 3);
      file* source = open_source();
      char own[kPage] = {};
      user_buffer to(own, sizeof own);
      BUG_ON(vfs_read_direct(source, 0, &to) != static_cast<long>(kPage));
      seen.assign(own + 99, 5);
      filp_close(source);
      filp_close(f);
    });
    EXPECT_EQ(seen, "AnewA") << persona;
  }
}

TEST(DirectRead, ReadsHolesAsZeros) {
  for (const char* persona : kPersonas) {
    two_files test(direct(persona));
    std::string seen;
    seen.reserve(64);
    run_alone(test, [&seen](mm_struct* mm) {
      BUG_ON(vfs_truncate(find_inode("source"), 4 * kPage) != 0);
      file* f = do_open(find_inode("f"), O_RDWR);
      const std::uint64_t at = map(mm, f, 2, kRW, MAP_SHARED);
      file* source = open_source();
      seen = std::to_string(read_mapped(mm, source, at, 2 * kPage, kPage));
      seen += load(mm, at);
      seen += load(mm, at + kPage) == 0 ? "0" : "?";
      filp_close(source);
      filp_close(f);
    });
    EXPECT_EQ(seen, "8192B0") << persona;
  }
}

TEST(DirectRead, RefusesWhatIsNotAligned) {
  for (const char* persona : kPersonas) {
    two_files test(direct(persona));
    long results[6] = {};
    run_alone(test, [&results](mm_struct* mm) {
      file* f = do_open(find_inode("f"), O_RDWR);
      const std::uint64_t at = map(mm, f, 2, kRW, MAP_SHARED);
      const std::uint64_t constant = map(mm, f, 2, PROT_READ, MAP_SHARED);
      file* source = open_source();
      results[0] = read_mapped(mm, source, at, kPage, 100);
      results[1] = read_mapped(mm, source, at + 100, kPage, 0);
      results[2] = read_mapped(mm, source, at, 100, 0);
      results[3] = read_mapped(mm, source, constant, kPage, 0);
      results[4] = read_mapped(mm, source, at, kPage, 2 * kPage); /* the end of the file */
      results[5] = read_mapped(mm, source, at, 0, 0);
      filp_close(source);
      filp_close(f);
    });
    for (unsigned i = 0; i < 3; ++i) EXPECT_EQ(results[i], -EINVAL) << persona << i;
    EXPECT_EQ(results[3], -EFAULT) << persona;
    EXPECT_EQ(results[4], 0) << persona;
    EXPECT_EQ(results[5], 0) << persona;
  }
}

TEST(DirectRead, CannotBeOpenedWhereItIsNotModelled) {
  for (const bool device : {false, true}) {
    for (const char* persona : {"ext4", "btrfs"}) {
      harness_options options = direct(persona);
      options.direct_io = device;
      two_files test(options);
      long results[2] = {};
      run_alone(test, [&results](mm_struct*) {
        unsigned at = 0;
        for (const int mode : {O_RDONLY, O_RDWR}) {
          file* f = do_open(find_inode("source"), mode | O_DIRECT);
          results[at++] = IS_ERR(f) ? PTR_ERR(f) : filp_close(f);
        }
      });
      const bool possible = device && std::string(persona) == "ext4";
      EXPECT_EQ(results[0], possible ? 0 : -EINVAL) << persona;
      EXPECT_EQ(results[1], -EINVAL) << persona;
    }
  }
}

TEST(DirectRead, FailsWithTheDevice) {
  for (const char* persona : kPersonas) {
    harness_options options = direct(persona);
    options.faults_max = 1;
    two_files test(options);
    unsigned failed = 0;
    test.harness.task("process", [&test, &failed] {
      file* f = do_open(find_inode("f"), O_RDWR);
      const std::uint64_t at = map(test.mm, f, 2, kRW, MAP_SHARED);
      file* source = open_source();
      const long got = read_mapped(test.mm, source, at, kPage, 0);
      BUG_ON(got != -EIO && got != static_cast<long>(kPage) && got != -ENOMEM && got != -EFAULT);
      failed += got == -EIO;
      filp_close(source);
      filp_close(f);
      mmput(test.mm);
      lru_add_drain_all();
    });
    for (std::uint64_t seed = 0; seed < 5000; ++seed) {
      const interleaf::RunResult& result = test.harness.run(seed);
      ASSERT_TRUE(result.clean()) << seed << "\n" << describe(result);
    }
    EXPECT_GT(failed, 3u) << persona;
  }
}

/* The folio is cleaned while the device is at work: it must become dirty again, though perhaps only
 * after the read has returned. */
TEST(DirectRead, MakesFoliosDirtyAgainThatWereCleanedMeanwhile) {
  for (const char* persona : kPersonas) {
    for (const char* version : {"6.1", "6.12"}) {
      two_files test(direct(persona, version), 1);
      bool* returned = nullptr;
      unsigned cleaned = 0, late = 0;
      test.harness.setup([&returned] { returned = new bool(false); });
      test.harness.task("reader", [&] {
        file* f = do_open(find_inode("f"), O_RDWR);
        const std::uint64_t at = map(test.mm, f, 1, kRW, MAP_SHARED);
        file* source = open_source();
        *test.ready = true;
        BUG_ON(read_mapped(test.mm, source, at, kPage, 0) != static_cast<long>(kPage));
        BUG_ON(load(test.mm, at) != 'A' || load(test.mm, at + kPage - 1) != 'A');
        const bool dirty = is_dirty(0);
        *returned = true;
        folio* p = cached(0);
        lru_add_drain_all(); /* batches have references, too */
        /* The cache's, the mapping's, the buffers': the request's are gone. */
        wait_for_references(p, 1 + 1 + (p->private_data.look() != nullptr ? 1 : 0));
        late += !dirty && p->flags.look(PG_dirty);
        BUG_ON(vfs_fsync_range(f, 0, INT64_MAX, false) != 0);
        filp_close(source);
        filp_close(f);
        mmput(test.mm);
        lru_add_drain_all();
      });
      test.harness.task("writeback", [&] {
        test.wait_until_ready();
        const bool before = !*returned;
        filemap_write_and_wait(mapping_of("f"));
        cleaned += before && !*returned;
        lru_add_drain_all();
      });
      interleaf::StickyRandom sticky;
      for (std::uint64_t seed = 0; seed < 2500; ++seed) {
        const interleaf::RunResult& result = test.harness.run(sticky, seed);
        ASSERT_TRUE(result.clean()) << persona << version << seed << "\n" << describe(result);
        ASSERT_EQ(result.end, interleaf::RunEnd::kFinished) << seed;
        test.harness.inspect([&] {
          unsigned char block[kPage];
          const block_state state = this_machine().sb->s_op->peek_block(find_inode("f"), 0);
          disk_peek(this_machine().sb->s_bdev, state.block, block);
          EXPECT_EQ(block[0], 'A') << seed;
          EXPECT_EQ(block[kPage - 1], 'A') << seed;
        });
      }
      EXPECT_GT(cleaned, 20u) << persona;
      EXPECT_GT(late, 2u) << persona;
      EXPECT_EQ(leftovers(test), "");
    }
  }
}

/*
 * Between the reference and the device's store the folio is written, and reclaim takes it up: since
 * the reference keeps it in the cache, all that goes are its buffers. What makes it dirty then is a
 * folio that ext4 knows nothing about. The number of seeds with ext4's warning.
 */
unsigned stripped(std::string_view version, patch_set without) {
  harness_options options = direct("ext4", version);
  options.without = without;
  two_files test(options, 1);
  unsigned warned = 0;
  test.harness.task("reader", [&] {
    file* f = do_open(find_inode("f"), O_RDWR);
    const std::uint64_t at = map(test.mm, f, 1, kRW, MAP_SHARED);
    file* source = open_source();
    store(test.mm, at, 'x');
    lru_add_drain_all();
    *test.ready = true;
    BUG_ON(read_mapped(test.mm, source, at, kPage, 0) != static_cast<long>(kPage));
    filp_close(source);
    filp_close(f);
    mmput(test.mm);
    lru_add_drain_all();
  });
  test.harness.task("reclaim", [&] {
    test.wait_until_ready();
    filemap_write_and_wait(mapping_of("f"));
    folio* f = filemap_get_folio(mapping_of("f"), 0);
    if (IS_ERR(f)) return;
    const bool isolated = folio_isolate_lru(f);
    folio_put(f);
    if (isolated) {
      std::vector<folio*> folios{f};
      reclaim_pages(&folios);
    }
    lru_add_drain_all();
  });
  interleaf::StickyRandom sticky;
  for (std::uint64_t seed = 0; seed < 1500; ++seed) {
    const interleaf::RunResult& result = test.harness.run(sticky, seed);
    if (result.clean()) continue;
    const std::string text = describe(result);
    EXPECT_NE(text.find("ext4_dirty_folio"), std::string::npos) << seed << text;
    ++warned;
  }
  return warned;
}

TEST(DirectRead, LosesItsBuffersToReclaimUnlessItIsPinnedAndReclaimLooks) {
  EXPECT_GT(stripped("6.1", 0), 3u); /* reclaim looks, but the reference is no PIN */
  EXPECT_GT(stripped("6.12", patch_bit(Patch::kDioPinsPages)), 3u);
  EXPECT_GT(stripped("6.12", patch_bit(Patch::kReclaimSkipsPinned)), 3u);
  EXPECT_EQ(stripped("6.12", 0), 0u);
}

}  // namespace
}  // namespace kernel
