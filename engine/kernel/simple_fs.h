// SPDX-License-Identifier: GPL-2.0-only
// The filesystem behind the personas generic and btrfs: its inode, and what others need of it beyond
// its operations tables.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/kernel/fs.h"

namespace kernel
{

struct simple_inode : inode {
	interleaf::Rwsem block_lock; /* guards what follows */
	std::vector<std::uint64_t> blocks; /* BLOCK_HOLE, BLOCK_DELAYED or a disk block */
	std::vector<bool> unwritten; /* a block without its data yet; may be shorter */

	simple_inode(super_block *sb, std::string file_name, unsigned ino);
	static void *operator new(std::size_t bytes)
	{
		return interleaf::allocate_typed(bytes, simple_inode_block);
	}
};

extern const super_operations simple_super_operations;

/*
 * Gets the folio ready for bytes of it to become dirty, by a write or through a mapping: space on
 * the disk, at once or reserved, and the private data the persona has. Folio lock held; may sleep.
 * 0, -ENOSPC.
 */
int simple_fs_prepare_write(folio *f, std::size_t offset, std::size_t len);

/* ->page_mkwrite; page_mkwrite.cc. */
unsigned generic_page_mkwrite(folio *f, address_space *mapping);
unsigned btrfs_page_mkwrite(folio *f, address_space *mapping);

} // namespace kernel
