// SPDX-License-Identifier: GPL-2.0-only
// Names the cause of a recording's finding (scheduler/search/cause.h) and tries what would prevent
// it (enforce.h). The waits of the scenario are taken away first if the finding is there without
// them: they impose an order on the calls, and what has no choice can not be a cause. A schedule
// that was not minimised is reduced first.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "engine/configuration.h"
#include "engine/recording.h"
#include "scheduler/search/cause.h"
#include "scheduler/search/enforce.h"
#include "scheduler/search/lockset.h"

namespace interleaf {

struct WhyOptions {
  bool keep_waits = false;
  unsigned tests = 3;                  // groups whose order is enforced and searched
  std::uint64_t search_runs = 20'000;  // of each of these searches
  unsigned jobs = 1;                   // 1 .. 64 of these searches at a time; changes no result
  std::uint64_t sample_runs = 200;     // for the locks held elsewhere; 0: none
};

// A group of causes with what was found out about it.
struct WhyLink {
  CauseGroup group;
  std::vector<std::string> instead;  // verdicts of the reversed runs, sorted; empty text: clean
  std::vector<std::string> common;   // lock classes that both sides hold
  LocksetCount elsewhere;            // accesses of objects of this kind in the sample
  bool tested = false;
  EnforceResult enforced;
};

struct WhyReport {
  std::shared_ptr<const Configuration> configuration;
  std::string verdict;
  std::string signature;
  std::string evidence;
  std::uint64_t waits = 0;    // taken away
  bool waits_needed = false;  // there are some, and the finding was not met without them
  bool reduced = false;
  std::uint64_t preemptions_given = 0;
  std::uint64_t sample_runs = 0;
  CauseResult causes;
  std::vector<WhyLink> chain;  // last cause first
};

// Errors: UserError for a recording without a finding; CannotJudge for one that does not replay
// exactly, twice alike.
WhyReport explain_recording(const Recording& recording, const WhyOptions& options);

// For a mail: no line is longer than 100 columns.
std::string why_text(const WhyReport& report);

// "closes it: complete up to 1 preemption, 1,284 orders" and the like.
std::string enforced_text(const WhyLink& link);

}  // namespace interleaf
