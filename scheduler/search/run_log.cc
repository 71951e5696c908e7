// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/run_log.h"

#include <algorithm>
#include <map>
#include <string_view>

namespace interleaf {
namespace {

bool takes_lock(Op op) {
  return op == Op::kAcquire || op == Op::kAcquireShared || op == Op::kTryAcquire ||
         op == Op::kTryAcquireShared;
}

std::string hexadecimal(std::uintptr_t number) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  do {
    text.insert(text.begin(), kDigits[number % 16]);
    number /= 16;
  } while (number != 0);
  return "0x" + text;
}

// Notes the site of every step. Called inside the run: what it keeps is on the heap.
class SiteCollector final : public Observer {
 public:
  void event(const Scheduler& s, const Task& task, const Access& access) override {
    const HeapScope heap;
    kinds_.learn(s.arena());  // the first step: nothing was allocated since boot
    sites.push_back(site_of(s, task, access, s.step()));
    note_locks(s, task);
  }
  void enter(const Scheduler&, const Task& task, const Function&) override {
    if (task.depth == 1) ++calls_[task.id];
  }
  void leave(const Scheduler&, const Task&, const Function&) override {}
  void remark(const Scheduler&, const Task&, std::string_view) override {}

  AccessSite site_of(const Scheduler& s, const Task& task, const Access& access,
                     std::uint64_t step) const {
    AccessSite site;
    site.task = task.id;
    site.task_name = task.name;
    site.step = step;
    site.op = access.op;
    site.function = task.function() == nullptr ? "-" : task.function()->name;
    site.outermost = task.depth == 0 ? "-" : task.stack[0]->name;
    const std::string_view file = access.where.file_name();
    site.file = file.substr(file.rfind('/') + 1);
    site.line = access.where.line();
    site.object = access.object;
    for (const HeldLock& held : task.held) {
      site.locks.emplace_back(s.lock_class_name(held.class_index));
    }
    site.call = calls_[task.id];
    site.region = !task.held.empty()      ? task.held.front().step * 2 + 1
                  : takes_lock(access.op) ? step * 2 + 1
                                          : calls_[task.id] * 2;
    if (access.object == kPrivateObject || access.address == nullptr) return site;
    site.kind = kinds_.of(s.arena(), access.address);
    if (const Arena::Block* block = s.arena().find(access.address);
        block != nullptr && block->type != nullptr) {
      const auto offset = reinterpret_cast<std::uintptr_t>(access.address) -
                          reinterpret_cast<std::uintptr_t>(block->data());
      site.role = std::string(block->type->name) + "+" + hexadecimal(offset);
    }
    return site;
  }

  // A lock is called by its class. Its object is known from the step that took it.
  void name_locks(std::vector<AccessSite>& named) const {
    for (AccessSite& site : named) {
      const auto lock = locks_.find(site.object);
      if (lock != locks_.end()) site.role = lock->second;
    }
  }

  // The locks that a task holds are those that its earlier steps took.
  void note_locks(const Scheduler& s, const Task& task) {
    for (const HeldLock& held : task.held) {
      if (held.step == 0 || held.step > sites.size()) continue;
      const AccessSite& taken = sites[held.step - 1];
      if (!takes_lock(taken.op) && taken.op != Op::kGranted) continue;
      locks_.try_emplace(taken.object, s.lock_class_name(held.class_index));
    }
  }

  std::vector<AccessSite> sites;

 private:
  ObjectKinds kinds_;
  std::uint64_t calls_[kTasksMax] = {};
  std::map<std::uint32_t, std::string> locks_;
};

}  // namespace

RunLog log_run(World& world, Strategy& strategy, RunOptions options) {
  RunLog log;
  SiteCollector collector;
  const auto recorder = make_step_recorder(strategy);
  options.observer = &collector;
  log.run = world.run(*recorder, options);
  log.steps = recorder->steps();
  log.sites = collector.sites;
  // Steps of an epilogue were observed, but are no part of the order.
  const std::size_t steps = std::min(log.steps.size(), log.sites.size());
  log.steps.resize(steps);
  log.sites.resize(steps);
  const Scheduler& s = world.scheduler();
  for (TaskId id = 0; id < s.task_count() && log.run.end != RunEnd::kFinished; ++id) {
    const Task& task = s.task(id);
    collector.note_locks(s, task);
    if (task.finished || task.daemon) continue;
    OrderedStep& step = log.pending.emplace_back();
    step.task = id;
    step.access = task.next;
    log.pending_sites.push_back(collector.site_of(s, task, task.next, s.step() + 1));
  }
  collector.name_locks(log.sites);
  collector.name_locks(log.pending_sites);
  return log;
}

}  // namespace interleaf
