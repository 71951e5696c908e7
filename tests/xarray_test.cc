// SPDX-License-Identifier: GPL-2.0-only
// The XArray against std::map: one task, every operation.
#include "engine/kernel/xarray.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

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

struct model_entry {
  void* entry = nullptr;
  unsigned order = 0;
  unsigned marks = 0;
};

class model_walk {
 public:
  model_walk(complaint& result, std::uint64_t seed) : wrong_(result), random_(seed) {}

  void run(unsigned operations) {
    for (operation_ = 1; operation_ <= operations && wrong_.text[0] == 0; operation_++) {
      step();
      if (const char* what = xa_check(&xa_)) say(what, 0);
      if (operation_ % 256 == 0) compare_all();
    }
    while (!model_.empty()) erase(model_.begin()->first, 0);
    if (!xa_empty(&xa_) || xa_.xa_marks.peek() != 0) say("not empty at the end", 0);
  }

 private:
  using iterator = std::map<std::uint64_t, model_entry>::iterator;

  void say(const char* what, std::uint64_t index) { wrong_.say(what, index, operation_); }
  unsigned below(unsigned bound) { return random_.below(bound); }
  static std::uint64_t size(unsigned order) { return std::uint64_t{1} << order; }
  std::uint64_t random_index() {
    if (below(50) == 0) return (std::uint64_t{1} << below(63)) + below(300);
    return below(below(4) == 0 ? 2000 : 300);
  }
  unsigned random_order() { return below(2) == 0 ? 0 : below(8); }
  void* new_entry(bool value) {
    serial_++;
    return value ? xa_mk_value(serial_) : reinterpret_cast<void*>((serial_ + 4096) << 4);
  }
  /* The entry that covers the index, or the next one. */
  iterator at_or_after(std::uint64_t index) {
    auto it = model_.upper_bound(index);
    if (it != model_.begin() && covers(std::prev(it), index)) return std::prev(it);
    return it;
  }
  bool covers(iterator it, std::uint64_t index) {
    return it != model_.end() && it->first <= index && index - it->first < size(it->second.order);
  }
  iterator covering(std::uint64_t index) {
    auto it = at_or_after(index);
    return covers(it, index) ? it : model_.end();
  }
  /* Takes the entries out of the range and returns what marks they had. */
  unsigned remove_range(std::uint64_t base, unsigned order) {
    unsigned marks = 0;
    auto it = model_.lower_bound(base);
    while (it != model_.end() && it->first - base < size(order)) {
      marks |= it->second.marks;
      it = model_.erase(it);
    }
    return marks;
  }

  void compare(std::uint64_t index) {
    const xa_peeked got = xa_peek(&xa_, index);
    const auto it = covering(index);
    const model_entry want = it == model_.end() ? model_entry{} : it->second;
    if (got.entry != want.entry)
      say("another entry", index);
    else if (got.order != want.order)
      say("another order", index);
    else if (got.marks != want.marks)
      say("other marks", index);
  }
  void compare_around(std::uint64_t base, unsigned order) {
    for (std::uint64_t i = base - std::min<std::uint64_t>(base, 2); i < base + size(order) + 2; i++)
      compare(i);
    if (model_.empty() && !xa_empty(&xa_)) say("not empty", 0);
    if (model_.size() == 1 && model_.begin()->first == 0 && model_.begin()->second.order == 0 &&
        xa_.xa_head.peek() != model_.begin()->second.entry)
      say("a lone entry at 0 is not at the head", 0);
  }
  void compare_all() {
    for (const auto& [index, entry] : model_) compare(index + size(entry.order) - 1);
    for (unsigned i = 0; i < 320; i++) compare(i);
    for (xa_mark_t mark : {XA_MARK_0, XA_MARK_1, XA_MARK_2}) {
      const bool want = std::any_of(model_.begin(), model_.end(), [&](const auto& at) {
        return (at.second.marks >> mark & 1) != 0;
      });
      if (xa_marked(&xa_, mark) != want) say("the array's mark", mark);
    }
  }

  void store(std::uint64_t index, unsigned order, bool create_first) {
    const std::uint64_t base = index >> order << order;
    const auto over = covering(base);
    const bool replaces_larger = over != model_.end() && over->second.order >= order;
    /* Linux miscounts values if a part of an entry is overwritten with the other kind. */
    void* entry = new_entry(replaces_larger ? xa_is_value(over->second.entry) : below(3) == 0);
    xa_state xas(&xa_, index, order);

    xa_.xa_lock.lock();
    if (create_first) {
      xas_create_range(&xas);
      xas_set_order(&xas, index, order);
    }
    void* old = xas_store(&xas, entry);
    xa_.xa_lock.unlock();
    if (xas_nomem(&xas)) say("-ENOMEM", index);
    if (replaces_larger) {
      if (old != over->second.entry) say("store returned another old entry", index);
      over->second.entry = entry;
    } else {
      const unsigned marks = remove_range(base, order);
      model_[base] = {entry, order, marks};
    }
    compare_around(base, order);
  }
  void erase(std::uint64_t index, unsigned order) {
    const std::uint64_t base = index >> order << order;
    xa_state xas(&xa_, index, order);
    const auto over = covering(base);
    xa_.xa_lock.lock();
    void* old = xas_store(&xas, nullptr);
    xa_.xa_lock.unlock();
    if (over != model_.end() && over->second.order >= order) {
      if (old != over->second.entry) say("erase returned another old entry", index);
      model_.erase(over);
    } else {
      remove_range(base, order);
    }
    compare_around(base, order);
  }
  void mark(std::uint64_t index, xa_mark_t mark, bool set) {
    const auto it = covering(index);
    if (it == model_.end()) return;
    xa_state xas(&xa_, index);
    xa_.xa_lock.lock();
    xas_load(&xas);
    if (set)
      xas_set_mark(&xas, mark);
    else
      xas_clear_mark(&xas, mark);
    xa_.xa_lock.unlock();
    it->second.marks = (it->second.marks & ~(1u << mark)) | unsigned{set} << mark;
    compare_around(it->first, it->second.order);
  }
  void split(std::uint64_t index) {
    const auto it = at_or_after(index);
    if (it == model_.end() || it->second.order == 0) return;
    const std::uint64_t start = it->first;
    const model_entry old = it->second;
    const unsigned order = below(old.order);
    void* entry = below(2) == 0 ? old.entry : new_entry(below(2) == 0);
    xa_state xas(&xa_, start, order);
    xas_split_alloc(&xas, entry, old.order);
    xa_.xa_lock.lock();
    xas_split(&xas, entry, old.order);
    xa_.xa_lock.unlock();
    if (xas_nomem(&xas)) say("-ENOMEM", index);
    for (std::uint64_t i = start; i - start < size(old.order); i += size(order))
      model_[i] = {entry, order, old.marks};
    compare_around(start, old.order);
  }

  /* Walks; how = 0 xas_find, 1 xas_next_entry, 2 with a pause after each. */
  void find(std::uint64_t index, std::uint64_t max, unsigned how) {
    xa_state xas(&xa_, index);
    auto want = at_or_after(index);
    rcu_read_lock();
    for (unsigned i = 0; i < 40; i++) {
      void* got = i != 0 && how == 1 ? xas_next_entry(&xas, max) : xas_find(&xas, max);
      if (want == model_.end() || want->first > max) {
        if (got != nullptr) say("found one too many", xas.xa_index);
        break;
      }
      if (got != want->second.entry || !covers(want, xas.xa_index))
        say("find found another entry", xas.xa_index);
      else if (xas_get_order(&xas) != static_cast<int>(want->second.order))
        say("another order after find", xas.xa_index);
      ++want;
      if (how == 2) xas_pause(&xas);
    }
    rcu_read_unlock();
  }
  void find_marked(std::uint64_t index, std::uint64_t max, xa_mark_t mark) {
    xa_state xas(&xa_, index);
    auto want = at_or_after(index);
    rcu_read_lock();
    for (unsigned i = 0; i < 20; i++) {
      while (want != model_.end() && (want->second.marks >> mark & 1) == 0) ++want;
      void* got = xas_find_marked(&xas, max, mark);
      if (want == model_.end() || want->first > max) {
        if (got != nullptr) say("found one marked too many", xas.xa_index);
        break;
      }
      if (got != want->second.entry || !covers(want, xas.xa_index))
        say("find_marked found another entry", xas.xa_index);
      else if (!xas_get_mark(&xas, mark))
        say("find_marked found one that is not", xas.xa_index);
      ++want;
    }
    rcu_read_unlock();
  }
  void next(std::uint64_t index) {
    xa_state xas(&xa_, index);
    rcu_read_lock();
    void* got = xas_load(&xas);
    for (std::uint64_t i = index; i < index + 40; i++) {
      const auto want = covering(i);
      if (want == model_.end() ? got != nullptr : got != want->second.entry && !xa_is_sibling(got))
        say("next found another entry", i);
      if (got != nullptr && xas.xa_index != i) say("next at another index", i);
      if (xas.xa_index != i) break;
      if (want != model_.end()) { /* an offset in its middle would lag behind */
        i = want->first + size(want->second.order) - 1;
        xas_advance(&xas, i);
      }
      got = xas_next(&xas);
    }
    rcu_read_unlock();
  }
  void conflicts(std::uint64_t index, unsigned order) {
    xa_state xas(&xa_, index, order);
    const std::uint64_t base = index >> order << order;
    auto want = at_or_after(base);
    xa_.xa_lock.lock();
    while (void* got = xas_find_conflict(&xas)) {
      if (want == model_.end() || want->first >= base + size(order) || got != want->second.entry) {
        say("another conflict", index);
        break;
      }
      if (xas_get_order(&xas) != static_cast<int>(want->second.order))
        say("another order of a conflict", index);
      ++want;
      if (want == model_.end() || want->first >= base + size(order)) want = model_.end();
    }
    if (wrong_.text[0] == 0 && want != model_.end() && want->first < base + size(order))
      say("a conflict was missed", index);
    xa_.xa_lock.unlock();
  }
  void simple(std::uint64_t index, xa_mark_t mark) {
    const auto it = covering(index);
    const bool there = it != model_.end();
    if (xa_load(&xa_, index) != (there ? it->second.entry : nullptr)) say("xa_load", index);
    if (xa_get_mark(&xa_, index, mark) != (there && (it->second.marks >> mark & 1) != 0))
      say("xa_get_mark", index);
  }

  void step() {
    const unsigned what = below(100);
    const std::uint64_t index = random_index();
    const auto mark_number = static_cast<xa_mark_t>(below(3));
    const std::uint64_t max = below(2) == 0 ? ~std::uint64_t{0} : index + below(300);

    /* Now and then only little is left: trees shrink. */
    if (operation_ % 4000 == 0) {
      while (model_.size() > 3) erase(model_.rbegin()->first, 0);
    }
    if (what < 32)
      store(index, random_order(), false);
    else if (what < 36)
      store(index, random_order(), true);
    else if (what < 54)
      erase(index, 0);
    else if (what < 58)
      erase(index, random_order());
    else if (what < 68)
      mark(index, mark_number, true);
    else if (what < 74)
      mark(index, mark_number, false);
    else if (what < 80)
      split(index);
    else if (what < 88)
      find(index, max, below(3));
    else if (what < 92)
      find_marked(index, max, mark_number);
    else if (what < 94)
      next(index);
    else if (what < 97)
      conflicts(index, random_order());
    else
      simple(index, mark_number);
  }

  complaint& wrong_;
  Prng random_;
  xarray xa_;
  std::map<std::uint64_t, model_entry> model_;
  std::uint64_t serial_ = 0;
  std::uint64_t operation_ = 0;
};

class XarrayModel : public testing::TestWithParam<unsigned> {};

TEST_P(XarrayModel, IsAMapOfRanges) {
  for (std::uint64_t seed = 1; seed <= 2; seed++) {
    complaint wrong;
    small_machine machine(with_slots(GetParam()));
    machine.task("A", [&] { model_walk(wrong, seed).run(100'000); });
    EXPECT_TRUE(machine.run(seed).clean());
    EXPECT_STREQ(wrong.text, "") << "seed " << seed << ", xa_slots " << GetParam();
  }
}

INSTANTIATE_TEST_SUITE_P(Slots, XarrayModel, testing::Values(4, 16, 64));

}  // namespace
}  // namespace kernel
