// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/detect/lock_order.h"

#include <algorithm>
#include <bit>

#include "scheduler/check.h"

namespace interleaf {

std::uint8_t LockOrder::index(const LockClass& lock_class) {
  for (unsigned i = 1; i < class_count_; ++i) {
    if (classes_[i] == &lock_class) return static_cast<std::uint8_t>(i);
  }
  CHECK(class_count_ < kClassesMax);
  classes_[class_count_] = &lock_class;
  before_[class_count_] = 0;
  return static_cast<std::uint8_t>(class_count_++);
}

void LockOrder::save(Image& image) const {
  image.append(&class_count_, sizeof(class_count_));
  image.append(&edges_, sizeof(edges_));
  image.append(classes_, class_count_ * sizeof(classes_[0]));
  image.append(before_, class_count_ * sizeof(before_[0]));
}

void LockOrder::restore(ImageReader& image) {
  image.take(&class_count_, sizeof(class_count_));
  image.take(&edges_, sizeof(edges_));
  image.take(classes_, class_count_ * sizeof(classes_[0]));
  image.take(before_, class_count_ * sizeof(before_[0]));
}

// Depth first along the edges from -> x; true if one of `targets` is reached.
bool LockOrder::find(std::uint8_t from, std::uint64_t targets, std::uint64_t& seen,
                     Path& path) const {
  path.classes[path.length++] = from;
  if ((targets >> from & 1) != 0) return true;
  seen |= std::uint64_t{1} << from;
  for (unsigned to = 1; to < class_count_; ++to) {
    const bool edge = (before_[to] >> from & 1) != 0;
    if (edge && (seen >> to & 1) == 0 && find(static_cast<std::uint8_t>(to), targets, seen, path)) {
      return true;
    }
  }
  --path.length;
  return false;
}

LockOrder::Path LockOrder::add(std::uint64_t held, std::uint8_t wanted, const Task& task,
                               std::uint64_t step, std::source_location where) {
  const std::uint64_t fresh = held & ~(before_[wanted] | std::uint64_t{1} << wanted);
  Path path;
  std::uint64_t seen = 0;
  if (!find(wanted, fresh, seen, path)) path.length = 0;
  before_[wanted] |= fresh;
  for (std::uint64_t rest = fresh; rest != 0; rest &= rest - 1) {
    edges_ = new StoredEdge{.next = edges_};
    StoredEdge& stored = *edges_;
    stored.from = static_cast<std::uint8_t>(std::countr_zero(rest));
    stored.to = wanted;
    stored.edge.step = step;
    stored.edge.task = task.id;
    stored.edge.where = where;
    const unsigned kept = std::min<unsigned>(task.depth, std::size(stored.edge.stack));
    stored.edge.depth = static_cast<std::uint8_t>(kept);
    for (unsigned i = 0; i < kept; ++i) stored.edge.stack[i] = task.stack[task.depth - kept + i];
  }
  return path;
}

const LockOrder::Edge& LockOrder::edge(std::uint8_t from, std::uint8_t to) const {
  for (const StoredEdge* stored = edges_; stored != nullptr; stored = stored->next) {
    if (stored->from == from && stored->to == to) return stored->edge;
  }
  CHECK(false);
}

}  // namespace interleaf
