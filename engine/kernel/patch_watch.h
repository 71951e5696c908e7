// SPDX-License-Identifier: GPL-2.0-only
// Which patches a search depends on: those whose condition some run of it asked for. A kernel that
// differs in nothing else does the same, step for step.
#pragma once

#include "engine/kernel/patch.h"

namespace kernel
{

/*
 * Collects what the port asks for in this thread, while Worlds are set up and run; those within one
 * another each get all of it. Nothing of it rewinds. Belongs to its thread.
 */
class patch_watch {
public:
	patch_watch();
	~patch_watch();
	patch_watch(const patch_watch &) = delete;
	patch_watch &operator=(const patch_watch &) = delete;

	patch_set asked() const { return asked_; }

private:
	patch_set asked_ = 0;
	patch_set *const outer_;
};

} // namespace kernel
