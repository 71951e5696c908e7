// SPDX-License-Identifier: GPL-2.0-only
// Every order of a program's dependent events, each run once: dynamic partial-order reduction with
// source sets and sleep sets (Abdulla, Aronis, Jonsson, Sagonas, "Source Sets: A Foundation for
// Optimal Dynamic Partial Order Reduction", J. ACM 64, 2017), on snapshots of the World instead of
// re-execution.
//
// Departures from the paper, each needed for operations that block:
// - Races are looked for when an event is performed, and again for every task that is blocked
//   whenever its object changes: a blocked task may never get to perform what it announced.
// - Where the reversal of a race might not be possible, every task that was enabled is tried.
// - An acquisition and the release before it are never enabled at once: the race is with the
//   acquisition behind.
// - All outcomes of a data choice are tried before its task goes to sleep.
//
// Holds for programs whose tasks share nothing that they do not announce.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "scheduler/search/order_hash.h"
#include "scheduler/world.h"

namespace interleaf {

struct DporOptions {
  std::uint64_t runs_max = 0;   // complete ones and redundant ones; 0: no limit, as below
  double seconds_max = 0;       // looked at after every run
  bool snapshots = true;        // false: run every prefix again
  unsigned snapshot_steps = 0;  // steps between snapshots, at least; 0: by the World's size
  bool stop_at_first = false;   // at the first finding
  bool hash_orders = false;     // ended() gets the hash of the order; costs time
  RunOptions run;               // the seed is not used
  // What a run found, as it is to be told apart; default: the signature of every finding.
  std::function<std::vector<std::string>(const RunResult&)> signatures;
  // Called with every complete run: once for each order.
  std::function<void(const RunResult&, const Hash128& order)> ended;
};

struct DporFinding {
  std::string signature;
  std::uint64_t preemptions = 0;
  Schedule schedule;
  std::uint64_t count = 0;  // orders that have it
};

struct DporResult {
  bool complete = false;              // every order was run, none cut by RunOptions::steps_max
  std::uint64_t classes = 0;          // complete runs: one for each order
  std::uint64_t redundant = 0;        // runs left when all that could go on was covered already
  std::uint64_t cut = 0;              // runs that reached RunOptions::steps_max
  std::uint64_t events = 0;           // performed, those of repeated prefixes not counted
  std::uint64_t replayed = 0;         // performed again to get to a branch
  std::uint64_t fallbacks = 0;        // races that were answered by trying every task
  std::size_t snapshot_bytes = 0;     // held at most
  std::vector<DporFinding> findings;  // in order of signature; the schedule: of the first run found
  bool out_of_budget = false;
  const char* budget = "";  // which: "runs" or "time"
  // Of the whole search, from the part of the tree that is done, if out of budget: 0 is unknown.
  double estimated_classes = 0;
};

// `world` must not be paused; it is left in any state.
DporResult explore_dpor(World& world, const DporOptions& options);

}  // namespace interleaf
