// SPDX-License-Identifier: GPL-2.0-only
// Going over a range of a file, an iomap after the other (fs/iomap/iter.c of 6.12).
#include <algorithm>

#include "engine/kernel/bug.h"
#include "engine/kernel/iomap/iomap.h"
#include "engine/kernel/machine.h"
#include "engine/kernel/pagemap.h"
#include "scheduler/frame.h"

namespace kernel
{

std::uint64_t iomap_length(const iomap_iter *iter)
{
	std::uint64_t behind = static_cast<std::uint64_t>(iter->map.offset) + iter->map.length;
	if (iter->srcmap.type != iomap_type::HOLE)
		behind = std::min(behind, static_cast<std::uint64_t>(iter->srcmap.offset) +
						  iter->srcmap.length);
	return std::min(iter->len, behind - static_cast<std::uint64_t>(iter->pos));
}

/*
 * What the turn before did is behind us: 1 if something is left. A turn that did nothing ends the
 * operation, but for a stale iomap, which was not there to be used.
 */
static int iomap_iter_advance(iomap_iter *iter)
{
	const bool stale = (iter->map.flags & IOMAP_F_STALE) != 0;
	if (iter->map.length != 0) {
		if (iter->processed < 0)
			return static_cast<int>(iter->processed);
		if (iter->processed == 0 && !stale)
			return 0;
		BUG_ON(static_cast<std::uint64_t>(iter->processed) > iomap_length(iter));
		iter->pos += iter->processed;
		iter->len -= static_cast<std::uint64_t>(iter->processed);
		if (iter->len == 0)
			return 0;
	}
	iter->processed = 0;
	iter->map = {};
	iter->srcmap = {};
	if (iter->fbatch != nullptr) {
		for (unsigned i = iter->next_folio; i < iter->fbatch->nr; i++)
			folio_put(iter->fbatch->folios[i]);
		iter->fbatch->nr = 0;
		iter->next_folio = 0;
		iter->map.fbatch = iter->fbatch;
	}
	return 1;
}

int iomap_iter_next(iomap_iter *iter)
{
	FRAME(iomap_iter);
	if (iter->map.length != 0 && iter->ops->iomap_end != nullptr) {
		const int error = iter->ops->iomap_end(iter->node, iter->pos, iomap_length(iter),
						       std::max(iter->processed, 0L), iter->flags,
						       &iter->map);
		if (error < 0 && iter->processed == 0)
			return error;
	}
	int ret = iomap_iter_advance(iter);
	if (ret <= 0)
		return ret;
	ret = iter->ops->iomap_begin(iter->node, iter->pos, iter->len, iter->flags, &iter->map,
				     &iter->srcmap);
	if (ret < 0)
		return ret;
	VM_WARN_ON_ONCE(iter->map.offset > iter->pos);
	VM_WARN_ON_ONCE(iter->map.length == 0);
	VM_WARN_ON_ONCE(iter->map.offset + static_cast<loff_t>(iter->map.length) <= iter->pos);
	VM_WARN_ON_ONCE((iter->map.flags & IOMAP_F_STALE) != 0);
	/* Counters go up only: what was refused can come again, as it was, for ever. */
	if (iter->refused && iter->map.validity_cookie == iter->refused_cookie)
		no_progress("stale iomap",
			    "an iomap was refused as stale, and the next one has the same "
			    "cookie: no extent has changed");
	iter->refused = false;
	return 1;
}

} // namespace kernel
