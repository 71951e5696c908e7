// SPDX-License-Identifier: GPL-2.0-only
#include "engine/kernel/patch.h"

#include <gtest/gtest.h>

#include "engine/kernel/config.h"

namespace kernel {
namespace {

TEST(Patches, TablesAreConsistent) {
  for (unsigned i = 0; i < patch_count(); ++i) {
    EXPECT_EQ(static_cast<unsigned>(patch_at(i).patch), i);
    EXPECT_EQ(find_patch(patch_at(i).slug), &patch_at(i));
    for (unsigned j = 0; j < patch_count(); ++j) {
      const patch_set both = patch_bit(patch_at(i).patch) | patch_bit(patch_at(j).patch);
      EXPECT_EQ((patch_at(i).excludes & patch_bit(patch_at(j).patch)) != 0,
                patch_conflict(both) != nullptr);
    }
  }
  for (unsigned i = 0; i < kernel_count(); ++i)
    EXPECT_EQ(patch_conflict(kernel_at(i).patches), nullptr);
  EXPECT_EQ(find_kernel("6.12"), find_kernel("6.12.95"));
  EXPECT_EQ(find_kernel(""), nullptr);
  EXPECT_EQ(find_patch("no-such-patch"), nullptr);
  EXPECT_EQ(find_persona("ext3"), nullptr);
}

}  // namespace
}  // namespace kernel
