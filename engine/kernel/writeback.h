// SPDX-License-Identifier: GPL-2.0-only
// Dirty state, writeback, waiting for it, errors (mm/page-writeback.c, mm/filemap.c,
// fs/fs-writeback.c).
#pragma once

#include <cstdint>

#include "engine/kernel/fs.h"

namespace kernel
{

inline constexpr loff_t LLONG_MAX_POS = INT64_MAX;

enum writeback_sync_modes : std::uint8_t { WB_SYNC_NONE, WB_SYNC_ALL };

struct writeback_control {
	long nr_to_write = INT64_MAX;
	loff_t range_start = 0;
	loff_t range_end = LLONG_MAX_POS; /* inclusive */
	writeback_sync_modes sync_mode = WB_SYNC_NONE;
	bool range_cyclic = false;
	bool tagged_writepages = false;
};

/* Dirty state (P16). */
bool folio_mark_dirty(folio *f);
bool filemap_dirty_folio(address_space *mapping, folio *f); /* the generic ->dirty_folio */
/* For ->dirty_folio: the folio, which has just got PG_dirty, gets the DIRTY mark, if truncate did not
 * come first. `warn` if it should be uptodate. */
void __folio_mark_dirty(folio *f, address_space *mapping, bool warn);
bool folio_clear_dirty_for_io(folio *f); /* folio lock held */
void folio_cancel_dirty(folio *f);
void folio_account_cleaned(folio *f);
void mark_inode_dirty_pages(inode *node);

/* Writeback of one folio. */
/* keep_towrite: part of it could not be written, who waits for all of it must come back. */
void folio_start_writeback(folio *f, bool keep_towrite = false);
void folio_end_writeback(folio *f);
/* Reports of hangs and lock order take it that the current task has to end the folio's writeback. */
void folio_claim_writeback(folio *f);
void folio_wait_writeback(folio *f, std::source_location where = std::source_location::current());
void folio_wait_stable(folio *f, std::source_location where = std::source_location::current());

/* Loops over a mapping. `writepage` gets the locked folio and unlocks it. */
void tag_pages_for_writeback(address_space *mapping, pgoff_t start, pgoff_t end);
/* How the loops that filesystems have of their own differ from it. */
struct writeback_loop {
	bool own =
		false; /* always calls folio_wait_writeback(); no lookup behind the range's end */
};
int write_cache_pages(address_space *mapping, writeback_control *wbc,
		      int (*writepage)(folio *, writeback_control *, void *), void *data,
		      writeback_loop loop = {});
int do_writepages(address_space *mapping, writeback_control *wbc);
int __filemap_fdatawrite_range(address_space *mapping, loff_t start, loff_t end,
			       writeback_sync_modes sync_mode);
int filemap_fdatawrite_wbc(address_space *mapping, writeback_control *wbc);
int filemap_fdatawrite_range(address_space *mapping, loff_t start, loff_t end);
int filemap_flush(address_space *mapping); /* WB_SYNC_NONE, whole mapping */
void __filemap_fdatawait_range(address_space *mapping, loff_t start, loff_t end);
int filemap_fdatawait_range(address_space *mapping, loff_t start, loff_t end);
int filemap_write_and_wait_range(address_space *mapping, loff_t start, loff_t end);
int filemap_write_and_wait(address_space *mapping);
bool filemap_range_has_writeback(address_space *mapping, loff_t start, loff_t end);

/* Errors: recorded once, reported once per file (errseq) and once per mapping (flags). */
void mapping_set_error(address_space *mapping, int error);
int filemap_check_errors(address_space *mapping);
errseq_t errseq_sample(const interleaf::Atomic<errseq_t> &eseq);
int errseq_check_and_advance(interleaf::Atomic<errseq_t> &eseq, interleaf::Shared<errseq_t> &since);
int file_check_and_advance_wb_err(file *f);
int file_write_and_wait_range(file *f, loff_t start, loff_t end);

void balance_dirty_pages_ratelimited(address_space *mapping);
void balance_dirty_pages_ratelimited_flags(address_space *mapping);

/* Body of the flusher daemon: waits for dirty inodes, writes them back (WB_SYNC_NONE) at any
 * later time. Never returns. */
[[noreturn]] void wb_workfn();
/* sync_inodes_sb + wait: everything to the disk. For sync(2) and unmount. */
int sync_filesystem(super_block *sb);

} // namespace kernel
