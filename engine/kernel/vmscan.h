// SPDX-License-Identifier: GPL-2.0-only
// What reclaim does to one folio (mm/vmscan.c).
#pragma once

namespace kernel
{

struct address_space;
struct folio;

/* Takes a clean folio that nobody else refers to out of the cache; folio lock held, the caller has
 * one reference and keeps it. Number of pages removed, 0 if it had to stay. */
long remove_mapping(address_space *mapping, folio *f);

} // namespace kernel
