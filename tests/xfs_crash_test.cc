// SPDX-License-Identifier: GPL-2.0-only
// What power cuts show of XFS and iomap, with and without the fix, by all orders with few
// preemptions.
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "engine/explore.h"
#include "engine/scenario.h"

namespace interleaf {
namespace {

using Names = std::vector<std::string>;
using Signatures = std::set<std::string>;

// What power cuts break; assertions are left aside.
Signatures broken(const Scenario& scenario, unsigned preemptions, const char* kernel,
                  const Names& with = {}) {
  Overrides overrides;
  overrides.kernel = kernel;
  overrides.with = with;
  ExploreOptions options;
  options.jobs = 2;
  options.preemptions_max = preemptions;
  options.keep_going = true;
  options.crash = true;
  options.ignore = {"kernel-warning:"};
  const ExploreReport report = explore(configure(scenario, overrides), options);
  EXPECT_TRUE(report.search.complete);
  EXPECT_TRUE(report.crash->complete);
  Signatures signatures;
  for (const ExploreFinding& finding : report.findings) {
    signatures.insert(finding.recording.signature);
  }
  return signatures;
}

const std::string kPowerCut = "lost-after-power-cut:power cut:";
const std::string kConverts = "xfs-zero-converts-delalloc";

TEST(XfsCrash, ACloneIsSeenHalfDoneWhereZeroRangeMovesTheEndOfTheFile) {
  const Scenario scenario = load_scenario("xfs-clone-power-cut");
  EXPECT_EQ(broken(scenario, 1, "6.6"), Signatures{kPowerCut + "half-done clone"});
  EXPECT_EQ(broken(scenario, 1, "6.6", {kConverts}), Signatures{});
  EXPECT_EQ(broken(scenario, 1, "6.12.95"), Signatures{});
}

// What other calls make of the file's end is not the gap before the clone that follows.
TEST(XfsCrash, OnlyAClonesGapIsNobodysEnd) {
  for (const char* call :
       {"pwrite(fd, pattern(1), 4K, 72K)", "ftruncate(fd, 76K)", "fallocate(fd, 0, 72K, 4K)",
        "fallocate(fd, FALLOC_FL_ZERO_RANGE, 72K, 4K)", "reflink(fd, from, 0, 4K, 72K)"}) {
    const std::string text = std::string(
                                 R"(title: a call makes the file longer, and then a clone does
kernel: 6.12.95
persona: xfs
geometry: {hpage_pages: 4, readahead_pages: 0, xa_slots: 4, folio_batch: 4}
files:
  f: {size: 64K, content: pattern(7)}
  g: {size: 4K, content: pattern(8)}
tasks:
  one:
    - fd = open("f", O_RDWR)
    - from = open("g", O_RDWR)
    - )") + call + R"(
    - fsync(fd) = 0
    - reflink(fd, from, 0, 4K, 96K) = 0
expect: {verdict: clean}
)";
    EXPECT_EQ(broken(parse_scenario(text, "t.yaml"), 0, "6.12.95"), Signatures{}) << call;
  }
}

// The zeros of a truncate stay in the page cache while a write further on moves the size on the
// disk.
TEST(XfsCrash, AWriteFurtherOnShowsWhatATruncateTook) {
  const Scenario scenario = load_scenario("xfs-stale-tail-power-cut");
  for (const char* kernel : {"6.1.91", "6.12.95", "7.1"}) {
    EXPECT_EQ(broken(scenario, 0, kernel), Signatures{kPowerCut + "stale block"}) << kernel;
  }
}

TEST(XfsCrash, AConcurrentAppendMovesTheSizeAheadOfTheData) {
  const Scenario scenario = load_scenario("iomap-append-size-beyond-data");
  EXPECT_EQ(broken(scenario, 0, "6.6"), Signatures{kPowerCut + "size beyond data"});
  EXPECT_EQ(broken(scenario, 0, "6.6", {"iomap-ioend-size"}), Signatures{});
  EXPECT_EQ(broken(scenario, 0, "6.12.95"), Signatures{});
}

}  // namespace
}  // namespace interleaf
