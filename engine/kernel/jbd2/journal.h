// SPDX-License-Identifier: GPL-2.0-only
// The journal of ext4 (fs/jbd2 of 6.12; iomap.md 5): who may change metadata when, and who waits for
// whom. The log's blocks have no contents here: what is in the log is told by hooks.h.
//
// A task changes metadata under a handle. Handles belong to the running transaction and keep it from
// being committed (t_updates). A commit, made by kjournald2, keeps new handles out, waits until the
// handles of the transaction have ended, lets a new transaction run, writes the data that was
// promised with it (data=ordered), and writes the commit record.
//
// Left out: revokes, checksums, fast commits, barriers for a frozen filesystem, restarted handles,
// abort, frozen copies of buffers (a buffer in the log can be changed at any time), a commit timer.
//
// Lock order: j_checkpoint_mutex -> j_state_lock -> j_list_lock. A handle comes before folio locks
// and i_data_sem; who waits for a commit has no handle.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/kernel/block_types.h"
#include "engine/kernel/config.h"
#include "scheduler/sync/atomic.h"
#include "scheduler/sync/completion.h"
#include "scheduler/sync/mutex.h"
#include "scheduler/sync/rwlock.h"
#include "scheduler/sync/shared.h"
#include "scheduler/sync/spinlock.h"
#include "scheduler/sync/user_count.h"
#include "scheduler/sync/wait_queue.h"

namespace kernel
{

struct inode;
struct journal_t;
struct transaction_t;

using tid_t = std::uint32_t; /* 0: none */

/* Transaction numbers wrap. */
inline bool tid_gt(tid_t x, tid_t y)
{
	return static_cast<std::int32_t>(x - y) > 0;
}
inline bool tid_geq(tid_t x, tid_t y)
{
	return static_cast<std::int32_t>(x - y) >= 0;
}

/* In this order. Handles start in RUNNING, reserved ones in LOCKED too. */
enum transaction_state : std::uint8_t {
	T_RUNNING,
	T_LOCKED, /* waits until its handles have ended */
	T_SWITCH, /* no handles */
	T_FLUSH, /* committing: writes data; a new transaction may run */
	T_COMMIT, /* writes metadata */
	T_COMMIT_JFLUSH, /* has flushed the device's cache, or is about to */
	T_FINISHED,
};

/* The data of one inode that a commit writes first. j_list_lock guards all of it. */
struct jbd2_inode {
	inode *i_vfs_inode = nullptr;
	interleaf::Shared<transaction_t *> i_transaction; /* may be looked at without the lock */
	transaction_t *i_next_transaction = nullptr; /* while the other one is committed */
	bool write_data =
		false; /* JI_WRITE_DATA; stays: what is waited for later is written, too */
	bool wait_data = false; /* JI_WAIT_DATA */
	loff_t i_dirty_start = 0; /* bytes */
	loff_t i_dirty_end = 0; /* the last one */
};

struct transaction_t {
	tid_t t_tid;
	transaction_state t_state = T_RUNNING; /* j_state_lock */
	interleaf::UserCount t_updates; /* its handles; more only under j_state_lock */
	interleaf::Atomic<int> t_outstanding_credits; /* blocks; only if the log has a size */
	std::vector<jbd2_inode *> t_inode_list; /* j_list_lock */

	transaction_t(tid_t tid, int credits);
	static void *operator new(std::size_t bytes)
	{
		return interleaf::allocate_typed(bytes, transaction_block);
	}
};

/* Belongs to one task. */
struct handle_t {
	journal_t *h_journal = nullptr;
	transaction_t *h_transaction = nullptr; /* null: a reserved one that has not started */
	handle_t *h_rsv_handle = nullptr;
	int h_total_credits = 0; /* blocks that it may still change */
	int h_ref = 1; /* nested starts */
	bool h_sync = false; /* its end waits for the commit */
	bool h_reserved = false;
};

struct journal_t {
	interleaf::Rwlock j_state_lock;
	transaction_t *j_running_transaction = nullptr; /* j_state_lock */
	transaction_t *j_committing_transaction = nullptr; /* j_state_lock */
	tid_t j_transaction_sequence = 1; /* j_state_lock; of the next one */
	tid_t j_commit_request = 0; /* j_state_lock; the newest that somebody wants committed */
	interleaf::Shared<tid_t> j_commit_sequence; /* j_state_lock to change; newest committed */
	interleaf::WaitQueue j_wait_transaction_locked{ "j_wait_transaction_locked" };
	interleaf::WaitQueue j_wait_done_commit{ "j_wait_done_commit" };
	interleaf::Completion j_wait_commit{ "j_wait_commit" }; /* one for each request */
	interleaf::WaitQueue j_wait_reserved{ "j_wait_reserved" };
	interleaf::Atomic<int> j_reserved_credits; /* blocks; only if the log has a size */
	interleaf::Spinlock j_list_lock;

	/* The log, in blocks; 0: without end, and nobody counts credits. */
	int j_total_len;
	int j_max_transaction_buffers; /* of one transaction */
	int j_free; /* j_state_lock */
	interleaf::Mutex j_checkpoint_mutex;
	std::vector<int> j_checkpoint_transactions; /* j_list_lock; blocks each, oldest first */

	/* The filesystem's, set before the first handle. The first two may sleep, start no handles and
	 * map no blocks; 0 or an error that goes no further. */
	int (*j_submit_inode_data_buffers)(jbd2_inode *) = nullptr;
	int (*j_finish_inode_data_buffers)(jbd2_inode *) = nullptr;
	/* All handles of the transaction have ended, none of the next has started: what is in the log
	 * up to here, which later goes to j_committed() once the commit record is written. */
	std::uint64_t (*j_log_position)() = nullptr;
	void (*j_committed)(std::uint64_t position) = nullptr;

	handle_t *current_handle[interleaf::kTasksMax] = {}; /* current->journal_info */
	std::uint8_t handle_class = 0; /* "jbd2_handle" and "jbd2 commit", for claims */
	std::uint8_t commit_class = 0;

	explicit journal_t(int log_blocks);
	static void *operator new(std::size_t bytes)
	{
		return interleaf::allocate_typed(bytes, journal_block);
	}
};

/* ---- handles: transaction.cc ---- */

/*
 * A handle that may change `nblocks` blocks of metadata, or the one that the task has already, which
 * never waits; with `rsv_blocks` set aside for a reserved handle, unless it was there already. May
 * sleep until a commit has got on. Requires: no spinlocks; no folio lock, where folios are locked
 * under handles.
 */
handle_t *jbd2__journal_start(journal_t *journal, int nblocks, int rsv_blocks);
handle_t *jbd2_journal_start(journal_t *journal, int nblocks);
/* Makes a running handle of a reserved one; it does not wait for commits. Requires: the task has
 * none. */
void jbd2_journal_start_reserved(handle_t *handle);
/* Gives up a reserved handle that never started. */
void jbd2_journal_free_reserved(handle_t *handle);
/* Ends a handle, or one start of it. A sync handle then waits for the commit. 0. */
int jbd2_journal_stop(handle_t *handle);
/* The handle of this task, or null. */
handle_t *jbd2_current_handle(const journal_t *journal);
/* One more block of metadata was changed under the handle. */
void jbd2_journal_dirty_metadata(handle_t *handle);
/* Bytes [start, start + len) of the inode must be on the disk before the handle's transaction is; or
 * have to be written by others, but waited for. */
void jbd2_journal_inode_ranged_write(handle_t *handle, jbd2_inode *jinode, loff_t start,
				     loff_t len);
void jbd2_journal_inode_ranged_wait(handle_t *handle, jbd2_inode *jinode, loff_t start, loff_t len);
/* Waits for what of the bytes from `new_size` on a commit may be about to write. Starts writeback of
 * them if the inode is in the committing transaction. May sleep. 0 or an error. */
int jbd2_journal_begin_ordered_truncate(journal_t *journal, jbd2_inode *jinode, loff_t new_size);

/* ---- commits: journal.cc, commit.cc ---- */

/* Body of kjournald2, a daemon. Never returns. */
[[noreturn]] void kjournald2(journal_t *journal);
/* Asks for the commit of a running transaction, once. True if this asked. */
bool jbd2_log_start_commit(journal_t *journal, tid_t tid);
/* Sleeps until the transaction is committed; somebody has asked for it. Requires: no handle. */
void jbd2_log_wait_commit(journal_t *journal, tid_t tid);
/* True if a flush of the device's cache is still to come before the transaction is committed. */
bool jbd2_trans_will_send_data_barrier(journal_t *journal, tid_t tid);
/* Both, unless it is committed already. True if it was not. */
bool jbd2_complete_transaction(journal_t *journal, tid_t tid);
/* Asks for the commit of the running transaction, if any; its number or that of the committing one,
 * which is what has to be waited for, or 0. */
tid_t jbd2_journal_start_commit(journal_t *journal);

/* ---- for jbd2 itself ---- */

/* Tells lock order that the task may wait for handles, or for a commit, here. */
void jbd2_might_start_handle(const journal_t *journal);
void jbd2_might_wait_for_commit(const journal_t *journal);
bool __jbd2_log_start_commit(journal_t *journal, tid_t tid);
void jbd2_journal_commit_transaction(journal_t *journal);
/* Free blocks of the log that nobody has a claim to. j_state_lock held. checkpoint.cc */
int jbd2_log_space_left(const journal_t *journal);
/* j_state_lock held for write, dropped and retaken: sleeps until a transaction fits into the log. */
void __jbd2_log_wait_for_space(journal_t *journal);
/* The transaction has got its part of the log. j_state_lock held for write. */
void jbd2_log_used(journal_t *journal, int blocks);
/* Blocks of each transaction besides those that handles change: descriptor and commit record. */
inline constexpr int JBD2_OVERHEAD = 2;
/* A transaction takes at most this part of the log. */
inline constexpr int JBD2_LOG_PART = 4;
/* What handles may change in one transaction, with what is set aside; if the log has a size. */
inline int jbd2_max_user_trans_buffers(const journal_t *journal)
{
	return journal->j_max_transaction_buffers - JBD2_OVERHEAD;
}

} // namespace kernel
