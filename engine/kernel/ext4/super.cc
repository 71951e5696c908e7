// SPDX-License-Identifier: GPL-2.0-only
// ext4's super block: its journal and daemons, new inodes, set-up, and what handles and fsync know
// of an inode (fs/ext4/super.c, ext4_jbd2.c, fsync.c of 6.12).
//
// Left out: the orphan list (a truncate that a power cut interrupts leaves blocks behind the size on
// disk, which nobody reads); datasync transactions of their own: fdatasync waits as fsync does.
#include <fcntl.h>

#include <algorithm>

#include "engine/kernel/block.h"
#include "engine/kernel/bug.h"
#include "engine/kernel/ext4/ext4.h"
#include "engine/kernel/iomap/iomap.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/uio.h"
#include "engine/kernel/writeback.h"
#include "scheduler/check.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

constexpr interleaf::LockClass i_data_sem_class{ "i_data_sem" };

/* A handle's inode and a few blocks of its map; more than one operation of ours ever changes. */
constexpr int kCredits = 4;

int ext4_finish_inode_data_buffers(jbd2_inode *jinode)
{
	FRAME(jbd2_journal_finish_inode_data_buffers);
	__filemap_fdatawait_range(jinode->i_vfs_inode->i_mapping, jinode->i_dirty_start,
				  jinode->i_dirty_end);
	return 0;
}

std::uint64_t log_position()
{
	return this_machine().sb->s_log.peek();
}

void log_committed(std::uint64_t position)
{
	this_machine().watcher->metadata_committed(position);
}

void ext4_spawn_daemons(interleaf::Scheduler &scheduler)
{
	super_block *sb = this_machine().sb;
	auto *journal = new journal_t(static_cast<int>(this_machine().geo.journal_blocks));
	journal->j_submit_inode_data_buffers = ext4_normal_submit_inode_data_buffers;
	journal->j_finish_inode_data_buffers = ext4_finish_inode_data_buffers;
	journal->j_log_position = log_position;
	journal->j_committed = log_committed;
	sb->s_fs_info = new ext4_sb_info(journal);
	scheduler.spawn(
		"kjournald2", [](void *p) { kjournald2(static_cast<journal_t *>(p)); }, journal,
		true);
	scheduler.spawn(
		"kworker/ext4",
		[](void *p) { ext4_end_io_rsv_work(static_cast<super_block *>(p)); }, sb, true);
}

/* ---- files ---- */

long ext4_file_read_iter(file *f, loff_t pos, void *to, std::size_t len)
{
	FRAME(ext4_file_read_iter);
	return generic_file_read_iter(f, pos, to, len);
}

long ext4_file_read_direct(file *f, loff_t pos, user_buffer *to)
{
	FRAME(ext4_file_read_iter);
	inode_lock_shared(f->f_inode);
	const long got = iomap_dio_read(f->f_inode, pos, to, &ext4_iomap_ops);
	inode_unlock_shared(f->f_inode);
	return got;
}

/* Where the write goes. i_rwsem held. */
void ext4_generic_write_checks(const file *f, loff_t *pos)
{
	FRAME(ext4_generic_write_checks);
	if ((f->f_flags & O_APPEND) != 0)
		*pos = i_size_read(f->f_inode);
}

/* And the block that holds the end of the file, if the write lies beyond it: with buffer heads
 * ext4_da_write_end() zeroes that unless it is to be done before. 0, -ENOMEM, -EIO. i_rwsem held. */
int ext4_write_checks(const file *f, loff_t *pos)
{
	ext4_generic_write_checks(f, pos);
	inode *node = f->f_inode;
	if (patched(Patch::kExt4ZeroBeforeHandle))
		return ext4_block_zero_eof(node, i_size_read(node), *pos);
	if (!patched(Patch::kExt4Iomap) || !patched(Patch::kExt4ZeroOnExtend))
		return 0;
	const loff_t size = i_size_read(node);
	if (*pos <= size)
		return 0;
	handle_t *handle = ext4_journal_start(node, ext4_writepage_trans_blocks());
	const int error = ext4_zero_partial_blocks(handle, node, size, *pos - size);
	ext4_journal_stop(handle);
	return error;
}

long ext4_buffered_write_iter(file *f, loff_t *pos, const void *from, std::size_t len)
{
	FRAME(ext4_buffered_write_iter);
	inode_lock(f->f_inode);
	long written = 0;
	if (len != 0) {
		written = ext4_write_checks(f, pos);
		if (written == 0)
			written = patched(Patch::kExt4Iomap)
					  ? ext4_iomap_buffered_write(f, *pos, from, len)
					  : generic_perform_write(f, *pos, from, len);
	}
	inode_unlock(f->f_inode);
	return written;
}

long ext4_file_write_iter(file *f, loff_t pos, const void *from, std::size_t len)
{
	FRAME(ext4_file_write_iter);
	const long written = ext4_buffered_write_iter(f, &pos, from, len);
	if (written <= 0 || (f->f_flags & O_DSYNC) == 0)
		return written;
	const bool datasync = (f->f_flags & O_SYNC) != O_SYNC;
	const int error = vfs_fsync_range(f, pos, pos + written - 1, datasync);
	return error != 0 ? error : written;
}

int ext4_file_open(inode *node, file *f)
{
	FRAME(ext4_file_open);
	return generic_file_open(node, f);
}

/* The data, then the transaction that has the inode, if that is not committed. If it is, its flush
 * may have come before the data was in the device's cache. */
int ext4_sync_file(file *f, loff_t start, loff_t end, bool)
{
	FRAME(ext4_sync_file);
	inode *node = f->f_inode;
	const int error = file_write_and_wait_range(f, start, end);
	if (error != 0)
		return error;
	journal_t *journal = EXT4_SB(node->i_sb)->s_journal;
	const tid_t tid = EXT4_I(node)->i_sync_tid.read_once();
	const bool barrier = this_machine().geo.barriers != 0;
	const bool needs_barrier = barrier && !jbd2_trans_will_send_data_barrier(journal, tid);
	jbd2_complete_transaction(journal, tid);
	if (needs_barrier)
		blkdev_issue_flush(node->i_sb->s_bdev);
	return 0;
}

constexpr address_space_operations ext4_da_aops = {
	.read_folio = ext4_read_folio,
	.readahead = ext4_readahead,
	.writepages = ext4_writepages,
	.dirty_folio = ext4_dirty_folio,
	.write_begin = ext4_da_write_begin,
	.write_end = ext4_da_write_end,
	.invalidate_folio = ext4_invalidate_folio,
	.release_folio = ext4_release_folio,
	.launder_folio = nullptr,
	.free_folio = nullptr,
	.is_partially_uptodate = block_is_partially_uptodate,
};

constexpr inode_operations ext4_file_inode_operations = { .setattr_size = ext4_setattr };

constexpr file_operations ext4_file_operations = {
	.open = ext4_file_open,
	.release = nullptr,
	.read_iter = ext4_file_read_iter,
	.write_iter = ext4_file_write_iter,
	.read_direct = ext4_file_read_direct,
	.mmap = nullptr,
	.fsync = ext4_sync_file,
	.llseek = generic_file_llseek,
	.fallocate = ext4_fallocate,
	.page_mkwrite = ext4_page_mkwrite,
};

/* ---- super_operations ---- */

inode *ext4_alloc_inode(super_block *sb, std::string_view name, unsigned ino)
{
	auto *node = new ext4_inode(sb, std::string(name), ino);
	node->i_op = &ext4_file_inode_operations;
	node->i_fop = &ext4_file_operations;
	node->i_mapping->a_ops = patched(Patch::kExt4Iomap) ? &ext4_iomap_aops : &ext4_da_aops;
	return node;
}

void ext4_map_block(inode *node, std::uint64_t index, std::uint64_t block)
{
	ext4_inode *ei = EXT4_I(node);
	if (ei->es.size() <= index)
		ei->es.resize(index + 1);
	ei->es[index] = { es_status::WRITTEN, block };
}

block_state ext4_peek_block(const inode *node, std::uint64_t index)
{
	const ext4_inode *ei = EXT4_I(node);
	if (index >= ei->es.size())
		return {};
	const extent_status &es = ei->es[index];
	switch (es.status) {
	case es_status::DELAYED:
		return { block_kind::DELALLOC, BLOCK_HOLE };
	case es_status::UNWRITTEN:
		return { block_kind::UNWRITTEN, es.pblk };
	case es_status::WRITTEN:
		return { block_kind::WRITTEN, es.pblk };
	default:
		return {};
	}
}

/*
 * Reservations behind the end of the file, of short writes, go with the inode only. The last inode
 * leaves none behind.
 */
void ext4_evict_inode(inode *node)
{
	FRAME(ext4_evict_inode);
	ext4_inode *ei = EXT4_I(node);
	const auto delayed = static_cast<std::uint64_t>(
		std::count_if(ei->es.begin(), ei->es.end(), [](const extent_status &es) {
			return es.status == es_status::DELAYED;
		}));
	VM_WARN_ON_ONCE(ei->i_reserved_data_blocks != delayed);
	ei->i_reserved_data_blocks = 0;
	EXT4_SB(node->i_sb)->s_dirtyclusters -= delayed;
}

std::uint64_t ext4_peek_block_count(const inode *node)
{
	return EXT4_I(node)->es.size();
}

bool ext4_peek_uptodate(folio *f, std::size_t from, std::size_t count)
{
	return f->mapping.look()->a_ops == &ext4_iomap_aops
		       ? iomap_is_partially_uptodate(f, from, count)
		       : block_peek_uptodate(f, from, count);
}

std::optional<bool> ext4_peek_dirty(const folio *f, std::size_t from, std::size_t count)
{
	return f->mapping.peek()->a_ops == &ext4_iomap_aops ? iomap_peek_dirty(f, from, count)
							    : block_peek_dirty(f, from, count);
}

inode_reservations ext4_peek_reservations(const inode *node)
{
	const ext4_inode *ei = EXT4_I(node);
	const auto delayed = std::count_if(ei->es.begin(), ei->es.end(), [](const auto &es) {
		return es.status == es_status::DELAYED;
	});
	/* A short write leaves blocks behind the end reserved, for the next one or for eviction. */
	return { .counted = ei->i_reserved_data_blocks,
		 .data = static_cast<std::uint64_t>(delayed),
		 .behind_end = node->i_mapping->a_ops != &ext4_iomap_aops };
}

std::uint64_t ext4_peek_reserved(const super_block *sb)
{
	return EXT4_SB(sb)->s_dirtyclusters;
}

} // namespace

const super_operations ext4_super_operations = {
	.spawn_daemons = ext4_spawn_daemons,
	.alloc_inode = ext4_alloc_inode,
	.map_block = ext4_map_block,
	.evict_inode = ext4_evict_inode,
	.peek_block = ext4_peek_block,
	.peek_block_count = ext4_peek_block_count,
	.peek_uptodate = ext4_peek_uptodate,
	.peek_dirty = ext4_peek_dirty,
	.peek_reservations = ext4_peek_reservations,
	.peek_reserved = ext4_peek_reserved,
	.tells_all_commits = true,
};

ext4_inode::ext4_inode(super_block *sb, std::string file_name, unsigned ino)
	: inode(sb, std::move(file_name), ino), i_data_sem(i_data_sem_class)
{
	jinode.i_vfs_inode = this;
}

ext4_sb_info::ext4_sb_info(journal_t *journal) : s_journal(journal) {}

std::uint64_t ext4_block_size()
{
	return this_machine().geo.block_size;
}

bool ext4_should_order_data()
{
	return this_machine().geo.data_ordered != 0;
}

bool ext4_should_dioread_nolock()
{
	return this_machine().geo.dioread_nolock != 0;
}

unsigned ext4_least_journal_blocks(const geometry &geo, patch_set patches)
{
	/* Writeback with buffers sets the handle of the conversion aside. */
	const bool reserves =
		geo.dioread_nolock != 0 && (patches & patch_bit(Patch::kExt4Iomap)) == 0;
	return JBD2_LOG_PART * (JBD2_OVERHEAD + (reserves ? 2 : 1) * kCredits);
}

int ext4_writepage_trans_blocks()
{
	return kCredits;
}

handle_t *ext4_journal_start(inode *node, int nblocks, int rsv_blocks)
{
	FRAME(__ext4_journal_start_sb);
	return jbd2__journal_start(EXT4_SB(node->i_sb)->s_journal, nblocks, rsv_blocks);
}

void ext4_journal_stop(handle_t *handle)
{
	FRAME(__ext4_journal_stop);
	jbd2_journal_stop(handle);
}

/* One block of metadata for each inode and transaction: its own. */
void ext4_mark_inode_dirty(handle_t *handle, inode *node)
{
	FRAME(ext4_reserve_inode_write);
	const tid_t tid = handle->h_transaction->t_tid;
	interleaf::Shared<tid_t> &last = EXT4_I(node)->i_sync_tid;
	if (last.look() != tid) {
		jbd2_journal_dirty_metadata(handle);
		last.write_once(tid);
	}
	super_block *sb = node->i_sb;
	sb->s_log.poke(sb->s_log.peek() + 1);
	this_machine().watcher->metadata_logged(*node);
}

void ext4_jbd2_inode_add_write(handle_t *handle, inode *node, loff_t start, loff_t len)
{
	if (ext4_should_order_data())
		jbd2_journal_inode_ranged_write(handle, &EXT4_I(node)->jinode, start, len);
}

void ext4_jbd2_inode_add_wait(handle_t *handle, inode *node, loff_t start, loff_t len)
{
	if (ext4_should_order_data())
		jbd2_journal_inode_ranged_wait(handle, &EXT4_I(node)->jinode, start, len);
}

} // namespace kernel
