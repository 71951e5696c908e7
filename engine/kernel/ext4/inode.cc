// SPDX-License-Identifier: GPL-2.0-only
// Reading, buffered writes with delayed allocation, faults that write (the first half of
// fs/ext4/inode.c and readpage.c of 6.12).
//
// Left out: nodelalloc, the retry of a write that found no space after a commit (freed blocks stay
// gone), file times and their handles, large folios.
//
// Lock order: see ext4.h. A write takes no handle, unless it has to record a new size: after it has
// let go of its folio.
#include <algorithm>

#include "engine/kernel/block.h"
#include "engine/kernel/bug.h"
#include "engine/kernel/ext4/ext4.h"
#include "engine/kernel/folio.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/mm.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

loff_t folio_pos(const folio *f)
{
	return static_cast<loff_t>(f->index.load() << page_shift());
}

void mpage_end_io(bio *request)
{
	FRAME(mpage_end_io);
	folio *f = bio_first_folio(request);
	const bool success = request->status == 0;
	delete request;
	folio_end_read(f, success);
}

/*
 * Where the blocks of a folio are that lie in the file. Those behind its end are not looked for:
 * truncate may be between the new size and freeing them.
 */
std::vector<std::uint64_t> blocks_to_read(inode *node, const folio *f)
{
	const std::uint64_t size = ext4_block_size();
	const auto pos = static_cast<std::uint64_t>(folio_pos(f));
	const auto file_size = static_cast<std::uint64_t>(i_size_read(node));
	std::vector<std::uint64_t> blocks(folio_size(f) / size, BLOCK_HOLE);
	for (std::uint64_t i = 0; i < blocks.size() && pos + i * size < file_size;) {
		ext4_map map{ pos / size + i, blocks.size() - i, {} };
		ext4_map_blocks(nullptr, node, &map, 0);
		for (std::uint64_t last = i + map.len; i < last; i++) {
			if (map.es.status == es_status::WRITTEN)
				blocks[i] = map.es.pblk + (pos / size + i - map.lblk);
		}
	}
	return blocks;
}

/* Fills a locked folio without buffers; its lock passes on to the completion. */
void ext4_mpage_readpage(folio *f)
{
	inode *node = f->mapping.load()->host;
	std::vector<std::uint64_t> blocks = blocks_to_read(node, f);
	if (std::all_of(blocks.begin(), blocks.end(),
			[](std::uint64_t block) { return block == BLOCK_HOLE; })) {
		folio_zero_contents(f, 0, folio_size(f));
		folio_end_read(f, true);
		return;
	}
	auto *request = new bio{ .op = bio_op::READ,
				 .blocks = std::move(blocks),
				 .owner = node,
				 .pos = folio_pos(f),
				 .end_io = mpage_end_io };
	bio_add_folio(request, f, folio_size(f), 0);
	f->lock.disown();
	submit_bio(request);
}

void read_folio(folio *f)
{
	if (f->private_data.look() != nullptr)
		block_read_full_folio(f, ext4_get_block);
	else
		ext4_mpage_readpage(f);
}

/* Is the block that the last byte of a write went to on the disk? Then nobody else will record the
 * new size. Folio lock held. */
bool ext4_da_should_update_i_disksize(const folio *f, std::size_t offset)
{
	const buffer_head &bh = folio_buffers(f)->bh[offset / ext4_block_size()];
	return bh.test(BH_Mapped) && !bh.test(BH_Delay | BH_Unwritten);
}

} // namespace

int ext4_read_folio(file *, folio *f)
{
	FRAME(ext4_read_folio);
	read_folio(f);
	return 0;
}

void ext4_readahead(readahead_control *ractl)
{
	FRAME(ext4_readahead);
	while (folio *f = readahead_folio(ractl))
		read_folio(f);
}

void ext4_invalidate_folio(folio *f, std::size_t offset, std::size_t len)
{
	FRAME(ext4_invalidate_folio);
	block_invalidate_folio(f, offset, len);
}

bool ext4_release_folio(folio *f, gfp_t)
{
	FRAME(ext4_release_folio);
	return try_to_free_buffers(f);
}

/* Who makes a folio dirty has prepared it, and holds its lock or a mapping of it that is dirty
 * already. */
bool ext4_dirty_folio(address_space *mapping, folio *f)
{
	FRAME(ext4_dirty_folio);
	VM_WARN_ON_ONCE(!f->lock.look_locked() && !f->flags.look(PG_dirty));
	VM_WARN_ON_ONCE(!f->flags.look(PG_private));
	return block_dirty_folio(mapping, f);
}

void ext4_update_i_disksize(inode *node, loff_t size)
{
	EXT4_I(node)->i_data_sem.down_write();
	if (size > node->i_disksize.load())
		node->i_disksize.store(size);
	EXT4_I(node)->i_data_sem.up_write();
}

static int ext4_block_write_begin(folio *f, std::size_t from, std::size_t len,
				  get_block_t get_block)
{
	FRAME(ext4_block_write_begin);
	if (f->private_data.look() == nullptr)
		create_empty_buffers(f);
	return block_write_begin_in(f, from, len, get_block);
}

/*
 * Gives back the locked folio at pos with blocks, reserved at least, for the bytes, and what is
 * around them in their blocks in place. `len` may reach beyond the folio. 0, -ENOMEM, -ENOSPC, -EIO.
 */
int ext4_da_write_begin(file *, address_space *mapping, loff_t pos, unsigned len, folio **foliop,
			void **)
{
	FRAME(ext4_da_write_begin);
	folio *f = __filemap_get_folio(mapping, static_cast<pgoff_t>(pos) / page_size(),
				       FGP_WRITEBEGIN);
	if (IS_ERR(f))
		return static_cast<int>(PTR_ERR(f));
	const auto from = static_cast<std::size_t>(pos - folio_pos(f));
	const std::size_t count = std::min<std::size_t>(len, folio_size(f) - from);
	const int error = ext4_block_write_begin(f, from, count, ext4_da_get_block_prep);
	if (error != 0) {
		folio_unlock(f);
		folio_put(f);
		inode *node = mapping->host;
		/* What it got before that behind the end of the file. */
		if (pos + static_cast<loff_t>(count) > node->i_size.load())
			ext4_truncate_failed_write(node);
		return error;
	}
	*foliop = f;
	return 0;
}

/*
 * i_size grows with the folio locked, or writeback could see the bytes behind the end and zero
 * them. i_disksize follows when blocks are allocated for what is delayed up to there; older kernels
 * log the inode all the same. Where nothing was copied, i_size grows up to the bytes that were to
 * follow; and blocks behind i_size, after a short copy, stay reserved.
 */
int ext4_da_write_end(file *, address_space *mapping, loff_t pos, unsigned len, unsigned copied,
		      folio *f, void *)
{
	FRAME(ext4_da_write_end);
	inode *node = mapping->host;
	const loff_t old_size = node->i_size.load();
	bool log_inode = false;
	copied = block_write_end(f, static_cast<std::size_t>(pos - folio_pos(f)), len, copied);
	const loff_t new_size = pos + copied;
	if (new_size > old_size) {
		i_size_write(node, new_size);
		const auto last = static_cast<std::size_t>(new_size - 1 - folio_pos(f));
		if (copied != 0 && ext4_da_should_update_i_disksize(f, last)) {
			ext4_update_i_disksize(node, new_size);
			log_inode = true;
		}
		if (!patched(Patch::kExt4WriteEndNoHandle))
			log_inode = true;
	}
	folio_unlock(f);
	folio_put(f);
	loff_t zero_len = 0;
	if (pos > old_size) {
		pagecache_isize_extended(node, old_size, pos);
		if (patched(Patch::kExt4ZeroOnExtend) && !patched(Patch::kExt4ZeroBeforeHandle))
			zero_len = pos - old_size;
	}
	if (!log_inode && zero_len == 0)
		return static_cast<int>(copied);
	handle_t *handle = ext4_journal_start(node, ext4_writepage_trans_blocks());
	if (zero_len != 0)
		ext4_zero_partial_blocks(handle, node, old_size, zero_len);
	ext4_mark_inode_dirty(handle, node);
	ext4_journal_stop(handle);
	return static_cast<int>(copied);
}

unsigned ext4_page_mkwrite(folio *f, address_space *mapping)
{
	FRAME(ext4_page_mkwrite);
	filemap_invalidate_lock_shared(mapping);
	const unsigned ret = patched(Patch::kExt4Iomap)
				     ? ext4_iomap_page_mkwrite(f, mapping)
				     : block_page_mkwrite(f, mapping, ext4_da_get_block_prep);
	filemap_invalidate_unlock_shared(mapping);
	return ret;
}

} // namespace kernel
