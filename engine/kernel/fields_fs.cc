// SPDX-License-Identifier: GPL-2.0-only
// inode with its address_space, file, super_block, block_device for reports.
#include "engine/kernel/block.h"
#include "engine/kernel/fields.h"
#include "engine/kernel/fs.h"
#include "engine/kernel/simple_fs.h"

namespace kernel
{

namespace
{

constexpr interleaf::BlockField simple_inode_fields[] = {
	INODE_FIELDS(simple_inode),
	FIELD(simple_inode, block_lock),
};

std::string ra_state_text(const interleaf::Scheduler &, const void *object, unsigned)
{
	const file_ra_state &ra = static_cast<const file *>(object)->f_ra;
	return "start " + std::to_string(ra.start) + " size " + std::to_string(ra.size) +
	       " async " + std::to_string(ra.async_size);
}

constexpr interleaf::BlockField file_fields[] = {
	FIELD(file, f_count),
	FIELD(file, f_lock),
	FIELD(file, f_wb_err),
	{ "f_ra", offsetof(file, f_ra), sizeof(file_ra_state), 1, ra_state_text },
};

/* Several files of one inode are told apart by where they lie. */
std::string file_name(const interleaf::Scheduler &scheduler, const void *object)
{
	const auto *f = static_cast<const file *>(object);
	unsigned number = 1;
	find_object<file>(scheduler, file_block, [&](const file &other) {
		if (&other == f)
			return true;
		number += other.f_inode == f->f_inode;
		return false;
	});
	const std::string text = "file " + std::to_string(number);
	return f->f_inode == nullptr ? text : text + " of inode " + f->f_inode->name;
}

constexpr interleaf::BlockField super_block_fields[] = {
	NUMBER(super_block, "inodes", inodes_number),
	FIELD(super_block, alloc_lock),
	FIELD(super_block, s_log),
	FIELD(super_block, s_wb.list_lock),
	FIELD(super_block, s_wb.dwork),
	FIELD(super_block, s_end_io.lock),
	FIELD(super_block, s_end_io.work),
};

constexpr interleaf::BlockField block_device_fields[] = {
	FIELD(block_device, queue_lock),     FIELD(block_device, work),
	FIELD(block_device, direct_work),    FIELD(block_device, bio_dirty_lock),
	FIELD(block_device, bio_dirty_work), FIELD(block_device, media),
};

} // namespace

std::string inode_name(const interleaf::Scheduler &, const void *object)
{
	return "inode " + static_cast<const inode *>(object)->name;
}

const interleaf::BlockType simple_inode_block{ "inode", "memory", simple_inode_fields, inode_name };
const interleaf::BlockType file_block{ "file", "memory", file_fields, file_name };
const interleaf::BlockType super_block_block{ "super block", "memory", super_block_fields };
const interleaf::BlockType block_device_block{ "block device", "memory", block_device_fields };

} // namespace kernel
