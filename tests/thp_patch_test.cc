// SPDX-License-Identifier: GPL-2.0-only
// What each patch of the collapse and of the write-open purge changes: the same story with it and
// without it. What they close between tasks is for the scenarios.
#include <gtest/gtest.h>

#include <string>
#include <tuple>

#include "engine/kernel/page_table.h"
#include "engine/kernel/writeback.h"
#include "tests/collapse_helpers.h"

namespace kernel {
namespace {

constexpr patch_set bit(Patch patch) { return patch_bit(patch); }

/* A page of the file that a closed writer left dirty: "dirty", "clean", "gone". */
const char* state_of(inode* node, pgoff_t index) {
  const auto* f = static_cast<const folio*>(xa_peek(&node->i_data.i_pages, index).entry);
  if (f == nullptr || xa_is_value(f)) return "gone";
  return f->flags.peek(PG_dirty) ? "dirty" : "clean";
}

void leave_dirty(inode* node, pgoff_t index) { write_pages(node, index, "x"); }

constexpr auto nothing_to_do = [](mm_struct*, inode*) {};

/* One task with a process and a file of so many pages: body(process, file). */
template <typename Body>
void run_user(harness_options options, unsigned pages, Body body) {
  kernel_harness machine(options);
  machine.file("data", pattern(pages));
  mm_struct* mm = nullptr;
  machine.setup([&] { mm = new mm_struct("user", 16); });
  machine.task("user", [&] { body(mm, find_inode("data")); });
  EXPECT_EQ(machine.run_in_order().end, interleaf::RunEnd::kFinished);
}

/*
 * One task prepares(process, file) and then holds the file's invalidate_lock until nobody else can
 * go on; another one does body(file) meanwhile. Whether it had to wait for the lock.
 */
template <typename Prepare, typename Body>
bool waits_for_invalidate_lock(harness_options options, unsigned pages, Prepare prepare,
                               Body body) {
  kernel_harness machine(options);
  machine.file("data", pattern(pages));
  mm_struct* mm = nullptr;
  machine.setup([&] { mm = new mm_struct("user", 16); });
  bool locked = false;
  bool released = false;
  bool waited = false;
  machine.task("holder", [&] {
    inode* node = find_inode("data");
    prepare(mm, node);
    filemap_invalidate_lock(&node->i_data);
    locked = true;
    interleaf::Scheduler::current()->wait_for_quiet();
    released = true;
    filemap_invalidate_unlock(&node->i_data);
  });
  machine.task("other", [&] {
    while (!locked) interleaf::Scheduler::current()->relax();
    body(find_inode("data"));
    waited = released;
  });
  EXPECT_EQ(machine.run_in_order().end, interleaf::RunEnd::kFinished);
  return waited;
}

void write_open(inode* node) { filp_close(do_open(node, O_RDWR)); }

/* ---- the open ---- */

/*
 * The opener sees a huge page and comes to invalidate_lock, which somebody else holds; meanwhile
 * the count goes back to what it is, zero. What becomes of the dirty page.
 */
std::string after_a_stale_hint(patch_set with) {
  kernel_harness machine({.with = with});
  machine.file("data", pattern(8));
  const char* left = "";
  machine.task("holder", [&] {
    inode* node = find_inode("data");
    leave_dirty(node, 5);
    node->i_data.nr_thps.inc();
    filemap_invalidate_lock(&node->i_data);
    interleaf::Scheduler::current()->wait_for_quiet();
    node->i_data.nr_thps.dec();
    filemap_invalidate_unlock(&node->i_data);
  });
  machine.task("opener", [&] {
    inode* node = find_inode("data");
    while (node->i_data.nr_thps.peek() == 0) interleaf::Scheduler::current()->relax();
    filp_close(do_open(node, O_RDWR));
    left = state_of(node, 5);
  });
  EXPECT_EQ(machine.run_in_order().end, interleaf::RunEnd::kFinished);
  return left;
}

TEST(OpenPatches, RecheckSparesTheFileIfTheHugePageIsGone) {
  EXPECT_EQ(after_a_stale_hint(0), "gone");
  EXPECT_EQ(after_a_stale_hint(bit(Patch::kOpenRecheck)), "dirty");
  EXPECT_EQ(after_a_stale_hint(bit(Patch::kOpenCheckUnderLock)), "dirty");
}

/* No huge page at all: does a write-open wait for who holds invalidate_lock? */
bool open_waits(patch_set with) {
  return waits_for_invalidate_lock({.with = with}, 8, nothing_to_do, write_open);
}

TEST(OpenPatches, CheckUnderLockWaitsEvenWithoutHugePages) {
  EXPECT_FALSE(open_waits(0));
  EXPECT_FALSE(open_waits(bit(Patch::kOpenRecheck)));
  EXPECT_TRUE(open_waits(bit(Patch::kOpenCheckUnderLock)));
}

/* A huge page, a dirty page beside it, a write-open: "huge pages, dirty page, open's error". */
std::string after_write_open(harness_options options) {
  long error = 1;
  unsigned huge = 9;
  const char* left = "";
  int writers = -1;
  int nr_thps = -1;
  run_user(options, 8, [&](mm_struct* mm, inode* node) {
    leave_dirty(node, 5);
    map_and_collapse(mm, node);
    file* f = do_open(node, O_RDWR);
    error = IS_ERR(f) ? PTR_ERR(f) : 0;
    huge = huge_pages(node, 8);
    left = state_of(node, 5);
    if (!IS_ERR(f)) filp_close(f);
    writers = node->i_writecount.peek();
    nr_thps = node->i_data.nr_thps.peek();
  });
  EXPECT_EQ(writers, 0);
  const bool counted = options.persona_name != "xfs" && (options.with & bit(Patch::kNoPurge)) == 0;
  EXPECT_EQ(nr_thps, counted ? static_cast<int>(huge) : 0);
  return std::to_string(huge) + " " + left + " " + std::to_string(error);
}

TEST(OpenPatches, DecideWhatAWriteOpenLeaves) {
  EXPECT_EQ(after_write_open({}), "0 gone 0");
  EXPECT_EQ(after_write_open({.with = bit(Patch::kPurgeCleanOnly)}), "0 dirty 0");
  EXPECT_EQ(after_write_open({.with = bit(Patch::kOpenRefuse)}),
            "1 dirty " + std::to_string(-ETXTBSY));
  EXPECT_EQ(after_write_open({.with = bit(Patch::kNoPurge)}), "1 dirty 0");
  EXPECT_EQ(after_write_open({.persona_name = "xfs", .kernel_name = "7.2"}), "1 dirty 0");
}

/*
 * No huge page should be dirty. If one is, a purge of clean folios cannot take it before it is
 * written; it must end all the same, and lose nothing.
 */
TEST(OpenPatches, CleanOnlyWritesADirtyHugePageFirst) {
  const char* left[2] = {"", ""};
  int nr_thps[2] = {-1, -1};
  unsigned char bytes[4 * kPage] = {};
  /* ext4 drops a dirty folio without buffers. */
  const harness_options generic{.persona_name = "generic", .with = bit(Patch::kPurgeCleanOnly)};
  run_user(generic, 8, [&](mm_struct* mm, inode* node) {
    map_and_collapse(mm, node);
    folio* huge = filemap_lock_folio(&node->i_data, 0);
    const unsigned char byte = 'T';
    folio_write_contents(huge, 2 * kPage, &byte, 1);
    folio_mark_dirty(huge);
    folio_unlock(huge);
    folio_put(huge);
    left[0] = state_of(node, 0);
    nr_thps[0] = node->i_data.nr_thps.peek();
    write_open(node);
    left[1] = state_of(node, 0);
    nr_thps[1] = node->i_data.nr_thps.peek();
    read_pages(node, 0, sizeof bytes, bytes);
  });
  EXPECT_STREQ(left[0], "dirty");
  EXPECT_EQ(nr_thps[0], 1);
  EXPECT_STREQ(left[1], "gone");
  EXPECT_EQ(nr_thps[1], 0);
  EXPECT_EQ(bytes[2 * kPage], 'T');
  EXPECT_EQ(bytes[3 * kPage], static_cast<unsigned char>(pattern(4)[3 * kPage]));
}

/* A process has stored into its private copy of a page; somebody else opens the file for write. */
char private_byte_after_purge(patch_set without) {
  char byte = '-';
  run_user({.without = without}, 8, [&](mm_struct* mm, inode* node) {
    file* f = do_open(node, O_RDONLY);
    const auto at = static_cast<std::uint64_t>(
        do_mmap(mm, f, 4 * kPage, 4 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE));
    filp_close(f);
    access_store(mm, at + kPage, "P", 1);
    map_and_collapse(mm, node);
    write_open(node);
    access_load(mm, at + kPage, &byte, 1);
  });
  return byte;
}

TEST(OpenPatches, PurgeKeepsPrivateCopiesSince5_15_4) {
  EXPECT_EQ(private_byte_after_purge(0), 'P');
  EXPECT_EQ(private_byte_after_purge(bit(Patch::kPurgeKeepsPrivate)), pattern(8)[5 * kPage]);
}

/* Somebody holds invalidate_lock while a huge page is to be purged: has the purge waited? */
bool purge_waits(patch_set without) {
  const auto collapse = [](mm_struct* mm, inode* node) { map_and_collapse(mm, node); };
  return waits_for_invalidate_lock({.without = without}, 8, collapse, write_open);
}

TEST(OpenPatches, PurgeTakesInvalidateLockSince5_15_4) {
  EXPECT_TRUE(purge_waits(0));
  EXPECT_FALSE(purge_waits(bit(Patch::kPurgeUnderLock)));
}

/* ---- the collapse ---- */

/* A collapse on 6.12.96 while somebody holds invalidate_lock: its result, and whether it waited. */
std::string collapse_under_lock(patch_set with) {
  scan_result result = SCAN_FAIL;
  int nr_thps = -1;
  const auto cache_it = [](mm_struct*, inode* node) {
    unsigned char bytes[4 * kPage];
    read_pages(node, 0, sizeof bytes, bytes);
    lru_add_drain_all();
  };
  const auto collapse = [&](inode* node) {
    file* f = do_open(node, O_RDONLY);
    collapse_control cc{.is_khugepaged = true};
    result = collapse_file(nullptr, 0, f, 0, &cc);
    nr_thps = node->i_data.nr_thps.peek();
    filp_close(f);
  };
  const bool waited =
      waits_for_invalidate_lock({.kernel_name = "6.12.96", .with = with}, 4, cache_it, collapse);
  return std::string(scan_result_name(result)) + (waited ? ", waited, " : ", ") +
         std::to_string(nr_thps);
}

TEST(CollapsePatches, TrylockGivesUpInsteadOfWaiting) {
  EXPECT_EQ(collapse_under_lock(0), "succeeded, waited, 1");
  EXPECT_EQ(collapse_under_lock(bit(Patch::kFlushTrylock)), "page_locked, 0");
}

/* MADV_COLLAPSE of four pages that were read in; `spoil` may open the file and write. */
template <typename Spoil>
int collapsed(harness_options options, int prot, Spoil spoil) {
  int error = 1;
  run_user(options, 4, [&](mm_struct* mm, inode* node) {
    file* f = do_open(node, O_RDONLY);
    const auto at = static_cast<std::uint64_t>(do_mmap(mm, f, 0, 4 * kPage, prot, MAP_PRIVATE));
    unsigned char byte = 0;
    for (unsigned i = 0; i < 4; ++i) access_load(mm, at + i * kPage, &byte, 1);
    file* held = spoil(node);
    error = do_madvise(mm, at, 4 * kPage, kMadvCollapse);
    if (held != nullptr) filp_close(held);
    filp_close(f);
  });
  return error;
}

file* nothing(inode*) { return nullptr; }
file* dirty_page(inode* node) {
  leave_dirty(node, 2);
  return nullptr;
}
file* open_for_write(inode* node) { return do_open(node, O_RDWR); }

TEST(CollapsePatches, MadviseTakesFilesSince6_1) {
  EXPECT_EQ(collapsed({}, PROT_READ, nothing), 0);
  EXPECT_EQ(collapsed({.without = bit(Patch::kMadviseCollapse)}, PROT_READ, nothing), -EINVAL);
}

TEST(CollapsePatches, MappingsNeedNotBeExecutableSince6_8) {
  const patch_set before = bit(Patch::kNoVmExec);
  EXPECT_EQ(collapsed({}, PROT_READ, nothing), 0);
  EXPECT_EQ(collapsed({.without = before}, PROT_READ, nothing), -EINVAL);
  EXPECT_EQ(collapsed({.without = before}, PROT_READ | PROT_EXEC, nothing), 0);
}

TEST(CollapsePatches, DirtyPagesAreReportedThenWritten) {
  const patch_set eagain = bit(Patch::kDirtyIsTransient);
  EXPECT_EQ(collapsed({}, PROT_READ, dirty_page), -EINVAL);
  EXPECT_EQ(collapsed({.with = eagain}, PROT_READ, dirty_page), -EAGAIN);
  EXPECT_EQ(collapsed({.with = eagain | bit(Patch::kMadviseWritesBack)}, PROT_READ, dirty_page), 0);
}

TEST(CollapsePatches, FilesystemMustHaveLargeFoliosIn7_2) {
  const patch_set with = bit(Patch::kThpNeedsLargeFolios);
  EXPECT_EQ(collapsed({.with = with}, PROT_READ, nothing), -EINVAL);
  EXPECT_EQ(collapsed({.persona_name = "xfs", .with = with}, PROT_READ, nothing), 0);
  EXPECT_EQ(collapsed({.kernel_name = "7.2"}, PROT_READ, nothing), -EINVAL);
  EXPECT_EQ(collapsed({.persona_name = "xfs", .kernel_name = "7.2"}, PROT_READ, nothing), 0);
}

TEST(CollapsePatches, WritersAreNoHindranceIn7_2) {
  const harness_options now{.persona_name = "xfs", .kernel_name = "7.2"};
  harness_options before = now;
  before.without = bit(Patch::kCollapseWritable);
  EXPECT_EQ(collapsed(now, PROT_READ, open_for_write), 0);
  EXPECT_EQ(collapsed(before, PROT_READ, open_for_write), -EINVAL);
}

/* The collapse itself, past all checks of VMAs. `make` prepares and may leave a file open. */
struct attempt {
  scan_result result = SCAN_FAIL;
  bool dirty = false;     /* what is cached at index 0 afterwards */
  bool writeback = false; /* at index 3 */

  template <typename Make>
  attempt(harness_options options, Make make) {
    run_user(options, 4, [&](mm_struct* mm, inode* node) {
      unsigned char bytes[4 * kPage];
      read_pages(node, 0, sizeof bytes, bytes);
      lru_add_drain_all();
      file* held = make(mm, node);
      file* f = do_open(node, O_RDONLY);
      collapse_control cc{.is_khugepaged = true};
      result = collapse_file(nullptr, 0, f, 0, &cc);
      const auto flag = [node](pgoff_t index, unsigned flag_of) {
        return static_cast<folio*>(xa_peek(&node->i_data.i_pages, index).entry)
            ->flags.peek(flag_of);
      };
      dirty = flag(0, PG_dirty);
      writeback = flag(3, PG_writeback);
      filp_close(f);
      if (held != nullptr) filp_close(held);
    });
  }
};

TEST(CollapsePatches, NobodyLooksForWritersOnceThePurgeIsGone) {
  const auto writer = [](mm_struct*, inode* node) { return do_open(node, O_RDWR); };
  EXPECT_EQ(attempt({}, writer).result, SCAN_FAIL);
  EXPECT_EQ(attempt({.with = bit(Patch::kNoPurge)}, writer).result, SCAN_SUCCEED);
}

/* Dirty pages of a file that is being written are left to its writer. */
TEST(CollapsePatches, AsksForWritebackOnlyWithoutWritersIn7_2) {
  const auto dirty_at_3 = [](bool keep) {
    return [keep](mm_struct*, inode* node) -> file* {
      file* f = do_open(node, O_RDWR);
      vfs_write(f, 3 * kPage, "x", 1);
      if (keep) return f;
      filp_close(f);
      return nullptr;
    };
  };
  const harness_options now{.persona_name = "xfs", .kernel_name = "7.2"};
  harness_options before = now;
  before.without = bit(Patch::kCollapseWritable);
  for (const auto& [options, keep, asked] :
       {std::tuple{now, false, true}, {now, true, false}, {before, true, true}}) {
    const attempt made(options, dirty_at_3(keep));
    EXPECT_EQ(made.result, SCAN_PAGE_DIRTY_OR_WRITEBACK);
    EXPECT_EQ(made.writeback, asked) << keep;
  }
}

/* Only a page table knows that page 0 is dirty, until the collapse unmaps it. */
TEST(CollapsePatches, DirtOfPageTablesIsSeenAfterUnmapping) {
  const auto dirty_entry = [](mm_struct* mm, inode* node) {
    file* f = do_open(node, O_RDWR);
    const auto at = static_cast<std::uint64_t>(
        do_mmap(mm, f, 0, 4 * kPage, PROT_READ | PROT_WRITE, MAP_SHARED));
    unsigned char byte = 0;
    access_load(mm, at, &byte, 1);
    lru_add_drain_all();
    TableEntry<pte_t>* entry = pte_offset(pmd_offset(mm, at)->peek().table, at);
    pte_t pte = entry->peek();
    pte.bits |= PTE_DIRTY | PTE_WRITE;
    entry->poke(pte);
    return f;
  };
  const harness_options now{.persona_name = "xfs", .kernel_name = "7.2"};
  harness_options before = now;
  before.without = bit(Patch::kDirtyRecheck);
  const attempt refused(now, dirty_entry);
  EXPECT_EQ(refused.result, SCAN_PAGE_DIRTY_OR_WRITEBACK);
  EXPECT_TRUE(refused.dirty);
  const attempt lost(before, dirty_entry);
  EXPECT_EQ(lost.result, SCAN_SUCCEED);
  EXPECT_FALSE(lost.dirty); /* the huge page does not know */
}

}  // namespace
}  // namespace kernel
