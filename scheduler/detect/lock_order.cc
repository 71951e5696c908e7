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
  changed();
  return static_cast<std::uint8_t>(class_count_++);
}

void LockOrder::save(Image& image) const {
  image.append(&version_, sizeof(version_));
  image.append(&class_count_, sizeof(class_count_));
  image.append(&edges_, sizeof(edges_));
  image.append(classes_, class_count_ * sizeof(classes_[0]));
  image.append(before_, class_count_ * sizeof(before_[0]));
}

void LockOrder::restore(ImageReader& image) {
  const std::uint64_t had = version_;
  image.take(&version_, sizeof(version_));
  if (version_ == had) {
    image.skip(sizeof(class_count_) + sizeof(edges_) +
               class_count_ * (sizeof(classes_[0]) + sizeof(before_[0])));
    return;
  }
  image.take(&class_count_, sizeof(class_count_));
  image.take(&edges_, sizeof(edges_));
  image.take(classes_, class_count_ * sizeof(classes_[0]));
  image.take(before_, class_count_ * sizeof(before_[0]));
}

// Breadth first from the end, then along the layers.
void LockOrder::find(std::uint8_t from, std::uint8_t to, std::uint64_t avoided,
                     Cycles& cycles) const {
  std::uint64_t layers[kClassesMax] = {std::uint64_t{1} << to};
  std::uint64_t seen = avoided | layers[0];
  unsigned distance = 0;
  while ((layers[distance] >> from & 1) == 0) {
    std::uint64_t before = 0;
    for (std::uint64_t rest = layers[distance]; rest != 0; rest &= rest - 1) {
      before |= before_[std::countr_zero(rest)];
    }
    if ((before & ~seen) == 0) return;
    layers[++distance] = before & ~seen;
    seen |= before;
  }
  Path path;
  path.classes[path.length++] = from;
  walk(layers, distance, path, cycles);
}

void LockOrder::walk(const std::uint64_t* layers, unsigned distance, Path& path,
                     Cycles& cycles) const {
  if (cycles.count == kCyclesMax) return;
  if (distance == 0) {
    cycles.paths[cycles.count++] = path;
    return;
  }
  const std::uint8_t from = path.classes[path.length - 1];
  for (std::uint64_t rest = layers[distance - 1]; rest != 0; rest &= rest - 1) {
    const auto to = static_cast<std::uint8_t>(std::countr_zero(rest));
    if ((before_[to] >> from & 1) == 0) continue;
    path.classes[path.length++] = to;
    walk(layers, distance - 1, path, cycles);
    --path.length;
  }
}

LockOrder::Cycles LockOrder::add(std::uint64_t held, std::uint8_t wanted, const Task& task,
                                 std::uint64_t step, std::source_location where) {
  const std::uint64_t fresh = held & ~(before_[wanted] | std::uint64_t{1} << wanted);
  Cycles cycles;
  for (std::uint64_t rest = fresh; rest != 0; rest &= rest - 1) {
    const auto from = static_cast<std::uint8_t>(std::countr_zero(rest));
    find(wanted, from, fresh & ~(std::uint64_t{1} << from), cycles);
  }
  if (fresh != 0) changed();
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
  return cycles;
}

const LockOrder::Edge& LockOrder::edge(std::uint8_t from, std::uint8_t to) const {
  for (const StoredEdge* stored = edges_; stored != nullptr; stored = stored->next) {
    if (stored->from == from && stored->to == to) return stored->edge;
  }
  CHECK(false);
}

}  // namespace interleaf
