// SPDX-License-Identifier: GPL-2.0-only
// Errors of writeback: recorded once, told once to every file.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <array>
#include <string>

#include "engine/kernel/writeback.h"
#include "tests/page_cache_checks.h"

namespace kernel {
namespace {

TEST(MappingError, IsToldOnceToEveryFileThatWasOpen) {
  std::array<unsigned, 2> told{};
  kernel_harness harness;
  harness.file("f", letters(1));
  std::array<file*, 2> files{};
  harness.setup([&files] {
    for (file*& f : files) f = do_open(find_inode("f"), O_RDONLY);
  });
  /* Two tasks ask through the first file: one of them is told. */
  for (unsigned who = 0; who < 3; ++who) {
    harness.task("asker" + std::to_string(who), [&files, &told, who] {
      const unsigned which = who == 2 ? 1 : 0;
      for (unsigned turn = 0; turn < 2; ++turn) {
        const int error = file_check_and_advance_wb_err(files[which]);
        BUG_ON(error != 0 && error != -EIO);
        told[which] += error != 0;
      }
    });
  }
  harness.task("disk", [] { mapping_set_error(mapping_of("f"), -EIO); });
  unsigned first = 0;
  for (unsigned seed = 1; seed <= kSeeds; ++seed) {
    told = {};
    const interleaf::RunResult& result = harness.run(seed);
    ASSERT_TRUE(result.clean()) << "seed " << seed << "\n" << describe(result);
    ASSERT_LE(told[0], 1u) << "seed " << seed;
    ASSERT_LE(told[1], 1u) << "seed " << seed;
    first += told[0];
  }
  EXPECT_GT(first, 0u);
}

TEST(MappingError, UnseenErrorIsNewsToALaterFile) {
  kernel_harness harness;
  harness.file("f", letters(1));
  harness.task("user", [] {
    address_space* mapping = mapping_of("f");
    mapping_set_error(mapping, -ENOSPC);
    file* f = do_open(find_inode("f"), O_RDONLY);
    BUG_ON(filemap_check_errors(mapping) != -ENOSPC);
    BUG_ON(filemap_check_errors(mapping) != 0);
    BUG_ON(file_check_and_advance_wb_err(f) != -ENOSPC);
    BUG_ON(file_check_and_advance_wb_err(f) != 0);
    /* Seen: not news any more. */
    file* later = do_open(find_inode("f"), O_RDONLY);
    BUG_ON(file_check_and_advance_wb_err(later) != 0);
    /* The same error again is a new one. */
    mapping_set_error(mapping, -ENOSPC);
    BUG_ON(file_check_and_advance_wb_err(f) != -ENOSPC);
    BUG_ON(file_check_and_advance_wb_err(later) != -ENOSPC);
    filp_close(f);
    filp_close(later);
  });
  const interleaf::RunResult& result = harness.run_in_order();
  EXPECT_TRUE(result.clean()) << describe(result);
}

}  // namespace
}  // namespace kernel
