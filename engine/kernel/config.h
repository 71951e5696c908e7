// SPDX-License-Identifier: GPL-2.0-only
// What a machine is built with: geometry, the filesystem's persona, and the patches applied.
// Constant during a run.
#pragma once

#include <cstdint>
#include <string_view>

namespace kernel
{

using loff_t = std::int64_t;
using pgoff_t = std::uint64_t;
using gfp_t = unsigned;

/* Sizes. All counts are powers of two except folio_batch and ra_pages. */
struct geometry {
	unsigned page_size = 4096;
	unsigned block_size = 4096; /* of the filesystem, <= page_size */
	unsigned hpage_pages = 512; /* HPAGE_PMD_NR, pages per PMD; 2..512 */
	unsigned folio_batch = 31; /* PAGEVEC_SIZE of the truncate loops */
	unsigned xa_slots = 64; /* slots per xarray node: 4, 8, 16, 32, 64 */
	unsigned ra_pages = 32; /* readahead window; 0: single pages */
	unsigned fault_around_pages = 16;
	std::uint64_t disk_blocks = 1 << 20;
	unsigned khugepaged_scans = 1; /* passes of khugepaged over the registered mms */
	unsigned volatile_cache = 0; /* 1: completed writes may be lost until a flush */
	unsigned barriers = 1; /* 0: the filesystem never flushes it (mount -o nobarrier) */
	unsigned journal_blocks = 0; /* ext4: of the log; 0: without end */
	unsigned data_ordered = 1; /* ext4: data=ordered; 0: data=writeback */
	unsigned dioread_nolock = 1; /* ext4: 0: writeback allocates written blocks */
	unsigned sector_size = 512; /* what the device writes whole; <= block_size */
	unsigned lru_batch = 31; /* per-CPU LRU-add batch; folios in it are not PG_lru */
};

/* How a filesystem behaves where the page cache can tell. Holes read as zeros in all of them. */
struct persona {
	std::string_view name;
	bool large_folios; /* mapping_large_folio_support() */
	bool has_private; /* folios carry private data (buffers) */
	bool writes_take_i_rwsem;
	bool mkwrite_takes_invalidate_lock;
	bool truncate_takes_invalidate_lock;
	bool delayed_allocation; /* blocks are allocated at writeback */
	const struct super_operations *s_op;
};

/* generic, ext4, btrfs, xfs; null for another name. personas.cc */
const persona *find_persona(std::string_view name);
unsigned persona_count();
const persona &persona_at(unsigned index);

} // namespace kernel
