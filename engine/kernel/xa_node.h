// SPDX-License-Identifier: GPL-2.0-only
// The XArray's nodes and internal entries, for xarray.cc, which says what they mean, and for
// reports.
#pragma once

#include "engine/kernel/block_types.h"
#include "engine/kernel/xarray.h"

namespace kernel
{

/* The slots lie behind it. */
struct xa_node {
	interleaf::RcuHead rcu; /* first: the callback gets its address */
	interleaf::Shared<xa_node *> parent;
	interleaf::Shared<std::uint64_t> marks[XA_MARKS_MAX]; /* bit s: slot s has the mark */
	std::uint8_t shift = 0; /* bits of the index below this node */
	std::uint8_t offset = 0; /* slot in the parent */
	std::uint8_t count = 0; /* slots in use */
	std::uint8_t nr_values = 0; /* of these, values and their siblings */

	interleaf::Shared<void *> &slot(unsigned number)
	{
		return reinterpret_cast<interleaf::Shared<void *> *>(this + 1)[number];
	}
};

inline std::uintptr_t bits_of(const void *entry)
{
	return reinterpret_cast<std::uintptr_t>(entry);
}

inline unsigned xa_to_sibling(const void *entry)
{
	return static_cast<unsigned>(bits_of(entry) >> 2);
}

inline constexpr std::uintptr_t kRetryBits = 256 << 2 | 2;

inline bool xa_is_node(const void *entry)
{
	return xa_is_internal(entry) && bits_of(entry) > 4096;
}

inline xa_node *xa_to_node(const void *entry)
{
	return reinterpret_cast<xa_node *>(bits_of(entry) - 2);
}

} // namespace kernel
