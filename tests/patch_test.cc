// SPDX-License-Identifier: GPL-2.0-only
#include "engine/kernel/patch.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <iterator>
#include <string>

#include "engine/kernel/config.h"

namespace kernel {
namespace {

patch_set bits_of(std::initializer_list<Patch> patches) {
  patch_set set = 0;
  for (const Patch patch : patches) set |= patch_bit(patch);
  return set;
}

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
    EXPECT_EQ(others & patch_bit(patch.patch), 0u);
    EXPECT_EQ(others >> patch_count(), 0u);
    EXPECT_EQ(patch.needs & (patch.excludes | patch.removes), 0u);
  }
  EXPECT_EQ(find_kernel("6.12"), find_kernel("6.12.95"));
  EXPECT_EQ(find_kernel(""), nullptr);
  EXPECT_EQ(find_patch("no-such-patch"), nullptr);
  EXPECT_EQ(find_persona("ext3"), nullptr);
}

TEST(Patches, KernelsComeByAgeAndKeepWhatLanded) {
  const char* names[] = {"5.14.0", "5.15.4", "6.1.192", "6.12.95", "6.12.96", "7.2"};
  ASSERT_EQ(kernel_count(), std::size(names));
  /* Stable kernels have fixes that the next release has not. */
  const patch_set stable = bits_of({Patch::kKhugepagedWriteAllDirty, Patch::kZapKeepsPmdDirt});
  for (unsigned i = 0; i < kernel_count(); ++i) {
    EXPECT_EQ(kernel_at(i).name, names[i]);
    EXPECT_EQ(kernel_at(i).folio_batch, i < 3 ? 15u : 31u);
    const patch_set before = i > 0 ? kernel_at(i - 1).patches : 0;
    EXPECT_EQ(before & ~kernel_at(i).patches & ~stable, 0u) << names[i];
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

}  // namespace
}  // namespace kernel
