// SPDX-License-Identifier: GPL-2.0-only
// inode, address_space and super_block: construction, locks, i_size, write access, nr_thps
// (fs/inode.c, include/linux/fs.h, include/linux/pagemap.h of 6.12).
//
// Left out: inode hashing and eviction while a run goes on, i_version, time stamps, quota,
// security hooks. Seqcounts around i_size exist on 32-bit machines only.
#include "engine/kernel/fs.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "engine/kernel/block.h"
#include "engine/kernel/bug.h"
#include "engine/kernel/machine.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

constexpr interleaf::LockClass i_rwsem_class{ "i_rwsem" };
constexpr interleaf::LockClass i_lock_class{ "i_lock" };
constexpr interleaf::LockClass invalidate_lock_class{ "invalidate_lock" };
constexpr interleaf::LockClass i_mmap_rwsem_class{ "i_mmap_rwsem" };
constexpr interleaf::LockClass i_private_lock_class{ "i_private_lock" };
constexpr interleaf::LockClass alloc_lock_class{ "alloc_lock" };
constexpr interleaf::LockClass workqueue_lock_class{ "workqueue lock" };

} // namespace

address_space::address_space(inode *owner)
	: host(owner), invalidate_lock(invalidate_lock_class), i_mmap_rwsem(i_mmap_rwsem_class),
	  i_private_lock(i_private_lock_class)
{
}

inode::inode(super_block *sb, std::string file_name, unsigned ino)
	: name(std::move(file_name)), i_ino(ino), i_sb(sb), i_rwsem(i_rwsem_class),
	  i_lock(i_lock_class), i_data(this)
{
}

super_block::super_block() : alloc_lock(alloc_lock_class) {}

inode_workqueue::inode_workqueue() : lock(workqueue_lock_class) {}

void inode_workqueue::queue(inode *node)
{
	lock.lock();
	inodes.push_back(node);
	lock.unlock();
	work.wake_up();
}

inode *inode_workqueue::wait()
{
	inode *next = nullptr;
	work.wait_event([&] {
		lock.lock();
		if (!inodes.empty()) {
			next = inodes.front();
			inodes.erase(inodes.begin());
		}
		lock.unlock();
		return next != nullptr;
	});
	return next;
}

inode *find_inode(std::string_view name)
{
	super_block *sb = this_machine().sb;
	if (interleaf::Scheduler *scheduler = interleaf::Scheduler::current())
		scheduler->also(interleaf::Op::kRead, sb->inodes_number, sb);
	for (inode *node : sb->inodes) {
		if (node->name == name)
			return node;
	}
	return nullptr;
}

inode *create_inode(std::string_view name)
{
	machine &m = this_machine();
	if (interleaf::Scheduler *scheduler = interleaf::Scheduler::current())
		scheduler->also(interleaf::Op::kWrite, m.sb->inodes_number, m.sb);
	inode *node =
		m.sb->s_op->alloc_inode(m.sb, name, static_cast<unsigned>(m.sb->inodes.size()) + 1);
	if (m.fs->large_folios)
		node->i_data.flags.poke(AS_LARGE_FOLIO_SUPPORT, true);
	m.sb->inodes.push_back(node);
	return node;
}

void place_contents(inode *node, loff_t size, const unsigned char *bytes)
{
	super_block *sb = node->i_sb;
	const std::uint64_t step = sb->s_bdev->block_size;
	node->i_size.poke(size);
	node->i_disksize.poke(size);
	if (bytes == nullptr)
		return;
	for (std::uint64_t at = 0; at < static_cast<std::uint64_t>(size); at += step) {
		const std::uint64_t block = sb->next_block++;
		sb->s_op->map_block(node, at / step, block);
		disk_poke(sb->s_bdev, block, bytes + at);
	}
}

void generic_shutdown_super(super_block *sb)
{
	FRAME(generic_shutdown_super);
	if (sb->s_op->evict_inode == nullptr)
		return;
	for (inode *node : sb->inodes)
		sb->s_op->evict_inode(node);
}

void peek_disk(const inode *node, loff_t pos, std::size_t len, void *to)
{
	const block_device *bdev = node->i_sb->s_bdev;
	auto *out = static_cast<unsigned char *>(to);
	std::vector<unsigned char> bytes(bdev->block_size);
	while (len != 0) {
		const std::uint64_t index = static_cast<std::uint64_t>(pos) / bytes.size();
		const std::size_t offset = static_cast<std::uint64_t>(pos) % bytes.size();
		const std::size_t count = std::min(len, bytes.size() - offset);
		const block_state there = node->i_sb->s_op->peek_block(node, index);
		std::fill(bytes.begin(), bytes.end(), 0);
		if (there.kind == block_kind::WRITTEN)
			disk_peek(bdev, there.block, bytes.data());
		std::memcpy(out, bytes.data() + offset, count);
		out += count;
		pos += static_cast<loff_t>(count);
		len -= count;
	}
}

/* Pairs with the release in i_size_write: who sees the size sees what was initialised up to it. */
loff_t i_size_read(const inode *node, std::source_location where)
{
	return node->i_size.load_acquire(where);
}

void i_size_write(inode *node, loff_t size, std::source_location where)
{
	node->i_size.store_release(size, where);
	this_machine().watcher->size_changed(*node, size);
}

void inode_dio_begin(inode *node)
{
	node->i_dio_count.inc();
}

void inode_dio_end(inode *node)
{
	if (node->i_dio_count.dec_and_test())
		node->i_dio_wait.wake_up_all();
}

/* Where no file can be open for direct I/O there is no count to look at. */
void inode_dio_wait(inode *node)
{
	if (this_machine().direct_io)
		node->i_dio_wait.wait_event([node] { return node->i_dio_count.read() == 0; });
}

void inode_lock(inode *node, std::source_location where)
{
	node->i_rwsem.down_write(where);
}

void inode_unlock(inode *node, std::source_location where)
{
	node->i_rwsem.up_write(where);
}

void inode_lock_shared(inode *node, std::source_location where)
{
	node->i_rwsem.down_read(where);
}

void inode_unlock_shared(inode *node, std::source_location where)
{
	node->i_rwsem.up_read(where);
}

void filemap_invalidate_lock(address_space *mapping, std::source_location where)
{
	FRAME(filemap_invalidate_lock);
	mapping->invalidate_lock.down_write(where);
}

void filemap_invalidate_unlock(address_space *mapping, std::source_location where)
{
	mapping->invalidate_lock.up_write(where);
}

void filemap_invalidate_lock_shared(address_space *mapping, std::source_location where)
{
	FRAME(filemap_invalidate_lock_shared);
	mapping->invalidate_lock.down_read(where);
}

bool filemap_invalidate_trylock_shared(address_space *mapping, std::source_location where)
{
	FRAME(filemap_invalidate_trylock_shared);
	return mapping->invalidate_lock.down_read_trylock(where);
}

void filemap_invalidate_unlock_shared(address_space *mapping, std::source_location where)
{
	mapping->invalidate_lock.up_read(where);
}

void filemap_fill_lock(address_space *mapping, std::source_location where)
{
	if (patched(Patch::kInvalidateLock))
		filemap_invalidate_lock_shared(mapping, where);
}

void filemap_fill_unlock(address_space *mapping, std::source_location where)
{
	if (patched(Patch::kInvalidateLock))
		filemap_invalidate_unlock_shared(mapping, where);
}

void i_mmap_lock_read(address_space *mapping, std::source_location where)
{
	mapping->i_mmap_rwsem.down_read(where);
}

void i_mmap_unlock_read(address_space *mapping, std::source_location where)
{
	mapping->i_mmap_rwsem.up_read(where);
}

void i_mmap_lock_write(address_space *mapping, std::source_location where)
{
	mapping->i_mmap_rwsem.down_write(where);
}

void i_mmap_unlock_write(address_space *mapping, std::source_location where)
{
	mapping->i_mmap_rwsem.up_write(where);
}

/* Set before the inode is visible and never changed: no point. */
bool mapping_large_folio_support(const address_space *mapping)
{
	return mapping->flags.peek(AS_LARGE_FOLIO_SUPPORT);
}

int filemap_nr_thps(address_space *mapping, std::source_location where)
{
	FRAME(filemap_nr_thps);
	return mapping->nr_thps.read(where);
}

/* Mappings that can write to large folios do not count them: nobody has to purge them. */
void filemap_nr_thps_inc(address_space *mapping, std::source_location where)
{
	FRAME(filemap_nr_thps_inc);
	if (!mapping_large_folio_support(mapping))
		mapping->nr_thps.inc(where);
}

void filemap_nr_thps_dec(address_space *mapping, std::source_location where)
{
	FRAME(filemap_nr_thps_dec);
	if (mapping_large_folio_support(mapping))
		return;
	mapping->nr_thps.dec(where);
	BUG_ON(mapping->nr_thps.look() < 0); /* of ours: Linux would not notice */
}

/* 0 or -ETXTBSY. A successful get is fully ordered, which do_dentry_open relies on. */
int get_write_access(inode *node, std::source_location where)
{
	FRAME(get_write_access);
	return node->i_writecount.inc_unless_negative(where) ? 0 : -ETXTBSY;
}

void put_write_access(inode *node, std::source_location where)
{
	FRAME(put_write_access);
	node->i_writecount.dec(where);
}

int deny_write_access(file *f, std::source_location where)
{
	FRAME(deny_write_access);
	interleaf::Atomic<int> &count = f->f_inode->i_writecount;

	for (int writers = count.read(where); writers <= 0;) {
		const int found = count.cmpxchg(writers, writers - 1, where);
		if (found == writers)
			return 0;
		writers = found;
	}
	return -ETXTBSY;
}

void allow_write_access(file *f, std::source_location where)
{
	FRAME(allow_write_access);
	f->f_inode->i_writecount.inc(where);
}

bool inode_is_open_for_write(const inode *node, std::source_location where)
{
	FRAME(inode_is_open_for_write);
	return node->i_writecount.read(where) > 0;
}

} // namespace kernel
