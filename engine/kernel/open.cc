// SPDX-License-Identifier: GPL-2.0-only
// Opening and truncating files (fs/open.c, fs/attr.c and the end of fs/namei.c of 6.12).
//
// Left out: path walk and permissions, leases, O_PATH, O_APPEND and O_DIRECT for a file that is open
// for write (such an open fails with EINVAL), i_readcount, time stamps.
//
// Locks: do_dentry_open takes invalidate_lock alone; truncation takes i_rwsem, and the filesystem
// takes invalidate_lock below it.
#include <fcntl.h>
#include <linux/falloc.h>

#include "engine/kernel/fs.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/mm.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"
#include "scheduler/scheduler.h"

namespace kernel
{

/*
 * Changes the size through the filesystem; truncation: the watcher's handle. Requires: i_rwsem held
 * for write. May sleep. 0 or what the filesystem answers.
 */
static int notify_change_size(inode *node, loff_t size, unsigned truncation)
{
	FRAME(notify_change);

	const loff_t old_size = node->i_size.look();
	observer *watcher = this_machine().watcher;
	if (size < old_size)
		watcher->truncate_range(truncation, size, -1);
	else
		watcher->truncate_range(truncation, old_size, size - old_size);
	const int error = node->i_op->setattr_size(node, size);
	watcher->zero_end(truncation, error == 0);
	return error;
}

/* -EINVAL for a negative size. May sleep: takes i_rwsem. */
static int do_truncate(inode *node, loff_t size)
{
	FRAME(do_truncate);

	if (size < 0)
		return -EINVAL;
	const unsigned truncation = this_machine().watcher->truncate_begin(*node);
	inode_lock(node);
	const int error = notify_change_size(node, size, truncation);
	inode_unlock(node);
	return error;
}

/*
 * truncate(2) by path: counts as a writer while it lasts, yet passes no do_dentry_open and so
 * purges no huge pages. May sleep. -EINVAL, -ETXTBSY or the filesystem's error.
 */
int vfs_truncate(inode *node, loff_t size)
{
	FRAME(vfs_truncate);

	if (!node->regular)
		return -EINVAL;
	int error = get_write_access(node);
	if (error != 0)
		return error;
	error = do_truncate(node, size);
	put_write_access(node);
	return error;
}

/* ftruncate(2). May sleep. -EINVAL if the file is not open for write. */
int do_ftruncate(file *f, loff_t size)
{
	FRAME(do_sys_ftruncate);

	if (size < 0 || !f->f_inode->regular || (f->f_mode & FMODE_WRITE) == 0)
		return -EINVAL;
	return do_truncate(f->f_inode, size);
}

/* The modes of fallocate(2): at most one, and FALLOC_FL_KEEP_SIZE for those that may keep the size. */
static int fallocate_mode_error(int mode)
{
	constexpr int MODES = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_COLLAPSE_RANGE |
			      FALLOC_FL_ZERO_RANGE | FALLOC_FL_INSERT_RANGE |
			      FALLOC_FL_UNSHARE_RANGE;

	const bool keeps = (mode & FALLOC_FL_KEEP_SIZE) != 0;
	if ((mode & ~(MODES | FALLOC_FL_KEEP_SIZE)) != 0)
		return -EOPNOTSUPP;
	switch (mode & MODES) {
	case 0:
	case FALLOC_FL_UNSHARE_RANGE:
	case FALLOC_FL_ZERO_RANGE:
		return 0;
	case FALLOC_FL_PUNCH_HOLE:
		return keeps ? 0 : -EOPNOTSUPP;
	case FALLOC_FL_COLLAPSE_RANGE:
	case FALLOC_FL_INSERT_RANGE:
		return keeps ? -EOPNOTSUPP : 0;
	default:
		return -EOPNOTSUPP;
	}
}

/* ->fallocate, and what the watcher has to know of what it does. */
static long do_fallocate(file *f, int mode, loff_t offset, loff_t len)
{
	inode *node = f->f_inode;
	observer *watcher = this_machine().watcher;

	if ((mode & FALLOC_FL_KEEP_SIZE) == 0)
		watcher->size_asked(*node, offset + len);
	if ((mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0) {
		const unsigned zeroing = watcher->zero_begin(*node, offset, len);
		const long ret = f->f_op->fallocate(f, mode, offset, len);
		watcher->zero_end(zeroing, ret == 0);
		return ret;
	}
	if ((mode & (FALLOC_FL_COLLAPSE_RANGE | FALLOC_FL_INSERT_RANGE)) != 0) {
		const bool in = (mode & FALLOC_FL_INSERT_RANGE) != 0;
		const unsigned shift = watcher->shift_begin(*node, offset, in ? len : -len);
		const long ret = f->f_op->fallocate(f, mode, offset, len);
		watcher->shift_end(shift, ret == 0);
		return ret;
	}
	return f->f_op->fallocate(f, mode, offset, len);
}

/* fallocate(2). May sleep. -EINVAL, -EBADF, -EOPNOTSUPP, -EFBIG or the filesystem's error. */
long vfs_fallocate(file *f, int mode, loff_t offset, loff_t len)
{
	FRAME(vfs_fallocate);

	if (offset < 0 || len <= 0)
		return -EINVAL;
	const int error = fallocate_mode_error(mode);
	if (error != 0)
		return error;
	if ((f->f_mode & FMODE_WRITE) == 0)
		return -EBADF;
	if (!f->f_inode->regular)
		return -ENODEV;
	if (offset > LLONG_MAX_POS - len)
		return -EFBIG;
	if (f->f_op->fallocate == nullptr)
		return -EOPNOTSUPP;
	return do_fallocate(f, mode, offset, len);
}

/* O_TRUNC of a file that is open already; it needs write access of its own, also if O_RDONLY. */
static int handle_truncate(inode *node)
{
	FRAME(handle_truncate);

	const int error = get_write_access(node);
	if (error != 0)
		return error;
	const int truncated = do_truncate(node, 0);
	put_write_access(node);
	return truncated;
}

/*
 * Drops clean folios until no huge page is left; dirty ones beside them stay. Requires:
 * invalidate_lock. May sleep. 0 or an error of writeback.
 *
 * No huge page should be dirty; one that is all the same must be written, or there would be no end.
 * The count can also be ahead of the cache, when a collapse has given up and not yet lowered it:
 * then the loop waits for that.
 */
static int drop_clean_folios(address_space *mapping)
{
	for (;;) {
		invalidate_inode_pages2(mapping);
		if (filemap_nr_thps(mapping) == 0)
			return 0;
		const int error = filemap_write_and_wait(mapping);
		if (error != 0)
			return error;
		interleaf::Scheduler::current()->relax();
	}
}

/* Takes the page cache of the file away, dirty folios too. May sleep. */
static int drop_page_cache(inode *node)
{
	address_space *mapping = node->i_mapping;

	if (patched(Patch::kPurgeCleanOnly))
		return drop_clean_folios(mapping);
	if (!patched(Patch::kPurgeKeepsPrivate)) {
		truncate_pagecache(node, 0);
		return 0;
	}
	/* Private copies stay: they are not the file's. */
	unmap_mapping_range(mapping, 0, 0, false);
	truncate_inode_pages(mapping, 0);
	return 0;
}

/* The caller has seen a huge page, or left it to this function to look; some patches look again. */
static bool purge_is_due(address_space *mapping)
{
	if (!patched(Patch::kOpenRecheck) && !patched(Patch::kOpenCheckUnderLock))
		return true;
	return filemap_nr_thps(mapping) != 0;
}

/*
 * The page cache cannot write to huge pages of a filesystem without large folios, so the first
 * writer throws the whole cache of the file away. May sleep. 0 or an error of writeback, if a
 * patch put one here.
 *
 * invalidate_lock keeps out other purges and whoever fills the cache, not write(2). The caller's
 * reading of nr_thps may be old by now.
 */
static int purge_huge_pages(inode *node)
{
	address_space *mapping = node->i_mapping;
	int error = 0;

	if (patched(Patch::kOpenFlushBeforePurge)) {
		error = filemap_write_and_wait(mapping);
		if (error != 0)
			return error;
	}
	if (patched(Patch::kPurgeUnderLock))
		filemap_invalidate_lock(mapping);
	if (purge_is_due(mapping)) {
		if (patched(Patch::kOpenFlushUnderLock))
			error = filemap_write_and_wait(mapping);
		if (error == 0)
			error = drop_page_cache(node);
	}
	if (patched(Patch::kPurgeUnderLock))
		filemap_invalidate_unlock(mapping);
	return error;
}

/* A write-open is complete but for huge pages in the cache. May sleep. 0 or why it fails. */
static int admit_writer(inode *node)
{
	if (patched(Patch::kNoPurge))
		return 0;
	if (patched(Patch::kOpenCheckUnderLock))
		return purge_huge_pages(node);
	if (filemap_nr_thps(node->i_mapping) == 0)
		return 0;
	return patched(Patch::kOpenRefuse) ? -ETXTBSY : purge_huge_pages(node);
}

/* O_LARGEFILE: every open of a 64-bit process is one; <fcntl.h> has 0 for it. */
static constexpr int LARGEFILE = 0100000;

/* -EOVERFLOW: larger than the process can name. */
int generic_file_open(inode *node, file *f)
{
	FRAME(generic_file_open);
	constexpr loff_t MAX_NON_LFS = INT32_MAX;

	if ((f->f_flags & LARGEFILE) == 0 && i_size_read(node) > MAX_NON_LFS)
		return -EOVERFLOW;
	return 0;
}

/* FMODE_CAN_ODIRECT; direct writes are not here. */
static bool can_odirect(const file *f)
{
	return this_machine().direct_io && f->f_op->read_direct != nullptr &&
	       (f->f_mode & FMODE_WRITE) == 0;
}

/*
 * Makes *f, whose f_flags and access mode are set, a file of this inode. May sleep. -ETXTBSY,
 * -EINVAL or the filesystem's error. On failure the caller disposes of f through fput(), which
 * drops what FMODE_OPENED and FMODE_WRITER say is held.
 *
 * Protocol against collapse_file, both sides fully ordered; at least one sees the other:
 *   opener                              collapser
 *     a. i_writecount++                   1. nr_thps++
 *     b. (the atomic is the fence)        2. smp_mb()
 *     c. nr_thps != 0: purge              3. i_writecount > 0: nr_thps--, give up
 */
int do_dentry_open(file *f, inode *node)
{
	FRAME(do_dentry_open);
	int error;

	f->f_inode = node;
	f->f_mapping = node->i_mapping;
	f->f_wb_err.poke(errseq_sample(f->f_mapping->wb_err)); /* nobody else has f yet */
	this_machine().watcher->file_opened(*f);

	if ((f->f_mode & FMODE_WRITE) != 0) {
		error = get_write_access(node);
		if (error != 0)
			return error;
		f->f_mode |= FMODE_WRITER;
	}
	f->f_op = node->i_fop;
	if (f->f_op->open != nullptr) {
		error = f->f_op->open(node, f);
		if (error != 0) {
			f->f_op = nullptr;
			if ((f->f_mode & FMODE_WRITER) != 0) {
				put_write_access(node);
				f->f_mode &= ~FMODE_WRITER;
			}
			return error;
		}
	}
	f->f_mode |= FMODE_OPENED;
	f->f_flags &= ~(O_CREAT | O_EXCL | O_NOCTTY | O_TRUNC);
	f->f_ra = file_ra_state{ .ra_pages = this_machine().geo.ra_pages };
	if ((f->f_flags & O_APPEND) != 0)
		return -EINVAL;
	if ((f->f_flags & O_DIRECT) != 0 && !can_odirect(f))
		return -EINVAL;

	return (f->f_mode & FMODE_WRITE) != 0 ? admit_writer(node) : 0;
}

/* open(2) from where the inode is known. May sleep. A file with one reference, or ERR_PTR. */
file *do_open(inode *node, int flags)
{
	FRAME(do_open);
	auto *f = new file;

	f->f_flags = flags | LARGEFILE;
	/* O_RDONLY, O_WRONLY, O_RDWR are 0, 1, 2: one more has the bits of FMODE_*. */
	f->f_mode = static_cast<unsigned>((flags & O_ACCMODE) + 1) & (FMODE_READ | FMODE_WRITE);
	int error = do_dentry_open(f, node);
	if (error == 0 && (flags & O_TRUNC) != 0 && node->regular)
		error = handle_truncate(node);
	if (error != 0) {
		fput(f);
		return ERR_PTR<file>(error);
	}
	return f;
}

} // namespace kernel
