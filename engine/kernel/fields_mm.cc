// SPDX-License-Identifier: GPL-2.0-only
// Address spaces and page tables for reports. A table does not know where it is installed: that is
// looked up.
#include "engine/kernel/fields.h"
#include "engine/kernel/mm.h"
#include "scheduler/object_names.h"

namespace kernel
{

namespace
{

constexpr interleaf::BlockField mm_struct_fields[] = {
	FIELD(mm_struct, mmap_lock),
	FIELD(mm_struct, pmd_lock),
	FIELD(mm_struct, mm_users),
};

std::string mm_name(const interleaf::Scheduler &, const void *object)
{
	return std::string("mm of ") + static_cast<const mm_struct *>(object)->name;
}

constexpr interleaf::BlockField vm_area_struct_fields[] = {
	FIELD_AS("anon_vma", vm_area_struct, anon_vma_),
};

std::string hexadecimal(std::uint64_t number)
{
	std::string digits;
	do {
		digits.insert(digits.begin(), "0123456789abcdef"[number % 16]);
		number /= 16;
	} while (number != 0);
	return "0x" + digits;
}

std::string vma_name(const interleaf::Scheduler &scheduler, const void *object)
{
	const auto *vma = static_cast<const vm_area_struct *>(object);
	const bool owned = vma->vm_mm != nullptr && scheduler.arena().is_live_block(vma->vm_mm);
	return "VMA " + hexadecimal(vma->vm_start) + ".." + hexadecimal(vma->vm_end) + " of " +
	       (owned ? vma->vm_mm->name : "nobody");
}

constexpr interleaf::BlockField pte_table_fields[] = {
	FIELD(pte_table, ptl),
};

std::string table_name(const interleaf::Scheduler &scheduler, const pte_table *table)
{
	unsigned index = 0;
	const mm_struct *owner =
		find_object<mm_struct>(scheduler, mm_struct_block, [&](const mm_struct &mm) {
			for (index = 0; index < mm.pmd_count; index++) {
				if (mm.pmds[index].peek().table == table)
					return true;
			}
			return false;
		});
	if (owner == nullptr)
		return "page table that is not installed";
	const geometry &geo = machine_of(scheduler).geo;
	return "page table " +
	       hexadecimal(std::uint64_t{ index } * geo.hpage_pages * geo.page_size) + " of " +
	       owner->name;
}

std::string pte_table_name(const interleaf::Scheduler &scheduler, const void *object)
{
	return table_name(scheduler, static_cast<const pte_table *>(object));
}

constexpr interleaf::BlockField pte_entries_fields[] = {
	{ "pte", 0, sizeof(TableEntry<pte_t>), 0,
	  [](const interleaf::Scheduler &s, const void *object, unsigned number) {
		  return value_text(s,
				    static_cast<const TableEntry<pte_t> *>(object)[number].peek());
	  } },
};

std::string pte_entries_name(const interleaf::Scheduler &scheduler, const void *object)
{
	const pte_table *table =
		find_object<pte_table>(scheduler, pte_table_block, [&](const pte_table &candidate) {
			return candidate.ptes == object;
		});
	return table_name(scheduler, table);
}

constexpr interleaf::BlockField pmd_entries_fields[] = {
	{ "pmd", 0, sizeof(TableEntry<pmd_t>), 0,
	  [](const interleaf::Scheduler &s, const void *object, unsigned number) {
		  return value_text(s,
				    static_cast<const TableEntry<pmd_t> *>(object)[number].peek());
	  } },
};

std::string pmd_entries_name(const interleaf::Scheduler &scheduler, const void *object)
{
	const mm_struct *owner = find_object<mm_struct>(
		scheduler, mm_struct_block, [&](const mm_struct &mm) { return mm.pmds == object; });
	return owner == nullptr ? pmd_entries_block.name : mm_name(scheduler, owner);
}

std::string bits_text(std::uint32_t bits)
{
	std::string text;
	if ((bits & PTE_PRESENT) == 0)
		text += ", not present";
	if ((bits & PTE_WRITE) != 0)
		text += ", writable";
	if ((bits & PTE_DIRTY) != 0)
		text += ", dirty";
	if ((bits & PTE_YOUNG) != 0)
		text += ", young";
	return text;
}

} // namespace

std::string value_text(const interleaf::Scheduler &scheduler, pte_t pte)
{
	if (pte_none(pte))
		return "none";
	return "page " + std::to_string(pte.page) + " of " +
	       interleaf::pointer_text(scheduler, pte.f) + bits_text(pte.bits);
}

std::string value_text(const interleaf::Scheduler &scheduler, pmd_t pmd)
{
	if (pmd_none(pmd))
		return "none";
	if (!pmd_trans_huge(pmd))
		return "a table";
	return "huge " + interleaf::pointer_text(scheduler, pmd.huge) + bits_text(pmd.bits);
}

const interleaf::BlockType mm_struct_block{ "mm_struct", "memory", mm_struct_fields, mm_name };
const interleaf::BlockType vm_area_struct_block{ "vm_area_struct", "memory", vm_area_struct_fields,
						 vma_name };
const interleaf::BlockType pte_table_block{ "page table", "memory", pte_table_fields,
					    pte_table_name };
const interleaf::BlockType pmd_entries_block{ "pmd entries", "memory", pmd_entries_fields,
					      pmd_entries_name };
const interleaf::BlockType pte_entries_block{ "pte entries", "memory", pte_entries_fields,
					      pte_entries_name };

} // namespace kernel
