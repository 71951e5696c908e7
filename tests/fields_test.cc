// SPDX-License-Identifier: GPL-2.0-only
// The tables of fields of the port: complete for what scenarios touch, and no field lies in
// another.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "engine/kernel/block_types.h"
#include "engine/run.h"
#include "engine/scenario.h"
#include "scheduler/object_names.h"
#include "tests/searched_scenarios.h"

namespace interleaf {
namespace {

// Objects without a name must be local variables of a task (the completion of a read that is waited
// for, that of a grace period), and these are only waited for and woken.
class NamelessObjects final : public Observer {
 public:
  void event(const Scheduler& s, const Task& task, const Access& access) override {
    const HeapScope heap;
    if (!names_) names_.emplace(s);
    if (access.object == kPrivateObject || !names_->name(access.object).empty()) return;
    if (names_->place(access.object).block == nullptr &&
        (access.op == Op::kWait || access.op == Op::kWake)) {
      return;
    }
    found.insert(std::string(task.function() == nullptr ? "-" : task.function()->name) + " " +
                 op_name(access.op) + " line " + std::to_string(access.where.line()));
  }
  void enter(const Scheduler&, const Task&, const Function&) override {}
  void leave(const Scheduler&, const Task&, const Function&) override {}
  void remark(const Scheduler&, const Task&, std::string_view) override {}

  std::set<std::string> found;

 private:
  std::optional<ObjectNames> names_;
};

class Fields : public testing::TestWithParam<std::string> {};

TEST_P(Fields, NameEveryObjectThatARunTouches) {
  ScenarioWorld world(0, configure(load_scenario(GetParam()), {}));
  const auto random = make_random();
  for (std::uint64_t seed = 0; seed < 3; ++seed) {
    NamelessObjects nameless;
    RunOptions options = world.run_options(seed);
    options.observer = &nameless;
    world.world().run(*random, options);
    EXPECT_EQ(nameless.found, std::set<std::string>());
    // What steps touch besides what they announce too. Blocks that were freed are known still.
    const Scheduler& s = world.world().scheduler();
    ObjectNames names(s);
    for (std::uint32_t object = kPrivateObject + 1; object <= s.objects(); ++object) {
      const FieldPlace place = names.place(object);
      if (place.block == nullptr) continue;
      const char* type = place.block->type == nullptr ? "untyped" : place.block->type->name;
      EXPECT_NE(place.field, nullptr) << "object " << object << " in " << type;
      names.value(object);  // whatever the object's state is, it can be said
    }
  }
}

std::string name_of(const testing::TestParamInfo<std::string>& scenario) {
  std::string name = scenario.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, Fields, testing::ValuesIn(searched_scenarios()), name_of);

TEST(FieldTables, HaveFieldsThatDoNotOverlap) {
  const BlockType* const types[] = {
      &kernel::simple_inode_block,      &kernel::file_block,         &kernel::super_block_block,
      &kernel::block_device_block,      &kernel::folio_block,        &kernel::content_numbers_block,
      &kernel::xa_node_block,           &kernel::mm_struct_block,    &kernel::vm_area_struct_block,
      &kernel::pte_table_block,         &kernel::pmd_entries_block,  &kernel::pte_entries_block,
      &kernel::machine_block,           &kernel::lru_state_block,    &kernel::xfs_inode_block,
      &kernel::iomap_folio_state_block, &kernel::buffer_heads_block, &kernel::ext4_inode_block,
      &kernel::ext4_io_end_block,       &kernel::ext4_sb_info_block, &kernel::journal_block,
      &kernel::transaction_block,
  };
  for (const BlockType* type : types) {
    ASSERT_FALSE(type->fields.empty()) << type->name;
    std::vector<const BlockField*> fields;
    for (const BlockField& field : type->fields) fields.push_back(&field);
    std::sort(fields.begin(), fields.end(),
              [](const BlockField* a, const BlockField* b) { return a->offset < b->offset; });
    for (std::size_t i = 0; i + 1 < fields.size(); ++i) {
      EXPECT_NE(fields[i]->count, 0u) << type->name << " " << fields[i]->name << " has no end";
      EXPECT_LE(fields[i]->offset + fields[i]->size * fields[i]->count, fields[i + 1]->offset)
          << type->name << ": " << fields[i]->name << ", " << fields[i + 1]->name;
      EXPECT_GE(fields[i]->size, sizeof(ObjectNumber));
    }
  }
}

TEST(FieldTables, TellOneTypeFromAnotherByNameAndKeepTheRolesOfSignatures) {
  EXPECT_STREQ(kernel::folio_block.role_name(), "folio");
  EXPECT_STREQ(kernel::xa_node_block.role_name(), "xa_node");
  EXPECT_STREQ(kernel::content_numbers_block.role_name(), "page contents");
  // These had no type when the first recordings were made.
  EXPECT_STREQ(kernel::simple_inode_block.role_name(), "memory");
  EXPECT_STREQ(kernel::ext4_inode_block.role_name(), "memory");
  EXPECT_STREQ(kernel::file_block.role_name(), "memory");
  EXPECT_STREQ(kernel::mm_struct_block.role_name(), "memory");
}

TEST(FieldTables, ShowInNamedTraces) {
  ScenarioWorld world(0, configure(load_scenario("thp-write-open"), {}));
  const auto keep = make_keep_running();
  const std::string text = trace_text(run_traced(world, *keep, 0, true).trace);
  for (const char* wanted :
       {"i_writecount of inode f: 0 -> 1\n", "i_size of inode f: ", "PG_dirty of folio 1 at index ",
        "i_data.i_pages.xa_lock of inode f: free -> held by writer\n", "rcu: no readers -> readers",
        "mmap_lock of mm of ", "pmd[1] of mm of ", "ptl of page table 0x", "f_count of file 1 of ",
        "cpu_fbatches[0]: free -> held by writer\n", "page[0] of folio 1 at index "}) {
    EXPECT_NE(text.find(wanted), std::string::npos) << wanted;
  }
  const std::string plain = trace_text(run_traced(world, *keep, 0).trace);
  EXPECT_EQ(plain.find("i_writecount"), std::string::npos);
}

}  // namespace
}  // namespace interleaf
