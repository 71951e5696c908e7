// SPDX-License-Identifier: GPL-2.0-only
// The filesystem behind all personas: what others need of it beyond its operations tables.
// simple_fs_init_inode() is in fs.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/kernel/config.h"

namespace kernel
{

struct folio;
struct inode;

/*
 * Gets the folio ready for bytes of it to become dirty, by a write or through a mapping: space on
 * the disk, at once or reserved, and the private data the persona has. Folio lock held; may sleep.
 * 0, -ENOSPC.
 */
int simple_fs_prepare_write(folio *f, std::size_t offset, std::size_t len);

/*
 * One operation on bytes of a file, as iomap does it for XFS: the blocks of all of them come before
 * the first folio. The iomap is for the whole operation, and nobody looks later whether it still
 * holds; that matters where there are unwritten extents.
 */
struct iomap_iteration {
	inode *node;
	loff_t pos;
	std::size_t len; /* not 0 */
	bool zero = false; /* nothing is reserved */
	std::vector<std::uint64_t> blocks = {}; /* once they were looked up */
};
/* 1: go on with the bytes; 0: all is done; -ENOSPC. May sleep. */
int iomap_iter(iomap_iteration *iter);

/*
 * The two halves of a write to a folio with buffers (fs/buffer.c), for ext4: buffers and blocks for
 * its bytes; then, once they are there, dirt. Folio lock held; the first may sleep. 0, -ENOSPC.
 */
int __block_write_begin_int(folio *f, std::size_t offset, std::size_t len);
void __block_commit_write(struct address_space *mapping, folio *f);

/*
 * What the disk has for the file's bytes [pos, pos + len), holes as zeros, whatever the sizes say.
 * For tests, reports and the oracle; no points.
 */
void simple_fs_peek(const inode *node, loff_t pos, std::size_t len, void *to);

} // namespace kernel
