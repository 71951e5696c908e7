// SPDX-License-Identifier: GPL-2.0-only
#include "engine/strategies.h"

#include <algorithm>
#include <charconv>
#include <string>
#include <vector>

#include "engine/nearest.h"
#include "engine/user_error.h"
#include "scheduler/strategies/learning.h"
#include "scheduler/strategies/trial.h"

namespace interleaf {
namespace {

// The k of pct: what so many runs had at most, and half as many for those that follow.
constexpr unsigned kLearningRuns = 64;
constexpr std::uint32_t kLearningMargin = 2;

class Maker {
 public:
  Maker(ScenarioWorld& world, std::string_view spec)
      : world_(world), spec_(spec), name_(spec.substr(0, spec.find(':'))) {
    std::string_view rest = spec.substr(name_.size());
    while (!rest.empty()) {
      rest.remove_prefix(1);
      parameters_.push_back(next(rest));
    }
  }

  std::string_view name() const { return name_; }

  // Parameter `index` in [1, max]; `otherwise` if it is not given.
  std::uint32_t number(std::size_t index, std::uint32_t max, std::uint32_t otherwise) const {
    if (index >= parameters_.size()) return otherwise;
    const std::string_view text = parameters_[index];
    std::uint32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < 1 || value > max) {
      refuse("\"" + std::string(text) + "\" is not a number from 1 to " + std::to_string(max));
    }
    return value;
  }
  bool word(std::size_t index, std::string_view expected) const {
    if (index >= parameters_.size()) return false;
    if (parameters_[index] != expected) {
      refuse("\"" + std::string(parameters_[index]) + "\" is not \"" + std::string(expected) +
             "\"");
    }
    return true;
  }
  void expect_parameters(std::size_t count_max) const {
    if (parameters_.size() > count_max) refuse("too many parameters");
  }

  Trial trial() const { return run_trial(world_.world(), options()); }
  // Of a run of pct here, at most, as far as can be known beforehand.
  std::uint32_t decisions() const {
    const std::uint32_t most = learn_decisions(world_.world(), options(), kLearningRuns);
    return most + most / kLearningMargin;
  }
  std::vector<ReadsFrom> predicted() const { return predict_reads_from(world_.world(), options()); }

 private:
  static std::string_view next(std::string_view& rest) {
    const std::string_view part = rest.substr(0, rest.find(':'));
    rest.remove_prefix(part.size());
    return part;
  }
  RunOptions options() const { return world_.run_options(); }
  [[noreturn]] void refuse(const std::string& why) const {
    throw UserError("strategy \"" + std::string(spec_) + "\": " + why, "",
                    "see `interleaf list strategies`");
  }

  ScenarioWorld& world_;
  std::string_view spec_;
  std::string_view name_;
  std::vector<std::string_view> parameters_;
};

using Make = std::unique_ptr<Strategy> (*)(const Maker&);

struct Entry {
  NamedStrategy named;
  std::size_t parameters_max;
  Make make;
};

constexpr std::uint32_t kDepthMax = 32;
constexpr std::uint32_t kDecisionsMax = 1'000'000;
constexpr std::uint32_t kLearnt = 0;  // in place of a number of decisions

constexpr Entry kRows[] = {
    {{"random", "", "uniform over the runnable tasks at every choice", "", ""},
     0,
     [](const Maker&) { return make_random(); }},
    {{"round-robin", "", "the next runnable task by id at every choice", "", ""},
     0,
     [](const Maker&) { return make_round_robin(); }},
    {{"keep-running", "", "the running task until it blocks or ends, then the lowest id", "", ""},
     0,
     [](const Maker&) { return make_keep_running(); }},
    {{"pos", "", "random priorities, drawn anew by accesses that raced",
      "Yuan, Yang, Gu: Partial order aware concurrency sampling, CAV 2018",
      "steps that one task alone can make let others draw anew too"},
     0,
     [](const Maker&) { return make_pos(); }},
    {{"pct", "[:DEPTH[:DECISIONS]]",
      "random priorities of tasks, changed at DEPTH - 1 random choices (1 to 5)",
      "Burckhardt et al.: A randomized scheduler with probabilistic guarantees, ASPLOS 2010",
      "k is DECISIONS, or learnt from 64 runs; a task that polls falls to the bottom"},
     2,
     [](const Maker& m) {
       const unsigned depth = m.number(0, kDepthMax, kDrawnPerRun);
       const std::uint32_t given = m.number(1, kDecisionsMax, kLearnt);
       return make_pct(depth, given != kLearnt ? given : m.decisions());
     }},
    {{"delay", "[:DELAYS[:DECISIONS]]", "round robin that passes over the next task (1 to 5 times)",
      "Emmi, Qadeer, Rakamaric: Delay-bounded scheduling, POPL 2011",
      "delays are drawn, uniformly over DECISIONS (1000), not enumerated"},
     2,
     [](const Maker& m) {
       return make_delay(m.number(0, kDepthMax, kDrawnPerRun),
                         m.number(1, kDecisionsMax, kDecisionsAssumed));
     }},
    {{"urw", "", "random, weighted by what each task still has to do",
      "Zhao et al.: Selectively uniform concurrency testing, ASPLOS 2025",
      "counts come from one trial run; a task that has more has one left"},
     0,
     [](const Maker& m) { return make_urw(m.trial()); }},
    {{"surw", "[:kind]", "uniform over the orders at one shared object, or at one kind of object",
      "Zhao et al.: Selectively uniform concurrency testing, ASPLOS 2025",
      "the seed draws the object of a run; after 10000 decisions another task is drawn"},
     1,
     [](const Maker& m) {
       const bool kind = m.word(0, "kind");
       return make_surw(m.trial(), kind ? SurwScope::kKind : SurwScope::kObject);
     }},
    {{"portfolio", "", "per run: 40 % pos, 25 % surw, 20 % pct, 10 % urw, 5 % random", "",
      "the shares are advice, not measured; the seed decides; k of pct is learnt"},
     0,
     [](const Maker& m) -> std::unique_ptr<Strategy> {
       Trial trial = m.trial();
       trial.decisions = m.decisions();
       return make_portfolio(trial);
     }},
    {{"rff", "", "learns: steers reads to writes that they rarely saw",
      "Wolff et al.: Greybox fuzzing for concurrency testing, ASPLOS 2024",
      "first pairs are predicted from one run; learns for 4096 runs, then anew", kCampaignRuns},
     0,
     [](const Maker& m) -> std::unique_ptr<Strategy> { return make_rff(m.predicted()); }},
    {{"feedback", "", "learns: mutates the draws of pos runs that reached something new",
      "Li et al.: Fray: An efficient general-purpose concurrency testing platform, 2025",
      "new are handoffs, and orders for a while; learns for 4096 runs, then anew", kCampaignRuns},
     0,
     [](const Maker&) -> std::unique_ptr<Strategy> { return make_feedback(); }},
    {{"dfs", "", "every schedule, depth first; says when there is no other",
      "Godefroid: Model checking for programming languages using VeriSoft, POPL 1997",
      "no reduction: for small scenarios; one worker, and seeds only count runs",
      ~std::uint64_t{0}},
     0,
     [](const Maker&) -> std::unique_ptr<Strategy> { return make_dfs(); }},
};

}  // namespace

std::span<const NamedStrategy> named_strategies() {
  static const std::vector<NamedStrategy> all = [] {
    std::vector<NamedStrategy> named;
    for (const Entry& row : kRows) named.push_back(row.named);
    return named;
  }();
  return all;
}

std::uint64_t campaign_runs(std::string_view spec) {
  const std::string_view name = spec.substr(0, spec.find(':'));
  for (const Entry& row : kRows) {
    if (row.named.name == name) return row.named.campaign_runs;
  }
  return 1;
}

std::unique_ptr<Strategy> make_strategy(ScenarioWorld& world, std::string_view spec) {
  const Maker maker(world, spec);
  std::vector<std::string> names;
  for (const Entry& row : kRows) {
    if (row.named.name == maker.name()) {
      maker.expect_parameters(row.parameters_max);
      return row.make(maker);
    }
    names.emplace_back(row.named.name);
  }
  throw UserError("unknown strategy \"" + std::string(spec) + "\"", "",
                  nearest_or_list(maker.name(), names));
}

}  // namespace interleaf
