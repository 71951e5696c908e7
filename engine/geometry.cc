// SPDX-License-Identifier: GPL-2.0-only
#include "engine/geometry.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <optional>

#include "engine/call_syntax.h"
#include "engine/nearest.h"
#include "engine/user_error.h"

namespace interleaf {
namespace {

struct GeometryMember {
  std::string_view name;
  std::uint64_t Geometry::*member;
  std::uint64_t min;
  std::uint64_t max;
  bool power_of_two;
};

constexpr GeometryMember kGeometry[] = {
    {"page_size", &Geometry::page_size, 512, 65536, true},
    {"block_size", &Geometry::block_size, 512, 65536, true},
    {"hpage_pages", &Geometry::hpage_pages, 2, 512, true},
    {"folio_batch", &Geometry::folio_batch, 1, 31, false},
    {"xa_slots", &Geometry::xa_slots, 2, 64, true},
    {"disk_blocks", &Geometry::disk_blocks, 1, std::uint64_t{1} << 32, false},
    {"readahead_pages", &Geometry::readahead_pages, 0, 8192, false},
    {"volatile_cache", &Geometry::volatile_cache, 0, 1, false},
    {"barriers", &Geometry::barriers, 0, 1, false},
    {"journal_blocks", &Geometry::journal_blocks, 0, 1 << 20, false},
    {"data_ordered", &Geometry::data_ordered, 0, 1, false},
    {"dioread_nolock", &Geometry::dioread_nolock, 0, 1, false},
    {"sector_size", &Geometry::sector_size, 512, 65536, true},
};

}  // namespace

std::vector<std::string> geometry_names() {
  std::vector<std::string> names;
  for (const GeometryMember& member : kGeometry) names.emplace_back(member.name);
  return names;
}

void set_geometry(Geometry& geometry, std::string_view name, std::string_view value,
                  const std::string& place) {
  const auto* member =
      std::find_if(std::begin(kGeometry), std::end(kGeometry),
                   [name](const GeometryMember& each) { return each.name == name; });
  if (member == std::end(kGeometry)) {
    throw UserError("unknown geometry \"" + std::string(name) + "\"", place,
                    nearest_or_list(name, geometry_names()));
  }
  const LocatedText text{std::string(value), std::vector<SourcePosition>(value.size() + 1)};
  std::optional<std::uint64_t> number;
  try {
    number = parse_number(text, "");
  } catch (const UserError&) {  // it names a place in `value`, not in a file
  }
  if (!number || *number < member->min || *number > member->max ||
      (member->power_of_two && !std::has_single_bit(*number))) {
    throw UserError(std::string(name) + " can not be \"" + std::string(value) + "\"", place,
                    std::string(member->power_of_two ? "a power of two" : "a number") + " from " +
                        std::to_string(member->min) + " to " + std::to_string(member->max));
  }
  geometry.*member->member = *number;
}

void check_geometry(const Geometry& geometry, const std::string& place) {
  if (geometry.block_size <= geometry.page_size) return;
  throw UserError("block_size (" + std::to_string(geometry.block_size) +
                      ") is larger than page_size (" + std::to_string(geometry.page_size) + ")",
                  place, "make it " + std::to_string(geometry.page_size) + " or less");
}

}  // namespace interleaf
