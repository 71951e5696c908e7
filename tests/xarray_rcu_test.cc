// SPDX-License-Identifier: GPL-2.0-only
// The XArray's readers under RCU against its writers, and against memory that runs out.
#include <gtest/gtest.h>

#include <algorithm>

#include "engine/kernel/errno.h"
#include "engine/kernel/xarray.h"
#include "scheduler/prng.h"
#include "tests/small_machine.h"

namespace kernel {
namespace {

using interleaf::Prng;

geometry with_slots(unsigned slots) {
  geometry geo;
  geo.xa_slots = slots;
  return geo;
}

/* Says where it was stored, so that a reader can tell a wrong one. */
void* entry_for(std::uint64_t serial, std::uint64_t start, unsigned order) {
  return reinterpret_cast<void*>(serial << 16 | start << 8 | std::uint64_t{order} << 4);
}

bool stored_at(const void* entry, std::uint64_t index) {
  const auto bits = reinterpret_cast<std::uintptr_t>(entry);
  const std::uint64_t start = bits >> 8 & 0xff;
  return (bits & 15) == 0 && bits >> 16 != 0 && index >= start &&
         index - start < std::uint64_t{1} << (bits >> 4 & 15);
}

bool stored_at_one_index(const void* entry) {
  return (reinterpret_cast<std::uintptr_t>(entry) >> 4 & 15) == 0;
}

/* The array and what its tasks do; in the arena. */
class crowd {
 public:
  explicit crowd(complaint& result) : wrong_(result) {}

  /* Collapses, splits, single entries; high ones that make the tree grow and shrink. */
  void write(unsigned operations) {
    Prng random = own_random();
    for (unsigned i = 0; i < operations; i++) {
      const std::uint64_t index = random.below(8) == 0 ? 65 + random.below(20) : random.below(16);
      const unsigned order = 1 + random.below(4);
      switch (random.below(8)) {
        case 0:
        case 1:
          store(index, 0);
          break;
        case 2:
          collapse(index, order);
          break;
        case 3:
          store(index, order);
          break;
        case 4:
        case 5:
          erase(index);
          break;
        case 6:
          split(index);
          break;
        default:
          mark(index, random.below(3) != 0);
      }
    }
  }
  void read(unsigned operations) {
    Prng random = own_random();
    for (unsigned i = 0; i < operations; i++) {
      const std::uint64_t index = random.below(18);
      switch (random.below(5)) {
        case 0:
          load(index);
          break;
        case 1:
          find(index, random.below(3));
          break;
        case 2:
          find_marked(index);
          break;
        case 3:
          next(index);
          break;
        default:
          if (void* entry = xa_load(&xa_, index); xa_is_internal(entry))
            wrong_.say("xa_load found an internal entry", index);
      }
    }
  }
  /* What a lookup does, but in no read section: a grace period does not wait for it. */
  void read_carelessly(unsigned operations) {
    Prng random = own_random();
    for (unsigned i = 0; i < operations; i++) {
      xa_state xas(&xa_, random.below(18));
      if (void* entry = xas_load(&xas); !xas_retry(&xas, entry)) xas_reload(&xas);
    }
  }

  /* Up and down: a leaf that is the head or not, and an entry at 0 that is the head or not. */
  void grow_and_shrink(unsigned times, bool to_the_root) {
    const unsigned edge = to_the_root ? 0 : this_machine().geo.xa_slots - 1;
    for (unsigned i = 0; i < times; i++) {
      store(edge, 0);
      store(edge + 1, 0);
      erase(edge + 1);
      if (to_the_root) erase(0);
    }
  }
  /* From the last slot of the first leaf on. */
  void climb(unsigned times, bool to_the_root) {
    const unsigned edge = to_the_root ? 0 : this_machine().geo.xa_slots - 1;
    for (unsigned i = 0; i < times; i++) find(edge, i % 2);
  }

  unsigned seen = 0;

 private:
  static Prng own_random() {
    interleaf::Scheduler& s = *interleaf::Scheduler::current();
    const unsigned high = s.choose("program", 127);
    return Prng(high * 127 + s.choose("program", 127));
  }

  /* As a lookup does: it counts if the slot still holds it. */
  bool judge(xa_state* xas, void* entry) {
    if (entry == nullptr || xas_retry(xas, entry)) return false;
    if (xa_is_internal(entry)) {
      wrong_.say("an internal entry", xas->xa_index);
      return false;
    }
    if (xas_reload(xas) != entry) {
      xas_reset(xas);
      return false;
    }
    seen++;
    if (!stored_at(entry, xas->xa_index))
      wrong_.say("an entry that was never stored there", xas->xa_index);
    /* In the step of the reload, unless a writer is half way through. */
    if (!writing_ && xa_peek(&xa_, xas->xa_index).entry != entry)
      wrong_.say("an entry that is gone", xas->xa_index);
    return true;
  }
  void load(std::uint64_t index) {
    xa_state xas(&xa_, index);
    rcu_read_lock();
    judge(&xas, xas_load(&xas));
    rcu_read_unlock();
  }
  void find(std::uint64_t index, unsigned how) {
    xa_state xas(&xa_, index);
    rcu_read_lock();
    for (unsigned i = 0; i < 6; i++) {
      void* entry = how == 1 ? xas_next_entry(&xas, 100) : xas_find(&xas, 100);
      if (entry == nullptr) break;
      judge(&xas, entry);
      if (how == 2) {
        xas_pause(&xas);
        rcu_read_unlock();
        rcu_read_lock();
      }
    }
    rcu_read_unlock();
  }
  void find_marked(std::uint64_t index) {
    xa_state xas(&xa_, index);
    rcu_read_lock();
    for (unsigned i = 0; i < 5; i++) {
      void* entry = xas_find_marked(&xas, 100, XA_MARK_0);
      if (entry == nullptr) break;
      judge(&xas, entry);
    }
    rcu_read_unlock();
  }
  void next(std::uint64_t index) {
    xa_state xas(&xa_, index);
    rcu_read_lock();
    void* entry = xas_load(&xas);
    for (unsigned i = 0; i < 6 && !xa_is_sibling(entry); i++) {
      /* Who goes on from the middle of an entry lags behind: see xas_advance(). */
      if (judge(&xas, entry) && !stored_at_one_index(entry)) break;
      entry = xas_next(&xas);
    }
    rcu_read_unlock();
  }

  void check(std::uint64_t index) {
    if (const char* what = xa_check(&xa_)) wrong_.say(what, index);
    writing_ = false;
    xa_.xa_lock.unlock();
  }
  void lock() {
    xa_.xa_lock.lock();
    writing_ = true;
  }
  /* xa_lock held. A larger entry that is there already is replaced as a whole. */
  void* entry_over(std::uint64_t index, unsigned order) {
    const xa_peeked there = xa_peek(&xa_, index);
    order = std::max(order, there.entry != nullptr ? there.order : 0);
    return entry_for(++serial_, index >> order << order, order);
  }
  void store(std::uint64_t index, unsigned order) {
    xa_state xas(&xa_, index, order);
    do {
      lock();
      xas_store(&xas, entry_over(xas.xa_index, order));
      check(index);
    } while (xas_nomem(&xas));
  }
  void collapse(std::uint64_t index, unsigned order) {
    xa_state xas(&xa_, index, order);
    for (;;) {
      lock();
      xas_create_range(&xas);
      if (xas_error(&xas) == 0) break;
      check(index);
      if (!xas_nomem(&xas)) return;
    }
    xas_set_order(&xas, index, order);
    xas_store(&xas, entry_over(xas.xa_index, order));
    if (xas_error(&xas) == 0) xas_set_mark(&xas, XA_MARK_0);
    check(index);
    xas_destroy(&xas);
  }
  void erase(std::uint64_t index) {
    xa_state xas(&xa_, index);
    lock();
    xas_store(&xas, nullptr);
    check(index);
  }
  void split(std::uint64_t index) {
    const xa_peeked before = xa_peek(&xa_, index);
    if (before.order == 0) return;
    xa_state xas(&xa_, index >> before.order << before.order, before.order / 2);
    xas_split_alloc(&xas, before.entry, before.order);
    if (xas_error(&xas) != 0) return;
    lock();
    const xa_peeked now = xa_peek(&xa_, index);
    if (now.entry == before.entry && now.order == before.order)
      xas_split(&xas, before.entry, before.order);
    check(index);
    xas_destroy(&xas);
  }
  void mark(std::uint64_t index, bool set) {
    xa_state xas(&xa_, index);
    lock();
    if (xas_load(&xas) != nullptr) {
      if (set)
        xas_set_mark(&xas, XA_MARK_0);
      else
        xas_clear_mark(&xas, XA_MARK_0);
    }
    check(index);
  }

  complaint& wrong_;
  xarray xa_;
  std::uint64_t serial_ = 0;
  bool writing_ = false; /* xa_lock is held */
};

class XarrayCrowd : public testing::TestWithParam<unsigned> {};

TEST_P(XarrayCrowd, ReadersSeeOnlyWhatWasStoredThere) {
  complaint wrong;
  crowd* all = nullptr;
  unsigned seen = 0;
  small_machine machine(with_slots(GetParam()));
  machine.setup([&] { all = new crowd(wrong); });
  machine.task("reader", [&] {
    all->read(8);
    seen += all->seen;
  });
  machine.task("another reader", [&] {
    all->read(8);
    seen += all->seen;
  });
  machine.task("writer", [&] { all->write(25); });
  machine.task("another writer", [&] { all->write(10); });
  for (std::uint64_t seed = 0; seed < 4000; seed++) {
    const interleaf::RunResult& result = machine.run(seed);
    ASSERT_TRUE(result.clean()) << "seed " << seed << ": " << result.verdict()->message;
    ASSERT_STREQ(wrong.text, "") << "seed " << seed << ", xa_slots " << GetParam();
  }
  EXPECT_GT(seen, 4000u);
}

TEST_P(XarrayCrowd, ReadersClimbInATreeThatGrowsAndShrinks) {
  for (bool to_the_root : {false, true}) {
    complaint wrong;
    crowd* all = nullptr;
    small_machine machine(with_slots(GetParam()));
    machine.setup([&] { all = new crowd(wrong); });
    machine.task("reader", [&] { all->climb(6, to_the_root); });
    machine.task("writer", [&] { all->grow_and_shrink(5, to_the_root); });
    for (std::uint64_t seed = 0; seed < 20000; seed++) {
      const interleaf::RunResult& result = machine.run(seed);
      ASSERT_TRUE(result.clean()) << "seed " << seed << ": " << result.verdict()->message;
      ASSERT_STREQ(wrong.text, "") << "seed " << seed << ", xa_slots " << GetParam();
    }
  }
}

TEST_P(XarrayCrowd, MemoryMayRunOutAnywhere) {
  complaint wrong;
  crowd* all = nullptr;
  small_machine machine(with_slots(GetParam()), 4);
  machine.setup([&] { all = new crowd(wrong); });
  machine.task("reader", [&] { all->read(4); });
  machine.task("writer", [&] { all->write(30); });
  for (std::uint64_t seed = 0; seed < 2000; seed++) {
    const interleaf::RunResult& result = machine.run(seed);
    ASSERT_TRUE(result.clean()) << "seed " << seed << ": " << result.verdict()->message;
    ASSERT_STREQ(wrong.text, "") << "seed " << seed << ", xa_slots " << GetParam();
  }
}

/* The mutation check of the test above. */
TEST_P(XarrayCrowd, NodesFreedUnderAReaderAreFound) {
  complaint wrong;
  crowd* all = nullptr;
  small_machine machine(with_slots(GetParam()));
  machine.setup([&] { all = new crowd(wrong); });
  machine.task("reader", [&] { all->read_carelessly(30); });
  machine.task("writer", [&] { all->write(30); });
  unsigned found = 0;
  for (std::uint64_t seed = 0; seed < 2000; seed++) {
    const interleaf::Finding* finding = machine.run(seed).verdict();
    if (finding == nullptr) continue;
    ASSERT_EQ(finding->kind, interleaf::FindingKind::kUseAfterFree) << finding->message;
    found += finding->object == "xa_node";
  }
  EXPECT_GT(found, 0u);
}

INSTANTIATE_TEST_SUITE_P(Slots, XarrayCrowd, testing::Values(4, 16));

TEST(Xarray, StoreSaysWhenMemoryRunsOut) {
  int errors = 0, oks = 0, odd = 0;
  xarray* xa = nullptr;
  small_machine machine(with_slots(4), 2);
  machine.setup([&] { xa = new xarray; });
  machine.task("A", [&] {
    void* result = xa_store(xa, 1000, entry_for(1, 0, 0));
    errors += xa_err(result) == -ENOMEM;
    oks += result == nullptr && xa_load(xa, 1000) == entry_for(1, 0, 0);
    odd += xa_err(result) != 0 && xa_load(xa, 1000) != nullptr;
  });
  for (std::uint64_t seed = 0; seed < 400; seed++) EXPECT_TRUE(machine.run(seed).clean());
  EXPECT_GT(errors, 20);
  EXPECT_EQ(errors + oks, 400);
  EXPECT_EQ(odd, 0);
}

}  // namespace
}  // namespace kernel
