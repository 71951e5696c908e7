// SPDX-License-Identifier: GPL-2.0-only
// Handles (fs/jbd2/transaction.c of 6.12, iomap.md 5.2) and the data that a commit must write.
//
// A handle counts as a shared holder of its transaction, for reports of hangs and for lock order;
// whoever starts one asks for that, and for a commit, since it may have to wait for one. Nested
// starts and reserved handles wait for neither.
#include <algorithm>

#include "engine/kernel/bug.h"
#include "engine/kernel/fs.h"
#include "engine/kernel/jbd2/journal.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

unsigned current_task()
{
	return interleaf::Scheduler::current()->current_id();
}

bool counts_credits(const journal_t *journal)
{
	return journal->j_max_transaction_buffers != 0;
}

handle_t *new_handle(journal_t *journal, int nblocks)
{
	auto *handle = new handle_t;
	handle->h_journal = journal;
	handle->h_total_credits = nblocks;
	return handle;
}

/* The first handle after a commit makes the next transaction. */
void jbd2_get_transaction(journal_t *journal)
{
	FRAME(jbd2_get_transaction);
	journal->j_state_lock.write_lock();
	if (journal->j_running_transaction == nullptr) {
		/* Reserved handles may start in any transaction: each has room for all of them. */
		int credits = 0;
		if (counts_credits(journal))
			credits = JBD2_OVERHEAD + journal->j_reserved_credits.read();
		journal->j_running_transaction =
			new transaction_t(journal->j_transaction_sequence++, credits);
	}
	journal->j_state_lock.write_unlock();
}

/* j_state_lock held for read, dropped: sleeps until the transaction no longer runs. */
void wait_transaction_locked(journal_t *journal)
{
	FRAME(wait_transaction_locked);
	const tid_t tid = journal->j_running_transaction->t_tid;
	const bool need_to_start = !tid_geq(journal->j_commit_request, tid);
	journal->j_wait_transaction_locked.prepare_to_wait();
	journal->j_state_lock.read_unlock();
	if (need_to_start)
		jbd2_log_start_commit(journal, tid);
	jbd2_might_wait_for_commit(journal);
	journal->j_wait_transaction_locked.schedule();
	journal->j_wait_transaction_locked.finish_wait();
}

/* The same until it is out of T_SWITCH, which nothing of handles holds up. */
void wait_transaction_switching(journal_t *journal)
{
	FRAME(wait_transaction_switching);
	journal->j_wait_transaction_locked.prepare_to_wait();
	journal->j_state_lock.read_unlock();
	journal->j_wait_transaction_locked.schedule();
	journal->j_wait_transaction_locked.finish_wait();
}

void sub_reserved_credits(journal_t *journal, int blocks)
{
	FRAME(sub_reserved_credits);
	journal->j_reserved_credits.add(-blocks);
	journal->j_wait_reserved.wake_up();
}

/*
 * Room for `blocks` and `rsv_blocks` in the running transaction. j_state_lock held for read. False:
 * it was dropped and the task has slept; try again.
 */
bool add_transaction_credits(journal_t *journal, int blocks, int rsv_blocks)
{
	FRAME(add_transaction_credits);
	transaction_t *transaction = journal->j_running_transaction;
	const int total = blocks + rsv_blocks;
	const int max = journal->j_max_transaction_buffers;
	const int max_user = jbd2_max_user_trans_buffers(journal);

	if (transaction->t_state != T_RUNNING) {
		VM_WARN_ON_ONCE(transaction->t_state >= T_FLUSH);
		wait_transaction_locked(journal);
		return false;
	}
	if (!counts_credits(journal))
		return true;
	if (transaction->t_outstanding_credits.add_return(total) > max) {
		transaction->t_outstanding_credits.add(-total);
		/* Too large with what is reserved alone: a commit would not help. */
		if (journal->j_reserved_credits.read() + total > max_user) {
			journal->j_state_lock.read_unlock();
			jbd2_might_wait_for_commit(journal);
			journal->j_wait_reserved.wait_event([=] {
				return journal->j_reserved_credits.read() + total <= max_user;
			});
			return false;
		}
		wait_transaction_locked(journal);
		return false;
	}
	/* The log must have room for a whole transaction, whatever this one needs. */
	if (jbd2_log_space_left(journal) < max) {
		transaction->t_outstanding_credits.add(-total);
		journal->j_state_lock.read_unlock();
		jbd2_might_wait_for_commit(journal);
		journal->j_state_lock.write_lock();
		if (jbd2_log_space_left(journal) < max)
			__jbd2_log_wait_for_space(journal);
		journal->j_state_lock.write_unlock();
		return false;
	}
	if (rsv_blocks == 0)
		return true;
	/* Reservations get half a transaction at most. */
	if (journal->j_reserved_credits.add_return(rsv_blocks) > max_user / 2) {
		sub_reserved_credits(journal, rsv_blocks);
		transaction->t_outstanding_credits.add(-total);
		journal->j_state_lock.read_unlock();
		jbd2_might_wait_for_commit(journal);
		journal->j_wait_reserved.wait_event([=] {
			return journal->j_reserved_credits.read() + rsv_blocks <= max_user / 2;
		});
		return false;
	}
	return true;
}

void start_this_handle(journal_t *journal, handle_t *handle)
{
	FRAME(start_this_handle);
	const int blocks = handle->h_total_credits;
	const int rsv_blocks =
		handle->h_rsv_handle != nullptr ? handle->h_rsv_handle->h_total_credits : 0;
	if (!handle->h_reserved) {
		/* Even if it does not have to now. */
		jbd2_might_start_handle(journal);
		jbd2_might_wait_for_commit(journal);
	}
	for (;;) {
		journal->j_state_lock.read_lock();
		transaction_t *transaction = journal->j_running_transaction;
		if (transaction == nullptr) {
			journal->j_state_lock.read_unlock();
			jbd2_get_transaction(journal);
			continue;
		}
		if (!handle->h_reserved) {
			if (!add_transaction_credits(journal, blocks, rsv_blocks))
				continue;
		} else {
			if (transaction->t_state == T_SWITCH) {
				wait_transaction_switching(journal);
				continue;
			}
			if (counts_credits(journal))
				sub_reserved_credits(journal, blocks);
			handle->h_reserved = false;
		}
		handle->h_transaction = transaction;
		transaction->t_updates.enter();
		break;
	}
	journal->j_state_lock.read_unlock();
	journal->current_handle[current_task()] = handle;
}

/* What was set aside for a reserved handle that will not come. */
void __jbd2_journal_unreserve_handle(handle_t *handle, transaction_t *transaction)
{
	if (!counts_credits(handle->h_journal))
		return;
	sub_reserved_credits(handle->h_journal, handle->h_total_credits);
	if (transaction != nullptr)
		transaction->t_outstanding_credits.add(-handle->h_total_credits);
}

void stop_this_handle(handle_t *handle)
{
	FRAME(stop_this_handle);
	journal_t *journal = handle->h_journal;
	transaction_t *transaction = handle->h_transaction;
	BUG_ON(jbd2_current_handle(journal) != handle);
	journal->current_handle[current_task()] = nullptr;
	if (counts_credits(journal))
		transaction->t_outstanding_credits.add(-handle->h_total_credits);
	if (handle->h_rsv_handle != nullptr) {
		__jbd2_journal_unreserve_handle(handle->h_rsv_handle, transaction);
		delete handle->h_rsv_handle;
	}
	transaction->t_updates.leave(); /* and wakes j_wait_updates */
}

/* j_list_lock. */
void jbd2_journal_file_inode(handle_t *handle, jbd2_inode *jinode, bool write, loff_t start,
			     loff_t len)
{
	FRAME(jbd2_journal_file_inode);
	journal_t *journal = handle->h_journal;
	transaction_t *transaction = handle->h_transaction;
	const loff_t end = start + len - 1;

	journal->j_list_lock.lock();
	jinode->write_data = jinode->write_data || write;
	jinode->wait_data = true;
	if (jinode->i_dirty_end != 0) {
		jinode->i_dirty_start = std::min(jinode->i_dirty_start, start);
		jinode->i_dirty_end = std::max(jinode->i_dirty_end, end);
	} else {
		jinode->i_dirty_start = start;
		jinode->i_dirty_end = end;
	}
	const transaction_t *attached = jinode->i_transaction.peek();
	if (attached == nullptr) {
		jinode->i_transaction.store(transaction);
		transaction->t_inode_list.push_back(jinode);
	} else if (attached != transaction) {
		/* The committing one keeps it until it has written the data. */
		jinode->i_next_transaction = transaction;
	}
	journal->j_list_lock.unlock();
}

} // namespace

handle_t *jbd2_current_handle(const journal_t *journal)
{
	return journal->current_handle[current_task()];
}

handle_t *jbd2__journal_start(journal_t *journal, int nblocks, int rsv_blocks)
{
	FRAME(jbd2__journal_start);
	if (handle_t *handle = jbd2_current_handle(journal)) {
		handle->h_ref++;
		return handle;
	}
	BUG_ON(counts_credits(journal) &&
	       nblocks + rsv_blocks > jbd2_max_user_trans_buffers(journal));
	handle_t *handle = new_handle(journal, nblocks);
	if (rsv_blocks != 0) {
		handle->h_rsv_handle = new_handle(journal, rsv_blocks);
		handle->h_rsv_handle->h_reserved = true;
	}
	start_this_handle(journal, handle);
	return handle;
}

handle_t *jbd2_journal_start(journal_t *journal, int nblocks)
{
	return jbd2__journal_start(journal, nblocks, 0);
}

void jbd2_journal_start_reserved(handle_t *handle)
{
	FRAME(jbd2_journal_start_reserved);
	BUG_ON(!handle->h_reserved);
	BUG_ON(jbd2_current_handle(handle->h_journal) != nullptr);
	start_this_handle(handle->h_journal, handle);
}

void jbd2_journal_free_reserved(handle_t *handle)
{
	FRAME(jbd2_journal_free_reserved);
	BUG_ON(!handle->h_reserved);
	journal_t *journal = handle->h_journal;
	if (counts_credits(journal)) {
		journal->j_state_lock.read_lock();
		__jbd2_journal_unreserve_handle(handle, journal->j_running_transaction);
		journal->j_state_lock.read_unlock();
	}
	delete handle;
}

int jbd2_journal_stop(handle_t *handle)
{
	FRAME(jbd2_journal_stop);
	if (--handle->h_ref > 0) {
		BUG_ON(jbd2_current_handle(handle->h_journal) != handle);
		return 0;
	}
	journal_t *journal = handle->h_journal;
	const tid_t tid = handle->h_transaction->t_tid;
	const bool sync = handle->h_sync;
	if (sync)
		jbd2_log_start_commit(journal, tid);
	stop_this_handle(handle);
	if (sync)
		jbd2_log_wait_commit(journal, tid);
	delete handle;
	return 0;
}

void jbd2_journal_dirty_metadata(handle_t *handle)
{
	FRAME(jbd2_journal_dirty_metadata);
	BUG_ON(handle->h_transaction == nullptr);
	BUG_ON(handle->h_total_credits <= 0);
	handle->h_total_credits--;
}

void jbd2_journal_inode_ranged_write(handle_t *handle, jbd2_inode *jinode, loff_t start, loff_t len)
{
	FRAME(jbd2_journal_inode_ranged_write);
	jbd2_journal_file_inode(handle, jinode, true, start, len);
}

void jbd2_journal_inode_ranged_wait(handle_t *handle, jbd2_inode *jinode, loff_t start, loff_t len)
{
	FRAME(jbd2_journal_inode_ranged_wait);
	jbd2_journal_file_inode(handle, jinode, false, start, len);
}

/*
 * Only data that the committing transaction promised matters: the running one goes to the disk with
 * the size that is about to change.
 */
int jbd2_journal_begin_ordered_truncate(journal_t *journal, jbd2_inode *jinode, loff_t new_size)
{
	FRAME(jbd2_journal_begin_ordered_truncate);
	if (jinode->i_transaction.load() == nullptr)
		return 0;
	journal->j_state_lock.read_lock();
	const transaction_t *commit_trans = journal->j_committing_transaction;
	journal->j_state_lock.read_unlock();
	journal->j_list_lock.lock();
	const transaction_t *inode_trans = jinode->i_transaction.peek();
	journal->j_list_lock.unlock();
	if (inode_trans != commit_trans)
		return 0;
	return filemap_fdatawrite_range(jinode->i_vfs_inode->i_mapping, new_size, LLONG_MAX_POS);
}

} // namespace kernel
