// SPDX-License-Identifier: GPL-2.0-only
// Writeback errors: recorded once in the mapping, told once to every file that was open then
// (lib/errseq.c, and the error part of mm/filemap.c of 6.12).
//
// An errseq_t is an error number (low 12 bits), a flag "somebody has looked" and a counter that
// goes up when an error is recorded after somebody has looked. Beside it the mapping has the older
// flags AS_EIO and AS_ENOSPC, which whoever tests first also clears.
//
// Left out: the super block's wb_err (syncfs). Locks: f_lock guards a file's sample, nothing is
// taken under it.
#include "engine/kernel/writeback.h"

#include "engine/kernel/bug.h"
#include "engine/kernel/fs.h"
#include "engine/kernel/machine.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

constexpr errseq_t ERRSEQ_ERRNO = MAX_ERRNO;
constexpr errseq_t ERRSEQ_SEEN = ERRSEQ_ERRNO + 1;
constexpr errseq_t ERRSEQ_CTR_INC = ERRSEQ_SEEN << 1;

/* Lock-free; an error that somebody else records at the same moment may stand for this one. */
void errseq_set(interleaf::Atomic<errseq_t> &eseq, int error)
{
	FRAME(errseq_set);
	const auto number = static_cast<errseq_t>(-error);
	VM_WARN_ON_ONCE(error >= 0 || number > ERRSEQ_ERRNO);

	errseq_t old = eseq.read();
	for (;;) {
		errseq_t next = (old & ~(ERRSEQ_ERRNO | ERRSEQ_SEEN)) | number;
		if ((old & ERRSEQ_SEEN) != 0)
			next += ERRSEQ_CTR_INC;
		if (next == old)
			return;
		const errseq_t found = eseq.cmpxchg(old, next);
		if (found == old || found == next)
			return;
		old = found;
	}
}

/* Has anything been recorded since the sample `since`? Does not mark it as seen. */
bool errseq_check(const interleaf::Atomic<errseq_t> &eseq, errseq_t since)
{
	return eseq.read() != since;
}

} // namespace

/* What a new observer starts with: an error that nobody has seen yet is still news to it. */
errseq_t errseq_sample(const interleaf::Atomic<errseq_t> &eseq)
{
	const errseq_t old = eseq.read();
	return (old & ERRSEQ_SEEN) != 0 ? old : 0;
}

/*
 * The error recorded after the sample `since`, or 0; marks it as seen and moves the sample up. The
 * caller keeps other writers away from the sample.
 */
int errseq_check_and_advance(interleaf::Atomic<errseq_t> &eseq, interleaf::Shared<errseq_t> &since)
{
	const errseq_t old = eseq.read();
	if (old == since.load())
		return 0;
	const errseq_t seen = old | ERRSEQ_SEEN;
	/* If this fails, somebody recorded a newer error: the next call reports that. */
	if (seen != old)
		eseq.cmpxchg(old, seen);
	since.store(seen);
	return -static_cast<int>(seen & ERRSEQ_ERRNO);
}

/* Records a failed writeback. Never sleeps; 0 is no error. */
void mapping_set_error(address_space *mapping, int error)
{
	if (error == 0)
		return;
	FRAME(mapping_set_error);
	errseq_set(mapping->wb_err, error);
	this_machine().watcher->error_recorded(*mapping->host);
	mapping->flags.set(error == -ENOSPC ? AS_ENOSPC : AS_EIO);
}

/* The older interface: the error goes to whoever asks first. */
int filemap_check_errors(address_space *mapping)
{
	int error = 0;

	FRAME(filemap_check_errors);
	if (mapping->flags.test(AS_ENOSPC) && mapping->flags.test_and_clear(AS_ENOSPC))
		error = -ENOSPC;
	if (mapping->flags.test(AS_EIO) && mapping->flags.test_and_clear(AS_EIO))
		error = -EIO;
	return error;
}

/* The error since this file last asked, or 0. Clears the older flags too, as fsync always did. */
int file_check_and_advance_wb_err(file *f)
{
	address_space *mapping = f->f_mapping;
	int error = 0;

	FRAME(file_check_and_advance_wb_err);
	const errseq_t since = f->f_wb_err.read_once();
	const bool news = errseq_check(mapping->wb_err, since);
	this_machine().watcher->error_sampled(*f);
	if (news) {
		f->f_lock.lock();
		error = errseq_check_and_advance(mapping->wb_err, f->f_wb_err);
		f->f_lock.unlock();
	}
	mapping->flags.clear(AS_EIO);
	mapping->flags.clear(AS_ENOSPC);
	return error;
}

/*
 * Writes the bytes [start, end] back, waits for them, and reports what went wrong since this file
 * last asked. Sleeps.
 */
int file_write_and_wait_range(file *f, loff_t start, loff_t end)
{
	address_space *mapping = f->f_mapping;
	int error = 0;

	if (end < start)
		return 0;
	FRAME(file_write_and_wait_range);
	if (mapping->nrpages.load() != 0) {
		error = __filemap_fdatawrite_range(mapping, start, end, WB_SYNC_ALL);
		/* After -EIO what was submitted may never end; other errors leave partial work. */
		if (error != -EIO)
			__filemap_fdatawait_range(mapping, start, end);
	}
	const int recorded = file_check_and_advance_wb_err(f);
	return error != 0 ? error : recorded;
}

} // namespace kernel
