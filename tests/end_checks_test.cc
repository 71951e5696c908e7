// SPDX-License-Identifier: GPL-2.0-only
// Every check of the end of a run must see what it is for, and stay silent where it is legal.
#include "engine/end_checks.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "engine/configuration.h"
#include "engine/fuzz.h"
#include "engine/kernel/block.h"
#include "engine/kernel/ext4/ext4.h"
#include "engine/kernel/iomap/iomap.h"
#include "engine/kernel/pagemap.h"
#include "engine/kernel/writeback.h"
#include "engine/kernel/xarray.h"
#include "engine/kernel/xfs/xfs_inode.h"
#include "engine/oracle.h"
#include "engine/report.h"
#include "engine/run.h"
#include "engine/strategies.h"
#include "tests/kernel_harness.h"

namespace interleaf {
namespace {

using kernel::find_inode;
using kernel::this_machine;

// ---- by sabotage: a task that writes, spoils something, and unmounts ----

// Not made within a run: they would be in its arena.
const std::vector<std::uint8_t> kImage(8192, 'a');
const std::vector<std::uint8_t> kWritten(8192, 'b');
const std::vector<std::uint8_t> kOther(4096, 'x');

struct Sabotage {
  std::string persona = "xfs";
  std::function<void()> before;  // the last write back, with one page dirty, one clean
  std::function<void()> after;   // it, when all else has been judged
};

// As a user would: the oracle is told.
void user_writes(kernel::file* f, kernel::loff_t pos, std::size_t len) {
  kernel::observer* oracle = this_machine().watcher;
  const unsigned write = oracle->write_begin(*f->f_inode, pos, kWritten.data(), len);
  oracle->write_end(write, kernel::vfs_write(f, pos, kWritten.data(), len));
}

// The objects of the findings, in order.
std::vector<std::string> found(const Sabotage& how) {
  kernel::kernel_harness machine({.persona_name = how.persona});
  Oracle* oracle = nullptr;
  machine.file("f", std::string(8192, 'a'));
  machine.setup([&] {
    oracle = new Oracle();
    this_machine().watcher = oracle;
    oracle->add_file(*find_inode("f"), 8192, kImage);
  });
  machine.task("user", [&] {
    kernel::file* f = kernel::do_open(find_inode("f"), O_RDWR);
    user_writes(f, 0, 8192);
    kernel::vfs_fsync_range(f, 0, 8191, false);
    user_writes(f, 8192, 4096);
    Scheduler::current()->wait_for_quiet();
    Scheduler::current()->begin_epilogue();
    if (how.before) how.before();
    if (!how.after) return unmount_and_check(*oracle);
    EndChecks checks(*this_machine().sb, *oracle);
    checks.quiet();
    kernel::sync_filesystem(this_machine().sb);
    checks.synced();
    kernel::generic_shutdown_super(this_machine().sb);
    how.after();
    checks.evicted();
  });
  std::vector<std::string> objects;
  for (const Finding& finding : machine.run_in_order().findings) objects.push_back(finding.object);
  return objects;
}

using Objects = std::vector<std::string>;

TEST(EndChecks, AreSilentAfterAnOrdinaryWrite) {
  for (const char* persona : {"generic", "ext4", "btrfs", "xfs"}) {
    EXPECT_EQ(found({.persona = persona}), Objects()) << persona;
    EXPECT_EQ(found({.persona = persona, .before = {}, .after = [] {}}), Objects()) << persona;
  }
}

TEST(EndChecks, SeeAnInodeThatCountsOtherReservationsThanItHas) {
  EXPECT_EQ(found({.before = [] { kernel::XFS_I(find_inode("f"))->i_delayed_blks++; }}).front(),
            "count of reservations");
  EXPECT_EQ(found({.persona = "ext4",
                   .before = [] { kernel::EXT4_I(find_inode("f"))->i_reserved_data_blocks++; }})
                .front(),
            "count of reservations");
}

TEST(EndChecks, SeeAFilesystemThatCountsOtherReservationsThanItsFilesHave) {
  EXPECT_EQ(found({.before = [] { this_machine().sb->delayed_blocks++; }}),
            Objects{"count of reservations"});
  EXPECT_EQ(found({.persona = "ext4",
                   .before = [] { kernel::EXT4_SB(this_machine().sb)->s_dirtyclusters++; }}),
            Objects{"count of reservations"});
}

TEST(EndChecks, SeeSpaceThatNobodyGaveBack) {
  EXPECT_EQ(found({.before = {}, .after = [] { this_machine().sb->delayed_blocks++; }}),
            Objects{"reserved space"});
  for (const char* persona : {"xfs", "ext4"}) {
    EXPECT_EQ(
        found({.persona = persona, .before = {}, .after = [] { this_machine().sb->next_block++; }}),
        Objects{"free space"});
  }
}

// The map forgets a block that nobody has freed.
TEST(EndChecks, SeeABlockThatNoFileHas) {
  EXPECT_EQ(found({.persona = "ext4",
                   .before = {},
                   .after = [] { kernel::EXT4_I(find_inode("f"))->es[0] = {}; }}),
            Objects{"free space"});
}

TEST(EndChecks, SeeASizeOnDiskBehindTheEnd) {
  for (const char* persona : {"generic", "ext4", "btrfs", "xfs"}) {
    const Objects all = found({.persona = persona, .before = [] {
                                 kernel::inode* node = find_inode("f");
                                 node->i_disksize.poke(node->i_size.peek() + 1);
                               }});
    EXPECT_EQ(std::ranges::count(all, "size on disk"), 1) << persona;
  }
}

void without_tag(std::uint64_t page) {
  kernel::xarray* pages = &find_inode("f")->i_mapping->i_pages;
  kernel::xa_state xas(pages, page);
  pages->xa_lock.lock();
  kernel::xas_load(&xas);
  kernel::xas_clear_mark(&xas, kernel::PAGECACHE_TAG_DIRTY);
  pages->xa_lock.unlock();
}

// No writeback finds that page any more, so its bytes are lost, too.
TEST(EndChecks, SeeADirtyFolioWithoutItsTag) {
  const Objects all = found({.before = [] { without_tag(2); }});
  EXPECT_EQ(all.front(), "tags of the page cache");
}

TEST(EndChecks, AllowATagOfACleanFolio) {
  EXPECT_EQ(found({.before =
                       [] {
                         kernel::xarray* pages = &find_inode("f")->i_mapping->i_pages;
                         kernel::xa_state xas(pages, 0);
                         pages->xa_lock.lock();
                         kernel::xas_load(&xas);
                         kernel::xas_set_mark(&xas, kernel::PAGECACHE_TAG_DIRTY);
                         pages->xa_lock.unlock();
                       }}),
            Objects());
}

// Behind the back of the cache the disk gets what nobody wrote.
void spoil_block(std::uint64_t index) {
  const kernel::inode* node = find_inode("f");
  const kernel::block_state there = node->i_sb->s_op->peek_block(node, index);
  kernel::disk_poke(node->i_sb->s_bdev, there.block, kOther.data());
}

TEST(EndChecks, DropTheCacheAndFindOtherBytesOnTheDisk) {
  for (const char* persona : {"generic", "ext4", "btrfs", "xfs"}) {
    // Known bytes: that they are lost is told once, by what is on the disk at the end.
    EXPECT_EQ(found({.persona = persona, .before = [] { spoil_block(1); }}), Objects{"folio"})
        << persona;
    // Of these nothing is known, since a write that failed may have left them.
    EXPECT_EQ(found({.persona = persona,
                     .before =
                         [] {
                           kernel::observer* oracle = this_machine().watcher;
                           oracle->clone_end(oracle->clone_begin(*find_inode("f"), 0,
                                                                 *find_inode("f"), 4096, 4096),
                                             -1);
                           spoil_block(1);
                         }}),
              Objects{"dropped cache"})
        << persona;
  }
}

TEST(EndChecks, ExcuseBytesWhoseWritebackFailed) {
  EXPECT_EQ(found({.before =
                       [] {
                         this_machine().watcher->write_error(*find_inode("f"), 4096, 4096);
                         spoil_block(1);
                       }}),
            Objects());
}

// ---- by scenarios ----

std::unique_ptr<Strategy> table_of(const Scenario& scenario) {
  std::vector<Row> rows;
  for (const TableRow& row : scenario.tables.at(0).rows) {
    const auto task = std::ranges::find(scenario.tasks, row.task, &TaskSpec::name);
    rows.push_back({static_cast<TaskId>(task - scenario.tasks.begin()), row.function});
  }
  return make_table(std::move(rows));
}

// The objects of all findings: of the scenario's table, or of so many random ones.
std::set<std::string> of_scenario(const Scenario& scenario, Overrides overrides, unsigned seeds) {
  ScenarioWorld world(0, configure(scenario, std::move(overrides)));
  const auto strategy = seeds == 1 ? table_of(scenario) : make_strategy(world, "random");
  std::set<std::string> objects;
  for (unsigned seed = 0; seed < seeds; ++seed) {
    const RunResult& result = world.world().run(*strategy, world.run_options(seed));
    for (const Finding& finding : result.findings) objects.insert(finding.object);
  }
  return objects;
}

std::set<std::string> of_file(const std::string& name, Overrides overrides = {}) {
  return of_scenario(
      load_scenario(std::string(INTERLEAF_SOURCE_DIR) + "/scenarios/" + name + ".yaml"),
      std::move(overrides), 1);
}

using Set = std::set<std::string>;

TEST(EndChecks, SeeTheLeaksOfFailedWrites) {
  EXPECT_EQ(of_file("iomap-clean-blocks-leak"), Set{"reservation without dirty data"});
  EXPECT_EQ(of_file("iomap-post-eof-blocks-leak"), Set{"reservation behind the end"});
  EXPECT_EQ(of_file("xfs-short-cow-write-leaks"), Set{"reservation of a copy"});
}

// The findings of these tasks, on a file of 16 KiB with small blocks.
Set of_tasks(const std::string& persona, const std::string& body) {
  const std::string head = R"(title: test
kernel: 6.12.96
geometry: {hpage_pages: 4, block_size: 1024}
expect: {verdict: unknown}
files:
  f: {size: 16K, content: pattern(7)}
  h: {size: 6K, content: hole}
)";
  Overrides overrides;
  overrides.persona = persona;
  overrides.no_detect = {"lock-order"};
  return of_scenario(parse_scenario(head + body, "test.yaml"), std::move(overrides), 150);
}

// A block without dirt over a hole, or the other way round, is no error in these.
TEST(EndChecks, AllowWhatIsLegal) {
  const std::map<std::string, std::string> bodies = {
      // The bits of punched blocks stay, over a hole, with zeros in them.
      {"punched blocks of a dirty page", R"(
tasks:
  a:
    - fd = open("f", O_RDWR)
    - pwrite(fd, pattern(1), 4K, 0) = 4096
    - fallocate(fd, FALLOC_FL_PUNCH_HOLE|FALLOC_FL_KEEP_SIZE, 1K, 2K) = 0
    - pwrite(fd, pattern(2), 10, 0) = 10
daemons: [flusher]
)"},
      // The block behind the end of the file is dirty with the page, and has nothing.
      {"blocks behind the end", R"(
tasks:
  a:
    - fd = open("h", O_RDWR)
    - p = mmap(fd, 0, 8K, PROT_READ|PROT_WRITE, MAP_SHARED)
    - store(p + 4K, pattern(1), 3K)
    - ftruncate(fd, 5K) = 0
    - store(p + 4K, pattern(2), 4K)
daemons: [flusher]
)"},
      // There is no space for a store, or for a write.
      {"no space", R"(
faults: {alloc: 2}
tasks:
  a:
    - fd = open("h", O_RDWR)
    - p = mmap(fd, 0, 8K, PROT_READ|PROT_WRITE, MAP_SHARED)
    - pwrite(fd, pattern(1), 1K, 0)
    - store(p + 1K, pattern(2), 1K)
    - pwrite(fd, pattern(3), 3K, 5K)
)"},
      {"short copies", R"(
faults: {copy: 2}
tasks:
  a:
    - fd = open("h", O_RDWR)
    - pwrite(fd, pattern(1), 5K, 512)
    - pwrite(fd, pattern(3), 3K, 5K)
    - ftruncate(fd, 2K)
  b:
    - fd = open("h", O_RDWR)
    - p = mmap(fd, 0, 8K, PROT_READ|PROT_WRITE, MAP_SHARED)
    - store(p + 1K, pattern(2), 1K)
)"},
      {"errors of the disk", R"(
faults: {bio: 2}
tasks:
  a:
    - fd = open("f", O_RDWR)
    - pwrite(fd, pattern(1), 6K, 512)
    - fsync(fd)
    - pwrite(fd, pattern(2), 2K, 15K)
    - fsync(fd)
)"},
      // Blocks are reserved for the writes to come.
      {"preallocation", R"(
tasks:
  a:
    - fd = open("f", O_RDWR)
    - pwrite(fd, pattern(1), 80K, 0) = 81920
    - pwrite(fd, pattern(2), 1K, 80K) = 1024
    - ftruncate(fd, 70K) = 0
)"},
  };
  for (const auto& [name, body] : bodies) {
    for (const char* persona : {"xfs", "ext4"}) {
      EXPECT_EQ(of_tasks(persona, body), Set()) << persona << ": " << name;
    }
  }
}

TEST(EndChecks, AllowCopiesThatAreReservedInAdvance) {
  EXPECT_EQ(of_tasks("xfs", R"(
tasks:
  a:
    - fd = open("f", O_RDWR)
    - to = open("h", O_RDWR)
    - reflink(to, fd, 0, 16K, 0) = 0
    - pwrite(fd, pattern(1), 1K, 5K) = 1024
    - fsync(fd) = 0
    - pwrite(fd, pattern(2), 10, 9K) = 10
    - ftruncate(to, 3K) = 0
daemons: [flusher]
)"),
            Set());
}

TEST(EndChecks, SeeADirtyBlockThatHasLostItsReservation) {
  const Set all = of_file("iomap-fault-before-punch");
  EXPECT_TRUE(all.contains("dirty block without space"));
  EXPECT_TRUE(all.contains("folio"));
}

// Without the last call the page stays in the cache till the end.
TEST(EndChecks, SeeDirtyBlocksOfACleanFolio) {
  Scenario scenario = load_scenario(std::string(INTERLEAF_SOURCE_DIR) +
                                    "/scenarios/iomap-failed-writeback-leaves-dirty-bits.yaml");
  scenario.tasks.at(0).statements.pop_back();
  EXPECT_TRUE(of_scenario(scenario, {}, 200).contains("dirty block of a clean folio"));
  Overrides fixed;
  fixed.with = {"iomap-map-failure-clears-dirty"};
  EXPECT_EQ(of_scenario(scenario, std::move(fixed), 200), Set());
}

// ---- progress ----

TEST(Progress, OfAShortCopyIsALivelockIfItIsRepeatedAsItWas) {
  EXPECT_EQ(of_file("iomap-short-copy-never-ends"), Set{"short copy"});
}

int same_iomap(kernel::inode*, kernel::loff_t, std::uint64_t, unsigned, kernel::iomap* map,
               kernel::iomap*) {
  *map = {.type = kernel::iomap_type::DELALLOC, .offset = 0, .length = 1 << 20};
  return 0;
}
// What a filesystem would do that forgets to count up, or counts in another place.
bool never_valid(kernel::inode*, const kernel::iomap*) { return false; }

// Counts up with every look: legal, as long as somebody changes the extents.
std::uint64_t changes = 0;
int changed_iomap(kernel::inode* node, kernel::loff_t pos, std::uint64_t len, unsigned flags,
                  kernel::iomap* map, kernel::iomap* srcmap) {
  same_iomap(node, pos, len, flags, map, srcmap);
  map->validity_cookie = changes;
  return 0;
}
bool valid_the_fourth_time(kernel::inode*, const kernel::iomap*) { return ++changes > 3; }

std::vector<Finding> write_with(const kernel::iomap_ops& ops) {
  kernel::kernel_harness machine({.persona_name = "xfs"});
  machine.file("f", "");
  machine.task("user", [&] {
    kernel::file* f = kernel::do_open(find_inode("f"), O_RDWR);
    static const std::string data(4096, 'b');
    kernel::iomap_file_buffered_write(f, 0, data.data(), 4096, &ops);
  });
  return machine.run_in_order().findings;
}

TEST(Progress, OfAStaleIomapIsALivelockIfNothingHasChanged) {
  const auto findings =
      write_with({.iomap_begin = same_iomap, .iomap_end = nullptr, .iomap_valid = never_valid});
  ASSERT_EQ(findings.size(), 1U);
  EXPECT_EQ(findings[0].kind, FindingKind::kLivelock);
  EXPECT_EQ(findings[0].object, "stale iomap");
  changes = 0;
  EXPECT_TRUE(write_with({.iomap_begin = changed_iomap,
                          .iomap_end = nullptr,
                          .iomap_valid = valid_the_fourth_time})
                  .empty());
  EXPECT_EQ(changes, 4U);
}

}  // namespace
}  // namespace interleaf
