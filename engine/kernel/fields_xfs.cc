// SPDX-License-Identifier: GPL-2.0-only
// Inodes of XFS and the state of iomap's folios for reports.
#include "engine/kernel/fields.h"
#include "engine/kernel/iomap/folio_state.h"
#include "engine/kernel/xfs/xfs_inode.h"

namespace kernel
{

namespace
{

constexpr interleaf::BlockField xfs_inode_fields[] = {
	INODE_FIELDS(xfs_inode),
	{ "ILOCK", offsetof(xfs_inode, i_ilock), sizeof(xfs_inode::i_ilock), 1,
	  [](const interleaf::Scheduler &s, const void *object, unsigned) {
		  return interleaf::value_text(s, static_cast<const xfs_inode *>(object)->i_ilock);
	  } },
	FIELD(xfs_inode, i_df.if_seq),
	FIELD(xfs_inode, i_cow.if_seq),
	FIELD(xfs_inode, i_cow.if_bytes),
	FIELD(xfs_inode, is_reflink),
	FIELD(xfs_inode, i_ioend_lock),
};

/* "uptodate 1100 dirty 0100", a digit per block. */
std::string blocks_text(const interleaf::Scheduler &, const void *object, unsigned)
{
	const auto *ifs = static_cast<const iomap_folio_state *>(object);
	std::string text = "uptodate ";
	for (const bool bit : ifs->uptodate)
		text += bit ? '1' : '0';
	text += " dirty ";
	for (const bool bit : ifs->dirty)
		text += bit ? '1' : '0';
	return text;
}

constexpr interleaf::BlockField iomap_folio_state_fields[] = {
	FIELD(iomap_folio_state, state_lock),
	FIELD(iomap_folio_state, write_bytes_pending),
	{ "blocks", offsetof(iomap_folio_state, blocks_number), sizeof(interleaf::ObjectNumber), 1,
	  blocks_text },
};

} // namespace

const interleaf::BlockType xfs_inode_block{ "inode", "memory", xfs_inode_fields, inode_name };
const interleaf::BlockType iomap_folio_state_block{ "iomap_folio_state", "memory",
						    iomap_folio_state_fields };

} // namespace kernel
