// SPDX-License-Identifier: GPL-2.0-only
// References to open files (fs/file_table.c, filp_close of fs/open.c, 6.12).
//
// Left out: the detour of the last fput() over task work or a work queue. For a user task it ends
// before the system call does; here it runs at once, in whatever task drops the last reference.
#include "engine/kernel/fs.h"
#include "scheduler/frame.h"

namespace kernel
{

void get_file(file *f)
{
	f->f_count.get();
}

/* The last reference is gone. ->release comes first: it still counts as a writer. May sleep. */
static void __fput(file *f)
{
	FRAME(__fput);

	if ((f->f_mode & FMODE_OPENED) != 0) {
		if (f->f_op->release != nullptr)
			f->f_op->release(f->f_inode, f);
		if ((f->f_mode & FMODE_WRITER) != 0)
			put_write_access(f->f_inode);
	}
	delete f;
}

/* Drops a reference. May sleep if it is the last one; VMAs and requests in flight hold others. */
void fput(file *f)
{
	if (f->f_count.put())
		__fput(f);
}

/* close(2) of the descriptor's reference. */
int filp_close(file *f)
{
	FRAME(filp_close);

	fput(f);
	return 0;
}

} // namespace kernel
