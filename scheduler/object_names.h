// SPDX-License-Identifier: GPL-2.0-only
// Objects by name and value: "i_writecount of inode f", "0". Names come from the types of blocks
// (block_type.h), so an object in a block without a type, or on a stack, has none. Instances and
// values are those of the moment: a folio that left its file is no longer called by its place in
// it. Makes no points. Allocates: call it with a HeapScope.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "scheduler/arena.h"

namespace interleaf {

class Scheduler;

// The element of a field that an address lies in.
struct FieldPlace {
  const Arena::Block* block = nullptr;  // null: in no block
  const BlockField* field = nullptr;    // null: in none of its type's
  unsigned element = 0;
};

// "slots[3] of xa_node of f", "lru_lock"; empty if the address lies in no field.
std::string field_name(const Scheduler& scheduler, const FieldPlace& place);
// "0", "held by opener", "freed"; empty if nothing can be said.
std::string field_value(const Scheduler& scheduler, const FieldPlace& place);

// Walks all blocks, as Arena::find(): for single reports. The place; its name; the instance alone,
// "folio 4 at index 2 of f", empty if there is none to be told.
FieldPlace find_field(const Arena& arena, const void* address);
std::string name_at(const Scheduler& scheduler, const void* address);
std::string instance_at(const Scheduler& scheduler, const void* address);
// What a pointer points to: the instance, or the name of the block's type; "null".
std::string pointer_text(const Scheduler& scheduler, const void* pointer);

// "i_writecount of inode f: 0 -> 1", ": 0" if the access only reads; what is not known is left out.
std::string access_text(const std::string& name, bool only_reads, const std::string& before,
                        const std::string& after);

// The same for many objects of one run: blocks are found in logarithmic time. Use one per run.
class ObjectNames {
 public:
  explicit ObjectNames(const Scheduler& scheduler) : scheduler_(scheduler) {}

  // By number. Empty if it is not in use yet, or has no name.
  std::string name(std::uint32_t object);
  std::string value(std::uint32_t object);
  FieldPlace place(std::uint32_t object);

 private:
  const Scheduler& scheduler_;
  std::vector<const Arena::Block*> blocks_;  // by address, as far as they were needed
};

}  // namespace interleaf
