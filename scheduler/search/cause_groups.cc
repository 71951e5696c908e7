// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/cause_groups.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace interleaf {
namespace {

using Region = std::pair<TaskId, std::uint64_t>;
// Of several that fit, the first one: who writes after a stale read does more than who reads.
constexpr std::array<std::string_view, 4> kPatterns = {"R-W-W", "R-W-R", "W-W-R", "W-R-W"};

std::pair<Region, Region> regions_of(const Flip& flip) {
  const Region a{flip.earlier.task, flip.earlier.region};
  const Region b{flip.later.task, flip.later.region};
  return {std::min(a, b), std::max(a, b)};
}

bool same_tasks(const Flip& a, const Flip& b) {
  return std::minmax(a.earlier.task, a.later.task) == std::minmax(b.earlier.task, b.later.task);
}

bool belong_together(const Flip& a, const Flip& b) {
  return regions_of(a) == regions_of(b) ||
         (same_tasks(a, b) && a.earlier.object == b.earlier.object);
}

bool later_first(const Flip& a, const Flip& b) {
  return std::make_pair(a.later.step, a.earlier.step) >
         std::make_pair(b.later.step, b.earlier.step);
}

// The patterns are about what is read and written, not about locks and waits.
bool is_data(const AccessSite& site) {
  return site.op == Op::kRead || site.op == Op::kWrite || site.op == Op::kReadModifyWrite;
}

char kind_of(const AccessSite& site) { return op_only_reads(site.op) ? 'R' : 'W'; }

// Smaller is better; kPatterns.size(): none.
std::size_t place_of(const std::string& kinds) {
  return static_cast<std::size_t>(std::find(kPatterns.begin(), kPatterns.end(), kinds) -
                                  kPatterns.begin());
}

// Takes the three accesses over if they are of one call of a task with the other's in between, no
// uninterrupted call could have come to that order, and the group has no better ones.
void offer(const AccessSite& first, const AccessSite& foreign, const AccessSite& last,
           CauseGroup& group) {
  if (first.call != last.call) return;
  if (!is_data(first) || !is_data(foreign) || !is_data(last)) return;
  const std::string kinds = {kind_of(first), '-', kind_of(foreign), '-', kind_of(last)};
  if (place_of(kinds) >= place_of(group.kinds)) return;
  group.atomicity = true;
  group.kinds = kinds;
  group.first = first;
  group.foreign = foreign;
  group.last = last;
}

// The first access of the same object by `task` after `of`, and the last one before.
const AccessSite* next_of(const std::vector<AccessSite>& sites, const AccessSite& of, TaskId task) {
  for (std::size_t i = of.step; i < sites.size(); ++i) {
    if (sites[i].task == task && sites[i].object == of.object) return &sites[i];
  }
  return nullptr;
}
const AccessSite* previous_of(const std::vector<AccessSite>& sites, const AccessSite& of,
                              TaskId task) {
  for (std::size_t i = std::min<std::size_t>(of.step - 1, sites.size()); i-- > 0;) {
    if (sites[i].task == task && sites[i].object == of.object) return &sites[i];
  }
  return nullptr;
}

void classify(const std::vector<Flip>& flips, const std::vector<AccessSite>& sites,
              CauseGroup& group) {
  for (const std::size_t i : group.flips) {
    const AccessSite& earlier = flips[i].earlier;
    const AccessSite& later = flips[i].later;
    const AccessSite* next = next_of(sites, later, earlier.task);
    if (next != nullptr) offer(earlier, later, *next, group);
    const AccessSite* previous = previous_of(sites, earlier, later.task);
    if (previous != nullptr) offer(*previous, earlier, later, group);
  }
  if (group.atomicity) return;
  const Flip& last = flips[group.flips.front()];
  group.first = group.last = last.earlier;
  group.foreign = last.later;
}

}  // namespace

std::vector<CauseGroup> group_causes(const std::vector<Flip>& flips,
                                     const std::vector<AccessSite>& sites) {
  std::vector<std::size_t> causes;
  for (std::size_t i = 0; i < flips.size(); ++i) {
    if (flips[i].outcome == Flip::Outcome::kRemoved) causes.push_back(i);
  }
  std::stable_sort(causes.begin(), causes.end(),
                   [&](std::size_t a, std::size_t b) { return later_first(flips[a], flips[b]); });
  std::vector<CauseGroup> groups;
  for (const std::size_t cause : causes) {
    CauseGroup joined;
    std::size_t place = groups.size();
    // All groups that it belongs to become one, where the first of them is.
    for (std::size_t g = 0; g < groups.size();) {
      const bool mine =
          std::any_of(groups[g].flips.begin(), groups[g].flips.end(),
                      [&](std::size_t i) { return belong_together(flips[i], flips[cause]); });
      if (!mine) {
        ++g;
        continue;
      }
      place = std::min(place, g);
      joined.flips.insert(joined.flips.end(), groups[g].flips.begin(), groups[g].flips.end());
      groups.erase(groups.begin() + static_cast<std::ptrdiff_t>(g));
    }
    joined.flips.push_back(cause);
    std::stable_sort(joined.flips.begin(), joined.flips.end(),
                     [&](std::size_t a, std::size_t b) { return later_first(flips[a], flips[b]); });
    groups.insert(groups.begin() + static_cast<std::ptrdiff_t>(std::min(place, groups.size())),
                  std::move(joined));
  }
  for (CauseGroup& group : groups) classify(flips, sites, group);
  return groups;
}

}  // namespace interleaf
