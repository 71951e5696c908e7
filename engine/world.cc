// SPDX-License-Identifier: GPL-2.0-only
#include "engine/world.h"

#include <fcntl.h>

#include <algorithm>

#include "engine/crash_log.h"
#include "engine/end_checks.h"
#include "engine/kernel/block.h"
#include "engine/kernel/fs.h"
#include "engine/kernel/machine.h"
#include "engine/oracle.h"
#include "engine/process.h"
#include "engine/user_error.h"
#include "scheduler/frame.h"

namespace interleaf {
namespace {

// Everything of ours in the arena that tasks refer to.
struct Cast {
  Oracle oracle;
  std::vector<Process*> processes;
};

void make_files(const Configuration& configuration, Oracle& oracle) {
  const Scenario& scenario = configuration.scenario;
  for (std::size_t i = 0; i < scenario.files.size(); ++i) {
    const FileSpec& file = scenario.files[i];
    if (!file.exists) continue;
    kernel::inode* node = kernel::create_inode(file.name);
    const std::vector<std::uint8_t>& image = configuration.image(i);
    kernel::place_contents(node, static_cast<kernel::loff_t>(file.size),
                           image.empty() ? nullptr : image.data());
    oracle.add_file(*node, file.size, image);
  }
}

bool opens_direct(const std::vector<Statement>& statements) {
  return std::any_of(statements.begin(), statements.end(), [](const Statement& statement) {
    return opens_direct(statement.body) ||
           (statement.call == Call::kOpen && (statement.arguments[1].value & O_DIRECT) != 0);
  });
}

// When all processes have ended.
void check_at_end(void* argument) {
  auto* cast = static_cast<Cast*>(argument);
  for (Process* process : cast->processes) process->ended().wait_for_good();
  FRAME(unmount);
  // Daemons first do what they can, so that the checks do not depend on when they would have.
  Scheduler::current()->wait_for_quiet();
  Scheduler::current()->begin_epilogue();
  unmount_and_check(cast->oracle);
}

void set_up(Scheduler& scheduler, const Configuration& configuration, CrashLog* log) {
  auto* cast = new Cast();
  kernel::machine_config config{};
  config.geo = configuration.geometry;
  config.fs = configuration.persona;
  config.patches = configuration.patches;
  config.watcher = log == nullptr ? &cast->oracle : log->in_front_of(cast->oracle);
  const Scenario& scenario = configuration.scenario;
  for (const auto& [kind, budget] : scenario.faults) {
    unsigned& of_kind = kind == "alloc"  ? config.faults.alloc
                        : kind == "copy" ? config.faults.copy
                                         : config.faults.bio;
    of_kind = static_cast<unsigned>(budget);
  }
  // User tasks first: their ids are their columns.
  cast->processes.resize(scenario.tasks.size());
  for (std::size_t i = 0; i < scenario.tasks.size(); ++i) {
    scheduler.spawn(
        scenario.tasks[i].name, [](void* process) { (*static_cast<Process**>(process))->run(); },
        &cast->processes[i]);
  }
  scheduler.spawn("unmount", check_at_end, cast);
  kernel::boot_machine(scheduler, config);
  for (const auto& [begin, end] : configuration.unreadable()) {
    kernel::this_machine().unreadable.push_back({begin, end});
  }
  if (config.faults.bio != 0) cast->oracle.expect_errors();
  make_files(configuration, cast->oracle);
  if (log != nullptr) log->files_made();
  for (std::size_t i = 0; i < scenario.tasks.size(); ++i) {
    cast->processes[i] = new Process(configuration, i, cast->processes);
  }
  if (std::any_of(scenario.tasks.begin(), scenario.tasks.end(),
                  [](const TaskSpec& task) { return opens_direct(task.statements); })) {
    kernel::spawn_direct_io(scheduler);
  }
  for (const DaemonSpec& daemon : scenario.daemons) {
    if (daemon.name == "flusher") kernel::spawn_flusher(scheduler);
    if (daemon.name == "khugepaged") kernel::spawn_khugepaged(scheduler);
  }
}

}  // namespace

ScenarioWorld::ScenarioWorld(unsigned slot, std::shared_ptr<const Configuration> configuration,
                             CrashLog* log)
    : configuration_(std::move(configuration)),
      world_(std::make_unique<World>(
          slot, [this, log](Scheduler& scheduler) { set_up(scheduler, *configuration_, log); })) {}

std::uint64_t ScenarioWorld::steps_max() const {
  return configuration_->scenario.steps_max.value_or(200'000);
}

RunOptions ScenarioWorld::run_options(std::uint64_t seed) const {
  RunOptions options;
  options.seed = seed;
  options.steps_max = steps_max();
  options.retries_max = retries_max_;
  options.detectors = configuration_->detectors;
  return options;
}

std::vector<Row> ScenarioWorld::rows_of(const TableSpec& table) const {
  const Scheduler& scheduler = world_->scheduler();
  std::vector<Row> rows;
  for (const TableRow& row : table.rows) {
    TaskId id = 0;
    while (id < scheduler.task_count() && row.task != scheduler.task(id).name) ++id;
    if (id == scheduler.task_count()) {
      throw UserError("table \"" + table.name + "\" has a column of " + row.task +
                          ", and there is none with persona " +
                          std::string(configuration_->persona->name),
                      configuration_->scenario.file_name + ":" + std::to_string(table.line),
                      "take the column out, or name the persona that has it");
    }
    rows.push_back({id, row.function});
  }
  return rows;
}

}  // namespace interleaf
