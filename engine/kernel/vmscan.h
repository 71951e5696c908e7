// SPDX-License-Identifier: GPL-2.0-only
// What reclaim does to folios (mm/vmscan.c).
#pragma once

#include <vector>

namespace kernel
{

struct address_space;
struct folio;

/* Takes a clean folio that nobody else refers to out of the cache; folio lock held, the caller has
 * one reference and keeps it. Number of pages removed, 0 if it had to stay. */
long remove_mapping(address_space *mapping, folio *f);

/* Frees isolated folios that are clean and that nobody else refers to, and puts the others back on
 * the LRU; the vector is empty then. May sleep, but does not wait for folio locks or writeback.
 * Number of pages freed. */
unsigned long reclaim_pages(std::vector<folio *> *folios);

} // namespace kernel
