// SPDX-License-Identifier: GPL-2.0-only
#include "engine/kernel/bug.h"

#include <string>

#include "scheduler/check.h"
#include "scheduler/scheduler.h"

namespace kernel
{

namespace
{

/* The condition is the object of the finding, the line is only in the message: signatures must
 * outlive edits. Outside a run there is no kernel whose bug it could be. */
void report(interleaf::FindingKind kind, std::string_view what, std::string_view why,
	    const char *verb, const std::source_location &where)
{
	interleaf::Scheduler *scheduler = interleaf::Scheduler::current();
	if (scheduler == nullptr)
		interleaf::check_failed("kernel assertion outside a run", where);
	std::string message(verb);
	message.append(" ").append(where.file_name()).append(":");
	message.append(std::to_string(where.line())).append(": ").append(why);
	scheduler->report(kind, what, message, kind != interleaf::FindingKind::kKernelWarning);
}

} // namespace

void bug(std::string_view what, std::source_location where)
{
	report(interleaf::FindingKind::kKernelBug, what, what, "kernel BUG at", where);
}

void no_progress(std::string_view what, std::string_view why, std::source_location where)
{
	report(interleaf::FindingKind::kLivelock, what, why, "no progress at", where);
}

void warn(std::string_view what, std::source_location where)
{
	report(interleaf::FindingKind::kKernelWarning, what, what, "WARNING: at", where);
}

} // namespace kernel
