// SPDX-License-Identifier: GPL-2.0-only
#include "engine/commands/explore_text.h"

#include <fmt/format.h>

#include <cmath>

#include "engine/commands/search_flags.h"
#include "engine/report.h"

namespace interleaf {
namespace {

// 1,284 orders, 3 tasks, kernel 6.12.95 + X, geometry 4k/4
std::string scope_of(const Configuration& configuration, const BoundedResult& search) {
  const kernel::geometry& sizes = configuration.geometry;
  const std::string page = sizes.page_size % 1024 == 0 ? fmt::format("{}k", sizes.page_size / 1024)
                                                       : std::to_string(sizes.page_size);
  return fmt::format("{}, {}, kernel {}, geometry {}/{}", counted(search.classes, "order"),
                     counted(configuration.scenario.tasks.size(), "task"),
                     configuration.kernel_text(), page, sizes.hpage_pages);
}

// Two digits: what is estimated has no more.
std::string rounded(double number) {
  if (number >= 1e15) return fmt::format("10^{:.0f}", std::log10(number));
  const double unit =
      std::pow(10, std::max(0.0, std::floor(std::log10(std::max(number, 1.0))) - 1));
  return grouped(static_cast<std::uint64_t>(std::round(number / unit) * unit));
}

std::string stopped(const ExploreReport& report) {
  return report.seconds < 1 ? std::string("stopped")
                            : fmt::format("stopped after {:.0f} s", report.seconds);
}

std::string out_of(const BoundedResult& search) {
  if (std::string(search.budget) == "interrupted") return ", interrupted";
  return fmt::format(", out of {}", search.budget);
}

// The weighted share of the tree is within a factor of three of the truth as a rule.
std::string how_far_unbounded(const ExploreReport& report) {
  const BoundedResult& search = report.search;
  std::string text = stopped(report) + out_of(search) + "\n";
  if (report.done < 0.01) return text;
  const double whole = static_cast<double>(search.classes) / report.done;
  const double least = std::max(static_cast<double>(search.classes), whole / std::sqrt(3));
  return text + fmt::format(
                    "about {:.0f} % of the choices tried; {} to {} orders\n"
                    "if the rest is like that\n",
                    std::floor(100 * report.done), rounded(least), rounded(whole * std::sqrt(3)));
}

std::string how_far(const ExploreOptions& options, const ExploreReport& report) {
  if (options.unbounded) return how_far_unbounded(report);
  const BoundedResult& search = report.search;
  std::string text = fmt::format("{} at level {}", stopped(report), search.levels.size() - 1);
  text += out_of(search);
  text +=
      search.complete_up_to < 0
          ? "; no level is complete"
          : fmt::format("; complete up to {}",
                        counted(static_cast<std::uint64_t>(search.complete_up_to), "preemption"));
  const BoundedEstimate& estimate = search.estimate;
  if (!estimate.known) return text + "\n";
  return text +
         fmt::format(
             "\n{:.0f} % of the choices of the level tried; {} to {} orders with at most {}\n"
             "if the rest is like that\n",
             std::floor(100 * estimate.level_done), rounded(estimate.orders_least),
             rounded(estimate.orders_most), counted(options.preemptions_max, "preemption"));
}

// Nothing is complete as such if an order was cut: a line above says which.
std::string complete_text(const BoundedResult& search) {
  if (!search.complete) return "";
  return search.retry_cuts.orders == 0 ? ", complete" : ", complete but for these";
}

std::string clean_statement(const Configuration& configuration, const ExploreOptions& options,
                            const ExploreReport& report) {
  const BoundedResult& search = report.search;
  const std::string scope = scope_of(configuration, search);
  const bool all_cuts = report.crash && report.crash->complete && report.crash->skipped == 0 &&
                        report.crash->hidden_dependence.empty();
  const char* cuts = all_cuts ? " and any power cut" : "";
  const std::string complete = complete_text(search);
  const bool all = search.exhausted && search.retry_cuts.orders == 0;
  if (search.complete && all) {
    return fmt::format("no finding in any order{}: {}{}\n", cuts, scope, complete);
  }
  if (search.complete && search.exhausted) {
    return fmt::format("no finding in the other orders{}: {}{}\n", cuts, scope, complete);
  }
  if (search.complete) {
    return fmt::format("no finding with at most {}{}: {}{}\n",
                       counted(options.preemptions_max, "preemption"), cuts, scope, complete);
  }
  if (search.out_of_budget) {
    return how_far(options, report) + "no finding so far: " + scope + ", not complete\n";
  }
  return "no finding: " + scope + ", not complete\n";
}

}  // namespace

std::string explore_statement(const Configuration& configuration, const ExploreOptions& options,
                              const ExploreReport& report) {
  const BoundedResult& search = report.search;
  std::string text;
  if (search.cut > 0) {
    text = fmt::format("{} cut in a loop by the step limit: not complete\n",
                       counted(search.cut, "run"));
  }
  text += retry_cuts_text(search.retry_cuts, options.retries_max, "order");
  if (report.findings.empty()) return text + clean_statement(configuration, options, report);
  // Of a power cut those of the order, not of the run that goes straight to it.
  const std::uint64_t fewest = search.findings.front().preemptions;
  const bool proven = fewest > 0 && search.complete_up_to + 1 >= static_cast<int>(fewest);
  if (search.out_of_budget) text += how_far(options, report);
  if (options.unbounded) {
    return text +
           fmt::format("found: {}{}\n", scope_of(configuration, search), complete_text(search));
  }
  return text + fmt::format("found with {}{}: {}{}\n", counted(fewest, "preemption"),
                            proven ? ", and nothing with fewer" : "",
                            scope_of(configuration, search), complete_text(search));
}

std::string explore_text(const Configuration& configuration, const ExploreOptions& options,
                         const ExploreReport& report) {
  const BoundedResult& search = report.search;
  std::string text;
  for (const ExploreFinding& finding : report.findings) {
    text += fmt::format("\n{} on {} ({})\n\n{}\n{}", configuration.scenario.name,
                        configuration.kernel_text(), configuration.persona->name,
                        cpu_table(configuration, finding.run, {}), consequence(finding.run));
  }
  text += "\n";
  for (std::size_t i = 0; i < search.levels.size() && !options.unbounded; ++i) {
    text += fmt::format("{}: {} more\n", counted(i, "preemption"),
                        counted(search.levels[i].classes, "order"));
  }
  for (const ExploreFinding& finding : report.findings) {
    text +=
        fmt::format("{}: {}\n{}", verdict_of(finding.run.result), counted(finding.count, "order"),
                    wrapped_signature(signature_of(finding.run.result)));
  }
  for (const auto& [signature, count] : search.known) {
    text += fmt::format("known, does not count: {}\n{}", counted(count, "order"),
                        wrapped_signature(signature));
  }
  if (report.crash) text += crash_text(*report.crash, options.crash_budget, configuration);
  text += explore_statement(configuration, options, report);
  if (!report.window_reached) {
    std::string missed;
    for (const std::string& window : report.window_missed) missed += " " + window;
    text += "cannot judge: the window was not reached;";
    text += missed.empty() ? " its parts were reached in different runs\n"
                           : " never reached:" + missed + "\n";
  }
  if (!search.hidden_dependence.empty()) text += search.hidden_dependence + "\n";
  return text;
}

Json explore_json(const ExploreOptions& options, const ExploreReport& report,
                  const std::vector<std::string>& paths) {
  const BoundedResult& search = report.search;
  const std::uint64_t runs = search.runs + search.pruned;
  double seconds = 0;
  for (const BoundedLevel& level : search.levels) seconds += level.seconds;
  Json json = report.findings.empty() ? Json{{"verdict", "clean"}, {"signature", ""}}
                                      : run_json(report.findings.front().run.result);
  json["runs"] = runs;
  json["runs_per_second"] = std::round(static_cast<double>(runs) / std::max(seconds, 1e-9));
  json["orders"] = search.classes;
  json["levels"] = Json::array();
  for (const BoundedLevel& level : search.levels) {
    json["levels"].push_back(
        {{"orders", level.classes}, {"runs", level.runs}, {"pruned", level.pruned}});
  }
  json["findings"] = Json::array();
  for (std::size_t i = 0; i < report.findings.size(); ++i) {
    Json object = run_json(report.findings[i].run.result);
    object.erase("findings");
    object["count"] = report.findings[i].count;
    object["recording"] = i < paths.size() ? paths[i] : "";
    json["findings"].push_back(object);
  }
  json["known"] = search.known;
  json["window_reached"] = report.window_reached;
  json["window_missed"] = report.window_missed;
  json["hidden_dependence"] = search.hidden_dependence;
  if (report.crash) json["crash"] = crash_json(*report.crash, options.crash_budget);
  json["cut"] = search.cut;
  json["retries"] = options.retries_max;
  json["cut_by_retries"] = {{"orders", search.retry_cuts.orders},
                            {"functions", search.retry_cuts.functions}};
  json["complete"] = search.complete;
  json["complete_up_to"] = search.complete_up_to;
  json["bound"] = nullptr;
  if (!options.unbounded) json["bound"] = options.preemptions_max;
  json["done"] = report.done;
  json["out_of_budget"] = search.budget;
  json["estimate"] = nullptr;
  if (search.estimate.known) {
    json["estimate"] = {{"level_done", search.estimate.level_done},
                        {"orders_least", std::floor(search.estimate.orders_least)},
                        {"orders_most", std::ceil(search.estimate.orders_most)}};
  }
  return json;
}

std::string estimate_text(const ExploreOptions& options, const ExploreEstimate& estimate) {
  const auto line = [](const ScheduleEstimate& of, const std::string& which) {
    return fmt::format("about 10^{:.0f} interleavings{}\n", std::max(0.0, std::round(of.log10)),
                       which);
  };
  std::string text =
      line(estimate.any, "") +
      line(estimate.bounded, " with at most " + counted(options.preemptions_max, "preemption"));
  text += fmt::format(
      "order of magnitude only, rather too small, from {} random walks each; explore visits\n"
      "far fewer runs: about one per order of the accesses\n",
      grouped(estimate.any.walks));
  if (estimate.any.cut + estimate.bounded.cut > 0) {
    text += fmt::format("{} cut by the step limit\n",
                        counted(estimate.any.cut + estimate.bounded.cut, "walk"));
  }
  return text;
}

Json estimate_json(const ExploreOptions& options, const ExploreEstimate& estimate) {
  const auto digits = [](double log10) { return std::max(0.0, std::round(log10)); };
  return {{"interleavings_log10", digits(estimate.any.log10)},
          {"bounded_log10", digits(estimate.bounded.log10)},
          {"bound", options.preemptions_max},
          {"walks", estimate.any.walks},
          {"cut", estimate.any.cut + estimate.bounded.cut}};
}

}  // namespace interleaf
