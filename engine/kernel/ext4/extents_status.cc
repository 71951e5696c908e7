// SPDX-License-Identifier: GPL-2.0-only
// Which block of a file is where: lookups, allocation, conversion, reservations for delayed
// allocation (fs/ext4/extents_status.c, the mapping half of inode.c, mballoc.c of 6.12).
//
// Left out: preallocation by the allocator, splitting and merging of extents.
//
// Lock order: i_data_sem -> alloc_lock.
#include <algorithm>

#include "engine/kernel/bug.h"
#include "engine/kernel/ext4/ext4.h"
#include "engine/kernel/machine.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

using where = std::source_location;

/* One access of the whole tree. */
void es_access(const ext4_inode *node, interleaf::Op op, where place = where::current())
{
	if (interleaf::Scheduler *scheduler = interleaf::Scheduler::current())
		scheduler->point(op, node->es_number, &node->es_number, true, place);
}

/* A change of it. */
void es_change(ext4_inode *node, where place = where::current())
{
	es_access(node, interleaf::Op::kWrite, place);
	node->i_es_seq++;
}

extent_status at(const ext4_inode *node, ext4_lblk_t lblk)
{
	return lblk < node->es.size() ? node->es[lblk] : extent_status{};
}

bool on_disk(const extent_status &es)
{
	return es.status == es_status::UNWRITTEN || es.status == es_status::WRITTEN;
}

/* Is that what ext4_map_blocks() is to leave there? */
bool satisfies(const extent_status &es, unsigned flags)
{
	if (flags == 0)
		return true;
	if ((flags & EXT4_GET_BLOCKS_CONVERT) != 0)
		return false;
	return es.status == es_status::WRITTEN ||
	       (es.status == es_status::UNWRITTEN && (flags & EXT4_GET_BLOCKS_UNWRIT_EXT) != 0);
}

/* The blocks from map->lblk on that are of one kind: at most map->len. */
void clip(const ext4_inode *node, ext4_map *map)
{
	map->es = at(node, map->lblk);
	map->seq = node->i_es_seq;
	std::uint64_t len = 1;
	while (len < map->len) {
		const extent_status next = at(node, map->lblk + len);
		if (next.status != map->es.status ||
		    (on_disk(next) && next.pblk != map->es.pblk + len))
			break;
		len++;
	}
	map->len = len;
}

/* ---- free blocks. A reservation is a claim to any block. ---- */

std::uint64_t unclaimed(const super_block *sb)
{
	const std::uint64_t free = this_machine().geo.disk_blocks - sb->next_block;
	const std::uint64_t dirty = EXT4_SB(sb)->s_dirtyclusters;
	return free > dirty ? free - dirty : 0;
}

/* Far from the end Linux counts per CPU, and nobody can tell who was first. */
constexpr std::uint64_t kWatermark = 64;

bool ext4_claim_free_clusters(super_block *sb)
{
	if (unclaimed(sb) > kWatermark) {
		EXT4_SB(sb)->s_dirtyclusters++;
		return true;
	}
	sb->alloc_lock.lock();
	const bool room = unclaimed(sb) != 0;
	if (room)
		EXT4_SB(sb)->s_dirtyclusters++;
	sb->alloc_lock.unlock();
	return room;
}

/* i_data_sem held for write. 0, -ENOSPC. */
int ext4_da_reserve_space(ext4_inode *node)
{
	FRAME(ext4_da_reserve_space);
	if (!ext4_claim_free_clusters(node->i_sb))
		return -ENOSPC;
	node->i_reserved_data_blocks++;
	return 0;
}

/* i_data_sem held for write. */
void ext4_da_release_space(ext4_inode *node, std::uint64_t count)
{
	FRAME(ext4_da_release_space);
	BUG_ON(count > node->i_reserved_data_blocks);
	node->i_reserved_data_blocks -= count;
	EXT4_SB(node->i_sb)->s_dirtyclusters -= count;
}

/* `reserved`: the block was counted when it was reserved. A block, or BLOCK_HOLE. */
std::uint64_t ext4_mb_new_block(super_block *sb, bool reserved)
{
	std::uint64_t block = BLOCK_HOLE;
	sb->alloc_lock.lock();
	if (sb->next_block < this_machine().geo.disk_blocks && (reserved || unclaimed(sb) != 0))
		block = sb->next_block++;
	if (block != BLOCK_HOLE && reserved)
		EXT4_SB(sb)->s_dirtyclusters--;
	sb->alloc_lock.unlock();
	return block;
}

/* i_data_sem held for write. True if the map changed; *error becomes -ENOSPC or stays. */
bool create_blocks(ext4_inode *node, const ext4_map *map, unsigned flags, int *error)
{
	const bool unwritten = (flags & EXT4_GET_BLOCKS_UNWRIT_EXT) != 0;
	std::vector<extent_status> made;
	for (std::uint64_t i = 0; i < map->len && *error == 0; i++) {
		extent_status es = at(node, map->lblk + i);
		if (!on_disk(es)) {
			const bool reserved = es.status == es_status::DELAYED;
			es.pblk = ext4_mb_new_block(node->i_sb, reserved);
			if (es.pblk == BLOCK_HOLE) {
				*error = -ENOSPC;
				break;
			}
			es.status = unwritten ? es_status::UNWRITTEN : es_status::WRITTEN;
			if (reserved)
				node->i_reserved_data_blocks--;
		} else if (es.status == es_status::UNWRITTEN && !unwritten) {
			es.status = es_status::WRITTEN;
		}
		made.push_back(es);
	}
	if (made.empty())
		return false;
	es_change(node);
	if (node->es.size() < map->lblk + made.size())
		node->es.resize(map->lblk + made.size());
	std::copy(made.begin(), made.end(),
		  node->es.begin() + static_cast<std::ptrdiff_t>(map->lblk));
	return true;
}

/* Only what is unwritten: truncate may have freed the rest meanwhile. */
bool convert_blocks(ext4_inode *node, const ext4_map *map)
{
	es_change(node);
	const std::uint64_t end = std::min<std::uint64_t>(map->lblk + map->len, node->es.size());
	bool changed = false;
	for (std::uint64_t i = map->lblk; i < end; i++) {
		if (node->es[i].status != es_status::UNWRITTEN)
			continue;
		node->es[i].status = es_status::WRITTEN;
		changed = true;
	}
	return changed;
}

} // namespace

extent_status ext4_es_lookup_extent(const ext4_inode *node, ext4_lblk_t lblk)
{
	FRAME(ext4_es_lookup_extent);
	es_access(node, interleaf::Op::kRead);
	return at(node, lblk);
}

int ext4_map_blocks(handle_t *handle, inode *file_inode, ext4_map *map, unsigned flags)
{
	FRAME(ext4_map_blocks);
	ext4_inode *node = EXT4_I(file_inode);
	const std::uint64_t wanted = map->len;
	es_access(node, interleaf::Op::kRead);
	clip(node, map);
	BUG_ON(handle == nullptr && flags != 0);
	if (handle == nullptr || satisfies(map->es, flags))
		return on_disk(map->es) ? static_cast<int>(map->len) : 0;

	int error = 0;
	map->len = wanted;
	node->i_data_sem.down_write();
	bool changed;
	if ((flags & EXT4_GET_BLOCKS_CONVERT) != 0) {
		changed = convert_blocks(node, map);
	} else {
		clip(node, map); /* what is there now, of one kind */
		changed = create_blocks(node, map, flags, &error);
	}
	clip(node, map);
	if (changed)
		ext4_mark_inode_dirty(handle, node);
	node->i_data_sem.up_write();
	if (on_disk(map->es))
		return static_cast<int>(map->len);
	return error;
}

/* A folio's buffers ask for one block at a time, iomap for all of a write. */
int ext4_da_map_blocks(inode *file_inode, ext4_map *map, bool *reserved)
{
	ext4_inode *node = EXT4_I(file_inode);
	const std::uint64_t wanted = map->len;
	ext4_es_lookup_extent(node, map->lblk);
	clip(node, map);
	if (map->es.status != es_status::HOLE)
		return 0;
	/* Faults and fallocate may race: look again. */
	map->len = wanted;
	node->i_data_sem.down_write();
	clip(node, map);
	int error = 0;
	if (map->es.status == es_status::HOLE) {
		std::uint64_t count = 0;
		while (count < map->len && (error = ext4_da_reserve_space(node)) == 0)
			count++;
		if (count != 0) {
			error = 0;
			es_change(node);
			if (node->es.size() < map->lblk + count)
				node->es.resize(map->lblk + count);
			for (std::uint64_t i = 0; i < count; i++)
				node->es[map->lblk + i].status = es_status::DELAYED;
			map->len = count;
			clip(node, map);
			if (reserved != nullptr)
				*reserved = true;
		}
	}
	node->i_data_sem.up_write();
	return error;
}

std::uint64_t ext4_es_seq(const ext4_inode *node)
{
	es_access(node, interleaf::Op::kRead);
	return node->i_es_seq;
}

void ext4_es_remove_delayed(ext4_inode *node, ext4_lblk_t from, ext4_lblk_t to)
{
	FRAME(ext4_es_remove_extent);
	es_change(node);
	std::uint64_t reserved = 0;
	for (ext4_lblk_t i = from; i < std::min<ext4_lblk_t>(to, node->es.size()); i++) {
		if (node->es[i].status != es_status::DELAYED)
			continue;
		node->es[i] = {};
		reserved++;
	}
	ext4_da_release_space(node, reserved);
}

void ext4_es_remove_extent(ext4_inode *node, ext4_lblk_t from, ext4_lblk_t to)
{
	FRAME(ext4_es_remove_extent);
	to = std::min<ext4_lblk_t>(to, node->es.size());
	std::uint64_t reserved = 0;
	if (from < to)
		es_change(node);
	for (ext4_lblk_t i = from; i < to; i++) {
		reserved += node->es[i].status == es_status::DELAYED;
		node->i_sb->freed_blocks += on_disk(node->es[i]) ? 1 : 0;
		node->es[i] = {};
	}
	if (from < to && to == node->es.size())
		node->es.resize(from);
	ext4_da_release_space(node, reserved);
}

void ext4_es_make_unwritten(ext4_inode *node, ext4_lblk_t from, ext4_lblk_t to)
{
	es_change(node);
	to = std::min<ext4_lblk_t>(to, node->es.size());
	for (ext4_lblk_t i = from; i < to; i++) {
		if (node->es[i].status == es_status::WRITTEN)
			node->es[i].status = es_status::UNWRITTEN;
	}
}

/* Unwritten blocks have no data to read: they count as not mapped. */
void ext4_update_bh_state(buffer_head *bh, const extent_status &es)
{
	bh->clear(BH_Mapped | BH_New | BH_Unwritten | BH_Delay);
	bh->b_blocknr = es.pblk;
	if (es.status == es_status::WRITTEN)
		bh->set(BH_Mapped);
	if (es.status == es_status::UNWRITTEN)
		bh->set(BH_Unwritten);
}

int ext4_get_block(inode *node, std::uint64_t iblock, buffer_head *bh, bool)
{
	ext4_map map{ iblock, 1, {} };
	if (ext4_map_blocks(nullptr, node, &map, 0) > 0)
		ext4_update_bh_state(bh, map.es);
	return 0;
}

/* A delayed or unwritten block counts as mapped, so that it is looked for once, and as new, so that
 * what is not written of it becomes zeros. */
int ext4_da_get_block_prep(inode *node, std::uint64_t iblock, buffer_head *bh, bool)
{
	FRAME(ext4_da_get_block_prep);
	ext4_map map{ iblock, 1, {} };
	const int error = ext4_da_map_blocks(node, &map);
	if (error != 0)
		return error;
	ext4_update_bh_state(bh, map.es);
	if (map.es.status == es_status::DELAYED)
		bh->set(BH_Mapped | BH_New | BH_Delay);
	if (map.es.status == es_status::UNWRITTEN)
		bh->set(BH_Mapped | BH_New);
	return 0;
}

} // namespace kernel
