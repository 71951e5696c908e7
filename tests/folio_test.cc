// SPDX-License-Identifier: GPL-2.0-only
#include "engine/kernel/folio.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "engine/kernel/pagemap.h"
#include "tests/small_machine.h"

namespace kernel {
namespace {

using interleaf::FindingKind;
using interleaf::RunResult;

geometry tiny_geometry() {
  geometry geo;
  geo.page_size = 64;
  geo.block_size = 64;
  geo.hpage_pages = 4;
  geo.lru_batch = 2;
  return geo;
}

/* "kind object" of the verdict, or "clean". */
std::string verdict(const RunResult& result) {
  const interleaf::Finding* finding = result.verdict();
  if (finding == nullptr) return "clean";
  return std::string(interleaf::finding_name(finding->kind)) + " " + finding->object;
}

/* The verdict of one task that does this. */
std::string run_alone(std::function<void()> body) {
  small_machine machine(tiny_geometry());
  machine.task("A", std::move(body));
  return verdict(machine.run());
}

TEST(Folio, ReferencesAddUp) {
  int counts[5] = {};
  EXPECT_EQ(run_alone([&] {
              folio* f = folio_alloc(2);
              counts[0] = folio_ref_count(f);
              int data = 0;
              folio_attach_private(f, &data);
              folio_ref_add(f, 4);
              counts[1] = folio_ref_count(f);
              counts[2] = folio_detach_private(f) == &data ? folio_ref_count(f) : -1;
              counts[3] = folio_detach_private(f) == nullptr ? folio_ref_count(f) : -1;
              folio_put_refs(f, 4);
              counts[4] = folio_ref_freeze(f, 2) ? -1 : folio_ref_count(f);
              folio_put(f);
            }),
            "clean");
  EXPECT_EQ(counts[0], 1);
  EXPECT_EQ(counts[1], 6);
  EXPECT_EQ(counts[2], 5);
  EXPECT_EQ(counts[3], 5);
  EXPECT_EQ(counts[4], 1);
}

TEST(Folio, FrozenOneGivesNoReferences) {
  bool got[3] = {true, false, true};
  EXPECT_EQ(run_alone([&] {
              folio* f = folio_alloc(0);
              folio_ref_freeze(f, 1);
              got[0] = folio_try_get(f);
              folio_ref_unfreeze(f, 1);
              got[1] = folio_try_get(f);
              folio_put_refs(f, 2);
              got[2] = folio_try_get(f); /* freed: zero can still be read */
            }),
            "clean");
  EXPECT_FALSE(got[0]);
  EXPECT_TRUE(got[1]);
  EXPECT_FALSE(got[2]);
}

TEST(Folio, AnythingButTheCountAndTheLockBitOfAFreedOneIsUseAfterFree) {
  auto freed = [] {
    folio* f = folio_alloc(1);
    folio_put(f);
    return f;
  };
  const std::string found = "use-after-free folio";
  EXPECT_EQ(run_alone([&] { freed()->index.load(); }), found);
  EXPECT_EQ(run_alone([&] { freed()->mapping.load(); }), found);
  EXPECT_EQ(run_alone([&] { folio_test_dirty(freed()); }), found);
  EXPECT_EQ(run_alone([&] { folio_lock(freed()); }), found);
  EXPECT_EQ(run_alone([&] { folio_trylock(freed()); }), found);
  EXPECT_EQ(run_alone([&] { EXPECT_FALSE(folio_test_locked(freed())); }), "clean");
  EXPECT_EQ(run_alone([&] { folio_mapped(freed()); }), found);
  EXPECT_EQ(run_alone([&] { folio_nr_pages(freed()); }), found);
  EXPECT_EQ(run_alone([&] { folio_get(freed()); }), "refcount folio");
  EXPECT_EQ(run_alone([&] { folio_put(freed()); }), "refcount folio");
  EXPECT_EQ(run_alone([&] { folio_copy_page(folio_alloc(0), 0, freed(), 0); }), found);
  char byte = 0;
  EXPECT_EQ(run_alone([&] {
              folio* f = folio_alloc(0);
              folio_read_contents(f, 0, &byte, 1);
              unsigned char* contents = f->contents;
              folio_put(f);
              byte = static_cast<char>(contents[63]);
            }),
            "clean"); /* no point, but no old data either */
  EXPECT_EQ(byte, static_cast<char>(interleaf::kPoisonByte));
}

TEST(Folio, IsNotFreedInABadState) {
  auto freed = [](void (*spoil)(folio*)) {
    return run_alone([spoil] {
      folio* f = folio_alloc(0);
      spoil(f);
      folio_put(f);
    });
  };
  EXPECT_EQ(freed([](folio* f) { f->lock.lock(); }), "kernel-bug f->lock.look_locked()");
  EXPECT_EQ(freed([](folio* f) { folio_set_writeback(f); }),
            "kernel-bug f->flags.look(PG_writeback)");
  EXPECT_EQ(freed([](folio* f) { folio_set_private(f); }), "kernel-bug f->flags.look(PG_private)");
  EXPECT_EQ(freed([](folio* f) { folio_set_active(f); }), "kernel-bug f->flags.look(PG_active)");
  EXPECT_EQ(freed([](folio* f) { f->_mapcount.inc(); }), "kernel-bug f->_mapcount.look() != 0");
  EXPECT_EQ(freed([](folio* f) { f->mapping.store(reinterpret_cast<address_space*>(f)); }),
            "kernel-bug f->mapping.look() != nullptr && !folio_test_anon(f)");
  EXPECT_EQ(freed([](folio* f) {
              f->flags.set(PG_anon);
              f->mapping.store(reinterpret_cast<address_space*>(f));
            }),
            "clean");
}

TEST(Folio, ContentsAreBytesWithAPointPerPage) {
  std::uint64_t steps = 0;
  char bytes[257] = {};
  small_machine machine(tiny_geometry());
  machine.task("A", [&] {
    folio* f = folio_alloc(2);
    folio* g = folio_alloc(0);
    char text[200];
    std::memset(text, 'a', sizeof(text));
    const std::uint64_t before = interleaf::Scheduler::current()->step();
    folio_zero_contents(f, 0, 256);         /* 4 */
    folio_write_contents(f, 10, text, 200); /* 4 */
    folio_zero_contents(f, 64, 32);         /* 1 */
    folio_copy_page(g, 0, f, 1);            /* 2 */
    folio_copy_page(f, 3, g, 0);            /* 2 */
    folio_write_contents(f, 255, "z", 1);   /* 1 */
    folio_read_contents(f, 0, bytes, 256);  /* 4 */
    folio_read_contents(f, 7, bytes, 0);
    steps = interleaf::Scheduler::current()->step() - before;
  });
  EXPECT_EQ(verdict(machine.run_in_order()), "clean");
  EXPECT_EQ(steps, 18u);
  for (char& byte : bytes) byte = byte == 0 ? '0' : byte;
  const std::string page = std::string(32, '0') + std::string(32, 'a');
  EXPECT_EQ(std::string(bytes, 256), std::string(10, '0') + std::string(54, 'a') + page +
                                         std::string(64, 'a') + page.substr(0, 63) + "z");
}

TEST(Folio, AllocationFailsOnlyWhereInjected) {
  bool failed = false, again = false;
  small_machine machine(tiny_geometry(), 1);
  machine.task("A", [&] {
    failed = folio_alloc(2) == nullptr;
    again = failed && folio_alloc(2) == nullptr;
  });
  unsigned failures = 0;
  for (std::uint64_t seed = 0; seed < 64; seed++) {
    EXPECT_EQ(verdict(machine.run(seed)), "clean");
    failures += failed;
    EXPECT_FALSE(again);
  }
  EXPECT_GT(failures, 10u);
  EXPECT_LT(failures, 54u);
}

/* References, PG_lru, on a list, active. */
std::string lru_state_of(folio* f) {
  return std::to_string(f->_refcount.peek()) + (f->flags.peek(PG_lru) ? "L" : "-") +
         (lru_peek(f) ? "l" : "-") + (f->flags.peek(PG_active) ? "A" : "-") + " ";
}

TEST(Lru, BatchHoldsAReferenceUntilItIsMoved) {
  char states[200] = {};
  EXPECT_EQ(run_alone([&] {
              std::string log;
              folio* f = folio_alloc(0);
              folio* g = folio_alloc(0);
              folio* huge = folio_alloc(2);
              folio_add_lru(f);
              log += lru_state_of(f);
              log += folio_isolate_lru(f) ? "isolated " : "not-isolated ";
              lru_add_drain();
              log += lru_state_of(f);
              log += folio_isolate_lru(f) ? "isolated " : "not-isolated ";
              log += lru_state_of(f);
              folio_putback_lru(f);
              log += lru_state_of(f);
              folio_add_lru(g); /* the second one fills the batch */
              log += lru_state_of(f) + lru_state_of(g);
              folio_add_lru(huge); /* goes at once */
              log += lru_state_of(huge);
              folio_put(f); /* from the list */
              folio_put(g);
              folio_put(huge);
              log += std::to_string(folio_ref_count(f));
              log.copy(states, sizeof(states) - 1);
            }),
            "clean");
  EXPECT_STREQ(states, "2--- not-isolated 1Ll- isolated 2--- 2--- 1Ll- 1Ll- 1Ll- 0");
}

TEST(Lru, SecondAccessActivates) {
  char states[200] = {};
  EXPECT_EQ(run_alone([&] {
              std::string log;
              folio* f = folio_alloc(0);
              folio* g = folio_alloc(0);
              folio_add_lru(f);
              folio_mark_accessed(f);
              folio_mark_accessed(f); /* in this CPU's batch: flag only */
              log += lru_state_of(f);
              lru_add_drain();
              log += lru_state_of(f);
              folio_add_lru(g);
              lru_add_drain();
              folio_mark_accessed(g);
              folio_mark_accessed(g); /* to the activate batch: not PG_lru */
              log += lru_state_of(g);
              lru_add_drain();
              log += lru_state_of(g);
              deactivate_file_folio(g);
              lru_add_drain_all();
              log += lru_state_of(g);
              folio_put(f);
              folio_put(g);
              log.copy(states, sizeof(states) - 1);
            }),
            "clean");
  EXPECT_STREQ(states, "2--A 1LlA 2-l- 1LlA 1Ll- ");
}

TEST(Lru, DrainAllReachesOtherTasksAndOneIsolationWins) {
  small_machine machine(tiny_geometry());
  folio* shared[3] = {};
  unsigned isolated = 0, bad = 0;
  interleaf::Atomic<int>* running = nullptr;
  machine.setup([&] {
    for (folio*& f : shared) f = folio_alloc(0);
    running = new interleaf::Atomic<int>(3);
    folio_add_lru(shared[0]);
  });
  auto last_one_cleans_up = [&] {
    if (!running->dec_and_test()) return;
    lru_add_drain_all();
    for (folio* f : shared) {
      bad += f->_refcount.peek() != 1 || !lru_peek(f) || !f->flags.peek(PG_lru);
      folio_put(f);
      bad += f->_refcount.peek() != 0;
    }
  };
  auto body = [&](unsigned own) {
    folio_add_lru(shared[own]); /* stays in the batch of this task */
    lru_add_drain_all();
    for (folio* f : shared) {
      folio_mark_accessed(f);
      if (!folio_isolate_lru(f)) continue;
      isolated++;
      folio_putback_lru(f);
    }
    last_one_cleans_up();
  };
  machine.task("A", [&] { body(1); });
  machine.task("B", [&] { body(2); });
  machine.task("C", [&] {
    folio_mark_accessed(shared[0]);
    folio_mark_accessed(shared[0]);
    last_one_cleans_up();
  });
  std::uint64_t clean = 0;
  for (std::uint64_t seed = 0; seed < 2000; seed++) clean += verdict(machine.run(seed)) == "clean";
  EXPECT_EQ(clean, 2000u);
  EXPECT_EQ(bad, 0u);
  EXPECT_GT(isolated, 2000u);
}

}  // namespace
}  // namespace kernel
