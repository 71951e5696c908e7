// SPDX-License-Identifier: GPL-2.0-only
// Copies from users' memory (lib/iov_iter.c and mm/gup.c of 6.12, as far as writes need them).
//
// A buffer is memory of the host. What of it a user cannot read is in machine::unreadable; that does
// not change while a run goes on.
#pragma once

#include <cstddef>

namespace kernel
{

struct folio;

/* Of these bytes, those before the first that cannot be read. */
std::size_t readable_bytes(const void *from, std::size_t len);

/*
 * Faults the source of a copy in: how many of the bytes, counted from the end, cannot be read. All of
 * them: the copy is hopeless. A run may inject that (the choice "fault_in_readable").
 */
std::size_t fault_in_readable(const void *from, std::size_t len);

/*
 * Copies into a locked folio without faulting: bytes copied, fewer than len where memory ends that can
 * be read, or where the source went away since it was faulted in, which a run may inject (the choice
 * "copy_from_user": half of it).
 */
std::size_t copy_folio_from_iter_atomic(folio *f, std::size_t offset, const void *from,
					std::size_t len);

} // namespace kernel
