// SPDX-License-Identifier: GPL-2.0-only
// Files that share blocks: ioctl(FICLONERANGE) down to ->remap_file_range (fs/ioctl.c and
// fs/remap_range.c, 6.12).
//
// Left out: FIDEDUPERANGE, several filesystems (there is one), leases, limits of the file size.
//
// Locks: none here. ->remap_file_range takes i_rwsem and invalidate_lock of both inodes.
#include "engine/kernel/fs.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"

namespace kernel
{

/* Both have to be open for what is done with them. */
static int generic_file_rw_checks(const file *in, const file *out)
{
	if (!in->f_inode->regular || !out->f_inode->regular)
		return -EINVAL;
	if ((in->f_mode & FMODE_READ) == 0 || (out->f_mode & FMODE_WRITE) == 0)
		return -EBADF;
	return 0;
}

static int remap_verify_area(loff_t pos, loff_t len)
{
	if (pos < 0 || len < 0 || pos > LLONG_MAX_POS - len)
		return -EINVAL;
	return 0;
}

/*
 * Bytes [in_pos, in_pos + len) of one file, len 0: to its end, become those of the other at out_pos.
 * May sleep. Bytes shared, or -EINVAL, -EBADF, -EOPNOTSUPP, the filesystem's error.
 */
loff_t vfs_clone_file_range(file *in, loff_t in_pos, file *out, loff_t out_pos, loff_t len)
{
	FRAME(vfs_clone_file_range);

	int error = generic_file_rw_checks(in, out);
	if (error != 0)
		return error;
	if (in->f_op->remap_file_range == nullptr)
		return -EOPNOTSUPP;
	error = remap_verify_area(in_pos, len);
	if (error != 0)
		return error;
	error = remap_verify_area(out_pos, len);
	if (error != 0)
		return error;
	observer *watcher = this_machine().watcher;
	const unsigned clone =
		watcher->clone_begin(*in->f_inode, in_pos, *out->f_inode, out_pos, len);
	const loff_t cloned = in->f_op->remap_file_range(in, in_pos, out, out_pos, len, 0);
	watcher->clone_end(clone, cloned);
	return cloned;
}

/* 0, or an error. -EINVAL: less was shared than asked for. */
int ioctl_file_clone_range(file *out, file *in, loff_t in_pos, loff_t len, loff_t out_pos)
{
	FRAME(ioctl_file_clone_range);

	const loff_t cloned = vfs_clone_file_range(in, in_pos, out, out_pos, len);
	if (cloned < 0)
		return static_cast<int>(cloned);
	return len != 0 && cloned != len ? -EINVAL : 0;
}

} // namespace kernel
