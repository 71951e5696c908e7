// SPDX-License-Identifier: GPL-2.0-only
// Folios and their contents for reports. A folio is called by its number and, while it is in a
// page cache, by its place there.
#include "engine/kernel/fields.h"
#include "engine/kernel/folio.h"
#include "engine/kernel/fs.h"

namespace kernel
{

namespace
{

constexpr interleaf::BlockField folio_fields[] = {
	FIELD(folio, _refcount),
	FIELD(folio, lock),
	FLAG(folio, flags, PG_referenced),
	FLAG(folio, flags, PG_uptodate),
	FLAG(folio, flags, PG_dirty),
	FLAG(folio, flags, PG_lru),
	FLAG(folio, flags, PG_active),
	FLAG(folio, flags, PG_workingset),
	FLAG(folio, flags, PG_private),
	FLAG(folio, flags, PG_reclaim),
	FLAG(folio, flags, PG_writeback),
	FLAG(folio, flags, PG_mappedtodisk),
	FLAG(folio, flags, PG_readahead),
	FLAG(folio, flags, PG_error),
	FLAG(folio, flags, PG_anon),
	FIELD(folio, index),
	{ "mapping", offsetof(folio, mapping), sizeof(folio::mapping), 1,
	  [](const interleaf::Scheduler &, const void *object, unsigned) {
		  const address_space *mapping = static_cast<const folio *>(object)->mapping.peek();
		  return mapping == nullptr ? "null" : "inode " + mapping->host->name;
	  } },
	FIELD(folio, private_data),
	FIELD(folio, _mapcount),
	FIELD(folio, _pincount),
	{ "order", offsetof(folio, life), sizeof(folio::life), 1,
	  [](const interleaf::Scheduler &, const void *object, unsigned) {
		  return std::to_string(static_cast<const folio *>(object)->order);
	  } },
};

std::string folio_name(const interleaf::Scheduler &, const void *object)
{
	const auto *f = static_cast<const folio *>(object);
	std::string text = "folio " + std::to_string(f->number);
	if (f->order >= interleaf::kPoisoned)
		return "freed " + text;
	if (f->flags.peek(PG_anon))
		return "anonymous " + text;
	const address_space *mapping = f->mapping.peek();
	if (mapping == nullptr)
		return text;
	const pgoff_t first = f->index.peek();
	std::string place = std::to_string(first);
	if (f->order != 0)
		place += ".." + std::to_string(first + (1u << f->order) - 1);
	return text + " at index " + place + " of " + mapping->host->name;
}

const folio *folio_of_numbers(const interleaf::Scheduler &scheduler, const void *numbers)
{
	return find_object<folio>(scheduler, folio_block,
				  [&](const folio &f) { return f.content_numbers == numbers; });
}

/* "zeros", "never written", or a hash by which equal contents are known. */
std::string page_text(const interleaf::Scheduler &scheduler, const void *numbers, unsigned page)
{
	const folio *f = folio_of_numbers(scheduler, numbers);
	if (f == nullptr)
		return "";
	const std::size_t size = machine_of(scheduler).geo.page_size;
	std::uint32_t hash = 0x811c9dc5;
	bool zeros = true;
	bool poison = true;
	for (std::size_t i = 0; i < size; i++) {
		const unsigned char byte = f->contents[page * size + i];
		hash = (hash ^ byte) * 0x01000193;
		zeros = zeros && byte == 0;
		poison = poison && byte == interleaf::kPoisonByte;
	}
	if (poison)
		return "never written";
	if (zeros)
		return "zeros";
	std::string text = "hash ";
	for (unsigned shift = 32; shift > 0; shift -= 4)
		text += "0123456789abcdef"[hash >> (shift - 4) & 15];
	return text;
}

constexpr interleaf::BlockField content_numbers_fields[] = {
	{ "page", 0, sizeof(interleaf::ObjectNumber), 0, page_text },
};

std::string content_numbers_name(const interleaf::Scheduler &scheduler, const void *numbers)
{
	const folio *f = folio_of_numbers(scheduler, numbers);
	return f == nullptr ? contents_block.name : folio_name(scheduler, f);
}

} // namespace

const interleaf::BlockType folio_block{ "folio", nullptr, folio_fields, folio_name };
const interleaf::BlockType contents_block{ "page contents" };
/* Of the same name: signatures and kinds of objects never told them from the contents. */
const interleaf::BlockType content_numbers_block{ contents_block.name, nullptr,
						  content_numbers_fields, content_numbers_name };

} // namespace kernel
