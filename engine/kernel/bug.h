// SPDX-License-Identifier: GPL-2.0-only
// The kernel's assertions as findings: BUG ends the run, WARN is recorded and the run goes on.
#pragma once

#include <source_location>
#include <string_view>

namespace kernel
{

/* Verdict kernel-bug; does not return inside a run. `what` is the condition, stable text. */
void bug(std::string_view what, std::source_location where = std::source_location::current());
/* Verdict livelock; does not return inside a run: a loop did its last turn over again, and nothing has
 * changed that the next one could see. `what` is the loop, stable text. */
void no_progress(std::string_view what, std::string_view why,
		 std::source_location where = std::source_location::current());
/* Verdict kernel-warning; the run goes on. */
void warn(std::string_view what, std::source_location where = std::source_location::current());

} // namespace kernel

#define BUG_ON(condition)                          \
	do {                                       \
		if (condition) [[unlikely]]        \
			::kernel::bug(#condition); \
	} while (0)
#define VM_BUG_ON_FOLIO(condition, folio) BUG_ON(condition)
#define VM_BUG_ON_PAGE(condition, page)                                  \
	do {                                                             \
		if (condition) [[unlikely]]                              \
			::kernel::bug("VM_BUG_ON_PAGE(" #condition ")"); \
	} while (0)
#define VM_WARN_ON_ONCE(condition)                  \
	do {                                        \
		if (condition) [[unlikely]]         \
			::kernel::warn(#condition); \
	} while (0)
