// SPDX-License-Identifier: GPL-2.0-only
// Every exhaustive search of the project behind one signature, so that tests go over all of them. A
// new search is a function and a row in explorers.cc.
#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <string>

#include "scheduler/search/order_hash.h"
#include "scheduler/world.h"

namespace interleaf {

struct Explored {
  bool complete = false;  // the search says that there is nothing else
  std::uint64_t runs = 0;
  std::set<Hash128> classes;         // of the runs that came to their end
  std::set<std::string> signatures;  // as signatures_of() tells them
  std::string hidden_dependence;     // what the search noticed of accesses without a point
};

// What an explorer's effort grows with, and so what it can be asked to exhaust.
enum class Scale : std::uint8_t {
  kSmallPrograms,  // also keeps or checks much per prefix
  kPrefixes,       // different prefixes: not of many tasks, nor of long private parts
  kClasses,
};

struct Explorer {
  const char* name;
  Explored (*explore)(World& world, const RunOptions& options);
  Scale scale;
};
std::span<const Explorer> explorers();

}  // namespace interleaf
