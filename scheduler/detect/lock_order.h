// SPDX-License-Identifier: GPL-2.0-only
// Lock-order inversions, lockdep's way: an edge A -> B when a task asks for a lock of class B,
// ready to wait, while it holds one of class A. A cycle is an inversion, even if this run did not
// hang. Locks of one class may nest (their order is the program's own affair). Shared holders
// count as holders: a queued writer blocks readers, so a cycle of readers can hang too.
// Linux Documentation/locking/lockdep-design.rst.
//
// An edge that closes cycles is reported with all of the shortest ones, up to kCyclesMax a step, by
// the indices of their classes; lockdep reports one and then no more.
#pragma once

#include <cstddef>
#include <cstdint>

#include "scheduler/access.h"
#include "scheduler/image.h"
#include "scheduler/task.h"

namespace interleaf {

class LockOrder {
 public:
  static constexpr unsigned kClassesMax = 48;  // class 0 is "none"

  // Where an edge was first seen in this run.
  struct Edge {
    std::uint64_t step = 0;
    TaskId task = kNoTask;
    std::uint8_t depth = 0;
    const Function* stack[12] = {};  // innermost last
    std::source_location where;
  };
  struct Path {
    unsigned length = 0;
    std::uint8_t classes[kClassesMax] = {};
  };

  // True if asking for `wanted` while holding `held` would add an edge.
  bool is_new(std::uint64_t held, std::uint8_t wanted) const {
    return (held & ~(before_[wanted] | std::uint64_t{1} << wanted)) != 0;
  }
  static constexpr unsigned kCyclesMax = 16;
  struct Cycles {
    unsigned count = 0;
    Path paths[kCyclesMax];
    const Path* begin() const { return paths; }
    const Path* end() const { return paths + count; }
  };
  // Adds the edges held -> wanted that are new. Returns the inversions: for each of these edges the
  // shortest paths wanted -> ... -> held that are there already. Paths through another class that
  // is held and asked from in this step are left out: they only lengthen one of that class.
  Cycles add(std::uint64_t held, std::uint8_t wanted, const Task& task, std::uint64_t step,
             std::source_location where);
  // Another one with every edge that is added.
  const void* last() const { return edges_; }
  // Requires: the edge exists.
  const Edge& edge(std::uint8_t from, std::uint8_t to) const;

  // The index of a class, assigned on first use. Ends the program when there are too many.
  std::uint8_t index(const LockClass& lock_class);
  const char* name(std::uint8_t index) const { return classes_[index]->name; }

  // What is in use of it; the edges themselves lie in the arena. Nothing is copied back that is the
  // same still.
  void save(Image& image) const;
  void restore(ImageReader& image);

 private:
  struct StoredEdge {
    StoredEdge* next = nullptr;
    std::uint8_t from = 0;
    std::uint8_t to = 0;
    Edge edge;
  };
  // Adds the shortest paths from -> ... -> to around `avoided`.
  void find(std::uint8_t from, std::uint8_t to, std::uint64_t avoided, Cycles& cycles) const;
  // Adds those that go on from `path` by `layers`: layers[d] are the classes d edges before the
  // end.
  void walk(const std::uint64_t* layers, unsigned distance, Path& path, Cycles& cycles) const;

  void changed() { version_ = ++versions_; }

  // What it holds: another one with every change, and that of the image when it is restored.
  std::uint64_t version_ = 0;
  std::uint64_t versions_ = 0;  // there were so far
  std::size_t class_count_ = 1;
  const LockClass* classes_[kClassesMax] = {};
  std::uint64_t before_[kClassesMax] = {};  // bit a of before_[b]: an edge a -> b exists
  StoredEdge* edges_ = nullptr;             // in the arena, newest first
};

}  // namespace interleaf
