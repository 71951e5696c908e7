// SPDX-License-Identifier: GPL-2.0-only
#include "engine/commands/fuzz_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/commands/search_flags.h"
#include "engine/strategies.h"

namespace interleaf {
namespace {

// ---- numbers ----

// To two significant digits, never to the side that would claim more.
double rounded(double number, double (*round)(double)) {
  if (number <= 0 || !std::isfinite(number)) return number;
  const double unit = std::pow(10, std::floor(std::log10(number)) - 1);
  return round(number / unit) * unit;
}
double up(double number) {
  return rounded(number, [](double x) { return std::ceil(x); });
}
double down(double number) {
  return rounded(number, [](double x) { return std::floor(x); });
}

std::string probability(double p) { return fmt::format("{:.2g}", p); }
std::string range(const Interval& interval) {
  return probability(down(interval.low)) + ".." + probability(std::min(up(interval.high), 1.0));
}
// A count that may be beyond all integers.
std::string large(double count) {
  return count < 1e15 ? grouped(static_cast<std::uint64_t>(count)) : fmt::format("{:.1e}", count);
}
// How often it happens, with an interval around it: "1 of 39 (34..44)" runs, of what is frequent
// "13 % (12..15)". Requires: rate > 0, interval.low > 0.
std::string frequency_text(double rate, const Interval& interval) {
  if (interval.low >= 0.05) {
    return fmt::format("{:.0f} % ({:.0f}..{:.0f})", 100 * rate, std::floor(100 * interval.low),
                       std::ceil(100 * interval.high));
  }
  return fmt::format("1 of {} ({}..{})", large(std::round(1 / rate)),
                     large(down(std::floor(1 / interval.high))),
                     large(up(std::ceil(1 / interval.low))));
}
// To three digits: the last ones of a double differ from one mathematical library to the next.
double short_number(double number) { return std::stod(fmt::format("{:.3g}", number)); }
Json json_of(const Interval& interval) {
  return Json::array({short_number(interval.low), short_number(interval.high)});
}

// Items after a text, in lines of at most 100 columns.
std::string listed(std::string line, const std::vector<std::string>& items) {
  std::string text;
  for (std::size_t i = 0; i < items.size(); ++i) {
    const std::string item = items[i] + (i + 1 < items.size() ? "," : "");
    if (line.size() + 1 + item.size() > 100) {
      text += line + "\n";
      line = "   ";
    }
    line += " " + item;
  }
  return text + line + "\n";
}

std::string runs_text(std::uint64_t count) {
  return grouped(count) + (count == 1 ? " run" : " runs");
}

// ---- what may be said ----

// Runs are drawn alike and learn nothing from each other.
bool independent(const FuzzOptions& options) {
  return draws_from_seed(options.strategy) && campaign_runs(options.strategy) == 1;
}
// And the number of runs was not decided by what they found.
bool is_sample(const FuzzOptions& options, const FuzzReport& report) {
  return !report.stopped && report.runs > 0 && independent(options);
}

// Whether the second half of the watched runs had no handoff that the first did not have, and what
// that says: the probability that a run has one. 1 if nothing.
double new_handoff_bound(const FuzzStatistics& statistics) {
  const std::uint64_t first_half = statistics.watched / 2;
  if (first_half == 0 || statistics.handoff_last_new > first_half) return 1;
  return unseen_rate_bound(statistics.watched - first_half);
}

// ---- text ----

std::string finding_text(const FuzzOptions& options, const FuzzReport& report,
                         const FuzzFinding& finding) {
  std::string text =
      fmt::format("{}: {} of {}, first by seed {:#x} ({})", verdict_of(finding.run.result),
                  grouped(finding.count), runs_text(report.runs), finding.seed, finding.strategy);
  if (report.stopped && independent(options)) {
    text += "; fails in " +
            frequency_text(1 / static_cast<double>(report.runs), first_hit_interval(report.runs));
  }
  text += "\n" + wrapped_signature(signature_of(finding.run.result));
  if (!is_sample(options, report)) return text;
  std::vector<std::string> items;
  for (const auto& [name, hits] : finding.by_strategy) {
    const std::uint64_t runs = report.statistics.strategies.at(name).runs;
    const double rate = static_cast<double>(hits.count) / static_cast<double>(runs);
    items.push_back(fmt::format("{} {} from {:#x}", name,
                                frequency_text(rate, wilson_interval(hits.count, runs)),
                                hits.seed));
  }
  return text + listed("  fails in (95 %):", items);
}

std::string strategy_line(const FuzzOptions& options, const FuzzReport& report,
                          const std::string& name, const StrategyRuns& runs) {
  std::string line =
      fmt::format(" {:<12} {:>11} {:>9}", name, grouped(runs.runs), grouped(runs.found));
  const ClassCounts& orders = runs.orders;
  if (orders.runs() == 0) return line + "\n";
  line += fmt::format(" {:>19}  {:>8}", grouped(orders.classes()) + " of " + grouped(orders.runs()),
                      orders.runs() < ClassCounts::kLately ? "-" : grouped(orders.new_lately()));
  if (is_sample(options, report)) {
    line += fmt::format(
        "  {:>15}  {:>13}",
        range(next_new_interval(orders.seen_once(), orders.seen_twice(), orders.runs())),
        ">= " + large(down(unseen_classes(orders.seen_once(), orders.seen_twice()))));
  }
  return line + "\n";
}

std::string strategies_text(const FuzzOptions& options, const FuzzReport& report) {
  std::string text = fmt::format(" {:<12} {:>11} {:>9}", "strategy", "runs", "found");
  if (report.statistics.watched != 0) {
    text += fmt::format(" {:>19}  {:>8}", "orders of watched", "new/1000");
    if (is_sample(options, report)) {
      text += fmt::format("  {:>15}  {:>13}", "next new, p", "orders unseen");
    }
  }
  text += "\n";
  bool full = false;
  for (const auto& [name, runs] : report.statistics.strategies) {
    text += strategy_line(options, report, name, runs);
    full = full || runs.orders.full();
  }
  if (full) {
    text += fmt::format("orders were counted until a strategy had {} of them\n",
                        grouped(ClassCounts::kClassesMax));
  }
  return text;
}

std::string handoffs_text(const FuzzOptions& options, const FuzzReport& report) {
  const FuzzStatistics& statistics = report.statistics;
  if (statistics.watched == 0) return "";
  std::string text = fmt::format("{} handoffs in {} watched, the last new one in run {}",
                                 grouped(statistics.handoffs), runs_text(statistics.watched),
                                 grouped(statistics.handoff_last_new));
  const double bound = is_sample(options, report) ? new_handoff_bound(statistics) : 1;
  if (bound < 0.05) {
    text += fmt::format(": more seeds add little,\n  a run has a new one with p <= {} (95 %)",
                        probability(up(bound)));
  }
  return text + "\n";
}

// Why the bound of PCT does not hold; empty if it does.
std::string pct_void(const PctRuns& pct) {
  if (pct.bent != 0) return fmt::format("a task polled in {} runs", grouped(pct.bent));
  if (pct.bound_holds()) return "";
  return fmt::format(
      "a run had {} decisions, changes were spread over {} (see pct:DEPTH:DECISIONS)",
      grouped(pct.decisions_max), grouped(pct.decisions_assumed_min));
}

std::string pct_text(const FuzzReport& report) {
  const auto pct =
      std::find_if(report.statistics.strategies.begin(), report.statistics.strategies.end(),
                   [](const auto& entry) { return entry.second.pct.has_value(); });
  if (pct == report.statistics.strategies.end()) return "";
  const PctRuns& runs = *pct->second.pct;
  if (!runs.bound_holds()) return "pct: no bound by depth: " + pct_void(runs) + "\n";
  std::vector<std::string> items;
  for (const auto& [depth, count] : runs.by_depth) {
    const double miss = up(pct_miss_bound(report.tasks, runs.k(), depth, count));
    // Of depths that were hardly looked at, the first is enough to say how much is missing.
    items.push_back(fmt::format("d={}: p <= {} after {} runs (0.05 after {})", depth,
                                probability(std::min(miss, 1.0)), grouped(count),
                                large(up(pct_runs_needed(report.tasks, runs.k(), depth)))));
    if (miss > 0.9) break;
  }
  return fmt::format(
             "pct, n={} k={}: p that a bug of depth d was missed, if such a bug exists for "
             "this workload\n",
             report.tasks, grouped(runs.k())) +
         listed(" ", items);
}

std::string clean_text(const FuzzOptions& options, const FuzzReport& report) {
  if (report.runs == 0) return "";
  const bool cut = report.retry_cuts.orders != 0;
  if (cut && report.retry_cuts.orders == report.runs) {
    return "cannot judge: every run was cut\n";
  }
  if (report.exhausted && cut) {
    return "nothing found in the other schedules: complete but for these\n";
  }
  if (report.exhausted) {
    return "nothing found in all " + grouped(report.runs) + " schedules: complete\n";
  }
  if (campaign_runs(options.strategy) > 1) {
    return "nothing found; runs of " + options.strategy +
           " depend on each other: nothing follows for other schedules\n";
  }
  if (!draws_from_seed(options.strategy)) {
    return "nothing found; " + options.strategy + " makes the same run of every seed\n";
  }
  return fmt::format(
             "nothing found: what a run of {}{} shows with p >= {} would have been seen "
             "(95 %)\n",
             options.strategy, cut ? ", cut like that," : "",
             probability(up(unseen_rate_bound(report.runs)))) +
         pct_text(report);
}

std::string window_text_of(const Configuration& configuration, const FuzzReport& report) {
  if (!report.window_reached && report.findings.empty()) {
    std::string missed;
    for (const std::string& window : report.window_missed) missed += " " + window;
    return "cannot judge: no run reached the whole window;" +
           (missed.empty() ? std::string(" its parts were reached in different runs")
                           : " never reached:" + missed) +
           "\n";
  }
  if (!report.window_reached || configuration.scenario.window.empty()) return "";
  return fmt::format("window reached, first by seed {:#x}\n", report.window_seed);
}

Json strategy_json(const FuzzOptions& options, const FuzzReport& report, const std::string& name,
                   const StrategyRuns& runs) {
  Json json = {{"strategy", name}, {"runs", runs.runs}, {"found", runs.found}};
  json["orders"] = nullptr;
  if (const ClassCounts& orders = runs.orders; orders.runs() != 0) {
    Json& object = json["orders"];
    object = {{"runs", orders.runs()},
              {"orders", orders.classes()},
              {"seen_once", orders.seen_once()},
              {"seen_twice", orders.seen_twice()},
              {"last_new", orders.last_new()},
              {"new_in_last_1000", orders.new_lately()},
              {"full", orders.full()}};
    object["next_new"] = nullptr;
    object["unseen_at_least"] = nullptr;
    if (is_sample(options, report)) {
      object["next_new"] =
          json_of(next_new_interval(orders.seen_once(), orders.seen_twice(), orders.runs()));
      object["unseen_at_least"] =
          short_number(unseen_classes(orders.seen_once(), orders.seen_twice()));
    }
  }
  json["pct"] = nullptr;
  if (!runs.pct) return json;
  const bool holds = runs.pct->bound_holds() && report.findings.empty();
  json["pct"] = {{"n", report.tasks},
                 {"k", runs.pct->k()},
                 {"decisions_max", runs.pct->decisions_max},
                 {"void", pct_void(*runs.pct)}};
  Json& depths = json["pct"]["depths"] = Json::array();
  for (const auto& [depth, count] : runs.pct->by_depth) {
    Json object = {{"depth", depth}, {"runs", count}, {"missed", nullptr}, {"needed", nullptr}};
    if (holds) {
      object["missed"] = short_number(pct_miss_bound(report.tasks, runs.pct->k(), depth, count));
      object["needed"] = short_number(pct_runs_needed(report.tasks, runs.pct->k(), depth));
    }
    depths.push_back(object);
  }
  return json;
}

Json finding_json(const FuzzOptions& options, const FuzzReport& report,
                  const FuzzFinding& finding) {
  Json object = run_json(finding.run.result);
  object.erase("findings");
  object["seed"] = finding.seed;
  object["count"] = finding.count;
  object["strategy"] = finding.strategy;
  object["probability"] = nullptr;
  if (is_sample(options, report)) {
    object["probability"] = json_of(wilson_interval(finding.count, report.runs));
  } else if (report.stopped && independent(options)) {
    object["probability"] = json_of(first_hit_interval(report.runs));
  }
  object["strategies"] = Json::array();
  for (const auto& [name, hits] : finding.by_strategy) {
    const std::uint64_t runs = report.statistics.strategies.at(name).runs;
    Json each = {{"strategy", name}, {"count", hits.count}, {"seed", hits.seed}};
    each["probability"] =
        is_sample(options, report) ? json_of(wilson_interval(hits.count, runs)) : Json(nullptr);
    object["strategies"].push_back(each);
  }
  return object;
}

}  // namespace

std::string fuzz_summary(const Configuration& configuration, const FuzzOptions& options,
                         const FuzzReport& report) {
  std::string text;
  for (const FuzzFinding& finding : report.findings) {
    text += finding_text(options, report, finding);
  }
  for (const auto& [signature, count] : report.ignored) {
    text += fmt::format("known, does not count: {} of {}\n{}", grouped(count),
                        runs_text(report.runs), wrapped_signature(signature));
  }
  text += fmt::format("{}: seeds {:#x}..{:#x}, {}, strategy {}\n", configuration.kernel_text(),
                      options.seed_first, options.seed_first + report.runs - 1,
                      runs_text(report.runs), options.strategy);
  text += strategies_text(options, report) + handoffs_text(options, report);
  text += retry_cuts_text(report.retry_cuts, options.retries_max, "run");
  if (report.findings.empty()) text += clean_text(options, report);
  text += window_text_of(configuration, report);
  if (report.out_of_time) text += "ended by --time\n";
  if (!report.nondeterminism.empty()) text += "NOT DETERMINISTIC: " + report.nondeterminism + "\n";
  return text;
}

Json fuzz_json(const FuzzOptions& options, const FuzzReport& report,
               const std::vector<std::string>& paths) {
  Json json = report.findings.empty() ? Json{{"verdict", "clean"}, {"signature", ""}}
                                      : run_json(report.findings.front().run.result);
  json["strategy"] = options.strategy;
  json["runs"] = report.runs;
  json["seed_first"] = options.seed_first;
  json["seed_last"] = options.seed_first + report.runs - 1;
  json["out_of_time"] = report.out_of_time;
  json["runs_per_second"] = nullptr;  // here among the fields; the caller knows it
  json["findings"] = Json::array();
  for (std::size_t i = 0; i < report.findings.size(); ++i) {
    Json object = finding_json(options, report, report.findings[i]);
    object["recording"] = i < paths.size() ? paths[i] : "";
    json["findings"].push_back(object);
  }
  json["known"] = report.ignored;
  json["strategies"] = Json::array();
  for (const auto& [name, runs] : report.statistics.strategies) {
    json["strategies"].push_back(strategy_json(options, report, name, runs));
  }
  const bool clean = report.findings.empty() && is_sample(options, report);
  json["rate_bound"] = clean ? Json(short_number(unseen_rate_bound(report.runs))) : Json(nullptr);
  json["handoffs"] = nullptr;
  if (const FuzzStatistics& statistics = report.statistics; statistics.watched != 0) {
    json["handoffs"] = {{"runs", statistics.watched},
                        {"handoffs", statistics.handoffs},
                        {"last_new", statistics.handoff_last_new}};
    json["handoffs"]["new_bound"] = is_sample(options, report)
                                        ? Json(short_number(new_handoff_bound(statistics)))
                                        : Json(nullptr);
  }
  json["window_reached"] = report.window_reached;
  json["window_missed"] = report.window_missed;
  json["nondeterminism"] = report.nondeterminism;
  json["retries"] = options.retries_max;
  json["cut_by_retries"] = {{"runs", report.retry_cuts.orders},
                            {"functions", report.retry_cuts.functions}};
  json["complete"] = report.exhausted;
  json["bound"] = nullptr;
  return json;
}

}  // namespace interleaf
