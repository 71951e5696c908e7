// SPDX-License-Identifier: GPL-2.0-only
#include "engine/why.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <functional>
#include <map>
#include <set>
#include <string_view>
#include <thread>
#include <utility>

#include "engine/minimize.h"
#include "engine/replay.h"
#include "engine/scenario_text.h"
#include "engine/user_error.h"
#include "scheduler/search/minimize.h"
#include "scheduler/search/reorder.h"
#include "scheduler/search/run_log.h"
#include "scheduler/search/site_values.h"

namespace interleaf {
namespace {

constexpr std::uint64_t kReduceRuns = 4000;

// Takes wait() out of the statements; returns how many there were.
std::uint64_t drop_waits(std::vector<Statement>& statements) {
  std::uint64_t dropped = 0;
  for (Statement& statement : statements) dropped += drop_waits(statement.body);
  const auto is_wait = [](const Statement& s) { return s.call == Call::kWait; };
  dropped += std::erase_if(statements, is_wait);
  return dropped;
}

class Explainer {
 public:
  Explainer(const Recording& recording, const WhyOptions& options)
      : recording_(recording), options_(options) {}

  WhyReport explain() {
    const TracedRun given = checked_run(recording_, "explain");
    report_.configuration = configuration_of(recording_);
    report_.verdict = recording_.verdict;
    report_.signature = recording_.signature;
    report_.preemptions_given = given.result.preemptions;
    schedule_ = recording_.choices;
    if (!options_.keep_waits) take_waits_away();
    ScenarioWorld world(0, report_.configuration);
    run_ = world.run_options();
    report_.reduced = report_.waits != 0 || !recording_.minimality;
    if (report_.reduced) {
      schedule_ = reduce(world.world(), schedule_, run_, same_, kReduceRuns).run.schedule;
    }
    CauseOptions options;
    options.run = run_;
    report_.causes = find_causes(world.world(), schedule_, options, same_);
    report_.evidence = report_.causes.run.verdict()->message;
    make_chain(world.world());
    name_objects(world.world());
    return std::move(report_);
  }

 private:
  // Goes over to the scenario without its waits if the old order of steps has the finding there.
  void take_waits_away() {
    const Configuration& original = *report_.configuration;
    ScenarioEdit edit = edit_of(original.scenario, recording_.verdict);
    std::uint64_t waits = 0;
    for (TaskSpec& task : edit.tasks) waits += drop_waits(task.statements);
    if (waits == 0) return;
    report_.waits_needed = true;
    const auto text = edited_text(original, edit);
    if (!text) return;
    const Overrides& overrides = original.overrides;
    auto changed = configure(
        parse_scenario(*text, original.scenario.name + ".yaml", overrides.settings), overrides);
    RunLog log;
    {
      ScenarioWorld world(0, report_.configuration);
      run_ = world.run_options();
      const auto replay = make_replay(schedule_);
      log = log_run(world.world(), *replay, run_);
    }
    std::vector<const OrderedStep*> order;
    for (std::size_t i = 0; i < log.steps.size(); ++i) {
      const bool is_wait = log.steps[i].access.op == Op::kAwait && log.sites[i].function == "wait";
      if (!is_wait) order.push_back(&log.steps[i]);
    }
    ScenarioWorld world(0, changed);
    run_ = world.run_options();
    const auto reordered = make_reordered(std::move(order), 0);
    const RunResult& run = world.world().run(*reordered, run_);
    if (!same_(run)) return;
    report_.waits_needed = false;
    report_.waits = waits;
    schedule_ = run.schedule;
    report_.configuration = std::move(changed);
  }

  void make_chain(World& world) {
    std::vector<std::uint64_t> kinds;
    for (const CauseGroup& group : report_.causes.groups) {
      if (group.first.kind != 0) kinds.push_back(group.first.kind);
    }
    std::map<std::uint64_t, LocksetCount> locksets;
    if (options_.sample_runs != 0 && !kinds.empty()) {
      locksets = sample_locksets(world, kinds, run_, options_.sample_runs);
      report_.sample_runs = options_.sample_runs;
    }
    for (const CauseGroup& group : report_.causes.groups) {
      WhyLink link;
      link.group = group;
      std::set<std::string> instead;
      for (const std::size_t i : group.flips) instead.insert(report_.causes.flips[i].instead);
      link.instead.assign(instead.begin(), instead.end());
      for (const std::string& lock : group.first.locks) {
        const auto& others = group.foreign.locks;
        if (std::find(others.begin(), others.end(), lock) != others.end()) {
          link.common.push_back(lock);
        }
      }
      if (group.first.kind != 0) link.elsewhere = locksets[group.first.kind];
      report_.chain.push_back(std::move(link));
    }
    test_links(world);
  }

  // The first links, several at a time. Each search is one thread's.
  void test_links(World& world) {
    const std::size_t count = std::min<std::size_t>(options_.tests, report_.chain.size());
    std::atomic<std::size_t> next = 0;
    const auto work = [&](World& own) {
      for (std::size_t i = next++; i < count; i = next++) test_link(own, report_.chain[i]);
    };
    std::vector<std::exception_ptr> failures(options_.jobs);
    std::vector<std::thread> helpers;
    for (unsigned slot = 1; slot < options_.jobs && slot < count; ++slot) {
      helpers.emplace_back([&, slot] {
        try {
          ScenarioWorld own(slot, report_.configuration);
          work(own.world());
        } catch (...) {
          failures[slot] = std::current_exception();
        }
      });
    }
    work(world);
    for (std::thread& helper : helpers) helper.join();
    for (const std::exception_ptr& failure : failures) {
      if (failure != nullptr) std::rethrow_exception(failure);
    }
  }

  void test_link(World& world, WhyLink& link) const {
    EnforceOptions options;
    options.run = run_;
    options.schedule = report_.causes.run.schedule;
    options.preemptions = static_cast<unsigned>(report_.causes.run.preemptions);
    options.runs_max = options_.search_runs;
    link.enforced = test_enforced(world, link.group, options, same_);
    link.tested = true;
  }

  void name_objects(World& world) {
    std::vector<AccessSite*> sites;
    for (Flip& flip : report_.causes.flips) {
      if (flip.outcome != Flip::Outcome::kRemoved) continue;
      sites.insert(sites.end(), {&flip.earlier, &flip.later});
    }
    for (WhyLink& link : report_.chain) {
      sites.insert(sites.end(), {&link.group.first, &link.group.foreign, &link.group.last});
    }
    read_values(world, report_.causes.run.schedule, run_, std::move(sites));
  }

  const Recording& recording_;
  const WhyOptions options_;
  WhyReport report_;
  Schedule schedule_;
  RunOptions run_;
  const std::function<bool(const RunResult&)> same_ = [this](const RunResult& run) {
    return signature_of(run) == recording_.signature;
  };
};

}  // namespace

WhyReport explain_recording(const Recording& recording, const WhyOptions& options) {
  return Explainer(recording, options).explain();
}

}  // namespace interleaf
