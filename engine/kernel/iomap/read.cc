// SPDX-License-Identifier: GPL-2.0-only
// Reading folios (fs/iomap/buffered-io.c of 6.12: iomap_read_folio, iomap_readahead). Blocks that
// lie together on the disk go into one request, over folios.
//
// Left out: inline data, post-EOF zeroing of fs-verity.
//
// Lock order: folio lock (held by who calls, passed on to the completion) -> the filesystem's locks.
#include "engine/kernel/iomap/read.h"

#include <algorithm>

#include "engine/kernel/block.h"
#include "engine/kernel/bug.h"
#include "engine/kernel/iomap/folio_state.h"
#include "engine/kernel/pagemap.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

/* One ->read_folio or ->readahead. */
struct iomap_readpage_ctx {
	folio *cur_folio = nullptr;
	bool cur_folio_in_bio = false; /* who unlocks it is the completion */
	bio *request = nullptr;
	std::uint64_t next_block = 0; /* behind the request's last */
	readahead_control *rac = nullptr;
};

void iomap_read_end_io(bio *request)
{
	FRAME(iomap_read_end_io);
	for (const bio_vec &part : request->bi_io_vec)
		iomap_finish_folio_read(part.bv_folio, part.bv_offset, part.bv_len,
					request->status);
	delete request;
}

std::uint64_t block_at(const iomap *map, loff_t pos)
{
	return map->addr + static_cast<std::uint64_t>((pos - map->offset) / fs_block_size());
}

void add_to_request(iomap_readpage_ctx *ctx, const iomap_iter *iter, loff_t pos, std::size_t off,
		    std::size_t len)
{
	const std::uint64_t block = block_at(&iter->map, pos);
	if (ctx->request == nullptr || ctx->next_block != block) {
		if (ctx->request != nullptr)
			submit_bio(ctx->request);
		ctx->request = iomap_read_bio(iter->node, &iter->map, pos);
		ctx->request->end_io = iomap_read_end_io;
	}
	iomap_read_bio_add(ctx->request, ctx->cur_folio, off, len, &iter->map, pos);
	ctx->next_block = block + len / static_cast<std::size_t>(fs_block_size());
}

/* Bytes of the current folio, from `offset` in the iomap on, that are dealt with. */
long iomap_readpage_iter(const iomap_iter *iter, iomap_readpage_ctx *ctx, std::uint64_t offset)
{
	FRAME(iomap_readpage_iter);
	const loff_t start = iter->pos + static_cast<loff_t>(offset);
	loff_t pos = start;
	std::size_t off;
	std::size_t len;

	iomap_folio_state *ifs = ifs_alloc(ctx->cur_folio);
	iomap_adjust_read_range(iter->node, ctx->cur_folio, &pos,
				static_cast<std::size_t>(iomap_length(iter) - offset), &off, &len);
	if (len == 0)
		return pos - start;
	if (iomap_block_needs_zeroing(iter, pos)) {
		folio_zero_contents(ctx->cur_folio, off, len);
		iomap_set_range_uptodate(ctx->cur_folio, off, len);
	} else {
		ctx->cur_folio_in_bio = true;
		if (ifs != nullptr)
			ifs_read_begin(ifs, len);
		add_to_request(ctx, iter, pos, off, len);
	}
	return pos - start + static_cast<long>(len);
}

/* The folio is through: the completion unlocks it, or we do. */
void put_cur_folio(iomap_readpage_ctx *ctx)
{
	if (ctx->cur_folio == nullptr)
		return;
	if (ctx->cur_folio_in_bio)
		ctx->cur_folio->lock.disown();
	else
		folio_unlock(ctx->cur_folio);
	ctx->cur_folio = nullptr;
}

/* Of the folios of a readahead, what the iomap has. */
long iomap_readahead_iter(const iomap_iter *iter, iomap_readpage_ctx *ctx)
{
	const std::uint64_t length = iomap_length(iter);
	std::uint64_t done = 0;
	while (done < length) {
		if (ctx->cur_folio != nullptr &&
		    offset_in_folio(ctx->cur_folio, iter->pos + static_cast<loff_t>(done)) == 0)
			put_cur_folio(ctx);
		if (ctx->cur_folio == nullptr) {
			ctx->cur_folio = readahead_folio(ctx->rac);
			ctx->cur_folio_in_bio = false;
		}
		const long count = iomap_readpage_iter(iter, ctx, done);
		if (count <= 0)
			return count;
		done += static_cast<std::uint64_t>(count);
	}
	return static_cast<long>(done);
}

} // namespace

bio *iomap_read_bio(inode *node, const iomap *, loff_t pos)
{
	return new bio{ .op = bio_op::READ, .owner = node, .pos = pos };
}

void iomap_read_bio_add(bio *request, folio *f, std::size_t off, std::size_t len, const iomap *map,
			loff_t pos)
{
	const std::uint64_t first = block_at(map, pos);
	for (std::size_t i = 0; i < len / static_cast<std::size_t>(fs_block_size()); i++)
		request->blocks.push_back(first + i);
	bio_add_folio_nofail(request, f, len, off);
}

bool iomap_block_needs_zeroing(const iomap_iter *iter, loff_t pos)
{
	const iomap *srcmap = iomap_iter_srcmap(iter);
	return srcmap->type != iomap_type::MAPPED || (srcmap->flags & IOMAP_F_NEW) != 0 ||
	       pos >= i_size_read(iter->node);
}

void iomap_adjust_read_range(inode *node, folio *f, loff_t *pos, std::size_t length,
			     std::size_t *off, std::size_t *len)
{
	FRAME(iomap_adjust_read_range);
	const auto size = static_cast<std::size_t>(fs_block_size());
	const loff_t start = *pos;
	const loff_t isize = i_size_read(node);
	std::size_t first = offset_in_folio(f, start);
	std::size_t end = first + std::min(folio_size(f) - first, length);
	const iomap_folio_state *ifs = ifs_of(f);
	const auto uptodate = [&](std::size_t at) {
		return ifs != nullptr &&
		       ifs_block_is_uptodate(ifs, static_cast<unsigned>(at / size));
	};
	while (first < end && uptodate(first))
		first += size;
	for (std::size_t at = first; ifs != nullptr && at < end; at += size) {
		if (uptodate(at))
			end = at;
	}
	/* Blocks behind the end of the file are zeroed instead. */
	if (start <= isize && start + static_cast<loff_t>(length) > isize) {
		const std::size_t behind = (offset_in_folio(f, isize - 1) / size + 1) * size;
		if (first < behind && end > behind)
			end = behind;
	}
	*pos = start + static_cast<loff_t>(first - offset_in_folio(f, start));
	*off = first;
	*len = end - std::min(first, end);
}

/* The folio comes locked and goes unlocked, then or when the read ends. 0. Sleeps. */
int iomap_read_folio(folio *f, const iomap_ops *ops)
{
	FRAME(iomap_read_folio);
	iomap_readpage_ctx ctx{ .cur_folio = f };
	iomap_iter iter{ .node = f->mapping.load()->host,
			 .ops = ops,
			 .pos = folio_pos(f),
			 .len = folio_size(f) };
	while (iomap_iter_next(&iter) > 0)
		iter.processed = iomap_readpage_iter(&iter, &ctx, 0);
	put_cur_folio(&ctx);
	if (ctx.request != nullptr)
		submit_bio(ctx.request);
	return 0;
}

void iomap_readahead(readahead_control *rac, const iomap_ops *ops)
{
	FRAME(iomap_readahead);
	iomap_readpage_ctx ctx{ .rac = rac };
	iomap_iter iter{ .node = rac->mapping->host,
			 .ops = ops,
			 .pos = static_cast<loff_t>(rac->index * page_size()),
			 .len = std::uint64_t{ rac->nr_pages } * page_size() };
	while (iomap_iter_next(&iter) > 0)
		iter.processed = iomap_readahead_iter(&iter, &ctx);
	put_cur_folio(&ctx);
	if (ctx.request != nullptr)
		submit_bio(ctx.request);
}

/* Are the bytes [from, from + count) of a folio that is not uptodate there? No point: the folio is
 * locked, or who asks judges the run. */
bool iomap_is_partially_uptodate(folio *f, std::size_t from, std::size_t count)
{
	if (i_blocks_per_folio(f) <= 1)
		return false;
	const auto *ifs = static_cast<const iomap_folio_state *>(f->private_data.look());
	if (ifs == nullptr)
		return false;
	const auto size = static_cast<std::size_t>(fs_block_size());
	count = std::min(folio_size(f) - from, count);
	for (std::size_t at = from / size; at <= (from + count - 1) / size; at++) {
		if (!ifs_block_is_uptodate(ifs, static_cast<unsigned>(at)))
			return false;
	}
	return true;
}

} // namespace kernel
