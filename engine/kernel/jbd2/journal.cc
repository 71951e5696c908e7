// SPDX-License-Identifier: GPL-2.0-only
// The journal and its daemon, asking for commits and waiting for them (fs/jbd2/journal.c of 6.12).
//
// kjournald2 sleeps at a completion where Linux has a wait queue: it is the only waiter and is woken
// once for every transaction. So it does not run at all unless somebody asks for a commit.
#include "engine/kernel/jbd2/journal.h"

#include "engine/kernel/bug.h"
#include "scheduler/frame.h"

namespace kernel
{

namespace
{

constexpr interleaf::LockClass handle_lock_class{ "jbd2_handle" };
constexpr interleaf::LockClass commit_lock_class{ "jbd2 commit" };
constexpr interleaf::LockClass j_state_lock_class{ "j_state_lock" };
constexpr interleaf::LockClass j_list_lock_class{ "j_list_lock" };
constexpr interleaf::LockClass j_checkpoint_mutex_class{ "j_checkpoint_mutex" };

} // namespace

transaction_t::transaction_t(tid_t tid, int credits)
	: t_tid(tid), t_updates(handle_lock_class), t_outstanding_credits(credits)
{
}

journal_t::journal_t(int log_blocks)
	: j_state_lock(j_state_lock_class), j_list_lock(j_list_lock_class), j_total_len(log_blocks),
	  j_max_transaction_buffers(log_blocks / JBD2_LOG_PART), j_free(log_blocks),
	  j_checkpoint_mutex(j_checkpoint_mutex_class)
{
	interleaf::Scheduler *scheduler = interleaf::Scheduler::instance();
	handle_class = scheduler->lock_class_index(handle_lock_class);
	commit_class = scheduler->lock_class_index(commit_lock_class);
}

void jbd2_might_start_handle(const journal_t *journal)
{
	if (interleaf::Scheduler *scheduler = interleaf::Scheduler::current())
		scheduler->lock_wanted(&journal->j_wait_transaction_locked, journal->handle_class,
				       std::source_location::current());
}

void jbd2_might_wait_for_commit(const journal_t *journal)
{
	if (interleaf::Scheduler *scheduler = interleaf::Scheduler::current())
		scheduler->lock_wanted(&journal->j_wait_done_commit, journal->commit_class,
				       std::source_location::current());
}

void kjournald2(journal_t *journal)
{
	FRAME(kjournald2);
	for (;;) {
		journal->j_wait_commit.wait();
		jbd2_journal_commit_transaction(journal);
	}
}

/* j_state_lock held for write. */
bool __jbd2_log_start_commit(journal_t *journal, tid_t tid)
{
	FRAME(__jbd2_log_start_commit);
	if (tid_geq(journal->j_commit_request, tid))
		return false;
	const transaction_t *running = journal->j_running_transaction;
	if (running == nullptr || running->t_tid != tid)
		return false;
	journal->j_commit_request = tid;
	journal->j_wait_commit.complete();
	return true;
}

bool jbd2_log_start_commit(journal_t *journal, tid_t tid)
{
	FRAME(jbd2_log_start_commit);
	journal->j_state_lock.write_lock();
	const bool started = __jbd2_log_start_commit(journal, tid);
	journal->j_state_lock.write_unlock();
	return started;
}

tid_t jbd2_journal_start_commit(journal_t *journal)
{
	FRAME(jbd2_journal_start_commit);
	tid_t tid = 0;
	journal->j_state_lock.write_lock();
	if (journal->j_running_transaction != nullptr) {
		tid = journal->j_running_transaction->t_tid;
		__jbd2_log_start_commit(journal, tid);
	} else if (journal->j_committing_transaction != nullptr) {
		tid = journal->j_committing_transaction->t_tid;
	}
	journal->j_state_lock.write_unlock();
	return tid;
}

void jbd2_log_wait_commit(journal_t *journal, tid_t tid)
{
	FRAME(jbd2_log_wait_commit);
	jbd2_might_wait_for_commit(journal);
	journal->j_wait_done_commit.wait_event(
		[=] { return !tid_gt(tid, journal->j_commit_sequence.read_once()); });
}

bool jbd2_trans_will_send_data_barrier(journal_t *journal, tid_t tid)
{
	FRAME(jbd2_trans_will_send_data_barrier);
	bool will = false;
	journal->j_state_lock.read_lock();
	if (!tid_geq(journal->j_commit_sequence.look(), tid)) {
		const transaction_t *committing = journal->j_committing_transaction;
		will = committing == nullptr || committing->t_tid != tid ||
		       committing->t_state < T_COMMIT_JFLUSH;
	}
	journal->j_state_lock.read_unlock();
	return will;
}

bool jbd2_complete_transaction(journal_t *journal, tid_t tid)
{
	FRAME(jbd2_complete_transaction);
	const auto is = [tid](const transaction_t *t) { return t != nullptr && t->t_tid == tid; };
	journal->j_state_lock.read_lock();
	const bool running = is(journal->j_running_transaction);
	const bool asked = journal->j_commit_request == tid;
	const bool committing = is(journal->j_committing_transaction);
	journal->j_state_lock.read_unlock();
	if (!running && !committing)
		return false;
	if (running && !asked)
		jbd2_log_start_commit(journal, tid);
	jbd2_log_wait_commit(journal, tid);
	return true;
}

} // namespace kernel
