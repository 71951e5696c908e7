// SPDX-License-Identifier: GPL-2.0-only
// What the tests of the page cache share: contents, folios made by hand, the state of a mapping as
// a short string, and a run under many seeds.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "engine/kernel/bug.h"
#include "engine/kernel/pagemap.h"
#include "scheduler/prng.h"
#include "scheduler/task_mask.h"
#include "tests/kernel_harness.h"

namespace kernel {

inline constexpr unsigned kSeeds = 500;
inline constexpr std::size_t kPage = 4096;

/* `pages` pages; every page of its own letter, starting with `first`. */
inline std::string letters(unsigned pages, char first = 'a') {
  std::string bytes;
  for (unsigned i = 0; i < pages; ++i) bytes.append(kPage, static_cast<char>(first + i));
  return bytes;
}

inline std::string describe(const interleaf::RunResult& result) {
  std::string text;
  for (const interleaf::Finding& finding : result.findings) {
    text += std::string(interleaf::finding_name(finding.kind)) + ": " + finding.message + " [" +
            finding.task_name + ":";
    for (const std::string& function : finding.stack) text += " " + function;
    text += "]\n";
  }
  return text;
}

inline address_space* mapping_of(const char* name) { return find_inode(name)->i_mapping; }

/* A new folio in the cache, unlocked, without a reference of the caller's. */
inline void add_folio(address_space* mapping, pgoff_t index, unsigned order = 0) {
  folio* f = folio_alloc(order);
  BUG_ON(f == nullptr);
  BUG_ON(filemap_add_folio(mapping, f, index, 0) != 0);
  folio_set_uptodate(f);
  folio_unlock(f);
  folio_put(f);
}

inline void remove_folio(address_space* mapping, pgoff_t index) {
  folio* f = filemap_lock_folio(mapping, index);
  BUG_ON(IS_ERR(f));
  filemap_remove_folio(f);
  folio_unlock(f);
  folio_put(f);
}

/* The body of a task: page 1 of file "f" comes and goes three times. */
inline void add_and_remove() {
  address_space* mapping = mapping_of("f");
  for (unsigned turn = 0; turn < 3; ++turn) {
    add_folio(mapping, 1);
    remove_folio(mapping, 1);
  }
}

/* What is cached and what is accounted, for a mapping that nobody uses any more. */
inline std::string cached(const char* name, pgoff_t pages) {
  const address_space* mapping = mapping_of(name);
  std::string text;
  for (pgoff_t index = 0; index < pages; ++index) {
    const xa_peeked slot = xa_peek(&mapping->i_pages, index);
    const auto* f = static_cast<const folio*>(slot.entry);
    if (f == nullptr || f->index.peek() != index) continue;
    text += std::to_string(index) + (f->order == 0 ? "" : "L") +
            (f->flags.peek(PG_uptodate) ? "" : "!") + " ";
  }
  const char* wrong = xa_check(&mapping->i_pages);
  return text + "nrpages=" + std::to_string(mapping->nrpages.peek()) +
         (wrong == nullptr ? "" : std::string(" ") + wrong);
}

/* Like random, but stays with a task for about eight steps: reaches what needs a long delay. */
class sticky_random final : public interleaf::Strategy {
 public:
  void begin(std::uint64_t seed) override { prng_ = interleaf::Prng(seed); }
  interleaf::TaskId pick(const interleaf::Scheduler& scheduler,
                         interleaf::TaskMask runnable) override {
    const interleaf::TaskId now = scheduler.current_id();
    if (now != interleaf::kNoTask && (runnable & interleaf::task_bit(now)) != 0 &&
        prng_.below(8) != 0)
      return now;
    return interleaf::nth_task(runnable, prng_.below(interleaf::count_tasks(runnable)));
  }
  unsigned pick_value(const interleaf::Scheduler&, const char*, unsigned count) override {
    return prng_.below(count);
  }

 private:
  interleaf::Prng prng_{0};
};

/* Runs the seeds, with two strategies in turn; `look` sees what each left behind. */
template <typename Look>
void for_seeds(kernel_harness& harness, Look look, interleaf::Observer* trace = nullptr) {
  const auto random = interleaf::make_random();
  sticky_random sticky;
  for (unsigned seed = 1; seed <= kSeeds; ++seed) {
    const interleaf::RunResult& result = harness.run(seed % 2 == 0 ? *random : sticky, seed, trace);
    ASSERT_TRUE(result.clean()) << "seed " << seed << "\n" << describe(result);
    look(seed);
    ASSERT_FALSE(testing::Test::HasFailure()) << "seed " << seed;
  }
}

}  // namespace kernel
