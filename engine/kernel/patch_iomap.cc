// SPDX-License-Identifier: GPL-2.0-only
// The patches of iomap and XFS: failed writes, stale iomaps, writeback, zeroing.
#include "engine/kernel/patch.h"

namespace kernel
{

namespace
{

using enum Patch;

constexpr patch_info kPatches[] = {
	{
		.patch = kWritebackChecksExtents,
		.slug = "xfs-writeback-validity",
		.commit = "d9252d526ba6",
		.title = "xfs: validate writeback mapping using data fork seq counter",
		.source = "in 5.1; linux-xfs, 2019-01, Brian Foster",
	},
	{
		.patch = kFaultHasNoEnd,
		.slug = "xfs-fault-has-no-end",
		.commit = "118e021b4b66",
		.title = "xfs: write page faults in iomap are not buffered writes",
		.source = "in 6.2 and 6.1.92; linux-xfs, 2022-11-23, Dave Chinner, v4",
	},
	{
		.patch = kPunchUnderLock,
		.slug = "xfs-punch-under-lock",
		.commit = "198dd8aedee6",
		.title = "xfs: punching delalloc extents on write failure is racy",
		.source = "in 6.2 and 6.1.92; linux-xfs, 2022-11-23, Dave Chinner, v4",
		.needs = patch_bits({ kFaultHasNoEnd }),
	},
	{
		.patch = kFailedWriteKeepsCache,
		.slug = "iomap-failed-write-keeps-cache",
		.commit = "f43dc4dc3eff",
		.title = "iomap: buffered write failure should not truncate the page cache",
		.source = "in 6.2 and 6.1.92; linux-xfs, 2022-11-23, Dave Chinner, v4",
		.needs = patch_bits({ kPunchUnderLock }),
	},
	{
		.patch = kScanEofLimit,
		.slug = "iomap-release-scan-eof",
		.commit = "f43dc4dc3eff",
		.title = "iomap: buffered write failure ... (v4: nothing behind EOF keeps blocks)",
		.source = "in 6.2 and 6.1.92; linux-xfs, 2022-11-18, Brian Foster, review of v3",
		.needs = patch_bits({ kFailedWriteKeepsCache }),
	},
	{
		.patch = kPunchByteRange,
		.slug = "xfs-punch-byte-range",
		.commit = "7348b322332d",
		.title = "xfs: xfs_bmap_punch_delalloc_range() should take a byte range",
		.source = "in 6.2 and 6.1.92; linux-xfs, 2022-11-23, Dave Chinner, v4",
	},
	{
		.patch = kWriteValidity,
		.slug = "iomap-write-validity",
		.commit = "d7b64041164c",
		.title = "iomap: write iomap validity checks",
		.source = "in 6.2 and 6.1.92, with 304a68b9c63b for XFS; Dave Chinner",
	},
	{
		.patch = kDiscardToFolioEnd,
		.slug = "xfs-discard-folio-end",
		.commit = "8ac5b996bf51",
		.title = "xfs: fix off-by-one-block in xfs_discard_folio()",
		.source = "in 6.3 and 6.1.92; linux-xfs, 2023-03-01, Dave Chinner",
		.needs = patch_bits({ kPunchByteRange }),
	},
	{
		.patch = kIfsDirtyBits,
		.slug = "iomap-dirty-blocks",
		.commit = "4ce02c679722",
		.title = "iomap: Add per-block dirty state tracking to improve performance",
		.source = "in 6.6, Ritesh Harjani",
	},
	{
		.patch = kPunchCleanSubblocks,
		.slug = "iomap-punch-clean-blocks",
		.commit = "4ce02c679722",
		.title =
			"iomap: Add per-block dirty state tracking ... (the punch of clean blocks)",
		.source = "in 6.6, Ritesh Harjani",
		.needs = patch_bits({ kIfsDirtyBits, kFailedWriteKeepsCache }),
	},
	{
		.patch = kWholeFolioUnread,
		.slug = "iomap-whole-folio",
		.commit = "a01b8f225248",
		.title = "iomap: Allocate ifs in ->write_begin() early",
		.source = "in 6.6, Ritesh Harjani",
	},
	{
		.patch = kUnshareReads,
		.slug = "iomap-unshare-reads",
		.commit = "35d30c9cf127",
		.title = "iomap: don't skip reading in !uptodate folios when unsharing a range",
		.source = "in 6.6; linux-fsdevel, 2023-09-18, Darrick Wong",
		.needs = patch_bits({ kWholeFolioUnread }),
	},
	{
		.patch = kWritebackBitEarly,
		.slug = "iomap-writeback-bit-early",
		.commit = "73e96b2f42ad",
		.title = "iomap: submit ioends immediately",
		.source = "in 6.9, Christoph Hellwig, with the patches around it",
	},
	{
		.patch = kScanRetryEqual,
		.slug = "iomap-release-scan-retry",
		.commit = "7a9d43eace88",
		.title = "iomap: handle a post-direct I/O invalidate race in "
			 "iomap_write_delalloc_release",
		.source = "in 6.12 and 6.1.y; 2024-09, Christoph Hellwig",
		.needs = patch_bits({ kFailedWriteKeepsCache }),
	},
	{
		.patch = kZeroRangeFlushAll,
		.slug = "iomap-zero-range-flush-all",
		.commit = "c5c810b94cfd",
		.title = "iomap: fix handling of dirty folios over unwritten extents",
		.source = "in 6.12; linux-fsdevel, 2024-08-30, Brian Foster, v3",
	},
	{
		.patch = kZeroRangeFlush,
		.slug = "iomap-zero-range-flush",
		.commit = "7d9b474ee4cc",
		.title = "iomap: make zero range flush conditional on unwritten mappings",
		.source = "in 6.12; linux-fsdevel, 2024-08-30, Brian Foster, v3",
		.needs = patch_bits({ kZeroRangeFlushAll }),
	},
	{
		.patch = kExtendingWriteLocks,
		.slug = "xfs-zero-eof-under-lock",
		.commit = "acfbac776496",
		.title = "xfs: take XFS_MMAPLOCK_EXCL in xfs_file_write_zero_eof",
		.source = "in 6.12; linux-xfs, 2024-10-08, Christoph Hellwig, v5",
	},
	{
		.patch = kIoendSizeClamp,
		.slug = "iomap-ioend-size",
		.commit = "51d20d1dacbe",
		.title = "iomap: fix zero padding data issue in concurrent append writes",
		.source = "in 6.14 and 6.12.y; 2024-12, Long Li",
	},
	{
		.patch = kZeroConvertsDelalloc,
		.slug = "xfs-zero-converts-delalloc",
		.commit = "5ce5674187c3",
		.title = "xfs: convert delayed extents to unwritten when zeroing post eof blocks",
		.source = "in 6.10 and 6.6.58; linux-xfs, 2024-04-25, Zhang Yi, v5",
	},
	{
		.patch = kZeroKeepsIsize,
		.slug = "iomap-zero-keeps-isize",
		.commit = "602f09f4029c",
		.title = "iomap: don't increase i_size in iomap_write_end()",
		.source = "in 6.11; in 6.10-rc1 as 943bc0882ceb, which 6.10 took back; Zhang Yi",
	},
	{
		.patch = kIsizeExtendedZeroes,
		.slug = "isize-extended-zeroes",
		.commit = "52aecaee1c26",
		.title = "mm: zero range of eof folio exposed by inode size extension",
		.source = "in 6.13; 2024-09-19, Brian Foster",
	},
	{
		.patch = kZeroRangeEofBlock,
		.slug = "iomap-zero-range-eof-block",
		.commit = "fde4c4c3ec1c",
		.title = "iomap: elide flush from partial eof zero range",
		.source = "in 6.13; linux-fsdevel, 2024-11-15, Brian Foster, v4",
		.needs = patch_bits({ kZeroRangeFlush }),
	},
	{
		.patch = kZeroPastEofWarn,
		.slug = "iomap-zero-past-eof-warn",
		.commit = "",
		.title = "iomap: warn on zero range of a post-eof folio",
		.source = "in 6.13; linux-fsdevel, 2024-11-15, Brian Foster, v2",
		.needs = patch_bits({ kZeroKeepsIsize }),
	},
	{
		.patch = kZeroRangeBatch,
		.slug = "iomap-zero-range-batch",
		.commit = "395ed1ef0012",
		.title = "iomap: optional zero range dirty folio processing",
		.source = "in 6.19; linux-fsdevel, 2025-10-03, Brian Foster, v5",
		.needs = patch_bits({ kZeroRangeEofBlock }),
	},
	{
		.patch = kZeroRangeBatchOnStack,
		.slug = "iomap-zero-range-batch-on-stack",
		.commit = "ed61378b4dc6",
		.title = "iomap: replace folio_batch allocation with stack allocation",
		.source = "in 6.19; linux-fsdevel, 2025-12-08, Brian Foster, v3",
		.needs = patch_bits({ kZeroRangeBatch }),
	},
	{
		.patch = kZeroRangeBatchStable,
		.slug = "iomap-zero-range-batch-stable",
		.commit = "561940a7ee81",
		.title = "iomap: wait for batched folios to be stable in __iomap_get_folio",
		.source = "in 6.19; linux-fsdevel, 2026-01-13, Christoph Hellwig",
		.needs = patch_bits({ kZeroRangeBatch }),
	},
	{
		.patch = kFailedBeginKeepsTail,
		.slug = "iomap-failed-begin",
		.commit = "395ed1ef0012",
		.title =
			"iomap: optional zero range ... (a failed begin says that it got no bytes)",
		.source = "in 6.19; linux-fsdevel, 2025-10-03, Brian Foster, v5",
	},
	{
		.patch = kZeroRangeNoHoleFlush,
		.slug = "iomap-zero-range-no-hole-flush",
		.commit = "a35bb0dec955",
		.title = "iomap, xfs: lift zero range hole mapping flush into xfs",
		.source = "in 7.1; linux-fsdevel, 2026-03-09, Brian Foster, v3",
		.needs = patch_bits({ kZeroRangeBatchOnStack }),
	},
	{
		.patch = kMapFailureClearsBits,
		.slug = "iomap-map-failure-clears-dirty",
		.commit = "7ea1d9b4a840",
		.title = "iomap: clear the per-folio dirty bits on all writeback failures",
		.source = "in 6.9; linux-fsdevel, 2023-12, Christoph Hellwig",
		.needs = patch_bits({ kIfsDirtyBits }),
	},
	{
		.patch = kCowMappingsShared,
		.slug = "xfs-cow-mappings-shared",
		.commit = "7d6fe5c586e6",
		.title = "xfs: set IOMAP_F_SHARED for all COW fork allocations",
		.source = "in 6.12; linux-xfs, 2024-10-08, Christoph Hellwig, v5",
	},
	{
		.patch = kPunchCowFork,
		.slug = "xfs-punch-cow-fork",
		.commit = "f6f91d290c8b",
		.title = "xfs: punch delalloc extents from the COW fork for COW writes",
		.source = "in 6.12; linux-xfs, 2024-10-08, Christoph Hellwig, v5",
		.needs = patch_bits({ kCowMappingsShared, kFailedWriteKeepsCache }),
	},
	{
		.patch = kZeroUnshareHoldLock,
		.slug = "xfs-zero-unshare-hold-lock",
		.commit = "abd7d651ad2c",
		.title = "xfs: IOMAP_ZERO and IOMAP_UNSHARE already hold invalidate_lock",
		.source = "in 6.12; linux-xfs, 2024-10-08, Christoph Hellwig, v5",
		.needs = patch_bits({ kExtendingWriteLocks }),
	},
	{
		.patch = kCowPurgeChecksDirty,
		.slug = "xfs-unshare-keeps-dirty-cow",
		.commit = "4390f019ad78",
		.title = "xfs: don't free cowblocks from under dirty pagecache on unshare",
		.source = "in 6.12; linux-xfs, 2024-09-06, Brian Foster",
	},
	{
		.patch = kInsertRangeFlush,
		.slug = "xfs-insert-range-flush",
		.commit = "c35a3e273e86",
		.title = "xfs: flush eof folio before insert range size update",
		.source = "in 7.1; linux-xfs, 2026-03-09, Brian Foster, v3",
	},
	{
		.patch = kZonedZeroFlush,
		.slug = "xfs-zoned-zero-flush",
		.commit = "2f46c239fce6",
		.title = "xfs: flush dirty pagecache over hole in zoned mode zero range",
		.source = "in 7.1; linux-xfs, 2026-03-09, Brian Foster, v3",
		.needs = patch_bits({ kZeroRangeNoHoleFlush }),
	},
	{
		.patch = kZoned,
		.slug = "xfs-zoned",
		.commit = "",
		.title = "(a file system on a zoned device, since 6.15)",
		.source = "a property of the file system, not a patch",
		.needs = patch_bits({ kCowMappingsShared, kPunchCowFork, kZeroRangeBatch }),
	},
	{
		.patch = kWriteUpdatesPos,
		.slug = "iomap-write-updates-pos",
		.commit = "219580eea1ee",
		.title = "iomap: update ki_pos in iomap_file_buffered_write",
		.source = "in 6.5, Christoph Hellwig",
	},
	{
		.patch = kPartialWriteCounts,
		.slug = "iomap-partial-write-counts",
		.commit = "20c64ec83a9f",
		.title = "iomap: fix a regression for partial write errors",
		.source = "in 6.5; linux-xfs, 2023-07-14, Christoph Hellwig",
		.needs = patch_bits({ kWriteUpdatesPos }),
	},
	{
		.patch = kWriteLargeChunks,
		.slug = "iomap-write-large-chunks",
		.commit = "5d8edfb900d5",
		.title = "iomap: Copy larger chunks from userspace",
		.source = "in 6.6, Matthew Wilcox",
	},
	{
		.patch = kShortCopyRetriesLess,
		.slug = "iomap-short-copy-retries-less",
		.commit = "3ac974796e5d",
		.title = "iomap: fix short copy in iomap_write_iter()",
		.source = "in 6.6; linux-xfs, 2023-10-18, Jan Stancek, v2",
		.needs = patch_bits({ kWriteLargeChunks }),
	},
	{
		.patch = kForceZeroRange,
		.slug = "xfs-force-zero-range",
		.commit = "",
		.title = "(the error tag force_zero_range, for xfs/131)",
		.source = "a debug switch of the kernel, not a patch",
	},
};

} // namespace

std::span<const patch_info> iomap_patches()
{
	return kPatches;
}

} // namespace kernel
