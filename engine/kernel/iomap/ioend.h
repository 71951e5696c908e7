// SPDX-License-Identifier: GPL-2.0-only
// Requests of writeback: what writeback.cc needs of ioend.cc.
#pragma once

#include "engine/kernel/iomap/iomap.h"

namespace kernel
{

/* Bytes [pos, pos + len) of the locked folio go into the request that is being filled, or into a new
 * one. end_pos: where the file ends, or the folio. */
void iomap_add_to_ioend(iomap_writepage_ctx *wpc, folio *f, loff_t pos, loff_t end_pos,
			std::size_t len);
/* The request that is being filled, if there is one, goes; with an error it ends at once. */
void iomap_submit_ioend(iomap_writepage_ctx *wpc, int error);
void iomap_submit(const iomap_writeback_ops *ops, iomap_ioend *ioend, int error);

} // namespace kernel
