// SPDX-License-Identifier: GPL-2.0-only
// The accesses of a part of a run, by object and class (dependence.h), to be asked whether another
// access depends on any of them. Numbers of objects are those of the run.
#pragma once

#include <cstdint>
#include <vector>

#include "scheduler/access.h"
#include "scheduler/dependence.h"

namespace interleaf {

class Footprint {
 public:
  void clear() {
    for (const std::uint32_t object : touched_) classes_[object] = 0;
    touched_.clear();
  }
  void add(Op op, std::uint32_t object) {
    if (object == kPrivateObject) return;
    if (object >= classes_.size()) classes_.resize(2ul * object + 64);
    if (classes_[object] == 0) touched_.push_back(object);
    classes_[object] |= bit(op);
  }
  void add(const Footprint& other) {
    for (const std::uint32_t object : other.touched_) {
      if (object >= classes_.size()) classes_.resize(2ul * object + 64);
      if (classes_[object] == 0) touched_.push_back(object);
      classes_[object] |= other.classes_[object];
    }
  }
  // True if `op` on `object` is dependent on one of the accesses.
  bool conflicts(Op op, std::uint32_t object) const {
    if (object == kPrivateObject || object >= classes_.size()) return false;
    const std::uint8_t classes = classes_[object];
    if (commuting_class(op) == CommutingClass::kExclusive) return classes != 0;
    return (classes & ~bit(op)) != 0;
  }

 private:
  static std::uint8_t bit(Op op) {
    return static_cast<std::uint8_t>(1u << static_cast<unsigned>(commuting_class(op)));
  }

  std::vector<std::uint8_t> classes_;   // by object
  std::vector<std::uint32_t> touched_;  // those that are not 0
};

}  // namespace interleaf
