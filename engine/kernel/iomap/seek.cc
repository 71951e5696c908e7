// SPDX-License-Identifier: GPL-2.0-only
// SEEK_HOLE and SEEK_DATA (fs/iomap/seek.c of 6.12). What is unwritten is a hole but for what the page
// cache has of it. Without locks of the file: all may be different when the call returns.
#include <unistd.h>

#include "engine/kernel/errno.h"
#include "engine/kernel/iomap/iomap.h"
#include "engine/kernel/pagemap.h"
#include "scheduler/frame.h"

namespace kernel
{

/* Bytes of the iomap that are not what is sought; 0: *found is. */
static long iomap_seek_iter(const iomap_iter *iter, int whence, loff_t *found)
{
	const auto length = static_cast<long>(iomap_length(iter));
	const bool seeks_data = whence == SEEK_DATA;
	if (iter->map.type == iomap_type::UNWRITTEN) {
		*found = mapping_seek_hole_data(iter->node->i_mapping, iter->pos,
						iter->pos + length, whence);
		return *found < 0 || *found == iter->pos + length ? length : 0;
	}
	if (seeks_data == (iter->map.type == iomap_type::HOLE))
		return length;
	*found = iter->pos;
	return 0;
}

/* The position, or size: there is none; -ENXIO: pos is not in the file; an error. */
static loff_t iomap_seek(inode *node, loff_t pos, int whence, const iomap_ops *ops, loff_t *size)
{
	*size = i_size_read(node);
	if (pos < 0 || pos >= *size)
		return -ENXIO;
	iomap_iter iter{
		.node = node, .ops = ops, .pos = pos, .len = static_cast<std::uint64_t>(*size - pos)
	};
	loff_t found = 0;
	int ret;
	while ((ret = iomap_iter_next(&iter)) > 0)
		iter.processed = iomap_seek_iter(&iter, whence, &found);
	if (ret < 0)
		return ret;
	return iter.len != 0 ? found : *size;
}

loff_t iomap_seek_hole(inode *node, loff_t pos, const iomap_ops *ops)
{
	FRAME(iomap_seek_hole);
	loff_t size;
	return iomap_seek(node, pos, SEEK_HOLE, ops, &size);
}

loff_t iomap_seek_data(inode *node, loff_t pos, const iomap_ops *ops)
{
	FRAME(iomap_seek_data);
	loff_t size;
	const loff_t found = iomap_seek(node, pos, SEEK_DATA, ops, &size);
	return found == size ? -ENXIO : found;
}

} // namespace kernel
