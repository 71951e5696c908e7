// SPDX-License-Identifier: GPL-2.0-only
// The truncate of 5.14 and 5.15 against itself and against a collapse that rolls back: what the
// reports of September 2021 saw, and what each of the proposals of that thread closes.
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "tests/collapse_helpers.h"
#include "tests/sticky_random.h"

namespace kernel {
namespace {

constexpr const char* kIndex = "VM_BUG_ON_PAGE(page->index != xas.xa_index)";
constexpr const char* kTail = "VM_BUG_ON_PAGE(PageTail(page))";
constexpr const char* kUaf = "use-after-free";

/* What was found how often, in `seeds` runs: the text of a BUG, else the kind. */
using Found = std::map<std::string, unsigned>;

Found findings(kernel_harness& machine, unsigned seeds) {
  interleaf::StickyRandom sticky;
  const auto random = interleaf::make_random();
  Found found;
  for (unsigned seed = 0; seed < seeds; ++seed) {
    const interleaf::RunResult& result =
        machine.run(seed % 2 == 0 ? static_cast<interleaf::Strategy&>(sticky) : *random, seed);
    for (const interleaf::Finding& finding : result.findings) {
      std::string what(interleaf::finding_name(finding.kind));
      for (const char* text : {kIndex, kTail}) {
        if (finding.message.find(text) != std::string::npos) what = text;
      }
      ++found[what];
    }
  }
  return found;
}

harness_options with(std::string_view version, std::initializer_list<Patch> patches,
                     unsigned xa_slots = 4) {
  harness_options options{.persona_name = "generic", .kernel_name = version};
  options.geo.xa_slots = xa_slots;
  for (const Patch patch : patches) options.with |= patch_bit(patch);
  return options;
}

void read_all() {
  unsigned char bytes[8 * kPage];
  read_pages(find_inode("data"), 0, sizeof bytes, bytes);
  lru_add_drain_all();
}

void collapse_at(pgoff_t start) {
  file* f = do_open(find_inode("data"), O_RDONLY);
  collapse_control cc{.is_khugepaged = true};
  collapse_file(nullptr, 0, f, start, &cc);
  filp_close(f);
}

/* As the purge of a write-open. */
void purge(bool under_lock) {
  address_space* mapping = find_inode("data")->i_mapping;
  if (under_lock) filemap_invalidate_lock(mapping);
  truncate_inode_pages(mapping, 0);
  if (under_lock) filemap_invalidate_unlock(mapping);
}

/* Two purges of a file with a huge page. */
Found two_purges(const harness_options& options, bool under_lock, unsigned seeds = 1500) {
  kernel_harness machine(options);
  machine.file("data", pattern(4));
  interleaf::Atomic<int>* ready = nullptr;
  machine.setup([&] { ready = new interleaf::Atomic<int>(0); });
  machine.task("collapser", [&] {
    read_all();
    collapse_at(0);
    ready->set(1);
  });
  for (const char* name : {"opener1", "opener2"}) {
    machine.task(name, [&] {
      while (ready->read() == 0) interleaf::Scheduler::current()->relax();
      purge(under_lock);
    });
  }
  Found found = findings(machine, seeds);
  machine.inspect([&] { EXPECT_EQ(xa_check(&find_inode("data")->i_data.i_pages), nullptr); });
  return found;
}

/* A writer, who purges because of a huge page in the second range, whom a collapse of the first one
 * meets at its end. */
Found purge_and_rollback(const harness_options& options, bool under_lock, unsigned seeds = 1500) {
  kernel_harness machine(options);
  machine.file("data", pattern(8));
  interleaf::Atomic<int>* ready = nullptr;
  machine.setup([&] { ready = new interleaf::Atomic<int>(0); });
  machine.task("collapser", [&] {
    read_all();
    collapse_at(4);
    ready->set(1);
    collapse_at(0);
  });
  machine.task("opener", [&] {
    while (ready->read() == 0) interleaf::Scheduler::current()->relax();
    inode* node = find_inode("data");
    if (get_write_access(node) != 0) return;
    purge(under_lock);
    put_write_access(node);
  });
  return findings(machine, seeds);
}

TEST(TruncatePages, TwoPurgesTripTheIndexAssertion) {
  for (const unsigned xa_slots : {2, 4, 64}) {
    const Found found = two_purges(with("5.14.0", {Patch::kPutAfterSkip}, xa_slots), false);
    EXPECT_GT(found.count(kIndex), 0u) << xa_slots;
  }
}

TEST(TruncatePages, TwoPurgesMeetATailOnceThatAssertionIsGone) {
  for (const unsigned xa_slots : {2, 4, 64}) {
    const Found found =
        two_purges(with("5.14.0", {Patch::kPutAfterSkip, Patch::kNoIndexAssert}, xa_slots), false);
    EXPECT_GT(found.count(kTail), 0u) << xa_slots;
    EXPECT_EQ(found.count(kIndex), 0u) << xa_slots;
  }
}

TEST(TruncatePages, OnePurgeAtATimeMeetsNoTail) {
  EXPECT_EQ(two_purges(with("5.14.0", {Patch::kPutAfterSkip, Patch::kInvalidateLock}), true),
            Found{});
}

TEST(TruncatePages, TwoPurgesAreHarmlessToWhoTrustsTheMappingOnly) {
  for (const Patch fix : {Patch::kNoTailAssert, Patch::kTruncateRecheck}) {
    EXPECT_EQ(two_purges(with("5.14.0", {Patch::kPutAfterSkip, Patch::kNoIndexAssert, fix}), false),
              Found{})
        << patch_at(static_cast<unsigned>(fix)).slug;
  }
}

TEST(TruncatePages, TwoPurgesOfFoliosAreHarmless) {
  EXPECT_EQ(two_purges(with("6.1", {}), false), Found{});
}

TEST(TruncatePages, LookupUsesAPageAfterItsLastReferenceWasDropped) {
  const Found found =
      two_purges(with("5.14.0", {Patch::kNoIndexAssert, Patch::kNoTailAssert}), false);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found.begin()->first, kUaf);
}

TEST(TruncatePages, PurgeMeetsATailOfARollbackWithAndWithoutTheLock) {
  for (const bool under_lock : {false, true}) {
    const Found found = purge_and_rollback(with("5.15.4", {Patch::kPutAfterSkip}), under_lock);
    EXPECT_GT(found.count(kTail), 0u) << under_lock;
  }
  const Found found = purge_and_rollback(with("5.14.0", {Patch::kPutAfterSkip}), false);
  EXPECT_GT(found.count(kIndex), 0u);
}

TEST(TruncatePages, ARollbackIsHarmlessToWhoTrustsTheMappingOnly) {
  for (const Patch fix :
       {Patch::kNoTailAssert, Patch::kTruncateRecheck, Patch::kCollapseDenyWrite}) {
    EXPECT_EQ(purge_and_rollback(with("5.15.4", {Patch::kPutAfterSkip, fix}), false), Found{})
        << patch_at(static_cast<unsigned>(fix)).slug;
  }
}

TEST(TruncatePages, ARollbackIsHarmlessToFolios) {
  EXPECT_EQ(purge_and_rollback(with("6.1", {}), false), Found{});
}

/* truncate(2) by path passes no purge: the range begins in the middle of the huge page. */
TEST(TruncatePages, TruncateByPathIntoAHugePageMeetsATail) {
  for (const char* name : {"5.14.0", "5.15.4", "6.1", "6.12"}) {
    kernel_harness machine(with(name, {}));
    machine.file("data", pattern(4));
    machine.task("user", [] {
      read_all();
      collapse_at(0);
      vfs_truncate(find_inode("data"), 2 * kPage);
    });
    const interleaf::RunResult& result = machine.run_in_order();
    if (!std::string_view(name).starts_with("5.")) {
      EXPECT_TRUE(result.clean()) << name;
      continue;
    }
    ASSERT_EQ(result.findings.size(), 1u) << name;
    EXPECT_NE(result.findings[0].message.find(kTail), std::string::npos);
    EXPECT_EQ(result.findings[0].stack.back(), "truncate_inode_page");
  }
}

}  // namespace
}  // namespace kernel
