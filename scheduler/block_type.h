// SPDX-License-Identifier: GPL-2.0-only
// What lies in a block of memory, for reports: its type's name, which one it is, and the fields
// that own points, with their contents in words. Tables of these are constants; nothing of them is
// looked at while a run goes on unless somebody reports.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace interleaf {

class Scheduler;

// A member of a block, or an array that begins at `offset`. Bytes.
struct BlockField {
  const char* name;  // "i_writecount", "i_data.nrpages"
  std::uint32_t offset;
  std::uint32_t size;       // of one element
  std::uint32_t count = 1;  // elements; 0: as many as the block has room for
  // The contents at the moment, short. `block` is the whole of it, `element` < count. Makes no
  // point. Called only while the block is live and the element was not poisoned. Null: none.
  std::string (*value)(const Scheduler&, const void* block, unsigned element) = nullptr;
};

// What kind of object a block holds. Static storage duration.
struct BlockType {
  const char* name;
  // What signatures of findings call it; null: `name`.
  const char* role = nullptr;
  std::span<const BlockField> fields = {};
  // Which one it is: "inode f". Empty: there is only one, and nobody needs to be told. Called only
  // while the block is live, which does not mean that its contents were not poisoned. Null: `name`
  // says it all.
  std::string (*instance)(const Scheduler&, const void* block) = nullptr;

  const char* role_name() const { return role != nullptr ? role : name; }
};

// operator new's memory, with a type. For operator new of classes.
void* allocate_typed(std::size_t bytes, const BlockType& type);

}  // namespace interleaf
