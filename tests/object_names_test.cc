// SPDX-License-Identifier: GPL-2.0-only
// What objects are called and what they hold, from the tables of their blocks' types.
#include "scheduler/object_names.h"

#include <gtest/gtest.h>

#include <cstring>

#include "scheduler/sync/value_text.h"
#include "scheduler/world.h"

namespace interleaf {
namespace {

constexpr LockClass kLockClass{"door"};

struct Shelf {
  char label;
  Atomic<int> count;
  Spinlock lock{kLockClass};
  Shared<Shelf*> next;
  Shared<int> boxes[3];
  Atomic<int> unlisted;

  static const BlockType kBlock;
  static void* operator new(std::size_t bytes) { return allocate_typed(bytes, kBlock); }
  explicit Shelf(char name) : label(name) {}
};

template <auto member>
std::string text_of(const Scheduler& s, const void* shelf, unsigned) {
  return value_text(s, static_cast<const Shelf*>(shelf)->*member);
}

constexpr BlockField kFields[] = {
    {"count", offsetof(Shelf, count), sizeof(Shelf::count), 1, text_of<&Shelf::count>},
    {"lock", offsetof(Shelf, lock), sizeof(Shelf::lock), 1, text_of<&Shelf::lock>},
    {"next", offsetof(Shelf, next), sizeof(Shelf::next), 1, text_of<&Shelf::next>},
    {"boxes", offsetof(Shelf, boxes), sizeof(*Shelf::boxes), 3,
     [](const Scheduler& s, const void* shelf, unsigned box) {
       return value_text(s, static_cast<const Shelf*>(shelf)->boxes[box]);
     }},
};

const BlockType Shelf::kBlock{"shelf", nullptr, kFields, [](const Scheduler&, const void* shelf) {
                                return std::string("shelf ") +
                                       static_cast<const Shelf*>(shelf)->label;
                              }};

// The lines "op object: value -> value" of a run.
class Lines final : public Observer {
 public:
  void event(const Scheduler& s, const Task&, const Access& access) override {
    const HeapScope heap;
    finish(s);
    object_ = access.object;
    ObjectNames names(s);
    const std::string name = names.name(object_);
    line_ = std::string(op_name(access.op)) + " " + (name.empty() ? "?" : name);
    reads_ = op_only_reads(access.op);
    before_ = names.value(object_);
  }
  void enter(const Scheduler&, const Task&, const Function&) override {}
  void leave(const Scheduler&, const Task&, const Function&) override {}
  void remark(const Scheduler&, const Task&, std::string_view) override {}

  std::vector<std::string> end(const Scheduler& s) {
    finish(s);
    return lines_;
  }

 private:
  void finish(const Scheduler& s) {
    if (object_ != 0) {
      lines_.push_back(access_text(line_, reads_, before_, ObjectNames(s).value(object_)));
    }
    object_ = 0;
  }

  std::vector<std::string> lines_;
  std::uint32_t object_ = 0;
  bool reads_ = false;
  std::string line_;
  std::string before_;
};

std::vector<std::string> lines_of(void (*body)(Shelf&)) {
  struct Root {
    Shelf* shelf;
    void (*body)(Shelf&);
  };
  World world(0, [&](Scheduler& s) {
    auto* root = new Root{new Shelf('a'), body};
    s.spawn(
        "opener",
        [](void* argument) {
          auto* r = static_cast<Root*>(argument);
          r->body(*r->shelf);
        },
        root);
  });
  Lines lines;
  const auto keep = make_keep_running();
  RunOptions options;
  options.observer = &lines;
  world.run(*keep, options);
  return lines.end(world.scheduler());
}

using Strings = std::vector<std::string>;

TEST(ObjectNames, SayWhichFieldOfWhichObjectAndBothValues) {
  const Strings lines = lines_of([](Shelf& shelf) {
    shelf.count.add(2);
    shelf.count.read();
    shelf.boxes[2].store(7);
    shelf.next.store(new Shelf('b'));
    shelf.next.peek()->count.inc();
  });
  EXPECT_EQ(lines,
            Strings({"rmw count of shelf a: 0 -> 2", "read count of shelf a: 2",
                     "write boxes[2] of shelf a: 0 -> 7", "write next of shelf a: null -> shelf b",
                     "rmw count of shelf b: 0 -> 1"}));
}

TEST(ObjectNames, SayWhoHoldsALock) {
  const Strings lines = lines_of([](Shelf& shelf) {
    shelf.lock.lock();
    shelf.lock.unlock();
  });
  EXPECT_EQ(lines, Strings({"acquire lock of shelf a: free -> held by opener",
                            "release lock of shelf a: held by opener -> free"}));
}

TEST(ObjectNames, SayThatAStepFreedOrPoisonedItsObject) {
  const Strings lines = lines_of([](Shelf& shelf) {
    auto* other = new Shelf('c');
    other->count.set(5);
    delete other;
    shelf.boxes[0].store(1);
    std::memset(static_cast<void*>(&shelf.boxes[0]), kPoisonByte, sizeof(shelf.boxes[0]));
  });
  EXPECT_EQ(lines, Strings({"write count of shelf c: 0 -> freed",
                            "write boxes[0] of shelf a: 0 -> freed"}));
}

TEST(ObjectNames, SayNothingOfWhatIsInNoTable) {
  const Strings lines = lines_of([](Shelf& shelf) {
    shelf.unlisted.inc();
    Atomic<int> local;
    local.inc();
  });
  EXPECT_EQ(lines, Strings({"rmw ?", "rmw ?"}));
}

TEST(ObjectNames, AreInReportsOfUseAfterFree) {
  World world(0, [](Scheduler& s) {
    s.spawn(
        "opener",
        [](void*) {
          auto* shelf = new Shelf('a');
          shelf->count.inc();
          Scheduler::current()->free(shelf);
          shelf->count.inc();
        },
        nullptr);
  });
  const auto keep = make_keep_running();
  const RunResult& run = world.run(*keep, {});
  ASSERT_NE(run.verdict(), nullptr);
  EXPECT_EQ(run.verdict()->kind, FindingKind::kUseAfterFree);
  EXPECT_EQ(run.verdict()->object, "shelf");
  EXPECT_TRUE(run.verdict()->message.ends_with(": count of freed shelf")) << run.verdict()->message;
}

TEST(BlockType, HasARoleForSignaturesThatIsItsNameUnlessSaid) {
  EXPECT_STREQ(Shelf::kBlock.role_name(), "shelf");
  constexpr BlockType kNew{"new", "memory"};
  EXPECT_STREQ(kNew.role_name(), "memory");
}

}  // namespace
}  // namespace interleaf
