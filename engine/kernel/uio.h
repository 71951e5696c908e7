// SPDX-License-Identifier: GPL-2.0-only
// Users' memory as direct I/O sees it: pages, which are referenced for the time that a device stores
// to them (struct iov_iter of include/linux/uio.h, 6.12, as far as ->read_iter with IOCB_DIRECT needs
// it).
//
// It is a range that the process has mapped, or a buffer of its own. The latter is memory of the host
// that nobody else knows: for the device it has anonymous folios, whose bytes are copied to it when the
// call returns.
//
// What a device stores to pages of a file is a write to that file, for who judges the run: it begins
// when the pages are referenced and is acknowledged when the read has returned.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/kernel/gup.h"

namespace kernel
{

struct bio;

class user_buffer {
public:
	/* `count` bytes from `address` on in the process's mappings; or from `own` on. */
	user_buffer(mm_struct *mm, std::uint64_t address, std::size_t count);
	user_buffer(void *own, std::size_t count);

	std::size_t count() const { return count_; } /* left */
	/* Where it begins within a page. */
	std::size_t misalignment() const;

	/*
	 * References to the pages of the next `len` bytes go into the request, as many as there are.
	 * Bytes, or -EFAULT, -ENOMEM. bio_iov_iter_get_pages(). Sleeps.
	 */
	long extract(bio *request, std::size_t len);
	/* The next `len` bytes become zeros, as by a store of the process. Bytes, or -EFAULT. */
	long zero(std::size_t len);
	/* What was there of the buffer, in order: what the device has stored, and zeros. */
	const unsigned char *received() const { return received_; }
	/* The call has returned `got` bytes, or an error. The object is of no use any more. */
	void end(long got);

private:
	struct target {
		std::size_t begin; /* in the buffer */
		std::size_t len;
		unsigned write; /* the watcher's handle */
	};
	folio *own_page(std::size_t index);
	void tell(const gup_page &page, std::size_t in_page, std::size_t len);

	mm_struct *mm_ = nullptr;
	std::uint64_t address_ = 0;
	unsigned char *own_ = nullptr;
	std::size_t done_ = 0;
	std::size_t count_;
	unsigned char *received_; /* lives as long as the World: the watcher may keep it */
	std::vector<folio *> own_pages_; /* of `own`, by page */
	std::vector<target> targets_;
};

} // namespace kernel
