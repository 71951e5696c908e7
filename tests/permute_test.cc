// SPDX-License-Identifier: GPL-2.0-only
// What every search that prunes takes for granted: runs that differ in the order of independent
// steps alone are the same run. Takes random runs of scenarios, draws other linearisations of each
// (scheduler/search/linearize.h), runs them, and compares what every task announced and got, what
// was found, and what the files and the disk hold at the end. A difference is a dependence that
// nobody announced; the report names the two steps whose exchange brings it about.
//
// INTERLEAF_SOAK=N: N times as many runs.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>

#include "engine/kernel/block.h"
#include "engine/kernel/folio.h"
#include "engine/kernel/fs.h"
#include "engine/kernel/machine.h"
#include "engine/run.h"
#include "scheduler/search/linearize.h"
#include "scheduler/search/order_hash.h"
#include "sticky_random.h"
#include "tests/searched_scenarios.h"

namespace interleaf {
namespace {

// The results of every task's calls, as remarks tell them.
class Results final : public Observer {
 public:
  void event(const Scheduler&, const Task&, const Access&) override {}
  void enter(const Scheduler&, const Task&, const Function&) override {}
  void leave(const Scheduler&, const Task&, const Function&) override {}
  void remark(const Scheduler&, const Task& task, std::string_view text) override {
    of_task[task.name] += std::string(text) + "; ";
  }
  std::map<std::string, std::string> of_task;
};

struct Outcome {
  RunEnd end = RunEnd::kFinished;
  bool followed = true;
  std::size_t steps_followed = 0;
  OrderedRun steps;
  std::set<std::string> findings;
  std::map<std::string, std::string> results;
  std::string contents;
  Hash128 order;
};

std::uint64_t hash_of(const unsigned char* bytes, std::size_t count) {
  std::uint64_t hash = count;
  for (std::size_t i = 0; bytes != nullptr && i < count; ++i) {
    hash = (hash ^ bytes[i]) * 0x100000001b3;
  }
  return hash;
}

// What the page cache and the disk hold, file by file.
std::string contents_of(const World& world) {
  const auto& m = *static_cast<const kernel::machine*>(world.scheduler().root());
  std::string text;
  for (const kernel::inode* node : m.sb->inodes) {
    const auto size = static_cast<std::uint64_t>(node->i_size.peek());
    text += node->name + ": size " + std::to_string(size) + ", " +
            std::to_string(node->i_disksize.peek()) + " on disk; blocks";
    const kernel::super_operations& s_op = *m.sb->s_op;
    for (std::uint64_t i = 0; i < s_op.peek_block_count(node); ++i) {
      const auto [kind, block] = s_op.peek_block(node, i);
      const auto& data = m.sb->s_bdev->data;
      const bool there = block < data.size() && data[block] != nullptr;
      text += " " + std::to_string(static_cast<int>(kind)) + ":" +
              std::to_string(static_cast<std::int64_t>(block)) + "=" +
              std::to_string(there ? hash_of(data[block], m.geo.block_size) % 100'000 : 0);
    }
    text += "; cached";
    for (std::uint64_t page = 0; page * m.geo.page_size < size; ++page) {
      void* entry = kernel::xa_peek(&node->i_mapping->i_pages, page).entry;
      if (entry == nullptr || kernel::xa_is_value(entry)) continue;
      const auto* f = static_cast<const kernel::folio*>(entry);
      const unsigned char* bytes = f->contents + (page - f->index.peek()) * m.geo.page_size;
      text += " " + std::to_string(page) + "=" +
              std::to_string(hash_of(bytes, m.geo.page_size) % 100'000) + "/" +
              std::to_string(f->flags.peek_all());
    }
    text += "\n";
  }
  return text;
}

Hash128 order_of(const OrderedRun& run) {
  OrderHash hash;
  hash.clear();
  for (const OrderedStep& step : run) {
    hash.event(step.task, step.access);
    for (const OrderedStep::Also& also : step.also) hash.event(step.task, also.op, also.object);
    for (const unsigned value : step.values) hash.value(step.task, value);
  }
  return hash.total();
}

Outcome run(ScenarioWorld& world, Strategy& strategy, std::uint64_t seed) {
  Results results;
  RunOptions options;
  options.seed = seed;
  options.steps_max = world.steps_max();
  options.observer = &results;
  const auto recorder = make_step_recorder(strategy);
  const RunResult& result = world.world().run(*recorder, options);
  Outcome outcome;
  outcome.end = result.end;
  for (const Finding& finding : result.findings) {
    // What two tasks ask for, each with its lock, may be independent: either may close the cycle,
    // and what it closes first hides longer ones. Cycles of two locks are always seen.
    const std::string signature = finding.signature();
    const bool order = finding.kind == FindingKind::kLockOrder;
    if (order && std::ranges::count(signature, '+') > 1) continue;
    outcome.findings.insert(order ? signature : signature + " by " + finding.task_name);
  }
  outcome.results = results.of_task;
  outcome.steps = recorder->steps();
  outcome.contents = contents_of(world.world());
  outcome.order = order_of(outcome.steps);
  return outcome;
}

std::string shown(const ScenarioWorld& world, const OrderedStep& step) {
  const Access& access = step.access;
  const std::string file = access.where.file_name();
  std::string text = const_cast<ScenarioWorld&>(world).world().scheduler().task(step.task).name +
                     std::string(": ") + op_name(access.op) + " of object " +
                     std::to_string(access.object) + " at " + file.substr(file.rfind('/') + 1) +
                     ":" + std::to_string(access.where.line()) + " in " +
                     access.where.function_name();
  for (const OrderedStep::Also& also : step.also) {
    text += std::string(", also ") + op_name(also.op) + " " + std::to_string(also.object);
  }
  for (const unsigned value : step.values) text += ", value " + std::to_string(value);
  return text;
}

class Comparison {
 public:
  Comparison(ScenarioWorld& world, Outcome base) : world_(world), base_(std::move(base)) {}

  const OrderedRun& steps() const { return base_.steps; }

  // "" if the run in this order is the base run; else what differs.
  std::string difference(const Linearization& order) {
    std::vector<const OrderedStep*> wanted;
    for (const std::uint32_t step : order) wanted.push_back(&base_.steps[step]);
    const auto follower = make_follower(wanted);
    const Outcome other = run(world_, *follower, 0);
    std::map<std::uint32_t, std::uint32_t> renamed;
    for (std::size_t i = 0; i < order.size(); ++i) {
      const std::string text = i < other.steps.size()
                                   ? step_difference(*wanted[i], other.steps[i], renamed)
                                   : "the run ended";
      if (!text.empty()) {
        return "step " + std::to_string(i + 1) + ", expected\n  " + shown(world_, *wanted[i]) +
               "\n" + text + (i < other.steps.size() ? "\n  " + shown(world_, other.steps[i]) : "");
      }
    }
    if (other.steps.size() != order.size()) {
      return "goes on with " + shown(world_, other.steps[order.size()]);
    }
    if (other.end != base_.end) return "ends otherwise";
    if (other.findings != base_.findings) {
      return "findings\n" + joined(base_.findings) + "and\n" + joined(other.findings);
    }
    if (other.results != base_.results) return "results of calls" + of_results(other);
    if (other.contents != base_.contents) {
      return "contents\n" + base_.contents + "and\n" + other.contents;
    }
    if (!(other.order == base_.order)) return "hash of the order";
    return "";
  }

  // Which exchange of two neighbours makes the difference.
  std::string culprit(const Linearization& bad) {
    Linearization from(bad.size());
    for (std::uint32_t i = 0; i < from.size(); ++i) from[i] = i;
    std::size_t good = 0;
    std::size_t taken = bad.size();
    while (taken - good > 1) {
      const std::size_t middle = (good + taken) / 2;
      (difference(between(from, bad, middle)).empty() ? good : taken) = middle;
    }
    Linearization order = between(from, bad, good);
    const Linearization end = between(from, bad, taken);
    const std::uint32_t moved = end[taken - 1];
    std::size_t at =
        static_cast<std::size_t>(std::find(order.begin(), order.end(), moved) - order.begin());
    for (; at + 1 > taken; --at) {
      std::swap(order[at], order[at - 1]);
      const std::string text = difference(order);
      if (text.empty()) continue;
      return "exchanged\n  " + shown(world_, base_.steps[order[at]]) + "\n  " +
             shown(world_, base_.steps[order[at - 1]]) + "\n" + text;
    }
    return "no single exchange\n" + difference(end);
  }

 private:
  static std::string joined(const std::set<std::string>& lines) {
    std::string text;
    for (const std::string& line : lines) text += "  " + line + "\n";
    return text;
  }
  std::string of_results(const Outcome& other) const {
    std::string text;
    for (const auto& [task, results] : base_.results) {
      const auto found = other.results.find(task);
      if (found != other.results.end() && found->second == results) continue;
      text.append("\n  ").append(task).append(": ").append(results);
      text.append("\n  and: ").append(found == other.results.end() ? "" : found->second);
    }
    return text;
  }
  static bool same(std::uint32_t a, std::uint32_t b,
                   std::map<std::uint32_t, std::uint32_t>& renamed) {
    const auto [known, is_new] = renamed.emplace(a, b);
    return known->second == b;
  }
  // Every step of a task is the same, but that objects have other numbers.
  static std::string step_difference(const OrderedStep& a, const OrderedStep& b,
                                     std::map<std::uint32_t, std::uint32_t>& renamed) {
    if (a.task != b.task) return "came from another task";
    if (a.access.op != b.access.op || a.access.where.line() != b.access.where.line()) {
      return "announced otherwise";
    }
    if (!same(a.access.object, b.access.object, renamed)) return "is of another object";
    if (a.values != b.values) return "had another value";
    if (a.also.size() != b.also.size()) return "did other things besides";
    for (std::size_t i = 0; i < a.also.size(); ++i) {
      if (a.also[i].op != b.also[i].op || !same(a.also[i].object, b.also[i].object, renamed)) {
        return "did other things besides";
      }
    }
    return "";
  }

  ScenarioWorld& world_;
  const Outcome base_;
};

unsigned times() {
  const char* soak = std::getenv("INTERLEAF_SOAK");
  return soak == nullptr ? 1 : static_cast<unsigned>(std::max(1L, std::strtol(soak, nullptr, 10)));
}

// "" if all linearisations of `runs` runs that were tried came to the same.
std::string permute(const std::shared_ptr<const Configuration>& configuration, unsigned runs,
                    unsigned permutations, std::uint64_t first_seed = 0) {
  ScenarioWorld world(0, configuration);
  StickyRandom sticky;
  const auto random = make_random();
  for (std::uint64_t seed = first_seed; seed < first_seed + runs * times(); ++seed) {
    Strategy& strategy = seed % 2 == 0 ? static_cast<Strategy&>(sticky) : *random;
    Outcome base = run(world, strategy, seed);
    if (base.end == RunEnd::kLivelock) continue;
    Comparison comparison(world, std::move(base));
    const PartialOrder order(comparison.steps());
    Prng prng(seed + 1);
    for (unsigned i = 0; i < permutations; ++i) {
      const Linearization other = order.draw(prng);
      if (comparison.difference(other).empty()) continue;
      return "seed " + std::to_string(seed) + ", permutation " + std::to_string(i) + ": " +
             comparison.culprit(other);
    }
  }
  return "";
}

std::string permute(const std::string& text, const std::string& persona = "ext4",
                    std::vector<std::string> without = {}) {
  Overrides overrides;
  overrides.persona = persona;
  overrides.without = std::move(without);
  return permute(configure(parse_scenario(text, "test.yaml"), std::move(overrides)), 12, 6);
}

constexpr const char* kHead = R"(title: test
kernel: 6.12.95
geometry: {hpage_pages: 4, xa_slots: 4}
expect: {verdict: unknown}
files:
  f: {size: 32K, content: pattern(7)}
)";

class Permute : public testing::TestWithParam<std::string> {};

TEST_P(Permute, IndependentStepsOfAScenario) {
  const Scenario scenario = load_scenario(GetParam());
  for (const Expectation& e : scenario.expect) {
    Overrides overrides;
    overrides.kernel = e.kernel.value_or("");
    overrides.persona = e.persona.value_or("");
    overrides.with = e.with;
    overrides.without = e.without;
    EXPECT_EQ(permute(configure(scenario, overrides), 20, 6), "");
  }
}

INSTANTIATE_TEST_SUITE_P(All, Permute, testing::ValuesIn(searched_scenarios()),
                         [](const auto& row) {
                           std::string name = row.param;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

TEST(Permuted, ReadsAndWritesOfTheSameBytes) {
  const std::string body = R"(
tasks:
  a:
    - fd = open("f", O_RDWR)
    - pwrite(fd, pattern(1), 6K, 2K)
    - pread(fd, 8K, 0)
    - close(fd)
  b:
    - fd = open("f", O_RDWR)
    - pread(fd, 8K, 0)
    - pwrite(fd, pattern(2), 4K, 4K)
    - fsync(fd)
    - close(fd)
  c:
    - fd = open("f", O_RDONLY)
    - pread(fd, 12K, 0)
    - close(fd)
daemons: [flusher]
)";
  for (const char* persona : {"generic", "ext4", "btrfs", "xfs"}) {
    EXPECT_EQ(permute(kHead + body, persona), "") << persona;
  }
}

TEST(Permuted, TruncateAgainstReadsWritesAndSync) {
  const std::string body = R"(
tasks:
  a:
    - fd = open("f", O_RDWR)
    - pwrite(fd, pattern(1), 12K, 8K)
    - ftruncate(fd, 10K)
    - pwrite(fd, pattern(3), 1K, 20K)
  b:
    - fd = open("f", O_RDWR)
    - pread(fd, 16K, 8K)
    - fdatasync(fd)
    - close(fd)
  c:
    - truncate("f", 14K)
daemons: [flusher]
)";
  for (const char* persona : {"generic", "ext4", "xfs"}) {
    EXPECT_EQ(permute(kHead + body, persona), "") << persona;
  }
}

TEST(Permuted, MappedStoresAgainstTruncateAndWriteback) {
  const std::string body = R"(
tasks:
  a:
    - fd = open("f", O_RDWR)
    - p = mmap(fd, 0, 32K, PROT_READ|PROT_WRITE, MAP_SHARED)
    - store(p, pattern(5), 6K)
    - load(p + 8K, 4K)
    - msync(p, 32K, MS_SYNC)
    - munmap(p, 32K)
  b:
    - fd = open("f", O_RDWR)
    - p = mmap(fd, 0, 32K, PROT_READ|PROT_WRITE, MAP_SHARED)
    - store(p + 8K, pattern(6), 2K)
    - load(p, 8K)
  c:
    - fd = open("f", O_RDWR)
    - ftruncate(fd, 5K)
    - close(fd)
daemons: [flusher]
)";
  for (const char* persona : {"generic", "ext4", "xfs"}) {
    EXPECT_EQ(permute(kHead + body, persona), "") << persona;
  }
}

TEST(Permuted, InjectedFaultsShareABudget) {
  const std::string body = R"(
faults: {alloc: 1, copy: 1, bio: 1}
tasks:
  a:
    - fd = open("f", O_RDWR)
    - pwrite(fd, pattern(1), 6K, 2K)
    - fsync(fd)
    - close(fd)
  b:
    - fd = open("f", O_RDWR)
    - pread(fd, 8K, 0)
    - pwrite(fd, pattern(2), 4K, 16K)
    - fsync(fd)
    - close(fd)
)";
  EXPECT_EQ(permute(kHead + body), "");
}

constexpr const char* kCollapses = R"(
tasks:
  a:
    - fd = open("f", O_RDONLY)
    - p = mmap(fd, 0, 2H, PROT_READ|PROT_EXEC, MAP_PRIVATE)
    - touch(p, 2H)
    - madvise(p, 2H, MADV_COLLAPSE)
    - load(p, 4K)
  b:
    - fd = open("f", O_RDONLY)
    - p = mmap(fd, 0, 2H, PROT_READ|PROT_EXEC, MAP_PRIVATE)
    - touch(p, 1H)
    - madvise(p, 1H, MADV_DONTNEED)
    - fadvise(fd, 0, 0, POSIX_FADV_DONTNEED)
  c:
    - fd = open("f", O_RDWR)
    - pwrite(fd, pattern(9), 4K, 4K)
    - close(fd)
daemons: [flusher, khugepaged]
)";

TEST(Permuted, CollapsesAgainstEverything) {
  for (const char* persona : {"ext4", "xfs"}) {
    EXPECT_EQ(permute(std::string(kHead) + kCollapses, persona), "") << persona;
  }
}

TEST(Permuted, CollapsesOfOldKernelsAgainstEverything) {
  for (const char* version : {"5.14.0", "5.15.4", "6.1.192"}) {
    std::string head = kHead;
    head.replace(head.find("6.12.95"), 7,
                 std::string(version) + "\npatches: {with: madvise-collapse}");
    for (const char* persona : {"generic", "ext4", "xfs"}) {
      EXPECT_EQ(permute(head + kCollapses, persona), "") << version << ", " << persona;
    }
  }
}

}  // namespace
}  // namespace interleaf
