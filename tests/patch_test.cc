// SPDX-License-Identifier: GPL-2.0-only
#include "engine/kernel/patch.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <iterator>
#include <string>

#include "engine/kernel/config.h"

namespace kernel {
namespace {

constexpr auto bits_of = patch_bits;

TEST(Patches, TablesAreConsistent) {
  for (unsigned i = 0; i < patch_count(); ++i) {
    const patch_info& patch = patch_at(i);
    SCOPED_TRACE(patch.slug);
    EXPECT_EQ(static_cast<unsigned>(patch.patch), i);
    EXPECT_EQ(find_patch(patch.slug), &patch);
    for (unsigned j = 0; j < patch_count(); ++j) {
      const bool excluded = (patch.excludes & patch_bit(patch_at(j).patch)) != 0;
      EXPECT_EQ(excluded, (patch_at(j).excludes & patch_bit(patch.patch)) != 0) << patch_at(j).slug;
    }
    const patch_set others = patch.needs | patch.needs_one | patch.excludes | patch.removes;
    EXPECT_TRUE((others & patch_bit(patch.patch)) == 0);
    EXPECT_TRUE(others >> patch_count() == 0);
    EXPECT_TRUE((patch.needs & (patch.excludes | patch.removes)) == 0);
  }
  EXPECT_EQ(find_kernel("6.12"), find_kernel("6.12.95"));
  EXPECT_EQ(find_kernel(""), nullptr);
  EXPECT_EQ(find_patch("no-such-patch"), nullptr);
  EXPECT_EQ(find_persona("ext3"), nullptr);
}

TEST(Patches, KernelsComeByAgeAndKeepWhatLanded) {
  const char* names[] = {"5.14.0",  "5.15.4", "6.0",  "6.1.91", "6.1.92",
                         "6.1.192", "6.2",    "6.3",  "6.6",    "6.12.95",
                         "6.12.96", "6.18",   "6.19", "7.1",    "7.2"};
  ASSERT_EQ(kernel_count(), std::size(names) + 2);
  /* Stable kernels have fixes that the next release has not. */
  const patch_set stable =
      bits_of({Patch::kKhugepagedWriteAllDirty, Patch::kZapKeepsPmdDirt, Patch::kDiscardToFolioEnd,
               Patch::kScanRetryEqual, Patch::kReclaimSkipsPinned});
  for (unsigned i = 0; i < std::size(names); ++i) {
    EXPECT_EQ(kernel_at(i).name, names[i]);
    EXPECT_EQ(kernel_at(i).on, "");
    EXPECT_EQ(kernel_at(i).folio_batch, i < 9 ? 15u : 31u);
    const patch_set before = i > 0 ? kernel_at(i - 1).patches : 0;
    EXPECT_TRUE((before & ~kernel_at(i).patches & ~stable) == 0) << names[i];
  }
}

TEST(Patches, PostedSeriesStandOnAReleaseBehindAllOfThem) {
  const struct {
    const char* name;
    const char* on;
    patch_set adds;
  } series[] = {
      {"ext4-iomap-2025", "6.18", bits_of({Patch::kExt4Iomap})},
      {"ext4-iomap-v2", "6.19", bits_of({Patch::kExt4Iomap, Patch::kExt4ZeroBeforeHandle})}};
  for (unsigned i = 0; i < std::size(series); ++i) {
    const kernel_info& kernel = kernel_at(kernel_count() - 2 + i);
    EXPECT_EQ(kernel.name, series[i].name);
    EXPECT_EQ(kernel.on, series[i].on);
    EXPECT_EQ(kernel.patches, find_kernel(series[i].on)->patches | series[i].adds);
  }
}

TEST(Patches, KernelsAreMadeOfPatchesThatGoTogether) {
  for (unsigned i = 0; i < kernel_count(); ++i)
    EXPECT_EQ(patch_refusal(kernel_at(i), kernel_at(i).patches), "") << kernel_at(i).name;
}

TEST(Patches, OfPagesDoNotFitKernelsWithFolios) {
  const kernel_info& base = *find_kernel("6.1");
  EXPECT_EQ(patch_refusal(base, base.patches | patch_bit(Patch::kNoTailAssert)),
            "no-tail-assert does not fit 6.1.192, where truncate-by-folio (6b24ca4a1a8d) took away "
            "what it changes: take a kernel like 5.15.4");
}

/* With and without these, on this kernel. */
std::string refusal(const char* version, std::initializer_list<Patch> with,
                    std::initializer_list<Patch> without = {}) {
  const kernel_info& kernel = *find_kernel(version);
  return patch_refusal(kernel, (kernel.patches | bits_of(with)) & ~bits_of(without));
}

TEST(Patches, AreRefusedByNameAndWithARemedy) {
  EXPECT_EQ(refusal("7.2", {Patch::kKhugepagedWriteAllDirty}),
            "khugepaged-write-all-dirty does not fit 7.2, where no-write-open-purge (044925f9b565) "
            "took away what it changes: take a kernel like 7.1");
  EXPECT_EQ(refusal("6.12.96", {Patch::kThpNeedsLargeFolios, Patch::kNoPurge}),
            "no-write-open-purge takes away what khugepaged-write-all-dirty changes: add --without "
            "khugepaged-write-all-dirty");
  EXPECT_EQ(refusal("6.12", {Patch::kOpenRecheck, Patch::kOpenCheckUnderLock}),
            "open-recheck-under-lock and open-check-under-lock change the same place in two ways: "
            "apply one of them");
  EXPECT_EQ(refusal("6.12.96", {Patch::kKhugepagedWriteAllDirtyV1}),
            "khugepaged-write-all-dirty and khugepaged-write-all-dirty-v1 change the same place in "
            "two ways: apply one of them, 6.12.96 has khugepaged-write-all-dirty");
  EXPECT_EQ(refusal("6.12", {Patch::kNoPurge}),
            "no-write-open-purge does not fit 6.12.95, it builds on thp-needs-large-folios "
            "(8a088263a097): apply that too, or take a kernel like 7.2");
  EXPECT_EQ(refusal("6.12", {Patch::kOpenRecheck}, {Patch::kPurgeUnderLock}),
            "purge-under-lock cannot be taken out while there is open-recheck-under-lock, which "
            "builds on it: leave open-recheck-under-lock away");
  EXPECT_EQ(refusal("7.2", {}, {Patch::kPurgeUnderLock}),
            "purge-under-lock cannot be taken out while there is no-write-open-purge, which builds "
            "on it: add --without no-write-open-purge");
  EXPECT_EQ(refusal("6.12", {Patch::kFlushTrylock}),
            "khugepaged-flush-trylock does not fit 6.12.95 without khugepaged-write-all-dirty or "
            "khugepaged-write-all-dirty-v1, which it changes: apply one of them too, or take a "
            "kernel like 6.12.96");
}

/* What makes sense alone, and what comes out alone, of the patches of huge pages. */
TEST(Patches, FitWhatTheyChange) {
  std::string fits, comes_out;
  for (const char* version : {"6.12.95", "6.12.96", "7.2"}) {
    const kernel_info& kernel = *find_kernel(version);
    for (const patch_info& patch : thp_patches()) {
      const bool there = (kernel.patches & patch_bit(patch.patch)) != 0;
      EXPECT_EQ(patch_fits(kernel, patch), !there && refusal(version, {patch.patch}).empty());
      if (patch_fits(kernel, patch)) fits += std::string(patch.slug) + " ";
      if (there && refusal(version, {}, {patch.patch}).empty())
        comes_out += std::string(patch.slug) + " ";
    }
    fits += "| ";
    comes_out += "| ";
  }
  const std::string opens =
      "collapse-deny-write open-recheck-under-lock open-check-under-lock open-purge-clean-only "
      "open-refuse-thp | ";
  const std::string later = "collapse-dirty-eagain thp-needs-large-folios zap-keeps-pmd-dirty ";
  EXPECT_EQ(fits,
            "khugepaged-write-all-dirty khugepaged-write-all-dirty-v1 open-flush-before-purge "
            "open-flush-under-lock " +
                later + opens + "open-flush-before-purge open-flush-under-lock " + later +
                "collapse-deny-write open-recheck-under-lock open-check-under-lock "
                "khugepaged-flush-trylock open-purge-clean-only open-refuse-thp | "
                "zap-keeps-pmd-dirty collapse-deny-write | ");
  EXPECT_EQ(comes_out,
            "skip-writeback purge-under-lock purge-keep-private split-decrements-nr-thps "
            "madvise-collapse "
            "collapse-keep-old-folios thp-without-vm-exec | "
            "khugepaged-write-all-dirty skip-writeback purge-under-lock purge-keep-private "
            "split-decrements-nr-thps madvise-collapse thp-without-vm-exec | skip-writeback "
            "split-decrements-nr-thps thp-without-vm-exec "
            "madvise-collapse-writeback "
            "collapse-recheck-dirty collapse-writable-files | ");
}

}  // namespace
}  // namespace kernel
