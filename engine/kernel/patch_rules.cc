// SPDX-License-Identifier: GPL-2.0-only
// Which sets of patches make sense on which kernel, and in words why not. The rules are in the
// table; here is only their order: what the port lacks, what is gone, what is in the way, what is
// missing.
#include <string>

#include "engine/kernel/patch.h"

namespace kernel
{

namespace
{

/* The first and the last of the set, in the order of the table. Requires: it is not empty. */
const patch_info &first_of(patch_set set)
{
	unsigned index = 0;
	for (; (set & 1) == 0; set >>= 1)
		++index;
	return patch_at(index);
}

const patch_info &last_of(patch_set set)
{
	unsigned index = 0;
	while ((set >>= 1) != 0)
		++index;
	return patch_at(index);
}

bool has(patch_set set, const patch_info &patch)
{
	return (set & patch_bit(patch.patch)) != 0;
}

/* Some release has it. */
bool landed(const patch_info &patch)
{
	for (unsigned i = 0; i < kernel_count(); ++i) {
		if (kernel_at(i).on.empty() && has(kernel_at(i).patches, patch))
			return true;
	}
	return false;
}

/*
 * The patches of which the port has one side only while this set wants the other: the code before a
 * landed one, the code with a proposal.
 */
patch_set not_ported(patch_set set)
{
	patch_set wanted = 0;
	for (unsigned i = 0; i < patch_count(); ++i) {
		const patch_info &patch = patch_at(i);
		if (!patch.ported && has(set, patch) != landed(patch))
			wanted |= patch_bit(patch.patch);
	}
	return wanted;
}

/* What is wrong with a set: nothing, or `patch` and, where the rule is about two, `other`. */
struct problem {
	enum {
		kNone,
		kKernelNotPorted, /* the code before `patch` */
		kNotPorted, /* `patch`: without it, or with it if it never landed */
		kRemoved, /* `patch` changes what `other` took away */
		kExcluded, /* `patch` and `other` */
		kMissing, /* `patch` builds on `other` */
		kNoneOf, /* `patch` builds on one of its needs_one */
	} rule = kNone;
	const patch_info *patch = nullptr;
	const patch_info *other = nullptr;
};

problem find_unported(const kernel_info &base, patch_set set)
{
	const patch_set of_kernel = not_ported(base.patches);
	if (of_kernel != 0) {
		/* The newest of them tells most. */
		return { problem::kKernelNotPorted, &last_of(of_kernel) };
	}
	if (not_ported(set) != 0)
		return { problem::kNotPorted, &first_of(not_ported(set)) };
	return {};
}

problem find_problem(const kernel_info &base, patch_set set)
{
	const problem unported = find_unported(base, set);
	if (unported.rule != problem::kNone)
		return unported;
	for (patch_set left = set; left != 0; left &= left - 1) {
		const patch_info &patch = first_of(left);
		if ((set & patch.removes) != 0)
			return { problem::kRemoved, &first_of(set & patch.removes), &patch };
	}
	for (patch_set left = set; left != 0; left &= left - 1) {
		const patch_info &patch = first_of(left);
		if ((set & patch.excludes) != 0)
			return { problem::kExcluded, &patch, &first_of(set & patch.excludes) };
	}
	for (patch_set left = set; left != 0; left &= left - 1) {
		const patch_info &patch = first_of(left);
		if ((patch.needs & ~set) != 0)
			return { problem::kMissing, &patch, &first_of(patch.needs & ~set) };
		if (patch.needs_one != 0 && (patch.needs_one & set) == 0)
			return { problem::kNoneOf, &patch };
	}
	return {};
}

std::string slug(const patch_info &patch)
{
	return std::string(patch.slug);
}

/* "purge-under-lock (55fc0d917467)" */
std::string with_commit(const patch_info &patch)
{
	return patch.commit.empty() ? slug(patch)
				    : slug(patch) + " (" + std::string(patch.commit) + ")";
}

/* ", or take a kernel like 6.12.95": the newest release that has the patch or takes it as it is. */
std::string kernel_for(const patch_info &patch, const char *before)
{
	for (unsigned i = kernel_count(); i-- > 0;) {
		const kernel_info &candidate = kernel_at(i);
		if (candidate.on.empty() &&
		    find_problem(candidate, candidate.patches | patch_bit(patch.patch)).rule ==
			    problem::kNone)
			return before + std::string("take a kernel like ") +
			       std::string(candidate.name);
	}
	return "";
}

/* How the user gets rid of a patch of the set. */
std::string drop(const kernel_info &base, const patch_info &patch)
{
	return has(base.patches, patch) ? "add --without " + slug(patch)
					: "leave " + slug(patch) + " away";
}

std::string removed_text(const kernel_info &base, const patch_info &patch, const patch_info &other)
{
	if (has(base.patches, other))
		return slug(patch) + " does not fit " + std::string(base.name) + ", where " +
		       with_commit(other) + " took away what it changes" + kernel_for(patch, ": ");
	return slug(other) + " takes away what " + slug(patch) + " changes: " + drop(base, patch);
}

std::string excluded_text(const kernel_info &base, const patch_info &patch, const patch_info &other)
{
	std::string text = slug(patch) + " and " + slug(other) +
			   " change the same place in two ways: apply one of them";
	for (const patch_info *each : { &patch, &other }) {
		if (has(base.patches, *each))
			text += ", " + std::string(base.name) + " has " + slug(*each);
	}
	return text;
}

std::string missing_text(const kernel_info &base, const patch_info &patch, const patch_info &other)
{
	if (has(base.patches, other))
		return slug(other) + " cannot be taken out while there is " + slug(patch) +
		       ", which builds on it: " + drop(base, patch);
	return slug(patch) + " does not fit " + std::string(base.name) + ", it builds on " +
	       with_commit(other) + ": apply that too" + kernel_for(patch, ", or ");
}

std::string none_of_text(const kernel_info &base, const patch_info &patch)
{
	std::string text = slug(patch) + " does not fit " + std::string(base.name) + " without ";
	for (patch_set left = patch.needs_one; left != 0; left &= left - 1)
		text += slug(first_of(left)) + ((left & (left - 1)) != 0 ? " or " : "");
	return text + ", which it changes: apply one of them too" + kernel_for(patch, ", or ");
}

std::string not_ported_text(const kernel_info &base, const patch_info &patch)
{
	if (!landed(patch))
		return slug(patch) + " is not ported yet: leave it away";
	return slug(patch) + " cannot be taken out of " + std::string(base.name) +
	       ", the code before it is not ported yet: leave it in";
}

} // namespace

std::string patch_refusal(const kernel_info &base, patch_set set)
{
	const problem found = find_problem(base, set);
	switch (found.rule) {
	case problem::kNone:
		return "";
	case problem::kKernelNotPorted:
		return "the collapse and truncate of " + std::string(base.name) + ", before " +
		       with_commit(*found.patch) +
		       ", are not ported yet: take a newer kernel, see `interleaf list kernels`";
	case problem::kNotPorted:
		return not_ported_text(base, *found.patch);
	case problem::kRemoved:
		return removed_text(base, *found.patch, *found.other);
	case problem::kExcluded:
		return excluded_text(base, *found.patch, *found.other);
	case problem::kMissing:
		return missing_text(base, *found.patch, *found.other);
	case problem::kNoneOf:
		return none_of_text(base, *found.patch);
	}
	return "";
}

bool patch_fits(const kernel_info &base, const patch_info &patch)
{
	return !has(base.patches, patch) &&
	       find_problem(base, base.patches | patch_bit(patch.patch)).rule == problem::kNone;
}

} // namespace kernel
