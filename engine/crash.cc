// SPDX-License-Identifier: GPL-2.0-only
#include "engine/crash.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "engine/kernel/fs.h"

namespace interleaf {
namespace {

class InOrder final : public Strategy {
 public:
  InOrder(std::vector<TaskId> order, std::vector<std::vector<std::uint8_t>> values)
      : order_(std::move(order)), values_(std::move(values)), taken_(values_.size()) {}

  void begin(std::uint64_t) override { std::fill(taken_.begin(), taken_.end(), 0); }

  TaskId pick(const Scheduler& scheduler, TaskMask runnable) override {
    const std::uint64_t step = scheduler.step();
    if (step < order_.size() && (runnable & task_bit(order_[step])) != 0) return order_[step];
    const TaskId ran = scheduler.current_id();
    if (ran != kNoTask && (runnable & task_bit(ran)) != 0) return ran;
    return static_cast<TaskId>(std::countr_zero(runnable));
  }

  unsigned pick_value(const Scheduler& scheduler, const char*, unsigned count) override {
    const TaskId task = scheduler.current_id();
    if (task >= values_.size() || taken_[task] >= values_[task].size()) return 0;
    const unsigned value = values_[task][taken_[task]++];
    return value < count ? value : 0;
  }

 private:
  std::vector<TaskId> order_;
  std::vector<std::vector<std::uint8_t>> values_;
  std::vector<std::size_t> taken_;
};

// The order of the log's run by task ids: at every place the lowest task that may come next. The
// step that waited for all others stays last.
std::vector<TaskId> first_order(const CrashLog& log) {
  std::vector<std::vector<StepNumber>> steps_of(log.tasks());
  const StepNumber count = log.steps() - (log.ends_by_waiting() ? 1 : 0);
  for (StepNumber step = 0; step < count; ++step) steps_of[log.task(step)].push_back(step);
  std::vector<std::uint32_t> done(log.tasks());
  const auto may_come = [&](TaskId task) {
    if (done[task] == steps_of[task].size()) return false;
    const std::uint32_t* clock = log.clock(steps_of[task][done[task]]);
    for (TaskId other = 0; other < log.tasks(); ++other) {
      if (other != task && clock[other] > done[other]) return false;
    }
    return true;
  };
  std::vector<TaskId> order;
  while (order.size() < count) {
    TaskId task = 0;
    while (!may_come(task)) ++task;
    ++done[task];
    order.push_back(task);
  }
  if (count < log.steps()) order.push_back(log.task(count));
  return order;
}

std::vector<TaskId> tasks_of(const CrashLog& log) {
  std::vector<TaskId> tasks;
  for (StepNumber step = 0; step < log.steps(); ++step) tasks.push_back(log.task(step));
  return tasks;
}

// The clocks of every task's steps, task by task: equal for two runs iff they have one order.
std::vector<std::uint32_t> clocks_of(const CrashLog& log) {
  std::vector<std::uint32_t> clocks;
  for (TaskId task = 0; task < log.tasks(); ++task) {
    for (StepNumber step = 0; step < log.steps(); ++step) {
      if (log.task(step) != task) continue;
      clocks.insert(clocks.end(), log.clock(step), log.clock(step) + log.tasks());
    }
  }
  return clocks;
}

bool loses_data(const RunResult& run) {
  return std::any_of(run.findings.begin(), run.findings.end(), [](const Finding& finding) {
    return finding.kind == FindingKind::kLostDirtyData;
  });
}

// "f 0..4095, g 8192..12287": the files' bytes that the writes among the first `steps` brought.
std::string written_text(const CrashLog& log, std::uint64_t steps) {
  // Blocks are not used again, so the last map that has one says whose it is.
  const auto owner = [&](std::uint64_t block) -> std::string {
    const auto find = [&](std::uint32_t file, const CrashLog::Metadata& metadata) -> std::string {
      const auto at = std::find(metadata.blocks.begin(), metadata.blocks.end(), block);
      if (at == metadata.blocks.end()) return "";
      return fmt::format("{} block {}", log.files()[file].name, at - metadata.blocks.begin());
    };
    for (std::uint32_t file = 0; file < log.files().size(); ++file) {
      std::string text = find(file, log.files()[file].initial);
      if (!text.empty()) return text;
    }
    for (const CrashLog::Logged& logged : log.logged()) {
      std::string text = find(logged.file, logged.metadata);
      if (!text.empty()) return text;
    }
    return fmt::format("disk block {}", block);
  };
  std::string text;
  for (const CrashLog::BlockWrite& write : log.writes()) {
    if (write.step < steps) text += (text.empty() ? "" : ", ") + owner(write.block);
  }
  return text;
}

std::string cache_text(const PowerCut& cut) {
  std::string text;
  for (const std::uint32_t write : cut.lost) {
    text += fmt::format("{}write {} is lost", text.empty() ? "" : ", ", write + 1);
  }
  for (const PowerCut::Torn& torn : cut.torn) {
    text += fmt::format("{}of write {} the {} {} sectors are new", text.empty() ? "" : ", ",
                        torn.write + 1, torn.last ? "last" : "first", torn.sectors);
  }
  return text;
}

Finding finding_of(const CrashLog& log, const BrokenPromise& broken, const PowerCut& cut) {
  Finding finding{};
  finding.kind = FindingKind::kLostAfterPowerCut;
  finding.step = cut.steps;
  finding.object = broken.where;
  const bool at_start = broken.promise == BrokenPromise::kStart;
  std::string promise = "on disk before the run";
  if (at_start) {
    finding.stack = {"power cut"};
  } else {
    const CrashLog::Promise& call = log.promises()[broken.promise];
    finding.task = call.task;
    finding.task_name = call.name.substr(0, call.name.find(':'));
    finding.stack = call.stack;
    promise = "promised by " + call.name;
  }
  const std::uint64_t number =
      broken.write == BrokenPromise::kStart ? 0 : log.user_writes()[broken.write].number;
  finding.message =
      fmt::format("bytes {}..{} of {}, {}{}, are lost after a power cut: {}", broken.first,
                  broken.last, log.files()[broken.file].name,
                  number == 0 ? "" : fmt::format("acknowledged by write #{} and ", number), promise,
                  broken.where);
  if (broken.stale) {
    finding.message =
        fmt::format("bytes {}..{} of {} show after a power cut what was never there: {}",
                    broken.first, broken.last, log.files()[broken.file].name, broken.where);
  }
  if (broken.bytes == 0) {
    finding.message = fmt::format(
        "{} is {} bytes long after a power cut, and only a clone to behind that makes it longer "
        "than {}: {}",
        log.files()[broken.file].name, broken.last + 1, broken.first, broken.where);
  }
  finding.details.push_back(cut_text(log, cut));
  if (broken.bytes != 0) {
    finding.details.push_back(
        fmt::format("{} bytes are wrong, {} of them zero", broken.bytes, broken.zeros));
  }
  return finding;
}

}  // namespace

// Fills in the landmarks of a cut after `cut.steps`.
static void set_landmarks(const CrashLog& log, PowerCut& cut) {
  cut.after.clear();
  cut.writes = cut.records = 0;
  for (const CrashLog::Effect& effect : log.effects()) {
    if (effect.step >= cut.steps) continue;
    if (effect.kind == CrashLog::Effect::Kind::kPromise) {
      cut.after = log.promises()[effect.index].name;
    }
    if (effect.kind == CrashLog::Effect::Kind::kWrite) ++cut.writes;
    if (effect.kind == CrashLog::Effect::Kind::kLogged) ++cut.records;
  }
}

// Moves the cut to the first moment that has its landmarks.
static bool find_landmarks(const CrashLog& log, PowerCut& cut) {
  PowerCut here;
  set_landmarks(log, here);
  std::size_t next = 0;
  for (;;) {
    if (here.after == cut.after && here.writes == cut.writes && here.records == cut.records) {
      cut.steps = here.steps;
      return true;
    }
    if (next == log.effects().size()) return false;
    here.steps = log.effects()[next++].step + 1;
    set_landmarks(log, here);
  }
}

std::string cut_text(const CrashLog& log, const PowerCut& cut) {
  const std::string written = written_text(log, cut.steps);
  std::string text =
      fmt::format("cut@{}: {} block write{} done{}{}, {} of {} log records on disk",
                  cut.after.empty() ? "start" : cut.after, cut.writes, cut.writes == 1 ? "" : "s",
                  cut.writes == 0 ? "" : ": ", written, cut.logged, cut.records);
  const std::string cache = cache_text(cut);
  return cache.empty() ? text : text + "; " + cache;
}

std::unique_ptr<Strategy> make_in_order(std::vector<TaskId> order,
                                        std::vector<std::vector<std::uint8_t>> values) {
  return std::make_unique<InOrder>(std::move(order), std::move(values));
}

void CrashReport::merge(const CrashReport& other) {
  orders += other.orders;
  skipped += other.skipped;
  sets += other.sets;
  cuts += other.cuts;
  states.insert(other.states.begin(), other.states.end());
  complete = complete && other.complete;
  hidden_dependence = std::max(hidden_dependence, other.hidden_dependence);
}

CrashSearch::CrashSearch(unsigned slot, std::shared_ptr<const Configuration> configuration,
                         const CrashBudget& budget)
    : budget_(budget), world_(slot, std::move(configuration), &log_) {}

CrashSearch::Logged CrashSearch::log_first_run(const Schedule& schedule) {
  const auto strategy = make_replay(schedule);
  RunOptions options = world_.run_options();
  if (loses_data(log_.run(world_.world(), *strategy, options))) return Logged::kLosesData;
  const std::vector<TaskId> order = first_order(log_);
  if (order == tasks_of(log_)) return Logged::kYes;
  const std::vector<std::uint32_t> clocks = clocks_of(log_);
  if (run_in_order(order, log_.steps()) && clocks_of(log_) == clocks) return Logged::kYes;
  report_.hidden_dependence = "hidden dependence: two runs of one order differ";
  return Logged::kHiddenDependence;
}

// Runs the order of the log's run, or another one of its steps. True if the first `steps` went so.
bool CrashSearch::run_in_order(const std::vector<TaskId>& order, StepNumber steps) {
  InOrder strategy(order, log_.values());
  RunOptions options = world_.run_options();
  log_.run(world_.world(), strategy, options);
  if (log_.steps() < steps) return false;
  for (StepNumber step = 0; step < steps; ++step) {
    if (log_.task(step) != order[step]) return false;
  }
  return true;
}

std::vector<std::string> CrashSearch::judge(const Schedule& schedule) {
  switch (log_first_run(schedule)) {
    case Logged::kHiddenDependence:
      return {};
    case Logged::kLosesData:
      ++report_.skipped;
      return {};
    case Logged::kYes:
      break;
  }
  ++report_.orders;
  const CrashOracle oracle(log_, world_.configuration().geometry);
  const BrokenBySignature broken = search(oracle, report_);
  std::vector<std::string> signatures;
  for (const auto& [signature, each] : broken) signatures.push_back(signature);
  std::stable_sort(signatures.begin(), signatures.end(),
                   [&](const std::string& a, const std::string& b) {
                     return broken.at(a).cost < broken.at(b).cost;
                   });
  return signatures;
}

std::optional<CrashFinding> CrashSearch::show(const Schedule& schedule,
                                              const std::string& signature) {
  if (log_first_run(schedule) != Logged::kYes) return std::nullopt;
  const CrashOracle oracle(log_, world_.configuration().geometry);
  CrashReport again;
  BrokenBySignature all = search(oracle, again);
  const auto found = all.find(signature);
  if (found == all.end()) {
    report_.hidden_dependence = "hidden dependence: a power cut of an order is not there again";
    return std::nullopt;
  }
  Broken& broken = found->second;
  const std::vector<TaskId> order = in_order(oracle, broken);
  InOrder strategy(order, log_.values());
  CrashFinding finding{signature, {}, broken.cut};
  replay(strategy, broken.cut, false, finding.run);
  const std::vector<TaskId> went = tasks_of(log_);
  const bool same =
      went.size() >= broken.cut.steps &&
      std::equal(went.begin(), went.begin() + static_cast<long>(broken.cut.steps), order.begin()) &&
      signature_of(finding.run.result) == signature;
  if (!same) {
    report_.hidden_dependence =
        "hidden dependence: a power cut that an order allows cannot be reached by a run of it";
    return std::nullopt;
  }
  set_landmarks(log_, finding.cut);
  return finding;
}

CrashSearch::BrokenBySignature CrashSearch::search(const CrashOracle& oracle,
                                                   CrashReport& report) const {
  BrokenBySignature found;
  CrashStateOptions options;
  options.first = oracle.promises();
  options.sets_max = budget_.sets_max;
  const CrashStates states = for_each_crash_state(
      oracle.order(), options, [&](const EventSet& set) { return oracle.key(set); },
      [&](const EventSet& set) {
        oracle.for_each_cut(set, budget_, [&](const PowerCut& cut) {
          ++report.cuts;
          report.states.insert(oracle.state(set, cut));
          const auto broken = oracle.judge(set, cut);
          if (!broken) return true;
          // What the cache does makes a cut less plain than what happened before it.
          const std::size_t cost = 4 * set.count() + cut.lost.size() + 2 * cut.torn.size();
          const std::string signature = finding_of(log_, *broken, cut).signature();
          const auto known = found.find(signature);
          if (known == found.end()) {
            found.emplace(signature, Broken{set, cut, *broken, cost});
          } else if (cost < known->second.cost) {
            known->second = {set, cut, *broken, cost};
          }
          return true;
        });
        return true;
      });
  report.sets += states.sets;
  report.complete = report.complete && states.complete;
  return found;
}

std::vector<TaskId> CrashSearch::in_order(const CrashOracle& oracle, Broken& broken) const {
  // The write whose bytes are lost was acknowledged before the promise was asked for.
  const StepNumber acknowledged = broken.promise.write == BrokenPromise::kStart
                                      ? kNoStep
                                      : log_.user_writes()[broken.promise.write].end;
  std::vector<TaskId> first;
  std::vector<TaskId> second;
  std::vector<TaskId> after;
  for (StepNumber step = 0; step < log_.steps(); ++step) {
    bool in_set = false;
    for (std::size_t unit = 0; unit < oracle.order().size() && !in_set; ++unit) {
      in_set = broken.set.test(unit) && log_.before(step, oracle.step(unit));
    }
    std::vector<TaskId>& part = log_.before(step, acknowledged) ? first : in_set ? second : after;
    part.push_back(log_.task(step));
  }
  first.insert(first.end(), second.begin(), second.end());
  broken.cut.steps = first.size();
  first.insert(first.end(), after.begin(), after.end());
  return first;
}

bool CrashSearch::replay(Strategy& strategy, PowerCut cut, bool by_landmark, TracedRun& run) {
  TraceCollector collector(run.trace);
  RunOptions options = world_.run_options();
  options.observer = &collector;
  run.result = log_.run(world_.world(), strategy, options);
  collector.finish(world_.world().scheduler());
  run.result.findings.clear();
  if (by_landmark && !find_landmarks(log_, cut)) return false;
  const CrashOracle oracle(log_, world_.configuration().geometry);
  if (const auto broken = oracle.judge(oracle.prefix(cut.steps), cut)) {
    set_landmarks(log_, cut);
    run.result.findings.push_back(finding_of(log_, *broken, cut));
  }
  return true;
}

}  // namespace interleaf
