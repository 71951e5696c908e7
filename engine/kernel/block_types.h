// SPDX-License-Identifier: GPL-2.0-only
// The types of the port's blocks of memory: what reports call an inode or a folio, which of their
// members own points, and what these hold (scheduler/block_type.h). fields_*.cc have the tables.
//
// A type whose objects are made by `new` says so by its own operator new:
//
//     static void *operator new(std::size_t bytes)
//     {
//             return interleaf::allocate_typed(bytes, file_block);
//     }
#pragma once

#include "scheduler/block_type.h"

namespace kernel
{

extern const interleaf::BlockType simple_inode_block;
extern const interleaf::BlockType xfs_inode_block;
extern const interleaf::BlockType iomap_folio_state_block;
extern const interleaf::BlockType file_block;
extern const interleaf::BlockType super_block_block;
extern const interleaf::BlockType block_device_block;
extern const interleaf::BlockType folio_block;
extern const interleaf::BlockType contents_block; /* the bytes of a folio */
extern const interleaf::BlockType content_numbers_block; /* their objects, one per page */
extern const interleaf::BlockType xa_node_block;
extern const interleaf::BlockType mm_struct_block;
extern const interleaf::BlockType vm_area_struct_block;
extern const interleaf::BlockType pte_table_block;
extern const interleaf::BlockType pmd_entries_block;
extern const interleaf::BlockType pte_entries_block;
extern const interleaf::BlockType machine_block;
extern const interleaf::BlockType lru_state_block;
extern const interleaf::BlockType buffer_heads_block;
extern const interleaf::BlockType ext4_inode_block;
extern const interleaf::BlockType ext4_io_end_block;
extern const interleaf::BlockType ext4_sb_info_block;
extern const interleaf::BlockType journal_block;
extern const interleaf::BlockType transaction_block;

} // namespace kernel
