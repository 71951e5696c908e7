// SPDX-License-Identifier: GPL-2.0-only
// Iterative context bounding (Musuvathi, Qadeer: "Iterative context bounding for systematic testing
// of multithreaded programs", 2007) with a cache of happens-before orders ("Partial-order reduction
// for context-bounded state exploration", 2007): all orders of a program with no preemption, then
// all with one, and so on. A preemption is a switch away from a task that could go on; data choices
// and switches at a block or an end are free. The first finding has the fewest preemptions.
//
// The cache remembers prefixes by their key (prefix_key.h). A run whose prefix was seen ends there:
// with levels in ascending order it had no more preemptions when it was seen. What a level may not
// do is kept as the frontier of the next one.
//
// Some preemptions need not be made: those for a task that then makes one await (Op::kAwait, which
// is enabled for good and depends on nothing that may still come) and blocks. The await can as well
// be put off to right before the next step of its task, or to where all others block: the same
// order, and no more preemptions. The switch to the task that goes on is a preemption then, if it
// is another one, in place of the one left out; and whoever was switched from before the task's
// next step is now switched from before the await. So such a run ends where the task blocks.
// The same holds at a free switch the other way round: an await that leads to a block may as well
// be made there first, before any other task goes on. Of those that can go on there no other is
// tried, then. It makes the awaits of an order earlier, and moves no other step and no switch.
//
// Others need not be made since the step before which they come may as well come first. Let task A
// be preempted where its next step is e, let e do nothing but the access that it announced (no
// Strategy::also, no finding, no new order of locks), and let w be all steps from there to e. If e
// is independent of w, and of what each task then waits for that blocks in w, then e, w is the same
// order as w, e: e takes part in no switch of w, since nobody that blocks there could go on for it,
// and A was preempted behind e then, or not at all. So it has no more preemptions, and A goes on
// where it did not before. Of the runs of an order with its fewest preemptions, take the last one
// in the tree of choices whose last branch is always to go on: it has no such e. So the search
// leaves out what has one, and misses neither an order nor its number of preemptions:
// - A task that was preempted sleeps until a step is dependent on its next one, and is not chosen
//   meanwhile. Who sleeps is a part of the key, since it says what is left out behind a prefix.
// - In the last level nothing is kept for later, and all that can follow a preemption before A goes
//   on is known from one run (segment.h). If e is independent of it for the preemption behind e,
//   the one before e is not tried. Where that one ended at an await and a block, it is enough that
//   e is independent of these two: the one before e would end there as well. Which of these are
//   known depends on who came first to a prefix. So the numbers of runs do, but not the orders:
//   each one left out is left out for good reason.
// With `verify_cache`, or a filter, nothing of this is done.
//
// Several workers may search, each with a World and a thread of its own. They share the cache and
// the frontier. The result does not depend on their number or on timing:
// - Prefixes with one key go on alike, so keys are the nodes of a graph, and its edges cost 0 or 1
//   preemption. A level claims the nodes at that distance: which those are does not depend on who
//   claims one, or in which order. Every edge of a claimed node is taken once, or is one that may
//   be left out. So the orders and the findings are properties of the graph. The numbers of runs
//   are not.
// - Which run comes first to a node does depend on timing. So of the runs with a finding none is
//   reported as it is: of their orders the one with the fewest preemptions, steps, and least hash
//   is chosen, and its schedule is derived anew (normal_form.h), from the order alone.
// - A search for one finding ends at the end of a part of a level. Which part a choice of the
//   frontier is in follows from the key before it. Small frontiers are one part.
// - The slot of a World changes addresses; no key, signature or order contains one.
// This does not hold for a search that was out of budget: where that ends is a matter of timing.
//
// Holds for programs whose tasks share nothing that they do not announce. `verify_cache` looks for
// such hidden dependences (cache_check.h).
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "scheduler/search/choice_filter.h"
#include "scheduler/search/order_hash.h"
#include "scheduler/search/retry_limit.h"
#include "scheduler/search/with_world.h"
#include "scheduler/world.h"

namespace interleaf {

// How far a search is.
struct BoundedProgress {
  unsigned level = 0;
  std::uint64_t runs = 0;
  std::uint64_t prefixes = 0;
  double level_done = 0;  // part of the level's frontier that was handed out; 0 in level 0
  double seconds = 0;
};

struct BoundedOptions {
  static constexpr unsigned kUnbounded = ~0u;
  static constexpr std::uint64_t kMemoryDefault = std::uint64_t{2} << 30;

  unsigned preemptions_max = 1;
  unsigned jobs = 1;  // 1 .. 64 workers
  // Budgets, looked at after every run; 0: no limit.
  std::uint64_t runs_max = 0;
  double seconds_max = 0;
  std::uint64_t memory_max = kMemoryDefault;  // bytes of cache, orders and frontier
  std::uint64_t prefixes_max = 0;
  bool snapshots = true;         // false: run every prefix again
  unsigned snapshot_steps = 16;  // steps between snapshots, at least
  bool stop_at_first = false;    // at the end of the part of the level that has a finding
  bool verify_cache = false;
  // What may be chosen; null: everything. Where it holds the running task, going on with another
  // is no preemption. Requires: jobs is 1, no snapshots, no checkpoint.
  ChoiceFilter* filter = nullptr;
  RunOptions run;  // the seed is not used; no observer

  // The functions below are called by workers, in their threads and at the same time if there are
  // several. They must depend on what they are given alone.

  // What makes two findings the same; empty: it is none. Default: the verdict's signature.
  std::function<std::string(const RunResult&)> signature;
  // Instead of `signature`: all that is wrong with a run, each once; none: it is clean. Each is
  // counted, reported or known for itself. Not with a checkpoint.
  std::function<std::vector<std::string>(const RunResult&)> signatures;
  // True for signatures that are counted but are no findings. Default: none.
  std::function<bool(const std::string&)> known;
  // Called with the first run of every order, and nothing else: which run that is depends on
  // timing. The World is the worker's and at the end of that run; it may be used for other runs
  // (then the result is gone).
  std::function<void(World&, const RunResult&, const Hash128& order)> on_new_class;
  // The same, and returns what else is wrong with the order: signatures, each once, none that a run
  // may have. They are counted and reported as if the order's runs had them. Not with a checkpoint.
  std::function<std::vector<std::string>(World&, const RunResult&, const Hash128& order)> judge;

  // These are called one at a time.

  // Called with every run that came to its end, several times for some orders.
  std::function<void(const RunResult&, const Hash128& order)> ended;
  // About twice a second.
  std::function<void(const BoundedProgress&)> progress;

  // Set by somebody else (a signal handler): the search ends after the runs at hand.
  const std::atomic<bool>* interrupted = nullptr;

  // How many schedules of clean orders (or those with nothing but known ones) to keep: those of the
  // least hashes. None that RunOptions::retries_max cut.
  std::size_t sample_max = 0;

  // The state of the search goes to this file, and comes from there if it exists. checkpoint.h.
  std::string checkpoint;
  double checkpoint_seconds = 30;  // between two writes
  // What else the result depends on: names and values, kept in the checkpoint and compared.
  std::vector<std::pair<std::string, std::string>> identity;
};

struct BoundedFinding {
  std::string signature;
  std::uint64_t preemptions = 0;
  Hash128 order;
  Schedule schedule;        // the normal form of `order`, for runs without RunOptions::retries_max
  std::uint64_t count = 0;  // orders that had it
};

// What a level added to those before it.
struct BoundedLevel {
  std::uint64_t classes = 0;  // orders with this many preemptions at least
  std::uint64_t runs = 0;     // that came to their end
  std::uint64_t pruned = 0;   // that ended at a known prefix
  std::uint64_t cut = 0;      // of the runs: by RunOptions::steps_max
  double seconds = 0;
};

// What is left of a search that was out of budget, if that can be said.
struct BoundedEstimate {
  bool known = false;       // false in level 0 and in the first 1 % of a level
  double level_done = 0;    // part of the level's frontier
  double orders_least = 0;  // in all levels up to the bound; the truth may lie outside
  double orders_most = 0;
};

struct BoundedResult {
  // Every decision within the bound was tried, and no run was cut by RunOptions::steps_max. With
  // RunOptions::retries_max, so many fruitless repetitions are part of the bound.
  bool complete = false;
  // The same whatever the number of preemptions: nothing was left for another level.
  bool exhausted = false;
  int complete_up_to = -1;  // level; -1: none
  std::uint64_t runs = 0;   // as in BoundedLevel, of all levels
  std::uint64_t pruned = 0;
  std::uint64_t cut = 0;
  std::uint64_t classes = 0;
  RetryCuts retry_cuts;  // of the classes
  std::vector<BoundedLevel> levels;
  std::vector<BoundedFinding> findings;        // fewest preemptions first, then by signature
  std::map<std::string, std::uint64_t> known;  // signatures that are no findings, with orders
  std::vector<Schedule> sample;                // see BoundedOptions::sample_max
  bool out_of_budget = false;
  const char* budget = "";  // which: "runs", "memory", "time"; or "interrupted"
  BoundedEstimate estimate;
  std::string hidden_dependence;  // what verify_cache found: the search ended there
};

// Slots 0 to jobs - 1 are used, slot 0 by the calling thread. Throws CheckpointError, and what
// `with_world` throws.
BoundedResult explore_bounded(const WithWorld& with_world, const BoundedOptions& options);

// One worker. `world` must not be paused; it is left in any state.
BoundedResult explore_bounded(World& world, BoundedOptions options);

}  // namespace interleaf
