// SPDX-License-Identifier: GPL-2.0-only
// Reads, readahead and buffered writes through the page cache, with other tasks in the way and with
// injected failures, for every persona.
#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <tuple>

#include "tests/page_cache_checks.h"

namespace kernel {
namespace {

class FilemapIo : public testing::TestWithParam<std::tuple<const char*, unsigned>> {
 protected:
  harness_options options() const {
    harness_options result;
    result.persona_name = std::get<0>(GetParam());
    result.geo.ra_pages = std::get<1>(GetParam());
    return result;
  }
};

INSTANTIATE_TEST_SUITE_P(Personas, FilemapIo,
                         testing::Combine(testing::Values("generic", "ext4", "btrfs", "xfs"),
                                          testing::Values(0u, 1u, 4u)),
                         [](const auto& test) {
                           return std::string(std::get<0>(test.param)) + "_ra" +
                                  std::to_string(std::get<1>(test.param));
                         });

TEST_P(FilemapIo, GivesWhatIsOnTheDisk) {
  /* Two and a half pages. */
  const std::string bytes = letters(3).substr(0, 2 * kPage + kPage / 2);
  kernel_harness harness(options());
  harness.file("f", bytes);
  for (unsigned who = 0; who < 2; ++who) {
    harness.task("reader" + std::to_string(who), [&bytes, who] {
      char buffer[4 * kPage];
      file* f = do_open(find_inode("f"), O_RDONLY);
      BUG_ON(IS_ERR(f));
      const auto check = [&](loff_t pos, std::size_t len) {
        const long got = generic_file_read_iter(f, pos, buffer, len);
        const long want =
            pos >= static_cast<loff_t>(bytes.size())
                ? 0
                : static_cast<long>(std::min(len, bytes.size() - static_cast<std::size_t>(pos)));
        BUG_ON(got != want);
        BUG_ON(got > 0 &&
               std::memcmp(buffer, bytes.data() + pos, static_cast<std::size_t>(got)) != 0);
      };
      if (who == 0) {
        check(kPage - 10, 20);       /* absent, two pages */
        check(kPage - 10, 20);       /* uptodate */
        check(2 * kPage, 4 * kPage); /* across the end */
        check(3 * kPage, 1);         /* behind it */
      } else {
        check(2 * kPage + 1, kPage);
        check(0, 4 * kPage); /* all of it */
        check(static_cast<loff_t>(bytes.size()), 1);
      }
      filp_close(f);
    });
  }
  for_seeds(harness, [&](unsigned) {
    harness.inspect([] { EXPECT_EQ(cached("f", 8), "0 1 2 nrpages=3"); });
  });
}

TEST_P(FilemapIo, FailsCleanlyAndRecovers) {
  const std::string bytes = letters(3);
  struct {
    unsigned failed, worked;
  } seen{};
  harness_options faulty = options();
  faulty.faults_max = 2;
  kernel_harness harness(faulty);
  harness.file("f", bytes);
  for (unsigned who = 0; who < 2; ++who) {
    harness.task("reader" + std::to_string(who), [&bytes, &seen] {
      char buffer[3 * kPage];
      file* f = do_open(find_inode("f"), O_RDONLY);
      if (IS_ERR(f)) return;
      for (unsigned turn = 0; turn < 3; ++turn) {
        const long got = generic_file_read_iter(f, 0, buffer, bytes.size());
        BUG_ON(got == 0);
        if (got < 0) {
          BUG_ON(got != -EIO && got != -ENOMEM && got != -EFAULT);
          ++seen.failed;
          continue;
        }
        BUG_ON(std::memcmp(buffer, bytes.data(), static_cast<std::size_t>(got)) != 0);
        seen.worked += got == static_cast<long>(bytes.size());
      }
      filp_close(f);
    });
  }
  for_seeds(harness, [](unsigned) {});
  EXPECT_GT(seen.failed, 0u);
  EXPECT_GT(seen.worked, 0u);
}

TEST(Readahead, FirstPageReadsTwoAndMarksTheSecond) {
  kernel_harness harness;
  harness.file("f", letters(16));
  harness.task("reader", [] {
    char byte;
    file* f = do_open(find_inode("f"), O_RDONLY);
    BUG_ON(generic_file_read_iter(f, 0, &byte, 1) != 1 || byte != 'a');
    BUG_ON(f->f_ra.start != 0 || f->f_ra.size != 2 || f->f_ra.async_size != 1);
    folio* marked = filemap_get_folio(f->f_mapping, 1);
    BUG_ON(!folio_test_readahead(marked));
    folio_put(marked);
    /* The mark starts the next window. */
    BUG_ON(generic_file_read_iter(f, kPage, &byte, 1) != 1 || byte != 'b');
    BUG_ON(f->f_ra.start != 2 || f->f_ra.size != 4);
    BUG_ON(generic_file_read_iter(f, 12 * kPage, &byte, 1) != 1 || byte != 'm');
    filp_close(f);
  });
  for_seeds(harness, [&](unsigned) {
    harness.inspect([] {
      std::string state = cached("f", 16);
      /* The run may end before the reads ahead do. */
      std::erase(state, '!');
      EXPECT_EQ(state, "0 1 2 3 4 5 12 nrpages=7");
    });
  });
}

TEST_P(FilemapIo, WriterReadsItsOwnBytesBack) {
  const std::string old_bytes = letters(2);
  const std::string new_bytes = letters(3, 'x').substr(0, 2 * kPage + 100);
  constexpr loff_t at = kPage / 2;
  struct {
    unsigned old_seen, new_seen;
  } seen{};
  kernel_harness harness(options());
  harness.file("f", old_bytes);
  harness.task("writer", [&new_bytes] {
    char buffer[3 * kPage];
    file* f = do_open(find_inode("f"), O_RDWR);
    BUG_ON(IS_ERR(f));
    const long written = vfs_write(f, at, new_bytes.data(), new_bytes.size());
    BUG_ON(written != static_cast<long>(new_bytes.size()));
    const long got = generic_file_read_iter(f, at, buffer, sizeof buffer);
    BUG_ON(got != written);
    BUG_ON(std::memcmp(buffer, new_bytes.data(), new_bytes.size()) != 0);
    /* What is before the write is still there. */
    BUG_ON(generic_file_read_iter(f, 0, buffer, at) != at);
    BUG_ON(buffer[0] != 'a' || buffer[at - 1] != 'a');
    filp_close(f);
  });
  harness.task("reader", [&seen] {
    char byte = 0;
    file* f = do_open(find_inode("f"), O_RDONLY);
    for (unsigned turn = 0; turn < 3; ++turn) {
      BUG_ON(generic_file_read_iter(f, kPage, &byte, 1) != 1);
      BUG_ON(byte != 'b' && byte != 'x');
      ++(byte == 'b' ? seen.old_seen : seen.new_seen);
    }
    filp_close(f);
  });
  for_seeds(harness, [&](unsigned) {
    harness.inspect([&] {
      EXPECT_EQ(find_inode("f")->i_size.peek(), at + static_cast<loff_t>(new_bytes.size()));
    });
  });
  EXPECT_GT(seen.old_seen, 0u);
  EXPECT_GT(seen.new_seen, 0u);
}

TEST_P(FilemapIo, ShortWriteLeavesAPrefix) {
  const std::string bytes = letters(3, 'x');
  struct {
    unsigned failed, partly, whole;
  } seen{};
  harness_options faulty = options();
  faulty.faults_max = 1;
  kernel_harness harness(faulty);
  harness.file("f", letters(1));
  harness.task("writer", [&bytes, &seen] {
    char buffer[3 * kPage];
    file* f = do_open(find_inode("f"), O_RDWR);
    if (IS_ERR(f)) return;
    const long written = vfs_write(f, 100, bytes.data(), bytes.size() - 100);
    BUG_ON(written == 0);
    ++(written < 0                                       ? seen.failed
       : written + 100 < static_cast<long>(bytes.size()) ? seen.partly
                                                         : seen.whole);
    /* The next one may meet the fault, if the write did not. */
    const auto expected = static_cast<std::size_t>(std::max(0l, written));
    long got = generic_file_read_iter(f, 100, buffer, expected);
    if (got != written) got = generic_file_read_iter(f, 100, buffer, expected);
    if (got > 0) BUG_ON(std::memcmp(buffer, bytes.data(), static_cast<std::size_t>(got)) != 0);
    BUG_ON(written > 0 && got != written);
    filp_close(f);
  });
  for_seeds(harness, [](unsigned) {});
  EXPECT_GT(seen.failed, 0u);
  EXPECT_GT(seen.partly, 0u);
  EXPECT_GT(seen.whole, 0u);
}

TEST(FilemapWrite, SyncWriteIsOnTheDiskWhenItReturns) {
  kernel_harness harness;
  harness.file("f", letters(1));
  harness.task("writer", [] {
    const std::string_view text = "synchronous";
    file* f = do_open(find_inode("f"), O_RDWR | O_DSYNC);
    BUG_ON(IS_ERR(f));
    BUG_ON(vfs_write(f, 5, text.data(), text.size()) != 11);
    unsigned char block[kPage];
    peek_disk(f->f_inode, 0, kPage, block);
    BUG_ON(std::memcmp(block + 5, text.data(), text.size()) != 0);
    filp_close(f);
  });
  for_seeds(harness, [](unsigned) {});
}

}  // namespace
}  // namespace kernel
