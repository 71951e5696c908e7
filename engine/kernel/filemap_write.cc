// SPDX-License-Identifier: GPL-2.0-only
// Buffered writes (the write path of mm/filemap.c of 6.12, P15).
//
// Left out: O_DIRECT, IOCB_NOWAIT, privileges and time stamps (file_remove_privs,
// file_update_time), signals, file size limits.
//
// Lock order: i_rwsem -> folio lock (taken by ->write_begin, dropped by ->write_end). A buffered
// write takes no invalidate_lock.
#include "engine/kernel/pagemap.h"

#include <fcntl.h>

#include <algorithm>

#include "engine/kernel/uaccess.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

/* Where the write goes. i_rwsem is held, else the end of the file may move meanwhile. */
loff_t generic_write_checks(const file *f, loff_t pos)
{
	return (f->f_flags & O_APPEND) != 0 ? i_size_read(f->f_mapping->host) : pos;
}

/* O_SYNC and O_DSYNC: `count` bytes from pos on were written. Returns count or an error. */
long generic_write_sync(file *f, loff_t pos, long count)
{
	if ((f->f_flags & O_DSYNC) == 0)
		return count;
	FRAME(generic_write_sync);
	const bool datasync = (f->f_flags & O_SYNC) != O_SYNC;
	const int error = vfs_fsync_range(f, pos, pos + count - 1, datasync);
	return error != 0 ? error : count;
}

} // namespace

/*
 * Copies the user's bytes into the page cache, a folio at a time. Returns the bytes written, or an
 * error if none were. The caller holds what its filesystem wants held (i_rwsem). Sleeps.
 */
long perform_write(file *f, loff_t pos, const void *from, std::size_t len,
		   void (*throttle)(address_space *))
{
	address_space *mapping = f->f_mapping;
	const address_space_operations *a_ops = mapping->a_ops;
	const auto *in = static_cast<const unsigned char *>(from);
	std::size_t chunk =
		mapping_large_folio_support(mapping) ? page_size() * hpage_pages() : page_size();
	std::size_t limit = len; /* less after a short copy that was rejected */
	std::size_t written = 0;
	long status = 0;

	do {
		folio *fo = nullptr;
		void *fsdata = nullptr;
		std::size_t offset = static_cast<std::size_t>(pos) & (chunk - 1);
		std::size_t bytes = std::min({ chunk - offset, limit, len - written });

		limit = len;
		throttle(mapping);

		/* The source is faulted in here, for the copy below must not fault: it could need
		 * the folio that is locked then. */
		if (fault_in_readable(in + written, bytes) == bytes) {
			status = -EFAULT;
			break;
		}

		status = a_ops->write_begin(f, mapping, pos, static_cast<unsigned>(bytes), &fo,
					    &fsdata);
		if (status < 0)
			break;

		offset = static_cast<std::size_t>(pos) & (folio_size(fo) - 1);
		bytes = std::min(bytes, folio_size(fo) - offset);

		const std::size_t copied =
			copy_folio_from_iter_atomic(fo, offset, in + written, bytes);

		status = a_ops->write_end(f, mapping, pos, static_cast<unsigned>(bytes),
					  static_cast<unsigned>(copied), fo, fsdata);
		if (status < 0)
			break;
		if (status == 0) {
			/* All of a short copy was rejected: again, with no more than was there. */
			if (chunk > page_size())
				chunk /= 2;
			if (copied != 0)
				limit = copied;
		} else {
			pos += status;
			written += static_cast<std::size_t>(status);
		}
	} while (written < len);

	return written != 0 ? static_cast<long>(written) : status;
}

long generic_perform_write(file *f, loff_t pos, const void *from, std::size_t len)
{
	FRAME(generic_perform_write);
	return perform_write(f, pos, from, len, balance_dirty_pages_ratelimited);
}

/* ->write_iter of simple filesystems: bytes written, or an error. Sleeps. */
long generic_file_write_iter(file *f, loff_t pos, const void *from, std::size_t len)
{
	inode *node = f->f_mapping->host;
	const bool locks = this_machine().fs->writes_take_i_rwsem;
	long ret = 0;

	FRAME(generic_file_write_iter);
	if (locks)
		inode_lock(node);
	if (len != 0) {
		pos = generic_write_checks(f, pos);
		ret = generic_perform_write(f, pos, from, len);
	}
	if (locks)
		inode_unlock(node);
	if (ret > 0)
		ret = generic_write_sync(f, pos, ret);
	return ret;
}

} // namespace kernel
