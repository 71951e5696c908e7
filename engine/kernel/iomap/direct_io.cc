// SPDX-License-Identifier: GPL-2.0-only
// Reads that pass the page cache by: the device stores to the user's pages (fs/iomap/direct-io.c of
// 6.12).
//
// The file's own cache is written back first, no more: what becomes dirty after that is not read. The
// user's pages may be of a file, too; nobody tells its filesystem.
//
// Left out: writes, asynchronous requests, polling, inline data, IOMAP_DIO_PARTIAL.
//
//   iomap_dio_bio_end_io                 the reader
//     1. the last request: wakes             a. is woken: the read is complete
//     2. a folio is clean: bio_dirty_fn      b. read(2) returns
//        will make it dirty                  c. fsync of the mapped file sees a clean folio, if 2's
//                                               work has not run
//
// Lock order: i_rwsem, shared, held by the caller; folio locks of the user's pages below it.
#include <algorithm>

#include "engine/kernel/block.h"
#include "engine/kernel/bug.h"
#include "engine/kernel/fields.h"
#include "engine/kernel/iomap/folio_state.h"
#include "engine/kernel/iomap/iomap.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/uio.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"
#include "scheduler/sync/completion.h"

namespace kernel
{

namespace
{

extern const interleaf::BlockType iomap_dio_block;

struct iomap_dio {
	inode *node;
	loff_t pos;
	loff_t i_size; /* when it began */
	user_buffer *to;
	long size = 0; /* bytes of the file that were asked for so far */
	interleaf::Shared<int> error; /* the first one */
	interleaf::Atomic<int> ref{ 1 }; /* requests, and the submitter */
	interleaf::Completion done{ "direct I/O" };

	static void *operator new(std::size_t bytes)
	{
		return interleaf::allocate_typed(bytes, iomap_dio_block);
	}
};

constexpr interleaf::BlockField iomap_dio_fields[] = {
	FIELD(iomap_dio, error),
	FIELD(iomap_dio, ref),
	FIELD(iomap_dio, done),
};

const interleaf::BlockType iomap_dio_block{ "direct read", "memory", iomap_dio_fields };

void iomap_dio_set_error(iomap_dio *dio, int error)
{
	if (dio->error.read_once() == 0)
		dio->error.write_once(error);
}

/* In the device's task; nothing of dio may be used once its last request is gone. */
void iomap_dio_bio_end_io(bio *request)
{
	FRAME(iomap_dio_bio_end_io);
	auto *dio = static_cast<iomap_dio *>(request->private_data);
	if (request->status != 0)
		iomap_dio_set_error(dio, request->status);
	if (dio->ref.dec_and_test())
		dio->done.complete();
	bio_check_pages_dirty(request);
}

void iomap_dio_submit_bio(iomap_dio *dio, bio *request)
{
	FRAME(iomap_dio_submit_bio);
	dio->ref.inc();
	submit_bio(request);
}

/* Bytes on the disk: a request for as many as there are pages for. Bytes, or an error. */
long iomap_dio_bio_iter(const iomap_iter *iter, iomap_dio *dio)
{
	FRAME(iomap_dio_bio_iter);
	const std::uint64_t length = iomap_length(iter);
	const auto block = static_cast<std::uint64_t>(fs_block_size());
	const auto pos = static_cast<std::uint64_t>(iter->pos);
	if (((pos | length | dio->to->misalignment()) & (block - 1)) != 0)
		return -EINVAL;
	std::uint64_t copied = 0;
	while (copied < length) {
		auto *request = new bio{ .op = bio_op::READ,
					 .owner = iter->node,
					 .pos = iter->pos + static_cast<loff_t>(copied),
					 .end_io = iomap_dio_bio_end_io,
					 .private_data = dio };
		long got = bio_iov_iter_get_pages(request, dio->to, length - copied);
		if (got < 0) {
			delete request;
			return copied != 0 ? static_cast<long>(copied) : got;
		}
		const std::uint64_t first =
			iter->map.addr +
			(pos + copied - static_cast<std::uint64_t>(iter->map.offset)) / block;
		for (std::uint64_t i = 0; i < static_cast<std::uint64_t>(got) / block; i++)
			request->blocks.push_back(first + i);
		bio_set_pages_dirty(request);
		dio->size += got;
		copied += static_cast<std::uint64_t>(got);
		iomap_dio_submit_bio(dio, request);
	}
	return static_cast<long>(copied);
}

/* Nothing on the disk: the process stores zeros itself. */
long iomap_dio_hole_iter(const iomap_iter *iter, iomap_dio *dio)
{
	FRAME(iomap_dio_hole_iter);
	const long length = dio->to->zero(iomap_length(iter));
	if (length > 0)
		dio->size += length;
	return length;
}

long iomap_dio_iter(const iomap_iter *iter, iomap_dio *dio)
{
	switch (iter->map.type) {
	case iomap_type::MAPPED:
		return iomap_dio_bio_iter(iter, dio);
	case iomap_type::HOLE:
	case iomap_type::UNWRITTEN:
		return iomap_dio_hole_iter(iter, dio);
	default:
		/* A store through a mapping has reserved it since the cache was written back. */
		return -EIO;
	}
}

/* Frees it. Bytes read, or an error. */
long iomap_dio_complete(iomap_dio *dio)
{
	FRAME(iomap_dio_complete);
	long ret = dio->error.load();
	if (ret == 0)
		ret = std::min<long>(dio->size, dio->i_size - dio->pos);
	inode_dio_end(dio->node);
	delete dio;
	return ret;
}

/* Also what is behind the end of the file is asked for, as far as the buffer goes. All requests have ended
 * when it returns; null: there was none, or an error. */
iomap_dio *__iomap_dio_rw(inode *node, loff_t pos, user_buffer *to, const iomap_ops *ops,
			  int *error)
{
	FRAME(__iomap_dio_rw);
	const auto len = static_cast<loff_t>(to->count());
	const loff_t size = i_size_read(node);
	*error = 0;
	if (len == 0 || pos >= size)
		return nullptr;
	*error = filemap_write_and_wait_range(node->i_mapping, pos, pos + len - 1);
	if (*error != 0)
		return nullptr;
	auto *dio = new iomap_dio{ .node = node, .pos = pos, .i_size = size, .to = to };
	inode_dio_begin(node);
	iomap_iter iter{
		.node = node, .ops = ops, .pos = pos, .len = static_cast<std::uint64_t>(len)
	};
	int ret;
	while ((ret = iomap_iter_next(&iter)) > 0)
		iter.processed = iomap_dio_iter(&iter, dio);
	if (ret < 0)
		iomap_dio_set_error(dio, ret);
	if (!dio->ref.dec_and_test())
		dio->done.wait();
	return dio;
}

} // namespace

long iomap_dio_read(inode *node, loff_t pos, user_buffer *to, const iomap_ops *ops)
{
	FRAME(iomap_dio_rw);
	int error;
	iomap_dio *dio = __iomap_dio_rw(node, pos, to, ops, &error);
	return dio == nullptr ? error : iomap_dio_complete(dio);
}

} // namespace kernel
