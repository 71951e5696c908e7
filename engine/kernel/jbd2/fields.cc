// SPDX-License-Identifier: GPL-2.0-only
// journal_t and transaction_t for reports.
#include "engine/kernel/fields.h"
#include "engine/kernel/jbd2/journal.h"

namespace kernel
{

namespace
{

std::string users_text(const interleaf::Scheduler &, const void *object, unsigned)
{
	return std::to_string(static_cast<const transaction_t *>(object)->t_updates.peek_users());
}

std::string state_lock_text(const interleaf::Scheduler &, const void *, unsigned)
{
	return "";
}

constexpr interleaf::BlockField journal_fields[] = {
	{ "j_state_lock", offsetof(journal_t, j_state_lock), sizeof(interleaf::Rwlock), 1,
	  state_lock_text },
	FIELD(journal_t, j_commit_sequence),
	FIELD(journal_t, j_wait_transaction_locked),
	FIELD(journal_t, j_wait_done_commit),
	FIELD(journal_t, j_wait_commit),
	FIELD(journal_t, j_wait_reserved),
	FIELD(journal_t, j_reserved_credits),
	FIELD(journal_t, j_list_lock),
	FIELD(journal_t, j_checkpoint_mutex),
};

std::string journal_name(const interleaf::Scheduler &, const void *)
{
	return "journal";
}

constexpr interleaf::BlockField transaction_fields[] = {
	{ "t_updates", offsetof(transaction_t, t_updates), sizeof(interleaf::UserCount), 1,
	  users_text },
	FIELD(transaction_t, t_outstanding_credits),
};

std::string transaction_name(const interleaf::Scheduler &, const void *object)
{
	return "transaction " + std::to_string(static_cast<const transaction_t *>(object)->t_tid);
}

} // namespace

const interleaf::BlockType journal_block{ "journal", "memory", journal_fields, journal_name };
const interleaf::BlockType transaction_block{ "transaction", "memory", transaction_fields,
					      transaction_name };

} // namespace kernel
