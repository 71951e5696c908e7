// SPDX-License-Identifier: GPL-2.0-only
// ext4's objects and buffer heads for reports.
#include "engine/kernel/ext4/ext4.h"
#include "engine/kernel/fields.h"

namespace kernel
{

namespace
{

constexpr const char *kStatusNames[] = { "hole", "delayed", "unwritten", "written" };

/* "0 written 1 delayed": holes are left out. */
std::string es_text(const interleaf::Scheduler &, const void *object, unsigned)
{
	const auto *node = static_cast<const ext4_inode *>(object);
	std::string text;
	for (std::size_t i = 0; i < node->es.size(); i++) {
		const es_status status = node->es[i].status;
		if (status == es_status::HOLE)
			continue;
		text += (text.empty() ? "" : " ") + std::to_string(i) + " " +
			kStatusNames[static_cast<unsigned>(status)];
	}
	return text.empty() ? "empty" : text;
}

constexpr interleaf::BlockField ext4_inode_fields[] = {
	INODE_FIELDS(ext4_inode),
	FIELD(ext4_inode, i_data_sem),
	{ "extent status tree", offsetof(ext4_inode, es_number), sizeof(interleaf::ObjectNumber), 1,
	  es_text },
	FIELD(ext4_inode, i_sync_tid),
	FIELD(ext4_inode, jinode.i_transaction),
};

constexpr interleaf::BlockField ext4_io_end_fields[] = {
	FIELD(ext4_io_end, count),
};

std::string io_end_name(const interleaf::Scheduler &, const void *object)
{
	return "io_end of inode " + static_cast<const ext4_io_end *>(object)->node->name;
}

constexpr interleaf::BlockField ext4_sb_info_fields[] = {
	FIELD(ext4_sb_info, rsv_conversion),
};

std::string buffers_text(const interleaf::Scheduler &, const void *object, unsigned)
{
	const auto *buffers = static_cast<const folio_buffer_heads *>(object);
	std::string text;
	for (unsigned i = 0; i < buffers->nr; i++) {
		const buffer_head &bh = buffers->bh[i];
		text += (i == 0 ? "" : " ") + std::string(bh.test(BH_Uptodate) ? "U" : "-") +
			(bh.test(BH_Dirty) ? "D" : "-") + (bh.test(BH_Mapped) ? "M" : "-") +
			(bh.test(BH_Delay) ? "d" : "-") + (bh.test(BH_Unwritten) ? "u" : "-");
	}
	return text;
}

constexpr interleaf::BlockField buffer_heads_fields[] = {
	{ "buffers", offsetof(folio_buffer_heads, number), sizeof(interleaf::ObjectNumber), 1,
	  buffers_text },
};

} // namespace

const interleaf::BlockType ext4_inode_block{ "inode", "memory", ext4_inode_fields, inode_name };
const interleaf::BlockType ext4_io_end_block{ "io_end", "memory", ext4_io_end_fields, io_end_name };
const interleaf::BlockType ext4_sb_info_block{ "ext4", "memory", ext4_sb_info_fields };
const interleaf::BlockType buffer_heads_block{ "buffer heads", "memory", buffer_heads_fields };

} // namespace kernel
