// SPDX-License-Identifier: GPL-2.0-only
// read(2), write(2) and lseek(2) below the descriptor table (fs/read_write.c, 6.12).
//
// Left out: file positions of reads and writes (all are pread and pwrite), vectors, O_NONBLOCK, signals, limits
// of the file size.
#include <unistd.h>

#include <cstring>

#include "engine/kernel/fs.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/uio.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

/* What a call gave its user is part of the run's digest. */
void mix_result(long result, const void *data)
{
	interleaf::Scheduler *scheduler = interleaf::Scheduler::current();
	if (scheduler == nullptr)
		return;
	scheduler->mix(static_cast<std::uint64_t>(result));
	const auto *bytes = static_cast<const unsigned char *>(data);
	for (long at = 0; data != nullptr && at < result; at += 8) {
		std::uint64_t word = 0;
		std::memcpy(&word, bytes + at,
			    static_cast<std::size_t>(result - at < 8 ? result - at : 8));
		scheduler->mix(word);
	}
}

/* rw_verify_area: 0 or -EINVAL. */
int verify_area(loff_t pos, std::size_t len)
{
	if (pos < 0 || static_cast<loff_t>(len) < 0 ||
	    static_cast<std::uint64_t>(pos) + len > static_cast<std::uint64_t>(INT64_MAX))
		return -EINVAL;
	return 0;
}

} // namespace

loff_t vfs_setpos(file *f, loff_t offset)
{
	if (offset < 0)
		return -EINVAL;
	f->f_pos = offset;
	return offset;
}

/* -ENXIO: there is no data, or no hole, at or behind the offset. */
loff_t generic_file_llseek(file *f, loff_t offset, int whence)
{
	FRAME(generic_file_llseek);
	const loff_t end = i_size_read(f->f_inode);

	switch (whence) {
	case SEEK_END:
		return vfs_setpos(f, offset + end);
	case SEEK_CUR:
		return vfs_setpos(f, offset + f->f_pos);
	case SEEK_DATA:
		if (offset < 0 || offset >= end)
			return -ENXIO;
		break;
	case SEEK_HOLE:
		if (offset < 0 || offset >= end)
			return -ENXIO;
		offset = end;
		break;
	default:
		break;
	}
	return vfs_setpos(f, offset);
}

/* The new position, or -EINVAL, -ENXIO, -ESPIPE. May sleep. */
loff_t vfs_llseek(file *f, loff_t offset, int whence)
{
	FRAME(vfs_llseek);
	if (whence < SEEK_SET || whence > SEEK_HOLE)
		return -EINVAL;
	if (f->f_op->llseek == nullptr)
		return -ESPIPE;
	const loff_t at = f->f_op->llseek(f, offset, whence);
	mix_result(at, nullptr);
	return at;
}

/* Bytes read, or -EBADF, -EINVAL, the filesystem's error. May sleep. */
long vfs_read(file *f, loff_t pos, void *to, std::size_t len)
{
	FRAME(vfs_read);

	if ((f->f_mode & FMODE_READ) == 0)
		return -EBADF;
	const int error = verify_area(pos, len);
	if (error != 0)
		return error;
	observer *watcher = this_machine().watcher;
	const unsigned read = watcher->read_begin(*f->f_inode, pos, len);
	const long got = f->f_op->read_iter(f, pos, to, len);
	watcher->read_end(read, to, got);
	mix_result(got, to);
	return got;
}

/* Bytes read, or -EBADF, -EINVAL, -EFAULT, the filesystem's error. May sleep. */
long vfs_read_direct(file *f, loff_t pos, user_buffer *to)
{
	FRAME(vfs_read);

	if ((f->f_mode & FMODE_READ) == 0)
		return -EBADF;
	const int error = verify_area(pos, to->count());
	if (error != 0)
		return error;
	observer *watcher = this_machine().watcher;
	const unsigned read = watcher->read_begin(*f->f_inode, pos, to->count());
	const long got = f->f_op->read_direct(f, pos, to);
	watcher->read_end(read, to->received(), got);
	to->end(got);
	mix_result(got, to->received());
	return got;
}

/* Bytes written, or -EBADF, -EINVAL, the filesystem's error. May sleep. */
long vfs_write(file *f, loff_t pos, const void *from, std::size_t len)
{
	FRAME(vfs_write);

	if ((f->f_mode & FMODE_WRITE) == 0)
		return -EBADF;
	const int error = verify_area(pos, len);
	if (error != 0)
		return error;
	if (len == 0)
		return 0;
	observer *watcher = this_machine().watcher;
	const unsigned write = watcher->write_begin(*f->f_inode, pos, from, len);
	const long written = f->f_op->write_iter(f, pos, from, len);
	watcher->write_end(write, written);
	mix_result(written, nullptr);
	return written;
}

} // namespace kernel
