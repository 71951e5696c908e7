// SPDX-License-Identifier: GPL-2.0-only
// Reading blocks of a folio: what write_begin.cc needs of read.cc.
#pragma once

#include <cstddef>

#include "engine/kernel/iomap/iomap.h"

namespace kernel
{

/* A request to read from the block on that has the byte at pos. No end_io yet. */
bio *iomap_read_bio(inode *node, const iomap *map, loff_t pos);
/* Bytes [off, off + len) of the folio, which are at pos in the file, are read too. */
void iomap_read_bio_add(bio *request, folio *f, std::size_t off, std::size_t len, const iomap *map,
			loff_t pos);

/*
 * Which bytes of the folio, of the `length` ones at *pos, are to be read: whole blocks that are not
 * uptodate and not behind the end of the file. *pos moves behind those that need no read; *len is 0
 * if none is left.
 */
void iomap_adjust_read_range(inode *node, folio *f, loff_t *pos, std::size_t length,
			     std::size_t *off, std::size_t *len);
/* The block at pos has nothing on the disk that counts. */
bool iomap_block_needs_zeroing(const iomap_iter *iter, loff_t pos);

} // namespace kernel
