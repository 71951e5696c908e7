// SPDX-License-Identifier: GPL-2.0-only
// Operations on open files (fs/xfs/xfs_file.c of 6.12).
//
// Left out: direct writes, DAX, layouts, time stamps, a second try after ENOSPC.
//
// Lock order: i_rwsem -> invalidate_lock -> folio lock -> ILOCK.
#include <fcntl.h>
#include <unistd.h>

#include "engine/kernel/machine.h"
#include "engine/kernel/mm.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/uio.h"
#include "engine/kernel/writeback.h"
#include "engine/kernel/xfs/xfs_inode.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

/* A read is atomic against a write. */
long xfs_file_buffered_read(file *f, loff_t pos, void *to, std::size_t len)
{
	FRAME(xfs_file_buffered_read);
	inode_lock_shared(f->f_inode);
	const long got = generic_file_read_iter(f, pos, to, len);
	inode_unlock_shared(f->f_inode);
	return got;
}

long xfs_file_dio_read(file *f, loff_t pos, user_buffer *to)
{
	FRAME(xfs_file_dio_read);
	inode_lock_shared(f->f_inode);
	const long got = iomap_dio_read(f->f_inode, pos, to, &xfs_read_iomap_ops);
	inode_unlock_shared(f->f_inode);
	return got;
}

long xfs_file_read_direct(file *f, loff_t pos, user_buffer *to)
{
	FRAME(xfs_file_read_iter);
	return xfs_file_dio_read(f, pos, to);
}

long xfs_file_read_iter(file *f, loff_t pos, void *to, std::size_t len)
{
	FRAME(xfs_file_read_iter);
	return xfs_file_buffered_read(f, pos, to, len);
}

/* Where the write goes; the gap before it becomes zeros. i_rwsem held; sleeps. 0, or an error. */
int xfs_file_write_checks(const file *f, loff_t *pos)
{
	FRAME(xfs_file_write_checks);
	inode *node = f->f_inode;
	const loff_t size = i_size_read(node);
	if ((f->f_flags & O_APPEND) != 0)
		*pos = size;
	if (*pos <= size)
		return 0;
	/* Or a page fault finds the old end of the file before it is zeroed. */
	const bool locks = patched(Patch::kExtendingWriteLocks);
	if (locks)
		filemap_invalidate_lock(node->i_mapping);
	const int error = xfs_zero_range(node, size, *pos - size, nullptr);
	if (locks)
		filemap_invalidate_unlock(node->i_mapping);
	return error;
}

/* Bytes written, or an error. *pos becomes where they went. Sleeps. */
long xfs_file_buffered_write(file *f, loff_t *pos, const void *from, std::size_t len)
{
	FRAME(xfs_file_buffered_write);
	inode_lock(f->f_inode);
	long written = 0;
	if (len != 0) {
		written = xfs_file_write_checks(f, pos);
		if (written == 0)
			written = iomap_file_buffered_write(f, *pos, from, len,
							    &xfs_buffered_write_iomap_ops);
	}
	inode_unlock(f->f_inode);
	return written;
}

/* O_SYNC and O_DSYNC are obeyed. */
long xfs_file_write_iter(file *f, loff_t pos, const void *from, std::size_t len)
{
	FRAME(xfs_file_write_iter);
	const long written = xfs_file_buffered_write(f, &pos, from, len);
	if (written <= 0 || (f->f_flags & O_DSYNC) == 0)
		return written;
	const bool datasync = (f->f_flags & O_SYNC) != O_SYNC;
	const int error = vfs_fsync_range(f, pos, pos + written - 1, datasync);
	return error != 0 ? error : written;
}

int xfs_file_open(inode *node, file *f)
{
	FRAME(xfs_file_open);
	return generic_file_open(node, f);
}

int xfs_file_fsync(file *f, loff_t start, loff_t end, bool)
{
	FRAME(xfs_file_fsync);
	const int error = file_write_and_wait_range(f, start, end);
	if (error == 0)
		xfs_log_force(f->f_inode->i_sb);
	return error;
}

loff_t xfs_file_llseek(file *f, loff_t offset, int whence)
{
	FRAME(xfs_file_llseek);
	switch (whence) {
	case SEEK_HOLE:
		offset = iomap_seek_hole(f->f_inode, offset, &xfs_seek_iomap_ops);
		break;
	case SEEK_DATA:
		offset = iomap_seek_data(f->f_inode, offset, &xfs_seek_iomap_ops);
		break;
	default:
		return generic_file_llseek(f, offset, whence);
	}
	return offset < 0 ? offset : vfs_setpos(f, offset);
}

/* invalidate_lock, shared, keeps truncate and hole punch away. */
unsigned xfs_filemap_page_mkwrite(folio *f, address_space *mapping)
{
	FRAME(xfs_filemap_page_mkwrite);
	filemap_invalidate_lock_shared(mapping);
	const unsigned ret = iomap_page_mkwrite(f, mapping, &xfs_page_mkwrite_iomap_ops);
	filemap_invalidate_unlock_shared(mapping);
	return ret;
}

} // namespace

const file_operations xfs_file_operations = {
	.open = xfs_file_open,
	.release = nullptr,
	.read_iter = xfs_file_read_iter,
	.write_iter = xfs_file_write_iter,
	.read_direct = xfs_file_read_direct,
	.mmap = nullptr,
	.fsync = xfs_file_fsync,
	.llseek = xfs_file_llseek,
	.fallocate = xfs_file_fallocate,
	.page_mkwrite = xfs_filemap_page_mkwrite,
	.remap_file_range = xfs_file_remap_range,
};

} // namespace kernel
