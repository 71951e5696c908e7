// SPDX-License-Identifier: GPL-2.0-only
// Buffers of folios: making and freeing them, dirt, writes, reads (fs/buffer.c of 6.12).
//
// Left out: buffers of block devices, the buffer lock (its holders here have the folio lock or are
// alone with the request), b_count, block_write_full_folio.
//
// Lock order: folio lock -> i_private_lock -> i_pages.xa_lock.
#include "engine/kernel/buffer.h"

#include <algorithm>
#include <vector>

#include "engine/kernel/block.h"
#include "engine/kernel/bug.h"
#include "engine/kernel/folio.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/mm.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"
#include "scheduler/sync/completion.h"

namespace kernel
{

namespace
{

std::size_t block_size()
{
	return this_machine().geo.block_size;
}

void touch(interleaf::Op op, folio_buffer_heads *buffers)
{
	if (interleaf::Scheduler *scheduler = interleaf::Scheduler::current())
		scheduler->also(op, buffers->number, buffers);
}

/* The file's block that buffer 0 is. */
std::uint64_t first_block(const folio *f)
{
	return (f->index.load() << page_shift()) / block_size();
}

/* Calls visit(buffer, its index, its first byte, the byte behind it) for each. */
template <typename Visit>
void for_each_buffer(folio_buffer_heads *buffers, Visit visit)
{
	for (unsigned i = 0; i < buffers->nr; i++)
		visit(&buffers->bh[i], i, i * block_size(), (i + 1) * block_size());
}

} // namespace

folio_buffer_heads::folio_buffer_heads(unsigned count) : nr(count), bh(new buffer_head[count]) {}

folio_buffer_heads::~folio_buffer_heads()
{
	delete[] bh;
}

/* Attached and detached under the folio lock and i_private_lock: no point. */
folio_buffer_heads *folio_buffers(const folio *f)
{
	auto *buffers = static_cast<folio_buffer_heads *>(f->private_data.look());
	if (buffers != nullptr)
		touch(interleaf::Op::kRead, buffers);
	return buffers;
}

folio_buffer_heads *folio_buffers_to_change(const folio *f)
{
	auto *buffers = static_cast<folio_buffer_heads *>(f->private_data.look());
	if (buffers != nullptr)
		touch(interleaf::Op::kWrite, buffers);
	return buffers;
}

bool block_peek_uptodate(folio *f, std::size_t from, std::size_t count)
{
	const folio_buffer_heads *buffers = folio_buffers(f);
	if (buffers == nullptr)
		return false;
	const std::size_t size = this_machine().geo.block_size;
	for (std::size_t at = from / size; at <= (from + count - 1) / size; at++) {
		if (!buffers->bh[at].test(BH_Uptodate))
			return false;
	}
	return true;
}

std::optional<bool> block_peek_dirty(const folio *f, std::size_t from, std::size_t count)
{
	const auto *buffers = static_cast<const folio_buffer_heads *>(f->private_data.peek());
	if (buffers == nullptr)
		return std::nullopt;
	const std::size_t size = this_machine().geo.block_size;
	for (std::size_t at = from / size; at <= (from + count - 1) / size; at++) {
		if (buffers->bh[at].test(BH_Dirty))
			return true;
	}
	return false;
}

bool block_is_partially_uptodate(folio *f, std::size_t from, std::size_t count)
{
	FRAME(block_is_partially_uptodate);
	count = std::min(folio_size(f) - from, count);
	if (from < block_size() && from + count > folio_size(f) - block_size())
		return false;
	return block_peek_uptodate(f, from, count);
}

/* What the folio is, its buffers become. */
folio_buffer_heads *create_empty_buffers(folio *f)
{
	FRAME(create_empty_buffers);
	auto *buffers = new folio_buffer_heads(static_cast<unsigned>(folio_size(f) / block_size()));
	interleaf::Spinlock &lock = f->mapping.load()->i_private_lock;
	lock.lock();
	const bool dirty = folio_test_dirty(f);
	const bool uptodate = f->flags.look(PG_uptodate);
	for_each_buffer(buffers, [&](buffer_head *bh, unsigned, std::size_t, std::size_t) {
		bh->set((dirty ? BH_Dirty : 0u) | (uptodate ? BH_Uptodate : 0u));
	});
	folio_attach_private(f, buffers);
	lock.unlock();
	return buffers;
}

folio_buffer_heads *folio_create_buffers(folio *f)
{
	FRAME(folio_create_buffers);
	folio_buffer_heads *buffers = folio_buffers_to_change(f);
	return buffers != nullptr ? buffers : create_empty_buffers(f);
}

bool block_dirty_folio(address_space *mapping, folio *f)
{
	FRAME(block_dirty_folio);
	mapping->i_private_lock.lock();
	if (folio_buffer_heads *buffers = folio_buffers_to_change(f)) {
		for (unsigned i = 0; i < buffers->nr; i++)
			buffers->bh[i].set(BH_Dirty);
	}
	const bool newly_dirty = !folio_test_set_dirty_flag(f);
	mapping->i_private_lock.unlock();
	if (!newly_dirty)
		return false;
	__folio_mark_dirty(f, mapping, true);
	mark_inode_dirty_pages(mapping->host);
	return true;
}

void mark_buffer_dirty(folio *f, buffer_head *bh)
{
	FRAME(mark_buffer_dirty);
	folio_buffers_to_change(f);
	if (bh->test(BH_Dirty))
		return;
	bh->set(BH_Dirty);
	if (folio_test_set_dirty_flag(f))
		return;
	address_space *mapping = f->mapping.load();
	if (mapping == nullptr)
		return;
	__folio_mark_dirty(f, mapping, false);
	mark_inode_dirty_pages(mapping->host);
}

void block_invalidate_folio(folio *f, std::size_t offset, std::size_t len)
{
	FRAME(block_invalidate_folio);
	BUG_ON(!f->lock.look_locked());
	folio_buffer_heads *buffers = folio_buffers_to_change(f);
	if (buffers == nullptr)
		return;
	for_each_buffer(
		buffers, [&](buffer_head *bh, unsigned, std::size_t begin, std::size_t end) {
			if (offset <= begin && end <= offset + len)
				bh->clear(BH_Dirty | BH_Mapped | BH_New | BH_Delay | BH_Unwritten);
		});
	if (len == folio_size(f))
		filemap_release_folio(f, 0);
}

/* i_private_lock held. */
static folio_buffer_heads *drop_buffers(folio *f)
{
	FRAME(drop_buffers);
	const folio_buffer_heads *buffers = folio_buffers_to_change(f);
	if (buffers == nullptr)
		return nullptr;
	for (unsigned i = 0; i < buffers->nr; i++) {
		if (buffers->bh[i].test(BH_Dirty | BH_Async_Write))
			return nullptr;
	}
	return static_cast<folio_buffer_heads *>(folio_detach_private(f));
}

bool try_to_free_buffers(folio *f)
{
	FRAME(try_to_free_buffers);
	BUG_ON(!f->lock.look_locked());
	if (folio_test_writeback(f))
		return false;
	address_space *mapping = f->mapping.load();
	folio_buffer_heads *freed;
	if (mapping == nullptr) {
		freed = drop_buffers(f);
	} else {
		mapping->i_private_lock.lock();
		freed = drop_buffers(f);
		if (freed != nullptr)
			folio_cancel_dirty(f);
		mapping->i_private_lock.unlock();
	}
	delete freed;
	return freed != nullptr;
}

/* ---- reading ---- */

namespace
{

/* Requests for parts of one folio, whose lock they have. All end in the completion task. */
struct folio_read {
	unsigned pending;
	bool failed = false;
};

void end_buffer_async_read(bio *request)
{
	FRAME(end_buffer_async_read);
	folio *f = bio_first_folio(request);
	auto *read = static_cast<folio_read *>(request->private_data);
	if (request->status != 0) {
		read->failed = true;
	} else if (folio_buffer_heads *buffers = folio_buffers_to_change(f)) {
		for (std::size_t i = 0; i < request->blocks.size(); i++)
			buffers->bh[request->bi_io_vec.front().bv_offset / block_size() + i].set(
				BH_Uptodate);
	}
	delete request;
	if (--read->pending != 0)
		return;
	const bool success = !read->failed;
	delete read;
	folio_end_read(f, success);
}

struct block_read {
	interleaf::Completion done{ "block read" };
	int status = 0;
};

void end_buffer_read_sync(bio *request)
{
	FRAME(end_buffer_read_sync);
	auto *waiter = static_cast<block_read *>(request->private_data);
	waiter->status = request->status;
	delete request;
	waiter->done.complete();
}

bio *new_read(folio *f, unsigned first, std::vector<std::uint64_t> blocks)
{
	const std::size_t offset = first * block_size();
	const std::size_t len = blocks.size() * block_size();
	auto *request =
		new bio{ .op = bio_op::READ,
			 .blocks = std::move(blocks),
			 .owner = f->mapping.look()->host,
			 .pos = static_cast<loff_t>((f->index.look() << page_shift()) + offset) };
	bio_add_folio(request, f, len, offset);
	return request;
}

} // namespace

int bh_read(folio *f, unsigned which)
{
	FRAME(__bh_read);
	bio *request = new_read(f, which, { folio_buffers(f)->bh[which].b_blocknr });
	block_read waiter;
	request->end_io = end_buffer_read_sync;
	request->private_data = &waiter;
	submit_bio(request);
	waiter.done.wait();
	if (waiter.status == 0)
		folio_buffers_to_change(f)->bh[which].set(BH_Uptodate);
	return waiter.status;
}

void block_read_full_folio(folio *f, get_block_t get_block)
{
	FRAME(block_read_full_folio);
	inode *node = f->mapping.load()->host;
	folio_buffer_heads *buffers = folio_create_buffers(f);
	const std::uint64_t first = first_block(f);
	const auto size = static_cast<std::uint64_t>(i_size_read(node));
	const std::uint64_t last = (size + block_size() - 1) / block_size();
	std::vector<bio *> requests;
	bool failed = false;
	for_each_buffer(buffers, [&](buffer_head *bh, unsigned i, std::size_t begin, std::size_t) {
		if (bh->test(BH_Uptodate))
			return;
		if (!bh->test(BH_Mapped) && first + i < last &&
		    get_block(node, first + i, bh, false) != 0)
			failed = true;
		if (!bh->test(BH_Mapped) || bh->test(BH_Delay | BH_Unwritten)) {
			folio_zero_contents(f, begin, block_size());
			bh->set(BH_Uptodate);
			return;
		}
		requests.push_back(new_read(f, i, { bh->b_blocknr }));
	});
	if (requests.empty()) {
		folio_end_read(f, !failed);
		return;
	}
	auto *read = new folio_read{ static_cast<unsigned>(requests.size()), failed };
	f->lock.disown();
	for (bio *request : requests) {
		request->end_io = end_buffer_async_read;
		request->private_data = read;
		submit_bio(request);
	}
}

/* ---- writing ---- */

/* New buffers in [from, to) that nobody will write now become zeros, and dirty. */
static void folio_zero_new_buffers(folio *f, std::size_t from, std::size_t to)
{
	FRAME(folio_zero_new_buffers);
	folio_buffer_heads *buffers = folio_buffers_to_change(f);
	if (buffers == nullptr)
		return;
	for_each_buffer(buffers,
			[&](buffer_head *bh, unsigned, std::size_t begin, std::size_t end) {
				if (!bh->test(BH_New) || end <= from || begin >= to)
					return;
				if (!folio_test_uptodate(f)) {
					const std::size_t start = std::max(from, begin);
					folio_zero_contents(f, start, std::min(to, end) - start);
					bh->set(BH_Uptodate);
				}
				bh->clear(BH_New);
				mark_buffer_dirty(f, bh);
			});
}

int block_write_begin_in(folio *f, std::size_t from, std::size_t len, get_block_t get_block)
{
	inode *node = f->mapping.load()->host;
	folio_buffer_heads *buffers = folio_buffers_to_change(f);
	const std::size_t to = from + len;
	const bool uptodate = folio_test_uptodate(f);
	const std::uint64_t first = first_block(f);
	int error = 0;
	for (unsigned i = 0; i < buffers->nr && error == 0; i++) {
		buffer_head *bh = &buffers->bh[i];
		const std::size_t begin = i * block_size();
		const std::size_t end = begin + block_size();
		if (end <= from || begin >= to) {
			if (uptodate)
				bh->set(BH_Uptodate);
			continue;
		}
		bh->clear(BH_New);
		if (!bh->test(BH_Mapped)) {
			error = get_block(node, first + i, bh, true);
			if (error != 0)
				break;
			if (bh->test(BH_New)) {
				if (uptodate) {
					bh->clear(BH_New);
					bh->set(BH_Uptodate);
					mark_buffer_dirty(f, bh);
					continue;
				}
				if (begin < from)
					folio_zero_contents(f, begin, from - begin);
				if (end > to)
					folio_zero_contents(f, to, end - to);
				continue;
			}
		}
		if (uptodate) {
			bh->set(BH_Uptodate);
			continue;
		}
		if (!bh->test(BH_Uptodate | BH_Delay | BH_Unwritten) && (begin < from || end > to))
			error = bh_read(f, i);
	}
	if (error != 0)
		folio_zero_new_buffers(f, from, to);
	return error;
}

int __block_write_begin_int(folio *f, std::size_t from, std::size_t len, get_block_t get_block)
{
	FRAME(__block_write_begin_int);
	folio_create_buffers(f);
	return block_write_begin_in(f, from, len, get_block);
}

void __block_commit_write(folio *f, std::size_t from, std::size_t to)
{
	FRAME(__block_commit_write);
	bool partial = false;
	for_each_buffer(folio_buffers_to_change(f),
			[&](buffer_head *bh, unsigned, std::size_t begin, std::size_t end) {
				if (end <= from || begin >= to) {
					partial = partial || !bh->test(BH_Uptodate);
				} else {
					bh->set(BH_Uptodate);
					mark_buffer_dirty(f, bh);
				}
				bh->clear(BH_New);
			});
	if (!partial && !folio_test_uptodate(f))
		folio_set_uptodate(f);
}

unsigned block_write_end(folio *f, std::size_t from, unsigned len, unsigned copied)
{
	FRAME(block_write_end);
	if (copied < len) {
		if (!folio_test_uptodate(f))
			copied = 0;
		folio_zero_new_buffers(f, from + copied, from + len);
	}
	__block_commit_write(f, from, from + copied);
	return copied;
}

unsigned block_page_mkwrite(folio *f, address_space *mapping, get_block_t get_block)
{
	FRAME(block_page_mkwrite);
	folio_lock(f);
	const loff_t size = i_size_read(mapping->host);
	const bool in_file = f->mapping.load() == mapping;
	const auto pos = static_cast<loff_t>(f->index.load() << page_shift());
	if (!in_file || pos >= size) {
		folio_unlock(f);
		/* Behind the end, but not unmapped yet: the CPU would fault on and on until truncate
		 * gets here. */
		if (in_file)
			interleaf::Scheduler::current()->relax();
		return VM_FAULT_NOPAGE;
	}
	const std::size_t end = std::min(folio_size(f), static_cast<std::size_t>(size - pos));
	if (__block_write_begin_int(f, 0, end, get_block) != 0) {
		folio_unlock(f);
		return VM_FAULT_SIGBUS;
	}
	__block_commit_write(f, 0, end);
	folio_mark_dirty(f);
	folio_wait_stable(f);
	return VM_FAULT_LOCKED;
}

} // namespace kernel
