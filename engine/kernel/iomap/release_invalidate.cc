// SPDX-License-Identifier: GPL-2.0-only
// A folio's state when the folio goes, or becomes dirty (fs/iomap/buffered-io.c of 6.12:
// iomap_release_folio, iomap_invalidate_folio, iomap_dirty_folio).
//
// Left out: before 6.5 a folio under writeback was not released either.
#include "engine/kernel/bug.h"
#include "engine/kernel/iomap/folio_state.h"
#include "engine/kernel/iomap/iomap.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/writeback.h"
#include "scheduler/frame.h"

namespace kernel
{

/* Folio lock held. A dirty folio keeps its state: it says what to write. */
bool iomap_release_folio(folio *f, gfp_t)
{
	FRAME(iomap_release_folio);
	if (folio_test_dirty(f))
		return false;
	VM_WARN_ON_ONCE(ifs_has_dirty_blocks(f)); /* nobody would ever write them */
	ifs_free(f);
	return true;
}

/* Folio lock held. A part of a folio that goes changes nothing: its dirty blocks stay dirty. */
void iomap_invalidate_folio(folio *f, std::size_t offset, std::size_t len)
{
	FRAME(iomap_invalidate_folio);
	if (offset != 0 || len != folio_size(f))
		return;
	folio_cancel_dirty(f);
	ifs_free(f);
}

/* The folio, not a part of it: who asks knows no more. */
bool iomap_dirty_folio(address_space *mapping, folio *f)
{
	FRAME(iomap_dirty_folio);
	if (patched(Patch::kIfsDirtyBits)) {
		ifs_alloc(f);
		iomap_set_range_dirty(f, 0, folio_size(f));
	}
	return filemap_dirty_folio(mapping, f);
}

} // namespace kernel
