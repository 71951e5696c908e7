// SPDX-License-Identifier: GPL-2.0-only
// Users' memory for direct I/O (lib/iov_iter.c of 6.12: iov_iter_extract_pages, iov_iter_zero).
//
// Left out: buffers of more than one range, memory of the kernel. Pages are referenced one by one.
#include "engine/kernel/uio.h"

#include <algorithm>
#include <cstring>

#include "engine/kernel/block.h"
#include "engine/kernel/errno.h"
#include "engine/kernel/machine.h"
#include "scheduler/frame.h"

namespace kernel
{

user_buffer::user_buffer(mm_struct *mm, std::uint64_t address, std::size_t count)
	: mm_(mm), address_(address), count_(count), received_(new unsigned char[count]())
{
}

user_buffer::user_buffer(void *own, std::size_t count)
	: own_(static_cast<unsigned char *>(own)), count_(count),
	  received_(new unsigned char[count]()), own_pages_((count + page_size() - 1) / page_size())
{
}

/* A buffer of the task's own is one of malloc's for direct I/O: it begins with a page. */
std::size_t user_buffer::misalignment() const
{
	return (address_ + done_) % page_size();
}

/* The process's reference is kept until the end. Null: no memory. */
folio *user_buffer::own_page(std::size_t index)
{
	if (own_pages_[index] == nullptr) {
		folio *f = folio_alloc(0);
		if (f != nullptr)
			f->flags.poke(PG_anon, true);
		own_pages_[index] = f;
	}
	return own_pages_[index];
}

/* The watcher's write to the file that the page belongs to; bytes behind its end are nobody's. */
void user_buffer::tell(const gup_page &page, std::size_t in_page, std::size_t len)
{
	const address_space *mapping = page.f->mapping.look();
	if (folio_test_anon(page.f) || mapping == nullptr)
		return;
	inode *node = mapping->host;
	const auto pos =
		static_cast<loff_t>((page.f->index.look() + page.page) * page_size() + in_page);
	const loff_t size = node->i_size.look();
	if (pos >= size)
		return;
	len = std::min(len, static_cast<std::size_t>(size - pos));
	targets_.push_back(
		{ done_, len,
		  this_machine().watcher->write_begin(*node, pos, received_ + done_, len) });
}

long user_buffer::extract(bio *request, std::size_t len)
{
	const std::size_t size = page_size();
	std::size_t taken = 0;

	request->direct = true;
	request->pinned = patched(Patch::kDioPinsPages);
	request->received = received_ + done_;
	len = std::min(len, count_);
	while (taken < len) {
		const std::size_t in_page = misalignment();
		const std::size_t part = std::min(size - in_page, len - taken);
		gup_page page{};
		long got = 1;
		if (own_ != nullptr) {
			page.f = own_page(done_ / size);
			if (page.f == nullptr)
				got = -ENOMEM;
			else if (request->pinned)
				folio_add_pin(page.f);
			else
				folio_get(page.f);
		} else if (request->pinned) {
			got = pin_user_pages_fast(mm_, address_ + done_, 1, FOLL_WRITE, &page);
		} else {
			got = get_user_pages_fast(mm_, address_ + done_, 1, FOLL_WRITE, &page);
		}
		if (got != 1)
			return taken != 0 ? static_cast<long>(taken) : got;
		bio_add_folio_nofail(request, page.f, part, page.page * size + in_page);
		tell(page, in_page, part);
		taken += part;
		done_ += part;
		count_ -= part;
	}
	return static_cast<long>(taken);
}

long user_buffer::zero(std::size_t len)
{
	FRAME(iov_iter_zero);
	const std::size_t size = page_size();
	std::size_t zeroed = 0;

	len = std::min(len, count_);
	while (zeroed < len) {
		const std::size_t part = std::min(size - misalignment(), len - zeroed);
		if (own_ != nullptr)
			std::memset(own_ + done_, 0, part);
		else if (access_store(mm_, address_ + done_, received_ + done_, part) != 0)
			break;
		zeroed += part;
		done_ += part;
		count_ -= part;
	}
	return zeroed != 0 || len == 0 ? static_cast<long>(zeroed) : -EFAULT;
}

void user_buffer::end(long got)
{
	const std::size_t acknowledged = got > 0 ? static_cast<std::size_t>(got) : 0;
	for (const target &part : targets_) {
		const std::size_t told = acknowledged > part.begin
						 ? std::min(part.len, acknowledged - part.begin)
						 : 0;
		this_machine().watcher->write_end(part.write, static_cast<long>(told));
	}
	if (own_ != nullptr)
		std::memcpy(own_, received_, acknowledged);
	for (folio *page : own_pages_) {
		if (page != nullptr)
			folio_put(page);
	}
}

} // namespace kernel
