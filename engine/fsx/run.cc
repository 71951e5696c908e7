// SPDX-License-Identifier: GPL-2.0-only
#include "engine/fsx/run.h"

#include <algorithm>
#include <list>

#include "engine/end_checks.h"
#include "engine/fsx/port_file.h"
#include "engine/kernel/machine.h"
#include "scheduler/frame.h"
#include "scheduler/strategy.h"
#include "scheduler/sync/completion.h"
#include "scheduler/sync/wait_queue.h"
#include "scheduler/world.h"

namespace interleaf {
namespace {

constexpr const char* kScenario = R"(title: fsx
kernel: 6.12.95
geometry: {hpage_pages: 8, disk_blocks: 4194304}
files: {f: absent}
tasks:
  fsx:
    - drop_caches()
expect: {verdict: unknown}
)";

// One file under fsx. Lives outside the arena: what it holds at the end of a run, the next begins
// with.
struct Subject {
  const char* name;
  const std::vector<FsxOp>* ops;
  FsxExercise exercise;
  std::size_t begin = 0;  // of this run
  std::size_t end = 0;
  std::uint64_t size = 0;  // of the file, before it
};

// In the arena. Reclaim has been asked to work when the counts differ.
struct Reclaim {
  WaitQueue asked{"reclaim is asked for"};
  Atomic<std::uint64_t> requests;
};

// A file on which every operation is a chance for reclaim.
void exercise(Subject& subject, Reclaim* reclaim) {
  FRAME(fsx);
  const std::uint64_t length_max = subject.exercise.model().limits().length_max;
  // Before this opens the file, nothing may be looked at that changes between runs.
  FsxPortFile file(kernel::find_inode(subject.name), length_max);
  FsxExercise& exercise = subject.exercise;
  bool good = exercise.restore(file, subject.begin);
  for (std::size_t op = subject.begin; good && op < subject.end; ++op) {
    if (reclaim != nullptr) {
      reclaim->requests.inc();
      reclaim->asked.wake_up();
    }
    good = exercise.run(file, *subject.ops, op, op + 1);
  }
  good = good && exercise.check_durable(file, subject.end);
  if (good) return;
  const FsxMismatch& mismatch = *exercise.mismatch();
  const FindingKind kind = mismatch.lost    ? FindingKind::kLostDirtyData
                           : mismatch.stale ? FindingKind::kStaleData
                                            : FindingKind::kUnexpectedReturn;
  Scheduler::current()->report(kind, "fsx", std::string(mismatch.what), false);
}

[[noreturn]] void reclaim_pages(Reclaim& reclaim) {
  FRAME(reclaim);
  for (std::uint64_t seen = 0;;) {
    reclaim.asked.wait_event([&] { return reclaim.requests.read() != seen; });
    seen = reclaim.requests.read();
    kernel::drop_caches_sysctl_handler();
  }
}

class Machine {
 public:
  Machine(const std::shared_ptr<const Configuration>& configuration, const FsxRunOptions& options,
          std::vector<Subject>& subjects)
      : configuration_(configuration), options_(options), subjects_(subjects) {}

  void boot(Scheduler& scheduler) {
    // The oldest freed memory is used again soon: runs are long.
    scheduler.arena().set_quarantine(std::size_t{8} << 20);
    kernel::machine_config config{};
    config.geo = configuration_->geometry;
    config.fs = configuration_->persona;
    config.patches = configuration_->patches;
    kernel::boot_machine(scheduler, config);
    if (options_.reclaim) reclaim_ = new Reclaim();
    auto* bodies = new std::list<Body>();
    for (Subject& subject : subjects_) {
      kernel::create_inode(subject.name);
      bodies->emplace_back(subject, reclaim_);
      scheduler.spawn(
          subject.name,
          [](void* p) {
            auto* task = static_cast<Body*>(p);
            exercise(*task->subject, task->reclaim);
            task->ended.complete_all();
          },
          &bodies->back());
    }
    scheduler.spawn("unmount", check_at_end, bodies);
    if (options_.flusher) kernel::spawn_flusher(scheduler);
    if (options_.reclaim) {
      scheduler.spawn(
          "reclaim", [](void* p) { reclaim_pages(*static_cast<Reclaim*>(p)); }, reclaim_, true);
    }
  }

 private:
  struct Body {
    Subject* subject;
    Reclaim* reclaim;
    Completion ended{"the end of fsx"};

    Body(Subject& file, Reclaim* task) : subject(&file), reclaim(task) {}
  };

  // What the filesystem counts must be right; the bytes are the model's affair.
  static void check_at_end(void* bodies) {
    for (Body& body : *static_cast<std::list<Body>*>(bodies)) body.ended.wait_for_good();
    FRAME(unmount);
    Scheduler::current()->wait_for_quiet();
    Scheduler::current()->begin_epilogue();
    Oracle knows_no_file;
    unmount_and_check(knows_no_file);
  }

  std::shared_ptr<const Configuration> configuration_;
  const FsxRunOptions& options_;
  std::vector<Subject>& subjects_;
  Reclaim* reclaim_ = nullptr;
};

}  // namespace

std::shared_ptr<const Configuration> configure_fsx(Overrides overrides) {
  Scenario scenario = parse_scenario(kScenario, "fsx.yaml", overrides.settings);
  return configure(std::move(scenario), std::move(overrides));
}

FsxResult run_fsx(const std::shared_ptr<const Configuration>& configuration,
                  const std::vector<std::vector<FsxOp>>& sequences, const FsxRunOptions& options) {
  static constexpr const char* kNames[] = {"fsx", "fsx2"};
  FsxLimits limits = options.limits;
  limits.block_size = configuration->geometry.block_size;
  std::vector<Subject> subjects;
  std::size_t longest = 0;
  for (const std::vector<FsxOp>& ops : sequences) {
    subjects.push_back({kNames[subjects.size()], &ops, FsxExercise(limits, options.checks)});
    longest = std::max(longest, ops.size());
  }
  Machine machine(configuration, options, subjects);
  World world(options.slot, [&](Scheduler& scheduler) { machine.boot(scheduler); });
  const std::unique_ptr<Strategy> strategy = options.random ? make_random() : make_keep_running();
  FsxResult result;
  for (std::size_t begin = 0; begin < longest && result.clean(); begin += options.ops_per_run) {
    for (Subject& subject : subjects) {
      subject.begin = std::min(begin, subject.ops->size());
      subject.end = std::min(begin + options.ops_per_run, subject.ops->size());
      subject.size = subject.exercise.model().size();
    }
    RunOptions run;
    run.seed = options.seed + result.runs;
    run.steps_max = ~std::uint64_t{0};
    run.detectors = configuration->detectors;
    const RunResult& ended = world.run(*strategy, run);
    ++result.runs;
    result.steps += ended.steps;
    result.findings = ended.findings;
  }
  for (std::size_t i = 0; i < subjects.size(); ++i) {
    result.done += subjects[i].exercise.done();
    result.skipped += subjects[i].exercise.skipped();
    if (!result.mismatch && subjects[i].exercise.mismatch()) {
      result.mismatch = subjects[i].exercise.mismatch();
      result.file = i;
    }
  }
  if (!subjects.empty()) {
    const Subject& failed = subjects[result.file];
    result.op = failed.exercise.at();
    result.run_begin = failed.begin;
    result.run_file_size = failed.size;
  }
  return result;
}

}  // namespace interleaf
