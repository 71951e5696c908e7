// SPDX-License-Identifier: GPL-2.0-only
// Room in the log (fs/jbd2/checkpoint.c of 6.12). Only where the machine gives it a size.
//
// A committed transaction keeps its blocks of the log until a checkpoint has written what is in them
// to where it belongs. Such writing waits for nobody; it is one step here.
#include "engine/kernel/bug.h"
#include "engine/kernel/jbd2/journal.h"
#include "scheduler/frame.h"

namespace kernel
{

int jbd2_log_space_left(const journal_t *journal)
{
	int free = journal->j_free;
	if (const transaction_t *committing = journal->j_committing_transaction)
		free -= committing->t_state < T_COMMIT ? committing->t_outstanding_credits.look()
						       : 0;
	return free;
}

void jbd2_log_used(journal_t *journal, int blocks)
{
	journal->j_free -= blocks;
	BUG_ON(journal->j_free < 0);
	journal->j_list_lock.lock();
	journal->j_checkpoint_transactions.push_back(blocks);
	journal->j_list_lock.unlock();
}

/* j_checkpoint_mutex held. Frees the log's blocks of the oldest transaction. */
static void jbd2_log_do_checkpoint(journal_t *journal)
{
	FRAME(jbd2_log_do_checkpoint);
	journal->j_state_lock.write_lock();
	journal->j_list_lock.lock();
	std::vector<int> &oldest = journal->j_checkpoint_transactions;
	if (!oldest.empty()) {
		journal->j_free += oldest.front();
		oldest.erase(oldest.begin());
	}
	journal->j_list_lock.unlock();
	journal->j_state_lock.write_unlock();
}

void __jbd2_log_wait_for_space(journal_t *journal)
{
	FRAME(__jbd2_log_wait_for_space);
	const int nblocks = journal->j_max_transaction_buffers;
	while (jbd2_log_space_left(journal) < nblocks) {
		journal->j_state_lock.write_unlock();
		journal->j_checkpoint_mutex.lock();
		journal->j_state_lock.write_lock();
		const bool short_of = jbd2_log_space_left(journal) < nblocks;
		const transaction_t *committing = journal->j_committing_transaction;
		const tid_t tid = committing != nullptr ? committing->t_tid : 0;
		journal->j_list_lock.lock();
		/* The committing one, in the list since its T_COMMIT, is not for a checkpoint yet. */
		const std::size_t own = committing != nullptr && committing->t_state >= T_COMMIT;
		const bool checkpoint = journal->j_checkpoint_transactions.size() > own;
		journal->j_list_lock.unlock();
		journal->j_state_lock.write_unlock();
		BUG_ON(short_of && !checkpoint && tid == 0);
		if (short_of && checkpoint)
			jbd2_log_do_checkpoint(journal);
		journal->j_checkpoint_mutex.unlock();
		if (short_of && !checkpoint)
			jbd2_log_wait_commit(journal, tid);
		journal->j_state_lock.write_lock();
	}
}

} // namespace kernel
