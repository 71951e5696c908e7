// SPDX-License-Identifier: GPL-2.0-only
// Buffered reads (the read path of mm/filemap.c of 6.12, P13).
//
// Left out: IOCB_NOWAIT, IOCB_WAITQ and IOCB_NOIO, O_DIRECT, splice, signals, atime. A reader that waits for somebody else's read keeps its reference while it waits
// (filemap_update_page); Linux drops it first.
//
// Lock order: invalidate_lock shared -> folio lock. The copy to the user holds neither.
#include "engine/kernel/pagemap.h"

#include <algorithm>

#include "engine/kernel/bug.h"
#include "engine/kernel/machine.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

bool pos_same_folio(loff_t pos1, loff_t pos2, const folio *f)
{
	const unsigned shift = page_shift() + folio_order(f);

	return pos1 >> shift == pos2 >> shift;
}

/* Of a locked folio: what it has of these bytes, if they are not all of it, may be enough, where the
 * filesystem knows of each block whether it is uptodate. */
bool filemap_range_uptodate(const address_space *mapping, loff_t pos, std::size_t count, folio *f)
{
	if (folio_test_uptodate(f))
		return true;
	const auto is_partially_uptodate = mapping->a_ops->is_partially_uptodate;
	if (is_partially_uptodate == nullptr || this_machine().geo.block_size >= folio_size(f))
		return false;
	const auto begin = static_cast<loff_t>(f->index.load() << page_shift());
	const loff_t end = std::min(pos + static_cast<loff_t>(count),
				    begin + static_cast<loff_t>(folio_size(f)));
	const auto from = static_cast<std::size_t>(std::max(pos, begin) - begin);
	const auto bytes = static_cast<std::size_t>(end - begin) - from;
	return bytes != folio_size(f) && is_partially_uptodate(f, from, bytes);
}

/*
 * Brings a folio that was found not uptodate up to date, as far as the bytes need it, or waits until
 * the one who is doing that has finished. 0, or AOP_TRUNCATED_PAGE: look it up again, the reference is dropped; or an error
 * of the read, with the reference still held. Sleeps.
 */
int filemap_update_page(file *f, address_space *mapping, loff_t pos, std::size_t count, folio *fo)
{
	int error = AOP_TRUNCATED_PAGE;

	FRAME(filemap_update_page);
	filemap_fill_lock(mapping);
	if (!folio_trylock(fo)) {
		/* Usually readahead that was started before. */
		filemap_fill_unlock(mapping);
		folio_wait_locked(fo);
		folio_put(fo);
		return AOP_TRUNCATED_PAGE;
	}

	if (fo->mapping.load() == nullptr) {
		folio_unlock(fo);
	} else if (filemap_range_uptodate(mapping, pos, count, fo)) {
		folio_unlock(fo);
		error = 0;
	} else {
		error = filemap_read_folio(f, mapping->a_ops->read_folio, fo);
	}
	filemap_fill_unlock(mapping);
	if (error == AOP_TRUNCATED_PAGE)
		folio_put(fo);
	return error;
}

/* Adds a folio at the position and reads it. 0 and one in the batch, or an error. Sleeps. */
int filemap_create_folio(file *f, address_space *mapping, loff_t pos, folio_batch *fbatch)
{
	FRAME(filemap_create_folio);
	folio *fo = folio_alloc(0);
	if (fo == nullptr)
		return -ENOMEM;

	/*
	 * Against truncate and hole punch, which hold it exclusively from before they evict the
	 * cache until the blocks are free: nobody can bring a folio back in between.
	 */
	filemap_fill_lock(mapping);
	int error = filemap_add_folio(mapping, fo, static_cast<pgoff_t>(pos) >> page_shift(), 0);
	if (error == -EEXIST)
		error = AOP_TRUNCATED_PAGE;
	if (error == 0)
		error = filemap_read_folio(f, mapping->a_ops->read_folio, fo);
	filemap_fill_unlock(mapping);
	if (error != 0) {
		folio_put(fo);
		return error;
	}
	folio_batch_add(fbatch, fo);
	return 0;
}

/*
 * Referenced folios, uptodate as far as they are asked for, for the `count` bytes from `pos` on: at least the first one, or an
 * error. Sleeps.
 */
int filemap_get_pages(file *f, loff_t pos, std::size_t count, folio_batch *fbatch)
{
	address_space *mapping = f->f_mapping;
	const pgoff_t index = static_cast<pgoff_t>(pos) >> page_shift();
	const pgoff_t last_index = /* behind the last page wanted */
		(static_cast<pgoff_t>(pos) + count + page_size() - 1) >> page_shift();

	FRAME(filemap_get_pages);
	for (;;) {
		filemap_get_read_batch(mapping, index, last_index - 1, fbatch);
		if (fbatch->nr == 0) {
			page_cache_sync_readahead(mapping, &f->f_ra, f, index, last_index - index);
			filemap_get_read_batch(mapping, index, last_index - 1, fbatch);
		}
		if (fbatch->nr == 0) {
			const int error = filemap_create_folio(f, mapping, pos, fbatch);
			if (error == AOP_TRUNCATED_PAGE)
				continue;
			return error;
		}

		folio *last = fbatch->folios[fbatch->nr - 1];
		if (folio_test_readahead(last))
			page_cache_async_readahead(mapping, &f->f_ra, f, last,
						   last_index - last->index.load());
		if (folio_test_uptodate(last))
			return 0;
		const int error = filemap_update_page(f, mapping, pos, count, last);
		if (error == 0)
			return 0;
		if (error < 0)
			folio_put(last);
		/* The ones before it are good. */
		if (--fbatch->nr != 0)
			return 0;
		if (error != AOP_TRUNCATED_PAGE)
			return error;
	}
}

} // namespace

/*
 * Lets `filler` read a locked folio and waits for the end, which unlocks it. 0: uptodate; -EIO; or
 * what the filler says. Sleeps.
 */
int filemap_read_folio(file *f, int (*filler)(file *, folio *), folio *fo)
{
	FRAME(filemap_read_folio);
	const int error = filler(f, fo);
	if (error != 0)
		return error;
	folio_wait_locked(fo);
	if (folio_test_uptodate(fo))
		return 0;
	if (f != nullptr) {
		touch_ra_state(&f->f_ra);
		f->f_ra.ra_pages /= 4;
	}
	return -EIO;
}

/*
 * Copies up to `len` bytes from `pos` on to the user, not beyond the end of the file. Returns
 * already_read plus the bytes copied, or an error if that is 0. Holds no lock while it copies:
 * a write or truncate may change the bytes under it.
 */
long filemap_read(file *f, loff_t pos, void *to, std::size_t len, long already_read)
{
	address_space *mapping = f->f_mapping;
	inode *node = mapping->host;
	auto *out = static_cast<unsigned char *>(to);
	touch_ra_state(&f->f_ra);
	loff_t last_pos = f->f_ra.prev_pos;
	loff_t isize = 0;
	folio_batch fbatch;
	int error = 0;

	if (pos < 0)
		return -EINVAL;
	if (len == 0)
		return 0;
	FRAME(filemap_read);
	folio_batch_init(&fbatch);
	do {
		if (pos >= i_size_read(node))
			break;
		error = filemap_get_pages(f, pos, len, &fbatch);
		if (error < 0)
			break;

		/*
		 * Only now that the folios are uptodate: if the size covers a byte, what the folio
		 * has there is data, never the zeros behind an older end of the file.
		 */
		isize = i_size_read(node);
		if (pos < isize) {
			const loff_t end = std::min(isize, pos + static_cast<loff_t>(len));

			if (!pos_same_folio(pos, last_pos - 1, fbatch.folios[0]))
				folio_mark_accessed(fbatch.folios[0]);
			for (unsigned i = 0; i < fbatch.nr; ++i) {
				folio *fo = fbatch.folios[i];
				const std::size_t fsize = folio_size(fo);
				const std::size_t offset =
					static_cast<std::size_t>(pos) & (fsize - 1);
				const auto folio_pos =
					static_cast<loff_t>(fo->index.load() << page_shift());

				if (end < folio_pos)
					break;
				const std::size_t bytes = std::min(
					static_cast<std::size_t>(end - pos), fsize - offset);
				if (i > 0)
					folio_mark_accessed(fo);
				if (should_fail("copy_to_user")) {
					error = -EFAULT;
					break;
				}
				folio_read_contents(fo, offset, out, bytes);
				out += bytes;
				len -= bytes;
				already_read += static_cast<long>(bytes);
				pos += static_cast<loff_t>(bytes);
				last_pos = pos;
			}
		}
		for (unsigned i = 0; i < fbatch.nr; ++i)
			folio_put(fbatch.folios[i]);
		folio_batch_init(&fbatch);
	} while (len != 0 && pos < isize && error == 0);

	touch_ra_state(&f->f_ra);
	f->f_ra.prev_pos = last_pos;
	return already_read != 0 ? already_read : error;
}

/* ->read_iter of most filesystems. */
long generic_file_read_iter(file *f, loff_t pos, void *to, std::size_t len)
{
	if (len == 0)
		return 0;
	FRAME(generic_file_read_iter);
	return filemap_read(f, pos, to, len, 0);
}

} // namespace kernel
