// SPDX-License-Identifier: GPL-2.0-only
// Writeback of delayed and other dirty blocks (the second half of fs/ext4/inode.c of 6.12).
//
// A first pass takes no handle: it submits the folios whose blocks are all mapped, and stops at the
// first that needs some. Then, for one extent at a time: a handle, with credits reserved for the
// conversion that follows; the locked folios that one extent covers; blocks for it; submission. So a
// handle comes before folio locks.
//
// Left out: journalled data, the error path of a block allocation that fails: what was reserved is
// there. A range that wraps around (range_cyclic) is one pass from the beginning.
//
// Lock order: handle -> folio locks in ascending order -> i_data_sem.
#include <algorithm>

#include "engine/kernel/block.h"
#include "engine/kernel/bug.h"
#include "engine/kernel/ext4/ext4.h"
#include "engine/kernel/folio.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

struct mpage_da_data {
	inode *node;
	writeback_control *wbc;
	bool can_map; /* false: the commit thread, which must not start handles */
	bool do_map = false; /* there is a handle */
	pgoff_t first_page; /* folios [first_page, next_page) are locked and not submitted */
	pgoff_t next_page = 0;
	pgoff_t last_page;
	xa_mark_t tag = PAGECACHE_TAG_DIRTY;
	ext4_map map{ 0, 0, {} }; /* len 0: nothing to map */
	std::uint32_t map_flags = 0; /* of its buffers */
	bool scanned_until_end = false;
	ext4_io_submitter io{};
};

ext4_lblk_t first_block(const folio *f)
{
	return (f->index.load() << page_shift()) / ext4_block_size();
}

/* False: it cannot be part of the extent, which ends before it; or it begins one and there is no
 * handle. */
bool mpage_add_bh_to_extent(mpage_da_data *mpd, ext4_lblk_t lblk, const buffer_head &bh)
{
	ext4_map *map = &mpd->map;
	constexpr std::uint32_t kFlags = BH_Delay | BH_Unwritten;
	if (!bh.test(BH_Dirty) || !bh.test(BH_Mapped) || !bh.test(kFlags))
		return map->len == 0;
	if (map->len == 0) {
		if (!mpd->do_map)
			return false;
		map->lblk = lblk;
		map->len = 1;
		mpd->map_flags = bh.b_state & kFlags;
		return true;
	}
	if (lblk != map->lblk + map->len || (bh.b_state & kFlags) != mpd->map_flags)
		return false;
	map->len++;
	return true;
}

/* A folio of the walk is done with: submitted. */
void mpage_folio_done(mpage_da_data *mpd, folio *f)
{
	FRAME(mpage_folio_done);
	mpd->first_page += folio_nr_pages(f);
	folio_unlock(f);
}

/*
 * Only now that the folio is clean and write-protected is it known what of it lies in the file: it
 * may grow, and be stored to, until then.
 */
void mpage_submit_folio(mpage_da_data *mpd, folio *f)
{
	FRAME(mpage_submit_folio);
	BUG_ON(f->index.look() != mpd->first_page);
	folio_clear_dirty_for_io(f);
	const loff_t size = i_size_read(mpd->node);
	const auto pos = static_cast<loff_t>(f->index.load() << page_shift());
	std::size_t len = folio_size(f);
	if (pos + static_cast<loff_t>(len) > size)
		len = size > pos ? static_cast<std::size_t>(size - pos) : 0;
	ext4_bio_write_folio(&mpd->io, f, len);
	mpd->wbc->nr_to_write -= folio_nr_pages(f);
}

/*
 * Looks at the buffers of a locked folio from `index` on. If none needs a block, the folio is
 * submitted; else they join the extent to map. True: go on with the next folio.
 */
bool mpage_process_page_bufs(mpage_da_data *mpd, folio *f, unsigned index)
{
	const auto size = static_cast<std::uint64_t>(i_size_read(mpd->node));
	const ext4_lblk_t blocks = (size + ext4_block_size() - 1) / ext4_block_size();
	const folio_buffer_heads *buffers = folio_buffers(f);
	const ext4_lblk_t start = first_block(f);
	unsigned i = index;
	for (; i < buffers->nr; i++) {
		if (start + i < blocks && mpage_add_bh_to_extent(mpd, start + i, buffers->bh[i]))
			continue;
		if (mpd->map.len != 0)
			return false;
		if (!mpd->do_map)
			return false;
		break; /* all mapped, and the file ends */
	}
	if (mpd->map.len == 0) {
		mpage_submit_folio(mpd, f);
		mpage_folio_done(mpd, f);
	}
	if (start + i >= blocks) {
		mpd->scanned_until_end = true;
		return false;
	}
	return true;
}

/* A locked folio is to be written, and not under writeback any more. May sleep. */
bool mpage_wants(const mpage_da_data *mpd, folio *f)
{
	if (f->mapping.load() != mpd->node->i_mapping || !folio_test_dirty(f))
		return false;
	if (mpd->wbc->sync_mode == WB_SYNC_NONE && folio_test_writeback(f))
		return false;
	folio_wait_writeback(f);
	BUG_ON(f->flags.look(PG_writeback));
	if (folio_buffers(f) != nullptr)
		return true;
	/* Made dirty without asking us: its data has no place to go. */
	VM_WARN_ON_ONCE(true);
	folio_cancel_dirty(f);
	return false;
}

/*
 * Walks dirty folios until one extent is found that needs mapping, all before it being submitted.
 * Folios that the extent covers stay locked.
 */
void mpage_prepare_extent_to_map(mpage_da_data *mpd)
{
	address_space *mapping = mpd->node->i_mapping;
	pgoff_t index = mpd->first_page;
	folio_batch fbatch;
	mpd->map.len = 0;
	mpd->next_page = index;
	while (index <= mpd->last_page) {
		if (filemap_get_folios_tag(mapping, &index, mpd->last_page, mpd->tag, &fbatch) == 0)
			break;
		for (unsigned i = 0; i < fbatch.nr; i++) {
			folio *f = fbatch.folios[i];
			const bool integrity = mpd->wbc->sync_mode != WB_SYNC_NONE;
			const auto queued =
				static_cast<long>(mpd->map.len * ext4_block_size() / page_size());
			if ((!integrity && mpd->wbc->nr_to_write <= queued) ||
			    (mpd->map.len != 0 && mpd->next_page != f->index.load())) {
				folio_batch_release(&fbatch);
				return;
			}
			folio_lock(f);
			if (!mpage_wants(mpd, f)) {
				folio_unlock(f);
				continue;
			}
			if (mpd->map.len == 0)
				mpd->first_page = f->index.load();
			mpd->next_page = folio_next_index(f);
			if (!mpd->can_map) {
				mpage_submit_folio(mpd, f);
				mpage_folio_done(mpd, f);
			} else if (!mpage_process_page_bufs(mpd, f, 0)) {
				folio_batch_release(&fbatch);
				return;
			}
		}
		folio_batch_release(&fbatch);
	}
	mpd->scanned_until_end = true;
}

/* Unlocks what was locked and is not submitted after all. */
void mpage_release_unused_pages(mpage_da_data *mpd)
{
	if (mpd->first_page >= mpd->next_page)
		return;
	mpd->scanned_until_end = false;
	pgoff_t index = mpd->first_page;
	const pgoff_t end = mpd->next_page - 1;
	folio_batch fbatch;
	while (index <= end &&
	       filemap_get_folios(mpd->node->i_mapping, &index, end, &fbatch) != 0) {
		for (unsigned i = 0; i < fbatch.nr; i++) {
			if (fbatch.folios[i]->index.load() >= mpd->first_page)
				folio_unlock(fbatch.folios[i]);
		}
		folio_batch_release(&fbatch);
	}
}

/* Blocks for the extent, unwritten until their data is there. */
void mpage_map_one_extent(handle_t *handle, mpage_da_data *mpd)
{
	const bool nolock = ext4_should_dioread_nolock();
	const unsigned flags = EXT4_GET_BLOCKS_CREATE | (nolock ? EXT4_GET_BLOCKS_UNWRIT_EXT : 0u);
	const int mapped = ext4_map_blocks(handle, mpd->node, &mpd->map, flags);
	BUG_ON(mapped <= 0); /* they were reserved */
	if (!nolock) {
		/* The blocks read as what was there before: their data must come first. */
		const loff_t size = static_cast<loff_t>(ext4_block_size());
		ext4_jbd2_inode_add_wait(handle, mpd->node,
					 static_cast<loff_t>(mpd->map.lblk) * size,
					 static_cast<loff_t>(mpd->map.len) * size);
		return;
	}
	ext4_io_end *io_end = mpd->io.io_end;
	if (io_end->handle == nullptr)
		io_end->handle = std::exchange(handle->h_rsv_handle, nullptr);
	io_end->unwritten = true;
}

/*
 * The buffers of a folio that the extent covers know their blocks now. True: one behind the extent
 * needs another, which becomes the one to map.
 */
bool mpage_process_folio(mpage_da_data *mpd, folio *f)
{
	folio_buffer_heads *buffers = folio_buffers_to_change(f);
	const ext4_lblk_t start = first_block(f);
	const ext4_lblk_t end = mpd->map.lblk + mpd->map.len;
	for (unsigned i = 0; i < buffers->nr; i++) {
		const ext4_lblk_t lblk = start + i;
		buffer_head *bh = &buffers->bh[i];
		if (lblk < mpd->map.lblk)
			continue;
		if (lblk >= end) {
			/* It submits the folio if nothing more is to be mapped. */
			mpd->map.len = 0;
			mpage_process_page_bufs(mpd, f, i);
			return true;
		}
		if (bh->test(BH_Delay)) {
			bh->clear(BH_Delay);
			bh->b_blocknr = mpd->map.es.pblk + (lblk - mpd->map.lblk);
		}
		bh->clear(BH_Unwritten);
	}
	return false;
}

/* Submits the folios that the extent maps wholly. */
void mpage_map_and_submit_buffers(mpage_da_data *mpd)
{
	const loff_t size = static_cast<loff_t>(ext4_block_size());
	if (mpd->io.io_end->unwritten)
		mpd->io.io_end->list_vec.push_back({ static_cast<loff_t>(mpd->map.lblk) * size,
						     static_cast<loff_t>(mpd->map.len) * size });
	pgoff_t index = (mpd->map.lblk * ext4_block_size()) >> page_shift();
	const pgoff_t end =
		((mpd->map.lblk + mpd->map.len - 1) * ext4_block_size()) >> page_shift();
	folio_batch fbatch;
	while (index <= end) {
		if (filemap_get_folios(mpd->node->i_mapping, &index, end, &fbatch) == 0)
			break;
		for (unsigned i = 0; i < fbatch.nr; i++) {
			folio *f = fbatch.folios[i];
			if (mpage_process_folio(mpd, f)) {
				folio_batch_release(&fbatch);
				return;
			}
			mpage_submit_folio(mpd, f);
			mpage_folio_done(mpd, f);
		}
		folio_batch_release(&fbatch);
	}
	mpd->map.len = 0;
}

/* i_disksize reaches behind what has blocks now: they are unwritten, or their data goes first. */
void ext4_wb_update_i_disksize(handle_t *handle, mpage_da_data *mpd)
{
	inode *node = mpd->node;
	const auto submitted = static_cast<loff_t>(mpd->first_page << page_shift());
	if (submitted <= node->i_disksize.read_once())
		return;
	EXT4_I(node)->i_data_sem.down_write();
	const loff_t disksize = std::min(submitted, i_size_read(node));
	if (disksize > node->i_disksize.load())
		node->i_disksize.store(disksize);
	EXT4_I(node)->i_data_sem.up_write();
	ext4_mark_inode_dirty(handle, node);
}

void mpage_map_and_submit_extent(handle_t *handle, mpage_da_data *mpd)
{
	FRAME(mpage_map_and_submit_extent);
	do {
		mpage_map_one_extent(handle, mpd);
		mpage_map_and_submit_buffers(mpd);
	} while (mpd->map.len != 0);
	ext4_wb_update_i_disksize(handle, mpd);
}

/* The end of a pass: submits, and gives up its hold of the io_end. */
void finish_pass(mpage_da_data *mpd, bool defer)
{
	mpage_release_unused_pages(mpd);
	ext4_io_submit(&mpd->io);
	ext4_put_io_end(mpd->io.io_end, defer);
}

void map_passes(mpage_da_data *mpd)
{
	inode *node = mpd->node;
	const int rsv_blocks = ext4_should_dioread_nolock() ? ext4_writepage_trans_blocks() : 0;
	while (!mpd->scanned_until_end && mpd->wbc->nr_to_write > 0) {
		mpd->io.io_end = ext4_init_io_end(node);
		VM_WARN_ON_ONCE(!mpd->can_map);
		handle_t *handle =
			ext4_journal_start(node, ext4_writepage_trans_blocks(), rsv_blocks);
		mpd->do_map = true;
		mpage_prepare_extent_to_map(mpd);
		if (mpd->map.len != 0)
			mpage_map_and_submit_extent(handle, mpd);
		/* A sync handle waits for the commit, which may wait for what is not submitted yet. */
		if (!handle->h_sync) {
			ext4_journal_stop(handle);
			handle = nullptr;
			mpd->do_map = false;
		}
		finish_pass(mpd, handle != nullptr);
		if (handle != nullptr)
			ext4_journal_stop(handle);
	}
}

int ext4_do_writepages(mpage_da_data *mpd)
{
	FRAME(ext4_do_writepages);
	const writeback_control *wbc = mpd->wbc;
	address_space *mapping = mpd->node->i_mapping;
	if (mapping->nrpages.load() == 0 || !xa_marked(&mapping->i_pages, PAGECACHE_TAG_DIRTY))
		return 0;
	const auto size = static_cast<pgoff_t>(page_size());
	mpd->first_page = wbc->range_cyclic ? 0 : static_cast<pgoff_t>(wbc->range_start) / size;
	mpd->last_page =
		wbc->range_cyclic ? ~pgoff_t{ 0 } : static_cast<pgoff_t>(wbc->range_end) / size;
	if (wbc->sync_mode == WB_SYNC_ALL || wbc->tagged_writepages) {
		tag_pages_for_writeback(mapping, mpd->first_page, mpd->last_page);
		mpd->tag = PAGECACHE_TAG_TOWRITE;
	}
	mpd->io.io_end = ext4_init_io_end(mpd->node);
	mpage_prepare_extent_to_map(mpd);
	finish_pass(mpd, true);
	map_passes(mpd);
	return 0;
}

} // namespace

int ext4_writepages(address_space *mapping, writeback_control *wbc)
{
	FRAME(ext4_writepages);
	mpage_da_data mpd{ .node = mapping->host, .wbc = wbc, .can_map = true };
	return ext4_do_writepages(&mpd);
}

/* data=ordered, in the commit thread. Blocks that are not mapped were not promised. */
int ext4_normal_submit_inode_data_buffers(jbd2_inode *jinode)
{
	FRAME(ext4_normal_submit_inode_data_buffers);
	writeback_control wbc;
	wbc.sync_mode = WB_SYNC_ALL;
	wbc.range_start = jinode->i_dirty_start;
	wbc.range_end = jinode->i_dirty_end;
	mpage_da_data mpd{ .node = jinode->i_vfs_inode, .wbc = &wbc, .can_map = false };
	return ext4_do_writepages(&mpd);
}

} // namespace kernel
