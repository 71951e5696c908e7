// SPDX-License-Identifier: GPL-2.0-only
// The table of patches, made of those of the families.
#include "engine/kernel/patch.h"

#include <array>

#include "engine/kernel/machine.h"
#include "engine/kernel/patch_watch.h"
#include "scheduler/check.h"

namespace kernel
{

namespace
{

/* Calls visit(patch) until it returns true, in the order of Patch. Returns the last, or null. */
template <typename Visit>
const patch_info *find(Visit visit)
{
	for (const std::span<const patch_info> family :
	     { thp_patches(), iomap_patches(), ext4_patches(), gup_patches() }) {
		for (const patch_info &patch : family) {
			if (visit(patch))
				return &patch;
		}
	}
	return nullptr;
}

} // namespace

unsigned patch_count()
{
	return static_cast<unsigned>(Patch::kCount);
}

const patch_info &patch_at(unsigned index)
{
	const patch_info *found = find([&](const patch_info &) { return index-- == 0; });
	CHECK(found != nullptr);
	return *found;
}

const patch_info *find_patch(std::string_view slug)
{
	return find([&](const patch_info &patch) { return patch.slug == slug; });
}

/* Of the innermost patch_watch; null: nobody looks. */
static constinit thread_local patch_set *t_asked = nullptr;

patch_watch::patch_watch() : outer_(t_asked)
{
	t_asked = &asked_;
}

patch_watch::~patch_watch()
{
	t_asked = outer_;
	if (outer_ != nullptr)
		*outer_ |= asked_;
}

bool patched(Patch patch)
{
	if (t_asked != nullptr)
		*t_asked |= patch_bit(patch);
	return (this_machine().patches & patch_bit(patch)) != 0;
}

} // namespace kernel
