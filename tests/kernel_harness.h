// SPDX-License-Identifier: GPL-2.0-only
// A machine with files and tasks for tests of the port. Tasks are lambdas that live outside the
// World: what they assign survives the run and is not rewound. Inside a run, memory comes from the
// arena, so a task must not grow a container of the test.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>
#include <utility>

#include "engine/kernel/block.h"
#include "engine/kernel/fs.h"
#include "engine/kernel/machine.h"
#include "scheduler/check.h"
#include "scheduler/thread_state.h"
#include "scheduler/world.h"

namespace kernel {

/* A huge page of 4 pages and batches of 4. */
inline geometry small_geometry() {
  geometry geo;
  geo.hpage_pages = 4;
  geo.folio_batch = 4;
  geo.xa_slots = 4;
  geo.ra_pages = 4;
  geo.fault_around_pages = 1;
  geo.disk_blocks = 1024;
  return geo;
}

struct harness_options {
  geometry geo = small_geometry();
  std::string_view persona_name = "ext4";
  std::string_view kernel_name = "6.12";
  patch_set with = 0;    /* added to the kernel's */
  patch_set without = 0; /* and taken out; nobody asks whether that makes sense */
  observer* watcher = nullptr;
  unsigned faults_max = 0;
  bool flusher = false;
  bool khugepaged = false;
  bool direct_io = false;
};

class kernel_harness {
 public:
  explicit kernel_harness(harness_options options = {}) : options_(options) {}

  /* All of these before the first run; set-up runs after the files exist. */
  void file(std::string name, std::string bytes) {
    files_.emplace_back(std::move(name), std::move(bytes));
  }
  void setup(std::function<void()> body) { setups_.push_back(std::move(body)); }
  void task(std::string name, std::function<void()> body) {
    tasks_.emplace_back(std::move(name), std::move(body));
  }

  const interleaf::RunResult& run(interleaf::Strategy& strategy, std::uint64_t seed = 0,
                                  interleaf::Observer* trace = nullptr) {
    if (!world_) {
      world_ = std::make_unique<interleaf::World>(
          0, [this](interleaf::Scheduler& scheduler) { boot(scheduler); });
    }
    return world_->run(strategy, {.seed = seed, .observer = trace});
  }
  const interleaf::RunResult& run(std::uint64_t seed = 0) { return run(*random_, seed); }
  const interleaf::RunResult& run_in_order(interleaf::Observer* trace = nullptr) {
    return run(*in_order_, 0, trace);
  }

  /* Looks at what the last run left behind: this_machine() works, nothing makes a point. */
  template <typename Body>
  auto inspect(Body body) {
    const interleaf::ThreadState saved = interleaf::t_state;
    interleaf::t_state.instance = &world_->scheduler();
    struct Leave {
      const interleaf::ThreadState& state;
      ~Leave() { interleaf::t_state = state; }
    } leave{saved};
    return body();
  }
  interleaf::World& world() { return *world_; }

 private:
  void boot(interleaf::Scheduler& scheduler) {
    const kernel_info* version = find_kernel(options_.kernel_name);
    CHECK(version != nullptr);
    boot_machine(scheduler, {.geo = options_.geo,
                             .fs = find_persona(options_.persona_name),
                             .patches = (version->patches | options_.with) & ~options_.without,
                             .watcher = options_.watcher,
                             .faults_max = options_.faults_max});
    for (const auto& [name, bytes] : files_) write_to_disk(*create_inode(name), bytes);
    for (auto& body : setups_) body();
    for (auto& [name, body] : tasks_)
      scheduler.spawn(
          name, [](void* p) { (*static_cast<std::function<void()>*>(p))(); }, &body);
    if (options_.flusher) spawn_flusher(scheduler);
    if (options_.direct_io) spawn_direct_io(scheduler);
    if (options_.khugepaged) spawn_khugepaged(scheduler);
  }
  static void write_to_disk(inode& node, const std::string& bytes) {
    const std::size_t block = node.i_sb->s_bdev->block_size;
    auto* image = new unsigned char[(bytes.size() + block - 1) / block * block]();
    bytes.copy(reinterpret_cast<char*>(image), bytes.size());
    place_contents(&node, static_cast<loff_t>(bytes.size()), image);
  }

  harness_options options_;
  std::list<std::pair<std::string, std::string>> files_;
  std::list<std::function<void()>> setups_;
  std::list<std::pair<std::string, std::function<void()>>> tasks_;
  std::unique_ptr<interleaf::World> world_;
  std::unique_ptr<interleaf::Strategy> random_ = interleaf::make_random();
  std::unique_ptr<interleaf::Strategy> in_order_ = interleaf::make_keep_running();
};

}  // namespace kernel
