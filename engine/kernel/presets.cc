// SPDX-License-Identifier: GPL-2.0-only
// The kernels: presets of patches. Releases, and behind them series that were posted.
#include <iterator>

#include "engine/kernel/patch.h"

namespace kernel
{

namespace
{

using enum Patch;

/* Older than all of them. */
constexpr patch_set k5_14 = patch_bit(kWritebackChecksExtents);

/* iomap and XFS. */
constexpr patch_set kIomap6_2 =
	patch_bits({ kFaultHasNoEnd, kPunchUnderLock, kFailedWriteKeepsCache, kScanEofLimit,
		     kPunchByteRange, kWriteValidity });
constexpr patch_set kIomap6_3 = kIomap6_2 | patch_bit(kDiscardToFolioEnd);
constexpr patch_set kIomap6_6 =
	kIomap6_3 |
	patch_bits({ kIfsDirtyBits, kPunchCleanSubblocks, kWriteUpdatesPos, kPartialWriteCounts,
		     kWriteLargeChunks, kShortCopyRetriesLess, kWholeFolioUnread, kUnshareReads });
constexpr patch_set kIomap6_12 =
	kIomap6_6 |
	patch_bits({ kWritebackBitEarly, kScanRetryEqual, kZeroRangeFlushAll, kZeroRangeFlush,
		     kExtendingWriteLocks, kIoendSizeClamp, kZeroConvertsDelalloc, kZeroKeepsIsize,
		     kCowMappingsShared, kPunchCowFork, kZeroUnshareHoldLock, kCowPurgeChecksDirty,
		     kMapFailureClearsBits });
constexpr patch_set kIomap6_18 =
	kIomap6_12 | patch_bits({ kIsizeExtendedZeroes, kZeroRangeEofBlock, kZeroPastEofWarn });
constexpr patch_set kIomap6_19 =
	kIomap6_18 | patch_bits({ kZeroRangeBatch, kZeroRangeBatchOnStack, kZeroRangeBatchStable,
				  kFailedBeginKeepsTail });
constexpr patch_set kIomap7_1 =
	kIomap6_19 | patch_bits({ kZeroRangeNoHoleFlush, kInsertRangeFlush, kZonedZeroFlush });

/* Each set holds what the one before it has. */
constexpr patch_set k5_15_4 =
	k5_14 | patch_bits({ kInvalidateLock, kSkipWriteback, kPurgeUnderLock, kPurgeKeepsPrivate,
			     kSplitCountsThp, kNoIndexAssert });
constexpr patch_set k6_0 = k5_15_4 | patch_bits({ kFolioTruncate, kUnmapByRmap });
constexpr patch_set k6_1 = k6_0 | patch_bit(kMadviseCollapse);
constexpr patch_set k6_1_28 = k6_1 | patch_bit(kReclaimSkipsPinned);
constexpr patch_set k6_2 = k6_1 | kIomap6_2;
constexpr patch_set k6_6 =
	k6_2 | kIomap6_6 |
	patch_bits({ kCollapseKeepsOldFolios, kReclaimSkipsPinned, kDioPinsPages });
constexpr patch_set k6_12 =
	k6_6 | kIomap6_12 |
	patch_bits({ kNoVmExec, kExt4TruncateCacheRange, kExt4WriteEndNoHandle });
constexpr patch_set k6_13 = k6_12 | patch_bit(kExt4ZeroOnExtend);
constexpr patch_set k6_18 = k6_13 | kIomap6_18;
constexpr patch_set k6_19 = k6_13 | kIomap6_19;
constexpr patch_set k7_1 =
	k6_13 | kIomap7_1 |
	patch_bits({ kDirtyIsTransient, kMadviseWritesBack, kExt4ZeroBeforeHandle });
constexpr patch_set k7_2 =
	k7_1 | patch_bits({ kDirtyRecheck, kThpNeedsLargeFolios, kNoPurge, kCollapseWritable });

constexpr kernel_info kKernels[] = {
	{
		.name = "5.14.0",
		.alias = "5.14",
		.patches = k5_14,
		.folio_batch = 15,
		.summary = "a huge page is 512 slots; a write-open purges the file without a lock",
	},
	{
		.name = "5.15.4",
		.alias = "5.15",
		.patches = k5_15_4,
		.folio_batch = 15,
		.summary = "the purge takes invalidate_lock and leaves private copies alone",
	},
	{
		.name = "6.0",
		.alias = "",
		.patches = k6_0,
		.folio_batch = 15,
		.summary = "a huge page is one entry; MADV_COLLAPSE takes no files",
	},
	{
		.name = "6.1.91",
		.alias = "",
		.patches = k6_1_28,
		.folio_batch = 15,
		.summary = "the last 6.1 before the iomap fixes of 6.2",
	},
	{
		.name = "6.1.92",
		.alias = "",
		.patches = k6_1_28 | kIomap6_3,
		.folio_batch = 15,
		.summary = "6.1 with the iomap fixes of 6.2",
	},
	{
		.name = "6.1.192",
		.alias = "6.1",
		.patches = k6_1_28 | kIomap6_3 | patch_bits({ kScanRetryEqual, kZapKeepsPmdDirt }),
		.folio_batch = 15,
		.summary = "a huge page is one entry; collapse replaces pages one by one",
	},
	{
		.name = "6.2",
		.alias = "",
		.patches = k6_2,
		.folio_batch = 15,
		.summary = "a failed write leaves the page cache alone, a stale iomap is noticed",
	},
	{
		.name = "6.3",
		.alias = "",
		.patches = k6_2 | kIomap6_3,
		.folio_batch = 15,
		.summary = "6.2 with the first repairs of its iomap fixes",
	},
	{
		.name = "6.6",
		.alias = "",
		.patches = k6_6,
		.folio_batch = 15,
		.summary = "iomap knows dirty blocks; collapse keeps the old pages to the end",
	},
	{
		.name = "6.12.95",
		.alias = "6.12",
		.patches = k6_12,
		.folio_batch = 31,
		.summary = "a write-open purges file huge pages and every dirty page beside them",
	},
	{
		.name = "6.12.96",
		.alias = "",
		.patches = k6_12 | patch_bit(kKhugepagedWriteAllDirty),
		.folio_batch = 31,
		.summary = "collapsing a file range writes the whole file back first",
	},
	{
		.name = "6.18",
		.alias = "",
		.patches = k6_18,
		.folio_batch = 31,
		.summary = "zero range flushes, but not the block that it starts in",
	},
	{
		.name = "6.19",
		.alias = "",
		.patches = k6_19,
		.folio_batch = 31,
		.summary = "zero range takes the dirty folios over unwritten extents in a batch",
	},
	{
		.name = "7.1",
		.alias = "",
		.patches = k7_1,
		.folio_batch = 31,
		.summary = "MADV_COLLAPSE writes back itself; zero range does not flush holes",
	},
	{
		.name = "7.2",
		.alias = "",
		.patches = k7_2,
		.folio_batch = 31,
		.summary = "huge pages only where the filesystem can write them; no purge",
	},
	{
		.name = "ext4-iomap-2025",
		.alias = "",
		.on = "6.18",
		.patches = k6_18 | patch_bit(kExt4Iomap),
		.folio_batch = 31,
		.summary = "6.18, and ext4 on iomap, which zeroes parts of blocks under a handle",
	},
	{
		.name = "ext4-iomap-v2",
		.alias = "",
		.on = "6.19",
		.patches = k6_19 | patch_bits({ kExt4Iomap, kExt4ZeroBeforeHandle }),
		.folio_batch = 31,
		.summary =
			"6.19, and ext4 on iomap as of 2026-02-03, which zeroes before the handle",
	},
};

} // namespace

unsigned kernel_count()
{
	return std::size(kKernels);
}

const kernel_info &kernel_at(unsigned index)
{
	return kKernels[index];
}

const kernel_info *find_kernel(std::string_view name_or_alias)
{
	if (name_or_alias.empty())
		return nullptr;
	for (const kernel_info &candidate : kKernels) {
		if (candidate.name == name_or_alias || candidate.alias == name_or_alias)
			return &candidate;
	}
	return nullptr;
}

} // namespace kernel
