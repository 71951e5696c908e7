// SPDX-License-Identifier: GPL-2.0-only
#include "engine/kernel/uaccess.h"

#include <algorithm>

#include "engine/kernel/folio.h"
#include "engine/kernel/machine.h"

namespace kernel
{

std::size_t readable_bytes(const void *from, std::size_t len)
{
	const auto *begin = static_cast<const unsigned char *>(from);
	const unsigned char *end = begin + len;

	for (const unreadable_range &range : this_machine().unreadable) {
		if (range.begin < end && begin < range.end)
			end = std::max(begin, range.begin);
	}
	return static_cast<std::size_t>(end - begin);
}

std::size_t fault_in_readable(const void *from, std::size_t len)
{
	return should_fail("fault_in_readable") ? len : len - readable_bytes(from, len);
}

std::size_t copy_folio_from_iter_atomic(folio *f, std::size_t offset, const void *from,
					std::size_t len)
{
	const std::size_t there = readable_bytes(from, len);
	const std::size_t copied = should_fail("copy_from_user") ? there / 2 : there;

	if (copied != 0)
		folio_write_contents(f, offset, from, copied);
	return copied;
}

} // namespace kernel
