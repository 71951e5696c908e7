// SPDX-License-Identifier: GPL-2.0-only
// Mappings: faults, private copies, stores to shared mappings, zapping, the reverse mapping, huge
// entries; and unmapping, storing, truncating and syncing against each other under some hundred
// schedules. Every test ends with the whole machine unmapped and all counts back where they began.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>

#include <array>
#include <string>
#include <vector>

#include "engine/kernel/bug.h"
#include "engine/kernel/khugepaged.h"
#include "engine/kernel/page_table.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/writeback.h"
#include "tests/kernel_harness.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

namespace kernel {
namespace {

constexpr unsigned kSeeds = 300;
constexpr std::size_t kPage = 4096;
constexpr int kRW = PROT_READ | PROT_WRITE;
constexpr unsigned kPmds = 16;

/* `pages` pages; every page of its own letter, starting with 'a'. */
std::string letters(unsigned pages) {
  std::string bytes;
  for (unsigned i = 0; i < pages; ++i) bytes.append(kPage, static_cast<char>('a' + i));
  return bytes;
}

std::string describe(const interleaf::RunResult& result) {
  std::string text;
  for (const interleaf::Finding& finding : result.findings) {
    text += std::string(interleaf::finding_name(finding.kind)) + ": " + finding.message + " [" +
            finding.task_name + ":";
    for (const std::string& function : finding.stack) text += " " + function;
    text += "]\n";
  }
  return text;
}

/* ---- inside tasks ---- */

address_space* mapping_of(const char* name) { return find_inode(name)->i_mapping; }

folio* cached(pgoff_t index) {
  return static_cast<folio*>(xa_peek(&mapping_of("f")->i_pages, index).entry);
}

std::uint64_t map(mm_struct* mm, file* f, unsigned pages, int prot, int flags) {
  const std::int64_t address = do_mmap(mm, f, 0, pages * kPage, prot, flags);
  BUG_ON(address <= 0);
  return static_cast<std::uint64_t>(address);
}

/* The byte at this address, '!' for SIGBUS, '?' for SIGSEGV. */
char load(mm_struct* mm, std::uint64_t address) {
  char byte = 0;
  const int error = access_load(mm, address, &byte, 1);
  return error == 0 ? byte : error == -EIO ? '!' : '?';
}

char store(mm_struct* mm, std::uint64_t address, char byte) {
  const int error = access_store(mm, address, &byte, 1);
  return error == 0 ? byte : error == -EIO ? '!' : '?';
}

char read_byte(file* f, loff_t pos) {
  char byte = '-';
  return vfs_read(f, pos, &byte, 1) == 1 ? byte : '-';
}

pte_t peek_pte(mm_struct* mm, std::uint64_t address) {
  const pmd_t pmd = pmd_offset(mm, address)->peek();
  return pmd.table == nullptr ? pte_t{} : pte_offset(pmd.table, address)->peek();
}

/* "-", or p, w, d, y for the bits that are set; in capitals for a private page. */
std::string show(mm_struct* mm, std::uint64_t address) {
  const pte_t pte = peek_pte(mm, address);
  if (pte_none(pte)) return "-";
  const bool anon = folio_test_anon(pte.f);
  std::string text(anon ? "P" : "p");
  if (pte_write(pte)) text += anon ? 'W' : 'w';
  if (pte_dirty(pte)) text += anon ? 'D' : 'd';
  if (pte_young(pte)) text += anon ? 'Y' : 'y';
  return text;
}

bool is_dirty(pgoff_t index) { return cached(index)->flags.peek(PG_dirty); }

/* ---- a machine with one file and one process ---- */

struct machine_of_test {
  kernel_harness harness;
  mm_struct* mm = nullptr;
  bool* ready = nullptr; /* in the World: false at the start of every run */

  explicit machine_of_test(unsigned pages, harness_options options = {}) : harness(options) {
    harness.file("f", letters(pages));
    harness.setup([this] {
      mm = new mm_struct("process", kPmds);
      ready = new bool(false);
    });
  }
  /* For the other tasks: the process has mapped the file. */
  void wait_until_ready() const {
    while (!*ready) interleaf::Scheduler::current()->relax();
  }
  /* A second thread begins, unless the process has ended. */
  bool join() const {
    wait_until_ready();
    return mm->mm_users.inc_not_zero();
  }
  /* Who takes a folio out of the cache unmaps it first, and both under its lock, as who maps
   * it: true at every instant. */
  void check_mapped_folios_are_cached() const {
    for (unsigned page = 0; page < hpage_pages(); ++page) {
      const pte_t pte = peek_pte(mm, pmd_size() + page * kPage);
      BUG_ON(!pte_none(pte) && !folio_test_anon(pte.f) && pte.f->mapping.peek() == nullptr);
    }
  }
};

/* Nothing mapped anywhere; each folio of the cache has the cache's references and no others. */
std::string leftovers(machine_of_test& test) {
  return test.harness.inspect([&]() -> std::string {
    std::string text;
    const auto expect = [&text](const char* what, long is, long should) {
      if (is != should) text += std::string(what) + " " + std::to_string(is) + " ";
    };
    address_space* mapping = mapping_of("f");
    for (pgoff_t index = 0; index < 16;) {
      const xa_peeked peeked = xa_peek(&mapping->i_pages, index);
      auto* f = static_cast<folio*>(peeked.entry);
      if (f == nullptr || xa_is_value(f)) {
        ++index;
        continue;
      }
      const int cache = static_cast<int>(folio_nr_pages(f));
      const int own = f->flags.peek(PG_private) ? 1 : 0;
      expect("mapcount", f->_mapcount.peek(), 0);
      expect("refs", f->_refcount.peek(), cache + own);
      index += folio_nr_pages(f);
    }
    expect("nr_file_mapped", this_machine().stat.nr_file_mapped.peek(), 0);
    expect("i_mmap", static_cast<long>(mapping->i_mmap.size()), 0);
    expect("i_mmap_writable", mapping->i_mmap_writable.peek(), 0);
    expect("i_writecount", mapping->host->i_writecount.peek(), 0);
    expect("vmas", static_cast<long>(test.mm->vmas.size()), 0);
    for (unsigned i = 0; i < kPmds; ++i) expect("pmd", pmd_none(test.mm->pmds[i].peek()), 1);
    return text;
  });
}

/* One task, from start to end without a switch; what it recorded is compared by the caller. */
template <typename Body>
void run_alone(machine_of_test& test, Body body) {
  test.harness.task("process", [&test, body] {
    body(test.mm);
    mmput(test.mm);
    lru_add_drain_all();
  });
  const interleaf::RunResult& result = test.harness.run_in_order();
  EXPECT_TRUE(result.clean()) << describe(result);
  EXPECT_EQ(result.end, interleaf::RunEnd::kFinished);
  EXPECT_EQ(leftovers(test), "");
}

/* ---- faults ---- */

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
  void logical_discard(inode&, loff_t, loff_t) override {}
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

/* ---- zapping ---- */

TEST(Zap, MovesDirtFromTheEntryToTheFolio) {
  machine_of_test test(1, {.persona_name = "generic"});
  std::string seen;
  seen.reserve(32);
  run_alone(test, [&seen](mm_struct* mm) {
    file* f = do_open(find_inode("f"), O_RDWR);
    const std::uint64_t at = map(mm, f, 1, kRW, MAP_SHARED);
    store(mm, at, 'x');
    /* As if writeback had cleaned the folio and the CPU had stored since. */
    cached(0)->flags.poke(PG_dirty, false);
    seen = is_dirty(0) ? "D" : "-";
    do_madvise(mm, at, kPage, MADV_DONTNEED);
    seen += is_dirty(0) ? "D" : "-";
    seen += show(mm, at);
    seen += load(mm, at);
    filp_close(f);
  });
  EXPECT_EQ(seen, "-D-x");
}

TEST(UnmapMappingRange, SparesPrivateCopiesUnlessToldOtherwise) {
  machine_of_test test(3);
  std::string seen;
  seen.reserve(64);
  run_alone(test, [&seen](mm_struct* mm) {
    file* f = do_open(find_inode("f"), O_RDONLY);
    const std::uint64_t at = map(mm, f, 3, kRW, MAP_PRIVATE);
    store(mm, at, 'x');
    load(mm, at + kPage);
    load(mm, at + 2 * kPage);
    unmap_mapping_range(mapping_of("f"), 0, 2 * kPage, false);
    for (unsigned page = 0; page < 3; ++page) seen += show(mm, at + page * kPage) + " ";
    seen += load(mm, at);
    unmap_mapping_range(mapping_of("f"), 0, 0, true);
    for (unsigned page = 0; page < 3; ++page) seen += " " + show(mm, at + page * kPage);
    seen += load(mm, at);
    filp_close(f);
  });
  EXPECT_EQ(seen, "PWDY - py x - - -a");
}

TEST(Truncate, UnmapsWhatLiesBehindTheEnd) {
  machine_of_test test(3);
  std::string seen;
  seen.reserve(16);
  run_alone(test, [&seen](mm_struct* mm) {
    file* f = do_open(find_inode("f"), O_RDWR);
    const std::uint64_t at = map(mm, f, 3, kRW, MAP_SHARED);
    for (unsigned page = 0; page < 3; ++page) seen += store(mm, at + page * kPage, 'x');
    do_ftruncate(f, kPage);
    for (unsigned page = 0; page < 3; ++page) seen += load(mm, at + page * kPage);
    filp_close(f);
  });
  EXPECT_EQ(seen, "xxxx!!");
}

/* ---- the reverse mapping ---- */

TEST(Mkclean, MakesTheNextStoreFault) {
  machine_of_test test(1);
  std::string seen;
  seen.reserve(64);
  run_alone(test, [&seen](mm_struct* mm) {
    file* f = do_open(find_inode("f"), O_RDWR);
    const std::uint64_t at = map(mm, f, 1, kRW, MAP_SHARED);
    store(mm, at, 'x');
    BUG_ON(do_msync(mm, at, kPage, MS_SYNC) != 0);
    seen = show(mm, at) + (is_dirty(0) ? "D " : "- ");
    store(mm, at, 'y');
    seen += show(mm, at) + (is_dirty(0) ? "D " : "- ");
    folio* fo = cached(0);
    folio_lock(fo);
    seen += std::to_string(folio_mkclean(fo));
    seen += std::to_string(folio_mkclean(fo));
    folio_unlock(fo);
    filp_close(f);
  });
  EXPECT_EQ(seen, "py- pwdyD 10");
}

TEST(TryToUnmap, TakesTheFolioOutOfEveryTable) {
  machine_of_test test(2);
  std::string seen;
  seen.reserve(64);
  run_alone(test, [&seen](mm_struct* mm) {
    file* f = do_open(find_inode("f"), O_RDWR);
    const std::uint64_t one = map(mm, f, 2, kRW, MAP_SHARED);
    const std::uint64_t two = map(mm, f, 2, kRW, MAP_PRIVATE);
    store(mm, one, 'x');
    load(mm, one + kPage);
    load(mm, two);
    folio* fo = cached(0);
    seen = std::to_string(fo->_mapcount.peek());
    fo->flags.poke(PG_dirty, false);
    folio_lock(fo);
    try_to_unmap(fo, TTU_IGNORE_MLOCK | TTU_BATCH_FLUSH);
    folio_unlock(fo);
    seen += std::to_string(fo->_mapcount.peek()) + (is_dirty(0) ? "D " : "- ");
    seen += show(mm, one) + " " + show(mm, one + kPage) + " " + show(mm, two);
    filp_close(f);
  });
  EXPECT_EQ(seen, "20D - py -");
}

/* ---- huge entries ---- */

/* A folio of PMD order at index 0, as a collapse leaves it. */
folio* add_huge_folio() {
  folio* f = folio_alloc(hpage_order());
  BUG_ON(filemap_add_folio(mapping_of("f"), f, 0, 0) != 0);
  for (unsigned page = 0; page < hpage_pages(); ++page) {
    const char byte = static_cast<char>('A' + page);
    folio_write_contents(f, page * kPage, &byte, 1);
  }
  folio_set_uptodate(f);
  folio_unlock(f);
  folio_put(f);
  return f;
}

TEST(HugeEntry, MapsAWholeFolioAndIsDroppedWhenHalfOfItGoes) {
  for (const unsigned around : {1u, 4u}) {
    harness_options options{.persona_name = "xfs"};
    options.geo.fault_around_pages = around;
    machine_of_test test(4, options);
    std::string seen;
    seen.reserve(64);
    run_alone(test, [&seen](mm_struct* mm) {
      folio* huge = add_huge_folio();
      file* f = do_open(find_inode("f"), O_RDWR);
      const std::uint64_t at = map(mm, f, 4, kRW, MAP_SHARED);
      seen += load(mm, at + 2 * kPage);
      BUG_ON(pmd_offset(mm, at)->peek().huge != huge);
      BUG_ON(huge->_mapcount.peek() != 1);
      seen += load(mm, at + 3 * kPage);
      /* A store goes page by page and dirties the folio. */
      seen += store(mm, at + kPage, 'x');
      BUG_ON(pmd_trans_huge(pmd_offset(mm, at)->peek()) &&
             (pmd_offset(mm, at)->peek().bits & PTE_DIRTY) == 0);
      BUG_ON(!is_dirty(0));
      seen += load(mm, at);
      seen += read_byte(f, kPage);
      BUG_ON(do_munmap(mm, at + 2 * kPage, 2 * kPage) != 0);
      BUG_ON(pmd_trans_huge(pmd_offset(mm, at)->peek()));
      seen += load(mm, at + kPage);
      seen += load(mm, at + 2 * kPage);
      filp_close(f);
    });
    EXPECT_EQ(seen, "CDxAxx?") << around;
  }
}

/* As after a store by a filesystem that is not told: only the entry knows. */
bool dirt_survives_munmap(patch_set with) {
  machine_of_test test(4, {.persona_name = "xfs", .with = with});
  bool dirty = false;
  run_alone(test, [&dirty](mm_struct* mm) {
    folio* huge = add_huge_folio();
    file* f = do_open(find_inode("f"), O_RDWR);
    const std::uint64_t at = map(mm, f, 4, kRW, MAP_SHARED);
    load(mm, at);
    TableEntry<pmd_t>* entry = pmd_offset(mm, at);
    pmd_t pmd = entry->peek();
    BUG_ON(pmd.huge != huge);
    pmd.bits |= PTE_DIRTY | PTE_WRITE;
    entry->poke(pmd);
    BUG_ON(do_munmap(mm, at, 4 * kPage) != 0);
    dirty = is_dirty(0);
    filp_close(f);
  });
  return dirty;
}

TEST(HugeEntry, GivesItsDirtToTheFolioSince6_12_114) {
  EXPECT_FALSE(dirt_survives_munmap(0));
  EXPECT_TRUE(dirt_survives_munmap(patch_bit(Patch::kZapKeepsPmdDirt)));
}

TEST(HugeEntry, GivesWayToAPrivateCopy) {
  machine_of_test test(4, {.persona_name = "xfs"});
  std::string seen;
  seen.reserve(64);
  run_alone(test, [&seen](mm_struct* mm) {
    folio* huge = add_huge_folio();
    file* f = do_open(find_inode("f"), O_RDONLY);
    const std::uint64_t at = map(mm, f, 4, kRW, MAP_PRIVATE);
    seen += load(mm, at);
    seen += store(mm, at + kPage, 'x');
    seen += load(mm, at + kPage);
    seen += load(mm, at + 2 * kPage);
    seen += read_byte(f, kPage);
    BUG_ON(huge->flags.peek(PG_dirty));
    filp_close(f);
  });
  EXPECT_EQ(seen, "AxxCB");
}

TEST(Madvise, CollapsedRangeIsMappedByOneEntry) {
  machine_of_test test(4);
  std::string seen;
  seen.reserve(64);
  run_alone(test, [&seen](mm_struct* mm) {
    file* f = do_open(find_inode("f"), O_RDONLY);
    const std::uint64_t at = map(mm, f, 4, PROT_READ, MAP_PRIVATE);
    filp_close(f);
    for (unsigned page = 0; page < 4; ++page) load(mm, at + page * kPage);
    seen = std::to_string(do_madvise(mm, at, 4 * kPage, MADV_COLLAPSE)) + " ";
    seen += pmd_trans_huge(pmd_offset(mm, at)->peek()) ? "huge " : "small ";
    for (unsigned page = 0; page < 4; ++page) seen += load(mm, at + page * kPage);
    seen += " " + std::to_string(do_madvise(mm, at, kPage, 4711) == -EINVAL);
    seen += std::to_string(do_madvise(mm, at, 8 * kPage, MADV_DONTNEED) == -ENOMEM);
    unmap_mapping_range(mapping_of("f"), 0, 0, false);
    seen += pmd_none(pmd_offset(mm, at)->peek()) ? " none" : " some";
  });
  EXPECT_EQ(seen, "0 huge abcd 11 none");
}

/* ---- races ---- */

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
