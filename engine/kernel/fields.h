// SPDX-License-Identifier: GPL-2.0-only
// How the tables of fields are written. A row is a member that owns points, with its contents in
// words; the name is the member's path, a flag's is the bit's.
//
//     FIELD(inode, i_data.nrpages)
//     FLAG(folio, flags, PG_dirty)
//     NUMBER(super_block, "inodes", inodes_number)     an object without contents of its own
#pragma once

#include <cstddef>
#include <string>

#include "engine/kernel/block_types.h"
#include "scheduler/sync/bit_flags.h"
#include "scheduler/sync/value_text.h"

/* offsetof() of classes that are not of standard layout is defined by the compilers we use. */
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

#define FIELD_AS(text, type, member)                                                             \
	{                                                                                        \
		text, offsetof(type, member), sizeof(static_cast<type *>(nullptr)->member), 1,   \
			[](const interleaf::Scheduler &s, const void *object, unsigned) {        \
				using interleaf::value_text;                                     \
				return value_text(s, static_cast<const type *>(object)->member); \
			}                                                                        \
	}
#define FIELD(type, member) FIELD_AS(#member, type, member)
#define FLAG_AS(text, type, member, bit)                                                       \
	{                                                                                      \
		text,                                                                          \
			offsetof(type, member) +                                               \
				decltype(static_cast<type *>(nullptr)->member)::object_offset( \
					bit),                                                  \
			sizeof(interleaf::ObjectNumber), 1,                                    \
			[](const interleaf::Scheduler &, const void *object, unsigned) {       \
				const auto *whole = static_cast<const type *>(object);         \
				return std::string(whole->member.peek(bit) ? "1" : "0");       \
			}                                                                      \
	}
#define FLAG(type, member, bit) FLAG_AS(#bit, type, member, bit)
#define NUMBER(type, text, member)                                            \
	{                                                                     \
		text, offsetof(type, member), sizeof(interleaf::ObjectNumber) \
	}

/* What every filesystem's inode has, for the table of its type. */
#define INODE_FIELDS(type)                                                                       \
	FIELD(type, i_rwsem), FIELD(type, i_lock), FIELD(type, i_size), FIELD(type, i_disksize), \
		FIELD(type, i_writecount), FIELD(type, i_dio_count), FIELD(type, i_dio_wait),    \
		FLAG(type, i_state, I_DIRTY_SYNC), FLAG(type, i_state, I_DIRTY_DATASYNC),        \
		FLAG(type, i_state, I_DIRTY_PAGES), FLAG(type, i_state, I_SYNC),                 \
		FLAG(type, i_state, I_FREEING), FIELD(type, i_data.i_pages.xa_lock),             \
		FIELD(type, i_data.i_pages.xa_head), FIELD(type, i_data.i_pages.xa_marks),       \
		FIELD(type, i_data.invalidate_lock), FIELD(type, i_data.i_mmap_rwsem),           \
		FIELD(type, i_data.i_private_lock), FIELD(type, i_data.i_mmap_writable),         \
		FIELD(type, i_data.nr_thps), FIELD(type, i_data.nrpages),                        \
		FIELD(type, i_data.writeback_index), FLAG(type, i_data.flags, AS_EIO),           \
		FLAG(type, i_data.flags, AS_ENOSPC),                                             \
		FLAG(type, i_data.flags, AS_LARGE_FOLIO_SUPPORT),                                \
		FLAG(type, i_data.flags, AS_RELEASE_ALWAYS),                                     \
		FLAG(type, i_data.flags, AS_STABLE_WRITES), FIELD(type, i_data.wb_err)

namespace kernel
{

/* The name of an inode of any filesystem in reports. */
std::string inode_name(const interleaf::Scheduler &scheduler, const void *object);

struct faults_left;
struct machine;
struct pte_t;
struct pmd_t;

std::string value_text(const interleaf::Scheduler &scheduler, pte_t pte);
std::string value_text(const interleaf::Scheduler &scheduler, pmd_t pmd);
std::string value_text(const interleaf::Scheduler &scheduler, const faults_left &faults);

/* The machine that the scheduler runs; reports have none of their own. */
const machine &machine_of(const interleaf::Scheduler &scheduler);

/* The first live block of this type for which wanted(object) is true, or null. Walks all. */
template <typename T, typename Wanted>
const T *find_object(const interleaf::Scheduler &scheduler, const interleaf::BlockType &type,
		     Wanted wanted)
{
	const interleaf::Arena &arena = scheduler.arena();
	for (const auto *block = arena.next_block(nullptr); block != nullptr;
	     block = arena.next_block(block)) {
		if (block->type != &type || !interleaf::Arena::is_live(*block))
			continue;
		const auto *object = static_cast<const T *>(block->data());
		if (wanted(*object))
			return object;
	}
	return nullptr;
}

} // namespace kernel
