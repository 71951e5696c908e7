// SPDX-License-Identifier: GPL-2.0-only
// "Did you mean": the known name that is nearest to what a user typed.
//
// Pure functions, no state. Distance is the number of inserted, removed, replaced and swapped
// neighbouring characters, letters compared without case. Ties go to the name that comes first.
#pragma once

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace interleaf {

inline std::size_t edit_distance(std::string_view left, std::string_view right) {
  const auto same = [](char a, char b) {
    return std::tolower(static_cast<unsigned char>(a)) ==
           std::tolower(static_cast<unsigned char>(b));
  };
  std::vector<std::size_t> before(right.size() + 1), above(right.size() + 1), row(right.size() + 1);
  for (std::size_t j = 0; j <= right.size(); ++j) above[j] = j;
  for (std::size_t i = 1; i <= left.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= right.size(); ++j) {
      row[j] = std::min(
          {above[j] + 1, row[j - 1] + 1, above[j - 1] + (same(left[i - 1], right[j - 1]) ? 0 : 1)});
      if (i > 1 && j > 1 && same(left[i - 1], right[j - 2]) && same(left[i - 2], right[j - 1])) {
        row[j] = std::min(row[j], before[j - 2] + 1);
      }
    }
    std::swap(before, above);
    std::swap(above, row);
  }
  return above[right.size()];
}

// The nearest of `names`, or "" if none is near enough to be a likely slip of the hand: more than
// a third of the typed name's characters (rounded; from one to three) would have to change.
inline std::string nearest(std::string_view typed, const std::vector<std::string>& names) {
  std::size_t best_distance = std::clamp<std::size_t>((typed.size() + 1) / 3, 1, 3) + 1;
  std::string best;
  if (typed.size() > 64) return best;
  for (const std::string& name : names) {
    const std::size_t distance = edit_distance(typed, name);
    if (distance < best_distance && distance < name.size()) {
      best_distance = distance;
      best = name;
    }
  }
  return best;
}

// The remedy of an "unknown name" error: `did you mean "X"?`, or else the whole list.
inline std::string nearest_or_list(std::string_view typed, const std::vector<std::string>& names) {
  const std::string near = nearest(typed, names);
  if (!near.empty()) return "did you mean \"" + near + "\"?";
  if (names.empty()) return "none is known";
  std::string list = "known: ";
  for (std::size_t i = 0; i < names.size(); ++i) list += (i == 0 ? "" : ", ") + names[i];
  return list;
}

}  // namespace interleaf
