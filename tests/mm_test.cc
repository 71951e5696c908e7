// SPDX-License-Identifier: GPL-2.0-only
// Mappings: faults, private copies, stores to shared mappings, what an observer hears of them.
// Every test ends with the whole machine unmapped and all counts back where they began.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <array>
#include <string>
#include <vector>

#include "tests/mm_machine.h"

namespace kernel {
namespace {

TEST(Mapping, ShowsTheFilesBytesAndNothingBehindItsEnd) {
  machine_of_test test(3);
  std::array<char, 6> seen{};
  run_alone(test, [&seen](mm_struct* mm) {
    file* f = do_open(find_inode("f"), O_RDONLY);
    const std::uint64_t at = map(mm, f, 4, PROT_READ, MAP_SHARED);
    filp_close(f);
    seen = {load(mm, at),
            load(mm, at + kPage + 5),
            load(mm, at + 2 * kPage),
            load(mm, at + 3 * kPage),
            load(mm, at + 4 * kPage),
            store(mm, at, 'x')};
  });
  EXPECT_EQ(std::string(seen.data(), seen.size()), "abc!??");
}

TEST(Mapping, IsRefusedWhereTheFileDoesNotAllowIt) {
  machine_of_test test(1);
  std::array<std::int64_t, 5> results{};
  run_alone(test, [&results](mm_struct* mm) {
    file* ro = do_open(find_inode("f"), O_RDONLY);
    file* wo = do_open(find_inode("f"), O_WRONLY);
    results = {do_mmap(mm, ro, 0, kPage, kRW, MAP_SHARED),
               do_mmap(mm, wo, 0, kPage, PROT_READ, MAP_SHARED),
               do_mmap(mm, ro, 1, kPage, PROT_READ, MAP_SHARED),
               do_mmap(mm, ro, 0, 0, PROT_READ, MAP_SHARED),
               do_mmap(mm, ro, 0, 100 * kPage, PROT_READ, MAP_SHARED)};
    filp_close(ro);
    filp_close(wo);
  });
  EXPECT_EQ(results, (std::array<std::int64_t, 5>{-EACCES, -EACCES, -EINVAL, -EINVAL, -ENOMEM}));
}

TEST(ReadFault, MapsWhatTheCacheHasAround) {
  harness_options options;
  options.geo.fault_around_pages = 4;
  machine_of_test test(4, options);
  std::string entries;
  entries.reserve(64);
  run_alone(test, [&entries](mm_struct* mm) {
    file* f = do_open(find_inode("f"), O_RDWR);
    for (loff_t page = 0; page < 3; ++page) read_byte(f, page * static_cast<loff_t>(kPage));
    folio_clear_readahead(cached(2));
    const std::uint64_t at = map(mm, f, 4, kRW, MAP_SHARED);
    filp_close(f);
    load(mm, at + kPage);
    for (unsigned page = 0; page < 4; ++page) entries += show(mm, at + page * kPage) + " ";
    BUG_ON(cached(1)->_mapcount.peek() != 1);
  });
  EXPECT_EQ(entries.substr(0, 9), "py py py ");
}

TEST(ReadFault, WithoutReadaheadReadsOnePage) {
  harness_options options;
  options.geo.ra_pages = 0;
  machine_of_test test(4, options);
  std::string entries;
  entries.reserve(64);
  run_alone(test, [&entries](mm_struct* mm) {
    file* f = do_open(find_inode("f"), O_RDONLY);
    const std::uint64_t at = map(mm, f, 4, PROT_READ, MAP_PRIVATE);
    filp_close(f);
    load(mm, at + kPage);
    for (unsigned page = 0; page < 4; ++page) entries += cached(page) == nullptr ? '-' : 'c';
  });
  EXPECT_EQ(entries, "-c--");
}

TEST(PrivateMapping, KeepsItsStoresToItself) {
  machine_of_test test(2);
  std::array<char, 4> seen{};
  std::string entries;
  entries.reserve(64);
  run_alone(test, [&](mm_struct* mm) {
    file* f = do_open(find_inode("f"), O_RDONLY);
    const std::uint64_t at = map(mm, f, 2, kRW, MAP_PRIVATE);
    load(mm, at); /* page 0: do_wp_page, page 1: do_cow_fault */
    entries = show(mm, at);
    store(mm, at, 'x');
    store(mm, at + kPage, 'y');
    entries += " " + show(mm, at) + " " + show(mm, at + kPage);
    seen = {load(mm, at), load(mm, at + kPage), read_byte(f, 0), read_byte(f, kPage)};
    BUG_ON(is_dirty(0) || is_dirty(1) || cached(0)->_mapcount.peek() != 0);
    BUG_ON(load(mm, at + 1) != 'a');
    filp_close(f);
  });
  EXPECT_EQ(std::string(seen.data(), seen.size()), "xyab");
  EXPECT_EQ(entries, "py PWDY PWDY");
}

TEST(SharedMapping, StoresReachTheCacheAndDirtyIt) {
  for (const char* persona : {"generic", "ext4", "btrfs", "xfs"}) {
    machine_of_test test(2, {.persona_name = persona});
    std::array<char, 2> seen{};
    std::string entries;
    entries.reserve(64);
    run_alone(test, [&](mm_struct* mm) {
      file* f = do_open(find_inode("f"), O_RDWR);
      const std::uint64_t at = map(mm, f, 2, kRW, MAP_SHARED);
      /* Page 0: wp_page_shared, page 1: do_shared_fault. */
      load(mm, at);
      entries = show(mm, at);
      BUG_ON(is_dirty(0));
      store(mm, at, 'x');
      store(mm, at + kPage, 'y');
      entries += " " + show(mm, at) + " " + show(mm, at + kPage);
      seen = {read_byte(f, 0), read_byte(f, kPage)};
      BUG_ON(!is_dirty(0) || !is_dirty(1));
      BUG_ON(!xa_marked(&mapping_of("f")->i_pages, PAGECACHE_TAG_DIRTY));
      filp_close(f);
    });
    EXPECT_EQ(std::string(seen.data(), seen.size()), "xy") << persona;
    EXPECT_EQ(entries, "py pwdy pwdy") << persona;
  }
}

TEST(SharedMapping, KeepsWriteAccessUntilItIsUnmapped) {
  machine_of_test test(2);
  std::vector<int> counts;
  counts.reserve(8);
  run_alone(test, [&counts](mm_struct* mm) {
    const inode* node = find_inode("f");
    file* f = do_open(find_inode("f"), O_RDWR);
    const std::uint64_t at = map(mm, f, 2, kRW, MAP_SHARED);
    filp_close(f);
    counts.push_back(node->i_writecount.peek());
    do_munmap(mm, at, kPage);
    counts.push_back(node->i_writecount.peek());
    counts.push_back(node->i_mapping->i_mmap_writable.peek());
    do_munmap(mm, at + kPage, kPage);
    counts.push_back(node->i_writecount.peek());
  });
  EXPECT_EQ(counts, (std::vector<int>{1, 1, 1, 0}));
}

/* Counts what it is told, and remembers the last. */
class listener final : public powered_observer {
 public:
  unsigned write_begin(inode&, loff_t pos, const void*, std::size_t len) override {
    ++writes;
    last_pos = pos;
    last_len = static_cast<long>(len);
    return 7;
  }
  void write_end(unsigned write, long acknowledged) override {
    BUG_ON(write != 7 || acknowledged != last_len);
  }
  unsigned read_begin(inode&, loff_t pos, std::size_t) override {
    ++reads;
    last_pos = pos;
    return 9;
  }
  void read_end(unsigned read, const void* data, long got) override {
    BUG_ON(read != 9);
    last_byte = got > 0 ? *static_cast<const char*>(data) : '-';
  }
  void size_changed(inode&, loff_t) override {}
  void dirty_cancelled(folio&) override {}
  void folio_removed(inode&, folio&, folio*) override {}
  void folio_set_aside(inode&, folio&, bool) override {}
  void block_written(inode&, loff_t, std::size_t) override {}
  void write_error(inode&, loff_t, std::size_t) override {}
  void sync_promised(inode&) override {}

  unsigned writes = 0;
  unsigned reads = 0;
  loff_t last_pos = -1;
  long last_len = -1;
  char last_byte = '-';
};

TEST(Observer, HearsOfAccessesToTheFileAndNotOfPrivateOnes) {
  listener heard;
  machine_of_test test(2, {.watcher = &heard});
  run_alone(test, [&heard](mm_struct* mm) {
    file* f = do_open(find_inode("f"), O_RDWR);
    const std::int64_t at = do_mmap(mm, f, kPage, kPage, kRW, MAP_SHARED);
    const auto shared = static_cast<std::uint64_t>(at);
    const std::uint64_t own = map(mm, f, 2, kRW, MAP_PRIVATE);
    filp_close(f);
    BUG_ON(load(mm, shared + 5) != 'b');
    BUG_ON(heard.reads != 1 || heard.last_pos != kPage + 5 || heard.last_byte != 'b');
    BUG_ON(store(mm, shared + 6, 'x') != 'x');
    BUG_ON(heard.writes != 1 || heard.last_pos != kPage + 6 || heard.last_len != 1);
    BUG_ON(load(mm, own + kPage + 6) != 'x');
    BUG_ON(heard.reads != 2 || heard.last_byte != 'x');
    BUG_ON(store(mm, own, 'y') != 'y' || load(mm, own) != 'y');
    BUG_ON(heard.writes != 1 || heard.reads != 2);
  });
}

TEST(Observer, DoesNotHearOfBytesBehindTheEnd) {
  listener heard;
  machine_of_test test(1, {.watcher = &heard});
  run_alone(test, [&heard](mm_struct* mm) {
    file* f = do_open(find_inode("f"), O_RDWR);
    do_ftruncate(f, 100);
    const std::uint64_t at = map(mm, f, 1, kRW, MAP_SHARED);
    filp_close(f);
    const std::array<char, 8> bytes{};
    heard.writes = 0;
    BUG_ON(access_store(mm, at + 96, bytes.data(), 8) != 0);
    BUG_ON(heard.writes != 1 || heard.last_pos != 96 || heard.last_len != 4);
    BUG_ON(store(mm, at + 100, 'x') != 'x' || heard.writes != 1);
  });
}

TEST(Munmap, OfOnePartLeavesTheRestMapped) {
  machine_of_test test(3);
  std::string entries;
  entries.reserve(64);
  run_alone(test, [&entries](mm_struct* mm) {
    file* f = do_open(find_inode("f"), O_RDWR);
    const std::uint64_t at = map(mm, f, 3, kRW, MAP_SHARED);
    filp_close(f);
    for (unsigned page = 0; page < 3; ++page) store(mm, at + page * kPage, 'x');
    do_munmap(mm, at + kPage, kPage);
    for (unsigned page = 0; page < 3; ++page) entries += show(mm, at + page * kPage) + " ";
    do_munmap(mm, at + 2 * kPage, kPage);
    entries += show(mm, at) + " ";
    entries += std::to_string(mm->vmas.size());
    BUG_ON(do_munmap(mm, at + kPage, 2 * kPage) != 0);
  });
  EXPECT_EQ(entries, "pwdy - pwdy pwdy 1");
}

}  // namespace
}  // namespace kernel
