// SPDX-License-Identifier: GPL-2.0-only
// Batches of folios (include/linux/pagevec.h, mm/swap.c of 6.12).
#include "engine/kernel/machine.h"
#include "engine/kernel/pagemap.h"
#include "scheduler/frame.h"

namespace kernel
{

unsigned folio_batch_add(folio_batch *fbatch, folio *f)
{
	fbatch->folios[fbatch->nr++] = f;
	return this_machine().geo.folio_batch - fbatch->nr;
}

void folio_batch_release(folio_batch *fbatch)
{
	if (fbatch->nr == 0)
		return;
	FRAME(__folio_batch_release);
	/* Folios that only wait in this CPU's batch would else keep their last reference there. */
	if (!fbatch->percpu_pvec_drained) {
		lru_add_drain();
		fbatch->percpu_pvec_drained = true;
	}
	folios_put_refs(fbatch->folios, fbatch->nr);
	fbatch->nr = 0;
}

/* Takes the value entries out. */
void folio_batch_remove_exceptionals(folio_batch *fbatch)
{
	unsigned kept = 0;

	FRAME(folio_batch_remove_exceptionals);
	for (unsigned i = 0; i < fbatch->nr; ++i) {
		if (!xa_is_value(fbatch->folios[i]))
			fbatch->folios[kept++] = fbatch->folios[i];
	}
	fbatch->nr = kept;
}

} // namespace kernel
