// SPDX-License-Identifier: GPL-2.0-only
// The filesystem behind the personas but ext4 and XFS. A block map per file, delayed allocation,
// private data, buffered I/O with a request per folio, size changes; one body of code for both, with
// the calls in the order in which btrfs and ext2 ("generic") of 6.12 make them, under their names.
//
// Metadata: a block that writeback allocates is unwritten until its data is on the disk; the block
// map and the size then go to a log in memory, which fsync forces out. The log has no blocks of its
// own: it is there for power cuts. ext2 has no log; here it has.
//
// Left out: journal space and handles, reservations, direct I/O, fallocate, reflinks and
// copy-on-write of blocks (btrfs overwrites in place here); freed blocks are not used again; blocks
// that were reserved stay so when an invalidated folio forgets its dirt. A folio is read whole: it
// is uptodate or not, its blocks are not tracked one by one; private data has no state. Writeback
// takes one folio after the other, with a request for each; all are submitted at its end.
//
// Lock order: i_rwsem -> invalidate_lock -> folio lock -> block_lock -> alloc_lock.
#include "engine/kernel/simple_fs.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#include "engine/kernel/block.h"
#include "engine/kernel/bug.h"
#include "engine/kernel/folio.h"
#include "engine/kernel/fs.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"
#include "scheduler/sync/completion.h"

namespace kernel
{

namespace
{

using interleaf::Frame;
using interleaf::Function;

constexpr interleaf::LockClass block_lock_class{ "block_lock" };

/* What the functions below are called in each filesystem. */
struct function_names {
	Function read_folio;
	Function readahead;
	Function writepages;
	Function writepage;
	Function write_begin;
	Function write_end;
	Function release_folio;
	Function map_blocks;
	Function reserve_blocks;
	Function end_read;
	Function end_write;
	Function zero_eof_block;
	Function free_blocks;
	Function read_iter;
	Function write_iter;
	Function buffered_write;
	Function fsync;
	/* Empty where Linux has no function of its own. */
	Function open = Function("");
	Function attach_private = Function(""); /* if there is private data without dirt, too */
	Function detach_private = Function("");
	Function write_loop = Function(""); /* below writepages */
	Function start_writeback = Function("");
	Function add_to_bio = Function("");
	Function submit = Function("");
	Function folio_done = Function("");
	Function write_checks = Function("");
	Function get_folio = Function(""); /* below write_begin */
	Function inner_write_iter = Function("");
};

/* A frame, unless its name is empty. */
class optional_frame {
public:
	explicit optional_frame(const Function &function)
	{
		if (*function.name != '\0')
			frame_.emplace(function);
	}

private:
	std::optional<Frame> frame_;
};

struct filesystem {
	address_space_operations a_ops; /* first: mapping->a_ops leads here */
	std::string_view persona_name;
	inode_operations inode_ops;
	file_operations file_ops;
	bool zeroes_eof_block; /* before a write or truncate that leaves a gap behind it */
	bool stable_writes;
	bool reads_zero_tail = false; /* what was read behind the end of the file is zeroed */
	writeback_loop loop;
	long (*perform_write)(file *, loff_t, const void *, std::size_t) = generic_perform_write;
	unsigned get_folio_flags = 0; /* besides FGP_WRITEBEGIN */
	function_names names;
};

static_assert(std::is_standard_layout_v<filesystem>);

const filesystem &filesystem_of(const address_space *mapping)
{
	return *reinterpret_cast<const filesystem *>(mapping->a_ops);
}

loff_t folio_pos(const folio *f)
{
	return static_cast<loff_t>(f->index.load() * page_size());
}

std::uint64_t block_size()
{
	return this_machine().geo.block_size;
}

/* The blocks that bytes [pos, pos + len) lie in: first, and behind the last. */
struct block_range {
	std::uint64_t first;
	std::uint64_t end;
};

block_range blocks_of(loff_t pos, std::size_t len)
{
	const auto start = static_cast<std::uint64_t>(pos);
	return { start / block_size(), (start + len + block_size() - 1) / block_size() };
}

bool is_on_disk(std::uint64_t block)
{
	return block != BLOCK_HOLE && block != BLOCK_DELAYED;
}

simple_inode *SIMPLE_I(inode *node)
{
	return static_cast<simple_inode *>(node);
}

const simple_inode *SIMPLE_I(const inode *node)
{
	return static_cast<const simple_inode *>(node);
}

std::uint64_t mapped_block(const simple_inode *node, std::uint64_t index)
{
	return index < node->blocks.size() ? node->blocks[index] : BLOCK_HOLE;
}

/* ---- the block map ---- */

/* The inode's block map and size, as they are now, go to the log. block_lock held for write. */
void log_metadata(inode *node)
{
	node->i_sb->s_log.inc();
	this_machine().watcher->metadata_logged(*node);
}

/* What is in the log reaches the disk, and before it what the device's cache has. Sleeps. */
void force_log(super_block *sb)
{
	if (this_machine().geo.barriers != 0)
		blkdev_issue_flush(sb->s_bdev);
	this_machine().watcher->metadata_committed(sb->s_log.read());
}

bool is_unwritten(const simple_inode *node, std::uint64_t index)
{
	return index < node->unwritten.size() && node->unwritten[index];
}

/*
 * The request's blocks have their data. block_lock held for write. True if that is news; not if
 * truncate has freed them meanwhile.
 */
bool convert_unwritten(simple_inode *node, const bio *request)
{
	const std::uint64_t first = static_cast<std::uint64_t>(request->pos) / block_size();
	bool any = false;
	for (std::size_t i = 0; i < request->blocks.size(); i++) {
		if (!is_unwritten(node, first + i) ||
		    mapped_block(node, first + i) != request->blocks[i])
			continue;
		node->unwritten[first + i] = false;
		any = true;
	}
	return any;
}

/* Where the blocks of the range are. Sleeps for block_lock. */
std::vector<std::uint64_t> look_up_blocks(inode *file, block_range range)
{
	simple_inode *node = SIMPLE_I(file);
	std::vector<std::uint64_t> blocks;
	blocks.reserve(range.end - range.first);
	node->block_lock.down_read();
	for (std::uint64_t i = range.first; i < range.end; i++)
		blocks.push_back(mapped_block(node, i));
	node->block_lock.up_read();
	return blocks;
}

std::vector<std::uint64_t> map_blocks(inode *node, block_range range)
{
	const Frame frame(filesystem_of(node->i_mapping).names.map_blocks);
	return look_up_blocks(node, range);
}

/* The next free block, or BLOCK_HOLE if the disk is full. */
std::uint64_t allocate_block(super_block *sb)
{
	std::uint64_t block = BLOCK_HOLE;
	sb->alloc_lock.lock();
	if (sb->next_block < this_machine().geo.disk_blocks)
		block = sb->next_block++;
	sb->alloc_lock.unlock();
	return block;
}

/*
 * Gives all blocks of the range a place: allocated, or at least reserved if `delay`. Looks with
 * the lock shared first, since most often there is nothing to do. *blocks becomes where they are.
 * *unwritten becomes whether data has yet to come to some of them. May sleep. 0, -ENOSPC.
 */
int allocate_blocks(inode *file, block_range range, bool delay, std::vector<std::uint64_t> *blocks,
		    bool *unwritten)
{
	simple_inode *node = SIMPLE_I(file);
	const function_names &names = filesystem_of(node->i_mapping).names;
	std::optional<Frame> frame;
	if (!delay)
		frame.emplace(names.map_blocks);
	const auto lacks = [node, delay](std::uint64_t i) {
		const std::uint64_t block = mapped_block(node, i);
		return delay ? block == BLOCK_HOLE : !is_on_disk(block);
	};
	bool any = false;
	*unwritten = false;
	blocks->clear();
	node->block_lock.down_read();
	for (std::uint64_t i = range.first; i < range.end; i++) {
		any = any || lacks(i);
		*unwritten = *unwritten || is_unwritten(node, i);
		blocks->push_back(mapped_block(node, i));
	}
	node->block_lock.up_read();
	if (!any)
		return 0;
	if (delay)
		frame.emplace(names.reserve_blocks);

	const bool at_writeback = this_machine().fs->delayed_allocation;
	bool maps = false;
	int error = 0;
	blocks->clear();
	node->block_lock.down_write();
	if (node->blocks.size() < range.end)
		node->blocks.resize(range.end, BLOCK_HOLE);
	node->unwritten.resize(node->blocks.size());
	for (std::uint64_t i = range.first; i < range.end && error == 0; i++) {
		if (lacks(i)) {
			const std::uint64_t block =
				delay ? BLOCK_DELAYED : allocate_block(node->i_sb);
			if (block == BLOCK_HOLE) {
				error = -ENOSPC;
			} else {
				node->blocks[i] = block;
				node->unwritten[i] = !delay && at_writeback;
				maps = maps || (!delay && !at_writeback);
			}
		}
		*unwritten = *unwritten || node->unwritten[i];
		blocks->push_back(node->blocks[i]);
	}
	if (maps)
		log_metadata(node);
	node->block_lock.up_write();
	return error;
}

/* Space for these bytes of a locked folio. May sleep. 0, -ENOSPC. */
int reserve_blocks(const folio *f, std::size_t offset, std::size_t len)
{
	inode *node = f->mapping.load()->host;
	const loff_t pos = folio_pos(f) + static_cast<loff_t>(offset);
	std::vector<std::uint64_t> blocks;
	bool unwritten = false;
	return allocate_blocks(node, blocks_of(pos, len), this_machine().fs->delayed_allocation,
			       &blocks, &unwritten);
}

/* Frees all blocks beyond `size` and makes it the size on disk. Sleeps for block_lock. */
void free_blocks(inode *file, loff_t size)
{
	simple_inode *node = SIMPLE_I(file);
	const Frame frame(filesystem_of(node->i_mapping).names.free_blocks);
	const std::uint64_t keep = blocks_of(0, static_cast<std::size_t>(size)).end;
	node->block_lock.down_write();
	if (node->blocks.size() > keep)
		node->blocks.resize(keep);
	if (node->unwritten.size() > keep)
		node->unwritten.resize(keep);
	node->i_disksize.store(size);
	log_metadata(node);
	node->block_lock.up_write();
}

void set_disksize(inode *file, loff_t size)
{
	simple_inode *node = SIMPLE_I(file);
	node->block_lock.down_write();
	node->i_disksize.store(size);
	log_metadata(node);
	node->block_lock.up_write();
}

/* ---- private data ---- */

/* It has no state of its own here (see above): that it is there is all there is. */
void *const kPrivate = reinterpret_cast<void *>(1);

/* Folio lock held. */
void attach_private(folio *f)
{
	if (!this_machine().fs->has_private)
		return;
	const filesystem &fs = filesystem_of(f->mapping.peek());
	const optional_frame frame(fs.names.attach_private);
	if (!folio_test_private(f))
		folio_attach_private(f, kPrivate);
}

/* Folio lock held. */
void detach_private(folio *f)
{
	const optional_frame frame(filesystem_of(f->mapping.peek()).names.detach_private);
	if (folio_test_private(f))
		folio_detach_private(f);
}

/* Folio lock held: buffers that are busy with writeback or dirty stay. */
bool simple_release_folio(folio *f, gfp_t)
{
	const Frame frame(filesystem_of(f->mapping.peek()).names.release_folio);
	if (folio_test_writeback(f) || folio_test_dirty(f))
		return false;
	detach_private(f);
	return true;
}

/* btrfs: waits for writeback itself, for callers that did not. */
void btrfs_invalidate_folio(folio *f, std::size_t offset, std::size_t len)
{
	FRAME(btrfs_invalidate_folio);
	folio_wait_writeback(f);
	if (offset != 0) {
		simple_release_folio(f, 0);
		return;
	}
	if (len == folio_size(f))
		detach_private(f);
}

/* ---- reading ---- */

/* btrfs: what lies behind the end of the file in its last block is not trusted. */
void zero_read_tail(const bio *request)
{
	folio *f = bio_first_folio(request);
	if (!filesystem_of(request->owner->i_mapping).reads_zero_tail)
		return;
	const loff_t size = std::max(i_size_read(request->owner), request->pos);
	const auto used = static_cast<std::uint64_t>(size - request->pos);
	if (used < folio_size(f))
		folio_zero_contents(f, used, folio_size(f) - used);
}

void end_read(bio *request)
{
	folio *f = bio_first_folio(request);
	const Frame frame(filesystem_of(request->owner->i_mapping).names.end_read);
	const bool success = request->status == 0;
	if (success)
		zero_read_tail(request);
	delete request;
	folio_end_read(f, success);
}

/* A read that its submitter waits for, with the folio lock kept. */
struct sync_read {
	interleaf::Completion done{ "block read" };
	int status = 0;
};

void end_sync_read(bio *request)
{
	auto *waiter = static_cast<sync_read *>(request->private_data);
	waiter->status = request->status;
	if (waiter->status == 0)
		zero_read_tail(request);
	delete request;
	waiter->done.complete();
}

/*
 * A request to read the whole folio, or null if there is nothing on the disk to read. Blocks behind
 * the end of the file are not read: truncate may be between the new size and freeing them. The
 * size is looked at with the folio locked in the cache, where such a truncate will find it.
 */
bio *read_request(inode *node, folio *f)
{
	const loff_t pos = folio_pos(f);
	const block_range range = blocks_of(pos, folio_size(f));
	const std::uint64_t end = blocks_of(0, static_cast<std::size_t>(i_size_read(node))).end;
	std::vector<std::uint64_t> blocks = map_blocks(node, range);
	for (std::uint64_t i = std::max(end, range.first); i < range.end; i++)
		blocks[i - range.first] = BLOCK_HOLE;
	if (std::none_of(blocks.begin(), blocks.end(), is_on_disk))
		return nullptr;
	auto *request = new bio{
		.op = bio_op::READ, .blocks = std::move(blocks), .owner = node, .pos = pos
	};
	const optional_frame add(filesystem_of(node->i_mapping).names.add_to_bio);
	bio_add_folio(request, f, folio_size(f), 0);
	return request;
}

/* Starts to fill a locked folio. Its lock passes on to the completion, unless it is all hole. */
void start_read(folio *f)
{
	inode *node = f->mapping.load()->host;
	if (filesystem_of(node->i_mapping).names.attach_private.name[0] != '\0')
		attach_private(f);
	bio *request = read_request(node, f);
	if (request == nullptr) {
		folio_zero_contents(f, 0, folio_size(f));
		folio_end_read(f, true);
		return;
	}
	request->end_io = end_read;
	f->lock.disown();
	submit_bio(request);
}

/* Fills a locked folio and keeps the lock. Sleeps. 0, -EIO. PG_uptodate is the caller's. */
int read_and_wait(inode *node, folio *f)
{
	bio *request = read_request(node, f);
	if (request == nullptr) {
		folio_zero_contents(f, 0, folio_size(f));
		return 0;
	}
	sync_read waiter;
	request->end_io = end_sync_read;
	request->private_data = &waiter;
	submit_bio(request);
	waiter.done.wait();
	return waiter.status;
}

int simple_read_folio(file *, folio *f)
{
	const Frame frame(filesystem_of(f->mapping.load()).names.read_folio);
	start_read(f);
	return 0;
}

void simple_readahead(readahead_control *ractl)
{
	const Frame frame(filesystem_of(ractl->mapping).names.readahead);
	while (folio *f = readahead_folio(ractl))
		start_read(f);
}

/* ---- writeback ---- */

/* In the completion task. The new end of the file is on disk once what lies before it is. */
void end_write(bio *request)
{
	simple_inode *node = SIMPLE_I(request->owner);
	folio *f = bio_first_folio(request);
	const Frame frame(filesystem_of(node->i_mapping).names.end_write);
	if (request->status != 0) {
		mapping_set_error(node->i_mapping, request->status);
		this_machine().watcher->write_error(*node, request->pos, request->len);
	} else {
		const loff_t end = request->pos + static_cast<loff_t>(request->len);
		if (request->unwritten || end > node->i_disksize.read_once()) {
			node->block_lock.down_write();
			bool changes = convert_unwritten(node, request);
			const loff_t new_end = std::min(end, i_size_read(node));
			if (new_end > node->i_disksize.load()) {
				node->i_disksize.store(new_end);
				changes = true;
			}
			if (changes)
				log_metadata(node);
			node->block_lock.up_write();
		}
	}
	delete request;
	folio_end_writeback(f);
}

/* What a mapping stored beyond the end must not reach the disk; the folio is write-protected. */
void zero_behind(folio *f, std::size_t used)
{
	if (used < folio_size(f))
		folio_zero_contents(f, used, folio_size(f) - used);
}

/* Gets a folio whose blocks were found, or not (no request), under writeback; `len` bytes of it are
 * written. Folio lock held. */
void submit_folio(const filesystem &fs, folio *f, bio *request, std::size_t len)
{
	{
		const optional_frame start(fs.names.start_writeback);
		folio_start_writeback(f);
	}
	if (request == nullptr)
		return;
	const optional_frame add(fs.names.add_to_bio);
	bio_add_folio(request, f, len, 0);
}

void folio_done(const filesystem &fs, folio *f)
{
	const optional_frame frame(fs.names.folio_done);
	folio_unlock(f);
}

/* The folio comes locked, with PG_dirty taken away, and goes unlocked. May sleep. 0, -ENOSPC. */
int simple_writepage(folio *f, writeback_control *, void *data)
{
	address_space *mapping = f->mapping.load();
	inode *node = mapping->host;
	const filesystem &fs = filesystem_of(mapping);
	const Frame frame(fs.names.writepage);
	auto *requests = static_cast<std::vector<bio *> *>(data);
	const loff_t pos = folio_pos(f);
	const loff_t size = i_size_read(node);

	/* Truncate is about to take it away. */
	if (pos >= size) {
		folio_unlock(f);
		return 0;
	}
	const std::size_t used =
		std::min<std::size_t>(folio_size(f), static_cast<std::size_t>(size - pos));
	zero_behind(f, used);

	const block_range range = blocks_of(pos, used);
	const std::size_t len = (range.end - range.first) * block_size();
	if (fs.names.attach_private.name[0] != '\0')
		attach_private(f);
	auto *request =
		new bio{ .op = bio_op::WRITE, .owner = node, .pos = pos, .end_io = end_write };
	const int error =
		allocate_blocks(node, range, false, &request->blocks, &request->unwritten);
	submit_folio(fs, f, error == 0 ? request : nullptr, len);
	if (error != 0) {
		delete request;
		mapping_set_error(mapping, error);
		this_machine().watcher->write_error(*node, pos, len);
		folio_unlock(f);
		folio_end_writeback(f);
		return error;
	}
	folio_done(fs, f);
	requests->push_back(request);
	return 0;
}

int simple_writepages(address_space *mapping, writeback_control *wbc)
{
	const Frame frame(filesystem_of(mapping).names.writepages);
	const filesystem &fs = filesystem_of(mapping);
	const optional_frame loop(fs.names.write_loop);
	std::vector<bio *> requests;
	const int error = write_cache_pages(mapping, wbc, simple_writepage, &requests, fs.loop);
	const optional_frame submit(fs.names.submit);
	for (bio *request : requests)
		submit_bio(request);
	return error;
}

/* ---- buffered writes ---- */

folio *get_folio_for_write(const filesystem &fs, address_space *mapping, pgoff_t index)
{
	const optional_frame frame(fs.names.get_folio);
	return __filemap_get_folio(mapping, index, FGP_WRITEBEGIN | fs.get_folio_flags);
}

/*
 * Gives back the locked folio at pos, with the bytes around the write in place if it was not
 * uptodate. `len` may reach beyond the folio. Sleeps. 0, -ENOMEM, -ENOSPC, -EIO.
 */
int simple_write_begin(file *, address_space *mapping, loff_t pos, unsigned len, folio **foliop,
		       void **)
{
	const Frame frame(filesystem_of(mapping).names.write_begin);
	const filesystem &fs = filesystem_of(mapping);
	folio *f = get_folio_for_write(fs, mapping, static_cast<pgoff_t>(pos) / page_size());
	if (IS_ERR(f))
		return static_cast<int>(PTR_ERR(f));

	const auto offset = static_cast<std::size_t>(pos - folio_pos(f));
	const std::size_t count = std::min<std::size_t>(len, folio_size(f) - offset);
	/* Before the blocks are reserved: a new block has nothing to read. */
	int error = 0;
	if (!folio_test_uptodate(f) && count != folio_size(f))
		error = read_and_wait(mapping->host, f);
	if (error == 0)
		error = simple_fs_prepare_write(f, offset, count);
	if (error != 0) {
		folio_unlock(f);
		folio_put(f);
		return error;
	}
	*foliop = f;
	return 0;
}

/* What is left of `copied` if a short copy into a folio that was not uptodate cannot be used. */
unsigned usable(const folio *f, unsigned len, unsigned copied)
{
	return copied < len && !folio_test_uptodate(f) ? 0 : copied;
}

/* The file may have grown. i_rwsem held. Returns the size before. */
loff_t extend_size(inode *node, loff_t pos, unsigned copied)
{
	const loff_t old_size = node->i_size.load();
	const loff_t end = pos + copied;
	if (copied != 0 && end > old_size)
		i_size_write(node, end);
	return old_size;
}

/*
 * The bytes are in the folio: uptodate, dirty, i_size; unlocks it. Bytes that count, see usable().
 * Linux also looks for a page to write-protect if nothing was copied, and so the size did not change.
 */
int simple_write_end(file *, address_space *mapping, loff_t pos, unsigned len, unsigned copied,
		     folio *f, void *)
{
	const filesystem &fs = filesystem_of(mapping);
	const Frame frame(fs.names.write_end);

	copied = usable(f, len, copied);
	if (copied != 0) {
		if (!folio_test_uptodate(f))
			folio_set_uptodate(f);
		folio_mark_dirty(f);
	}
	const loff_t old_size = extend_size(mapping->host, pos, copied);
	folio_unlock(f);
	folio_put(f);
	if (copied != 0 && old_size < pos)
		pagecache_isize_extended(mapping->host, old_size, pos);
	return static_cast<int>(copied);
}

/* btrfs: who called looks after the pages behind the old end when all is written. */
int btrfs_write_end(file *, address_space *mapping, loff_t pos, unsigned len, unsigned copied,
		    folio *f, void *)
{
	copied = usable(f, len, copied);
	if (copied != 0) {
		if (!folio_test_uptodate(f))
			folio_set_uptodate(f);
		folio_mark_dirty(f);
	}
	extend_size(mapping->host, pos, copied);
	folio_unlock(f);
	folio_put(f);
	return static_cast<int>(copied);
}

/*
 * Zeroes the cached bytes from `from` to the end of its block and makes them dirty; a hole has
 * nothing to zero. i_rwsem held for write; sleeps. 0, -ENOMEM, -EIO.
 */
int zero_eof_block(inode *node, loff_t from)
{
	address_space *mapping = node->i_mapping;
	const Frame frame(filesystem_of(mapping).names.zero_eof_block);
	const std::size_t in_block = static_cast<std::uint64_t>(from) % block_size();
	if (in_block == 0)
		return 0;
	if (look_up_blocks(node, blocks_of(from, 1)).front() == BLOCK_HOLE)
		return 0;

	folio *f = __filemap_get_folio(mapping, static_cast<pgoff_t>(from) / page_size(),
				       FGP_WRITEBEGIN | FGP_ACCESSED);
	if (IS_ERR(f))
		return static_cast<int>(PTR_ERR(f));
	int error = 0;
	if (!folio_test_uptodate(f)) {
		error = read_and_wait(node, f);
		if (error == 0)
			folio_set_uptodate(f);
	}
	const auto offset = static_cast<std::size_t>(from - folio_pos(f));
	const std::size_t len = block_size() - in_block;
	if (error == 0)
		error = simple_fs_prepare_write(f, offset, len);
	if (error == 0) {
		folio_zero_contents(f, offset, len);
		folio_mark_dirty(f);
	}
	folio_unlock(f);
	folio_put(f);
	return error;
}

/* ---- size changes: i_rwsem held for write, all may sleep ---- */

/* ext2: the EOF block first, then the cache, then the blocks. */
int ext2_setsize(inode *node, loff_t size)
{
	FRAME(ext2_setsize);
	const int error = zero_eof_block(node, size);
	if (error != 0)
		return error;
	truncate_setsize(node, size);
	free_blocks(node, size);
	return 0;
}

/* btrfs: growing zeroes behind the old end; shrinking changes the size first and writes what is
 * dirty in the EOF block before the blocks go. */
int btrfs_setsize(inode *node, loff_t size)
{
	FRAME(btrfs_setsize);
	address_space *mapping = node->i_mapping;
	const loff_t old_size = node->i_size.load();
	if (size > old_size) {
		const int error = zero_eof_block(node, old_size);
		if (error != 0)
			return error;
		i_size_write(node, size);
		set_disksize(node, size);
		pagecache_isize_extended(node, old_size, size);
		return 0;
	}
	truncate_setsize(node, size);
	if (size != old_size) {
		const loff_t start = size / static_cast<loff_t>(block_size()) *
				     static_cast<loff_t>(block_size());
		filemap_fdatawrite_range(mapping, start, LLONG_MAX_POS);
		const int error = filemap_fdatawait_range(mapping, start, LLONG_MAX_POS);
		if (error != 0)
			return error;
	}
	free_blocks(node, size);
	return 0;
}

/* ---- files ---- */

long btrfs_file_read_iter(file *f, loff_t pos, void *to, std::size_t len)
{
	FRAME(btrfs_file_read_iter);
	return filemap_read(f, pos, to, len, 0);
}

/*
 * btrfs: btrfs_buffered_write() itself is the loop. Linux takes as many folios as fit into an array
 * at a time; here one.
 */
long btrfs_perform_write(file *f, loff_t pos, const void *from, std::size_t len)
{
	inode *node = f->f_inode;
	const loff_t old_size = node->i_size.load();
	const long written =
		perform_write(f, pos, from, len, balance_dirty_pages_ratelimited_flags);
	if (written > 0)
		pagecache_isize_extended(node, old_size, pos + written);
	return written;
}

/* Where the write goes; the gap before it becomes zeros. i_rwsem held; sleeps. 0, or an error. */
int write_checks(const file *f, loff_t *pos)
{
	inode *node = f->f_inode;
	const filesystem &fs = filesystem_of(node->i_mapping);
	const optional_frame frame(fs.names.write_checks);
	const loff_t size = i_size_read(node);
	if ((f->f_flags & O_APPEND) != 0)
		*pos = size;
	return fs.zeroes_eof_block && *pos > size ? zero_eof_block(node, size) : 0;
}

/* Bytes written, or an error. *pos becomes where they went. i_rwsem held; sleeps. */
long write_locked(file *f, loff_t *pos, const void *from, std::size_t len)
{
	const int error = write_checks(f, pos);
	if (error != 0)
		return error;
	return filesystem_of(f->f_mapping).perform_write(f, *pos, from, len);
}

long buffered_write(file *f, loff_t *pos, const void *from, std::size_t len)
{
	const Frame frame(filesystem_of(f->f_mapping).names.buffered_write);
	const bool locks = this_machine().fs->writes_take_i_rwsem;
	if (locks)
		inode_lock(f->f_inode);
	const long written = len == 0 ? 0 : write_locked(f, pos, from, len);
	if (locks)
		inode_unlock(f->f_inode);
	return written;
}

/* Bytes written, or an error; O_SYNC and O_DSYNC are obeyed. Sleeps. */
long simple_write_iter(file *f, loff_t pos, const void *from, std::size_t len)
{
	const Frame frame(filesystem_of(f->f_mapping).names.write_iter);
	const optional_frame inner(filesystem_of(f->f_mapping).names.inner_write_iter);
	const long written = buffered_write(f, &pos, from, len);
	if (written <= 0 || (f->f_flags & O_DSYNC) == 0)
		return written;
	const bool datasync = (f->f_flags & O_SYNC) != O_SYNC;
	const int error = vfs_fsync_range(f, pos, pos + written - 1, datasync);
	return error != 0 ? error : written;
}

int simple_open(inode *node, file *f)
{
	const Frame frame(filesystem_of(node->i_mapping).names.open);
	return generic_file_open(node, f);
}

int simple_fsync(file *f, loff_t start, loff_t end, bool)
{
	const Frame frame(filesystem_of(f->f_mapping).names.fsync);
	const int error = file_write_and_wait_range(f, start, end);
	if (error == 0)
		force_log(f->f_inode->i_sb);
	return error;
}

/* ---- the two ---- */

constexpr address_space_operations
a_ops(decltype(address_space_operations::invalidate_folio) invalidate,
      decltype(address_space_operations::write_end) write_end = simple_write_end)
{
	return { .read_folio = simple_read_folio,
		 .readahead = simple_readahead,
		 .writepages = simple_writepages,
		 .dirty_folio = filemap_dirty_folio,
		 .write_begin = simple_write_begin,
		 .write_end = write_end,
		 .invalidate_folio = invalidate,
		 .release_folio = simple_release_folio,
		 .launder_folio = nullptr,
		 .free_folio = nullptr };
}

constexpr file_operations f_ops(decltype(file_operations::read_iter) read,
				decltype(file_operations::write_iter) write,
				decltype(file_operations::page_mkwrite) page_mkwrite)
{
	return { .open = simple_open,
		 .release = nullptr,
		 .read_iter = read,
		 .write_iter = write,
		 .mmap = nullptr,
		 .fsync = simple_fsync,
		 .llseek = generic_file_llseek,
		 .fallocate = nullptr,
		 .page_mkwrite = page_mkwrite,
		 .remap_file_range = nullptr };
}

constexpr filesystem kGeneric = {
	.a_ops = a_ops(nullptr),
	.persona_name = "generic",
	.inode_ops = { .setattr_size = ext2_setsize },
	.file_ops = f_ops(generic_file_read_iter, generic_file_write_iter, generic_page_mkwrite),
	.zeroes_eof_block = false,
	.stable_writes = false,
	.names = {
		.read_folio = Function("ext2_read_folio"),
		.readahead = Function("ext2_readahead"),
		.writepages = Function("ext2_writepages"),
		.writepage = Function("__mpage_writepage"),
		.write_begin = Function("ext2_write_begin"),
		.write_end = Function("ext2_write_end"),
		.release_folio = Function("try_to_free_buffers"),
		.map_blocks = Function("ext2_get_block"),
		.reserve_blocks = Function("ext2_get_block"),
		.end_read = Function("mpage_read_end_io"),
		.end_write = Function("mpage_write_end_io"),
		.zero_eof_block = Function("block_truncate_page"),
		.free_blocks = Function("__ext2_truncate_blocks"),
		.read_iter = Function("ext2_file_read_iter"),
		.write_iter = Function("ext2_file_write_iter"),
		.buffered_write = Function("__generic_file_write_iter"),
		.fsync = Function("ext2_fsync"),
		.open = Function("dquot_file_open"),
		.write_loop = Function("mpage_writepages"),
	},
};

constexpr filesystem kBtrfs = {
	.a_ops = a_ops(btrfs_invalidate_folio, btrfs_write_end),
	.persona_name = "btrfs",
	.inode_ops = { .setattr_size = btrfs_setsize },
	.file_ops = f_ops(btrfs_file_read_iter, simple_write_iter, btrfs_page_mkwrite),
	.zeroes_eof_block = true,
	.stable_writes = true,
	.reads_zero_tail = true,
	.loop = { .own = true },
	.perform_write = btrfs_perform_write,
	.get_folio_flags = FGP_ACCESSED,
	.names = {
		.read_folio = Function("btrfs_read_folio"),
		.readahead = Function("btrfs_readahead"),
		.writepages = Function("btrfs_writepages"),
		.writepage = Function("extent_writepage"),
		.write_begin = Function("prepare_one_folio"),
		.write_end = Function("btrfs_dirty_pages"),
		.release_folio = Function("btrfs_release_folio"),
		.map_blocks = Function("btrfs_get_extent"),
		.reserve_blocks = Function("btrfs_delalloc_reserve_space"),
		.end_read = Function("end_bbio_data_read"),
		.end_write = Function("end_bbio_data_write"),
		.zero_eof_block = Function("btrfs_truncate_block"),
		.free_blocks = Function("btrfs_truncate_inode_items"),
		.read_iter = Function("btrfs_file_read_iter"),
		.write_iter = Function("btrfs_file_write_iter"),
		.buffered_write = Function("btrfs_buffered_write"),
		.fsync = Function("btrfs_sync_file"),
		.open = Function("btrfs_file_open"),
		.attach_private = Function("set_folio_extent_mapped"),
		.detach_private = Function("clear_folio_extent_mapped"),
		.write_loop = Function("extent_write_cache_pages"),
		.start_writeback = Function("btrfs_folio_set_writeback"),
		.add_to_bio = Function("submit_extent_folio"),
		.submit = Function("submit_one_bio"),
		.folio_done = Function("btrfs_folio_end_lock_bitmap"),
		.write_checks = Function("btrfs_write_check"),
		.get_folio = Function("pagecache_get_page"),
		.inner_write_iter = Function("btrfs_do_write_iter"),
	},
};

constexpr std::array<const filesystem *, 2> kFilesystems = { &kGeneric, &kBtrfs };

} // namespace

int simple_fs_prepare_write(folio *f, std::size_t offset, std::size_t len)
{
	attach_private(f);
	return reserve_blocks(f, offset, len);
}

simple_inode::simple_inode(super_block *sb, std::string file_name, unsigned ino)
	: inode(sb, std::move(file_name), ino), block_lock(block_lock_class)
{
}

/* A persona of another name behaves as generic, but for what its fields say. */
static inode *simple_alloc_inode(super_block *sb, std::string_view name, unsigned ino)
{
	const filesystem *fs = &kGeneric;
	for (const filesystem *candidate : kFilesystems) {
		if (candidate->persona_name == this_machine().fs->name)
			fs = candidate;
	}
	auto *node = new simple_inode(sb, std::string(name), ino);
	node->i_op = &fs->inode_ops;
	node->i_fop = &fs->file_ops;
	node->i_mapping->a_ops = &fs->a_ops;
	node->i_mapping->flags.poke(AS_STABLE_WRITES, fs->stable_writes);
	return node;
}

static void simple_map_block(inode *node, std::uint64_t index, std::uint64_t block)
{
	std::vector<std::uint64_t> &blocks = SIMPLE_I(node)->blocks;
	blocks.resize(index + 1, BLOCK_HOLE);
	blocks[index] = block;
}

static block_state simple_peek_block(const inode *node, std::uint64_t index)
{
	const std::uint64_t block = mapped_block(SIMPLE_I(node), index);
	if (!is_on_disk(block))
		return { .kind = block == BLOCK_HOLE ? block_kind::HOLE : block_kind::DELALLOC };
	return { .kind = is_unwritten(SIMPLE_I(node), index) ? block_kind::UNWRITTEN
							     : block_kind::WRITTEN,
		 .block = block };
}

static std::uint64_t simple_peek_block_count(const inode *node)
{
	return SIMPLE_I(node)->blocks.size();
}

const super_operations simple_super_operations = {
	.alloc_inode = simple_alloc_inode,
	.map_block = simple_map_block,
	.peek_block = simple_peek_block,
	.peek_block_count = simple_peek_block_count,
};

} // namespace kernel
