// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/object_names.h"

#include <algorithm>
#include <functional>

#include "scheduler/scheduler.h"

namespace interleaf {
namespace {

std::size_t offset_in(const Arena::Block& block, const void* address) {
  return reinterpret_cast<std::uintptr_t>(address) - reinterpret_cast<std::uintptr_t>(block.data());
}

bool lies_in(const Arena::Block& block, const void* address) {
  return offset_in(block, address) < block.size;
}

FieldPlace place_in(const Arena::Block* block, const void* address) {
  FieldPlace place;
  if (block == nullptr || !lies_in(*block, address)) return place;
  place.block = block;
  if (block->type == nullptr) return place;
  const std::size_t offset = offset_in(*block, address);
  for (const BlockField& field : block->type->fields) {
    if (offset < field.offset) continue;
    const std::size_t element = (offset - field.offset) / field.size;
    if (field.count != 0 && element >= field.count) continue;
    place.field = &field;
    place.element = static_cast<unsigned>(element);
    return place;
  }
  return place;
}

std::string instance_of(const Scheduler& scheduler, const Arena::Block& block) {
  if (block.type == nullptr) return "";
  if (!Arena::is_live(block)) return std::string("freed ") + block.type->name;
  if (block.type->instance == nullptr) return block.type->name;
  return block.type->instance(scheduler, block.data());
}

// Of the element: what is freed without the arena's knowledge is filled with poison too.
bool is_poisoned(const FieldPlace& place) {
  const auto* bytes = static_cast<const unsigned char*>(place.block->data()) + place.field->offset +
                      std::size_t{place.element} * place.field->size;
  return std::all_of(bytes, bytes + place.field->size,
                     [](unsigned char byte) { return byte == kPoisonByte; });
}

}  // namespace

std::string field_name(const Scheduler& scheduler, const FieldPlace& place) {
  if (place.field == nullptr) return "";
  std::string name = place.field->name;
  if (place.field->count != 1) name += "[" + std::to_string(place.element) + "]";
  const std::string instance = instance_of(scheduler, *place.block);
  return instance.empty() ? name : name + " of " + instance;
}

std::string field_value(const Scheduler& scheduler, const FieldPlace& place) {
  if (place.field == nullptr) return "";
  if (!Arena::is_live(*place.block) || is_poisoned(place)) return "freed";
  if (place.field->value == nullptr) return "";
  return place.field->value(scheduler, place.block->data(), place.element);
}

FieldPlace find_field(const Arena& arena, const void* address) {
  return place_in(arena.find(address), address);
}

std::string name_at(const Scheduler& scheduler, const void* address) {
  return field_name(scheduler, find_field(scheduler.arena(), address));
}

std::string instance_at(const Scheduler& scheduler, const void* address) {
  const FieldPlace place = find_field(scheduler.arena(), address);
  return place.field == nullptr ? "" : instance_of(scheduler, *place.block);
}

std::string pointer_text(const Scheduler& scheduler, const void* pointer) {
  if (pointer == nullptr) return "null";
  const Arena::Block* block = scheduler.arena().find(pointer);
  if (block == nullptr || block->type == nullptr) return "a pointer";
  const std::string instance = instance_of(scheduler, *block);
  return instance.empty() ? block->type->name : instance;
}

std::string access_text(const std::string& name, bool only_reads, const std::string& before,
                        const std::string& after) {
  if (only_reads) return before.empty() ? name : name + ": " + before;
  if (after.empty()) return before.empty() ? name : name + ": " + before;
  return name + ": " + (before.empty() ? "" : before + " ") + "-> " + after;
}

FieldPlace ObjectNames::place(std::uint32_t object) {
  if (object <= kPrivateObject || object > scheduler_.objects()) return {};
  const Arena& arena = scheduler_.arena();
  const auto* address = reinterpret_cast<const void*>(arena.base() + scheduler_.place_of(object));
  // A block stays where it is and as long as it is, also when its memory is used again.
  const Arena::Block* next = arena.next_block(blocks_.empty() ? nullptr : blocks_.back());
  for (; next != nullptr; next = arena.next_block(next)) blocks_.push_back(next);
  const auto after = std::upper_bound(blocks_.begin(), blocks_.end(), address,
                                      [](const void* wanted, const Arena::Block* block) {
                                        return std::less<>()(wanted, block->data());
                                      });
  return place_in(after == blocks_.begin() ? nullptr : after[-1], address);
}

std::string ObjectNames::name(std::uint32_t object) {
  return field_name(scheduler_, place(object));
}

std::string ObjectNames::value(std::uint32_t object) {
  return field_value(scheduler_, place(object));
}

}  // namespace interleaf
