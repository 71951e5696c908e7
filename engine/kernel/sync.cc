// SPDX-License-Identifier: GPL-2.0-only
// fsync(2) and sync_file_range(2) (fs/sync.c, 6.12). Left out: dirty time stamps.
#include <fcntl.h>

#include "engine/kernel/fs.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"

namespace kernel
{

/*
 * Writes [start, end] and the metadata that reading it back needs. May sleep. 0, -EINVAL or an
 * error of the writeback, each reported once per file.
 */
int vfs_fsync_range(file *f, loff_t start, loff_t end, bool datasync)
{
	FRAME(vfs_fsync_range);

	if (f->f_op->fsync == nullptr)
		return -EINVAL;
	observer *watcher = this_machine().watcher;
	watcher->sync_begin(*f->f_inode, start, end);
	const unsigned asked = watcher->error_asked(*f);
	const int error = f->f_op->fsync(f, start, end, datasync);
	watcher->sync_end(*f->f_inode, error);
	watcher->error_told(asked, error);
	/* The watcher takes it for a promise about the whole file. */
	if (error == 0 && start == 0 && end >= f->f_inode->i_size.look() - 1)
		watcher->sync_promised(*f->f_inode);
	return error;
}

/* Waits for writeback under way; 0 or the error that this file has not been told yet. */
static int file_fdatawait_range(file *f, loff_t start, loff_t end)
{
	observer *watcher = this_machine().watcher;
	const unsigned asked = watcher->error_asked(*f);
	__filemap_fdatawait_range(f->f_mapping, start, end);
	const int error = file_check_and_advance_wb_err(f);
	watcher->error_told(asked, error);
	return error;
}

/*
 * Starts and awaits writeback of a range as `flags` say; never metadata, so it promises nothing.
 * len 0 is "to the end". May sleep. -EINVAL, -ESPIPE or an error of the writeback.
 */
int do_sync_file_range(file *f, loff_t offset, loff_t len, unsigned flags)
{
	FRAME(sync_file_range);
	constexpr unsigned kAll =
		SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;

	if ((flags & ~kAll) != 0)
		return -EINVAL;
	if (offset < 0 || len < 0 || offset > LLONG_MAX_POS - len)
		return -EINVAL;
	if (!f->f_inode->regular)
		return -ESPIPE;
	const loff_t end = len == 0 ? LLONG_MAX_POS : offset + len - 1;

	if ((flags & SYNC_FILE_RANGE_WAIT_BEFORE) != 0) {
		const int error = file_fdatawait_range(f, offset, end);
		if (error < 0)
			return error;
	}
	if ((flags & SYNC_FILE_RANGE_WRITE) != 0) {
		const int error = __filemap_fdatawrite_range(
			f->f_mapping, offset, end, flags == kAll ? WB_SYNC_ALL : WB_SYNC_NONE);
		if (error < 0)
			return error;
	}
	if ((flags & SYNC_FILE_RANGE_WAIT_AFTER) != 0)
		return file_fdatawait_range(f, offset, end);
	return 0;
}

} // namespace kernel
