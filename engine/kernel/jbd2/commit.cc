// SPDX-License-Identifier: GPL-2.0-only
// The commit of a transaction (fs/jbd2/commit.c of 6.12, iomap.md 5.3).
//
// For its whole time kjournald2 counts as who must act before those go on who wait for the
// transaction or the commit, for reports of hangs and for lock order.
//
// Left out: reserved and forgotten buffers, descriptor blocks, the I/O to the log. What the log
// holds is on the disk when the commit record is: one step, after a flush of the device's cache.
#include <array>

#include "engine/kernel/block.h"
#include "engine/kernel/bug.h"
#include "engine/kernel/fs.h"
#include "engine/kernel/jbd2/journal.h"
#include "engine/kernel/machine.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

/* Whoever waits at the two queues waits for this task. */
class commit_claim {
public:
	explicit commit_claim(journal_t *journal) : journal_(journal)
	{
		interleaf::Scheduler *scheduler = interleaf::Scheduler::current();
		for (const void *queue : queues())
			scheduler->claim(queue, journal_->commit_class, false,
					 std::source_location::current());
	}
	~commit_claim()
	{
		interleaf::Scheduler *scheduler = interleaf::Scheduler::current();
		for (const void *queue : queues())
			scheduler->lock_dropped(queue, std::source_location::current());
	}
	commit_claim(const commit_claim &) = delete;
	commit_claim &operator=(const commit_claim &) = delete;

private:
	std::array<const void *, 2> queues() const
	{
		return { &journal_->j_wait_transaction_locked, &journal_->j_wait_done_commit };
	}
	journal_t *journal_;
};

/* j_state_lock held for write, and dropped meanwhile. */
void jbd2_journal_wait_updates(journal_t *journal, transaction_t *transaction)
{
	FRAME(jbd2_journal_wait_updates);
	while (transaction->t_updates.busy()) {
		journal->j_state_lock.write_unlock();
		transaction->t_updates.drain();
		journal->j_state_lock.write_lock();
	}
}

/* data=ordered: what handles of the transaction promised starts on its way. */
void journal_submit_data_buffers(journal_t *journal, transaction_t *transaction)
{
	FRAME(journal_submit_data_buffers);
	journal->j_list_lock.lock();
	/* Nobody joins the list of a transaction without handles. */
	for (jbd2_inode *jinode : transaction->t_inode_list) {
		if (!jinode->write_data)
			continue;
		journal->j_list_lock.unlock();
		journal->j_submit_inode_data_buffers(jinode);
		journal->j_list_lock.lock();
	}
	journal->j_list_lock.unlock();
}

/* Waits for it, and hands the inodes on to the next transaction if that wants them. */
void journal_finish_inode_data_buffers(journal_t *journal, transaction_t *transaction)
{
	FRAME(journal_finish_inode_data_buffers);
	journal->j_list_lock.lock();
	for (jbd2_inode *jinode : transaction->t_inode_list) {
		if (!jinode->wait_data)
			continue;
		journal->j_list_lock.unlock();
		journal->j_finish_inode_data_buffers(jinode);
		journal->j_list_lock.lock();
	}
	for (jbd2_inode *jinode : transaction->t_inode_list) {
		transaction_t *next = jinode->i_next_transaction;
		jinode->i_transaction.store(next);
		jinode->i_next_transaction = nullptr;
		if (next != nullptr) {
			next->t_inode_list.push_back(jinode);
		} else {
			jinode->i_dirty_start = 0;
			jinode->i_dirty_end = 0;
		}
	}
	transaction->t_inode_list.clear();
	journal->j_list_lock.unlock();
}

/* The record goes out with a flush before it, so that data and log are on the medium first. */
void journal_submit_commit_record(journal_t *)
{
	FRAME(journal_submit_commit_record);
	if (this_machine().geo.barriers != 0)
		blkdev_issue_flush(this_machine().sb->s_bdev);
}

} // namespace

/* Requires: there is a running transaction, and its commit was asked for. Sleeps. */
void jbd2_journal_commit_transaction(journal_t *journal)
{
	FRAME(jbd2_journal_commit_transaction);
	const commit_claim claim(journal);

	journal->j_state_lock.write_lock();
	transaction_t *transaction = journal->j_running_transaction;
	BUG_ON(transaction->t_state != T_RUNNING);
	transaction->t_state = T_LOCKED;
	jbd2_journal_wait_updates(journal, transaction);
	transaction->t_state = T_SWITCH;
	journal->j_state_lock.write_unlock();

	/* No handle can change anything between this and the next transaction. */
	const std::uint64_t position =
		journal->j_log_position != nullptr ? journal->j_log_position() : 0;

	journal->j_state_lock.write_lock();
	/* The next transaction counts them. */
	if (journal->j_total_len != 0)
		transaction->t_outstanding_credits.add(-journal->j_reserved_credits.read());
	transaction->t_state = T_FLUSH;
	journal->j_committing_transaction = transaction;
	journal->j_running_transaction = nullptr;
	journal->j_wait_transaction_locked.wake_up_all();
	journal->j_state_lock.write_unlock();

	journal_submit_data_buffers(journal, transaction);

	journal->j_state_lock.write_lock();
	transaction->t_state = T_COMMIT;
	if (journal->j_total_len != 0)
		jbd2_log_used(journal, transaction->t_outstanding_credits.read());
	journal->j_state_lock.write_unlock();

	journal_finish_inode_data_buffers(journal, transaction);
	journal->j_state_lock.write_lock();
	transaction->t_state = T_COMMIT_JFLUSH;
	journal->j_state_lock.write_unlock();
	journal_submit_commit_record(journal);
	if (journal->j_committed != nullptr)
		journal->j_committed(position);

	journal->j_state_lock.write_lock();
	transaction->t_state = T_FINISHED;
	journal->j_commit_sequence.write_once(transaction->t_tid);
	journal->j_committing_transaction = nullptr;
	journal->j_state_lock.write_unlock();
	journal->j_wait_done_commit.wake_up();
	delete transaction;
}

} // namespace kernel
