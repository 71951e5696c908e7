// SPDX-License-Identifier: GPL-2.0-only
#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "engine/why.h"
#include "scheduler/object_names.h"

namespace interleaf {
namespace {

constexpr std::size_t kWidthMax = 100;

std::string grouped(std::uint64_t number) {
  std::string text = std::to_string(number);
  for (std::size_t at = text.size(); at > 3;) text.insert(at -= 3, ",");
  return text;
}

std::string counted(std::uint64_t count, const std::string& what) {
  return grouped(count) + " " + what + (count == 1 ? "" : "s");
}

// "a x2, b": equal neighbours are counted.
std::string list_of(const std::vector<std::string>& names) {
  std::string text;
  for (auto at = names.begin(); at != names.end();) {
    const auto end = std::find_if(at, names.end(), [&](const auto& name) { return name != *at; });
    text += (text.empty() ? "" : ", ") + *at;
    if (end - at > 1) text += fmt::format(" x{}", end - at);
    at = end;
  }
  return text.empty() ? "none" : text;
}

// Lines of at most kWidthMax columns, broken at blanks; what does not fit is indented.
std::string wrapped(std::string line, std::size_t indent) {
  std::string text;
  while (line.size() > kWidthMax) {
    std::size_t cut = line.rfind(' ', kWidthMax);
    if (cut == std::string::npos || cut <= indent + 2) cut = kWidthMax;
    text += line.substr(0, cut) + "\n";
    while (cut < line.size() && line[cut] == ' ') ++cut;
    line = std::string(indent + 2, ' ') + line.substr(cut);
  }
  return text + line + "\n";
}

std::string object_of(const AccessSite& site) {
  if (!site.object_text.empty()) {
    return access_text(site.object_text, op_only_reads(site.op), site.before, site.after);
  }
  const std::string number = fmt::format("object {}", site.object);
  return site.role.empty() ? number : fmt::format("{} ({})", site.role, number);
}

std::string site_text(const WhyReport& report, const AccessSite& site) {
  const bool performed = site.step <= report.causes.run.steps;
  return fmt::format("{}: {}() {}:{}, {} of {}, {}", site.task_name, site.function, site.file,
                     site.line, op_name(site.op), object_of(site),
                     performed ? fmt::format("step {}", site.step) : "never came");
}

std::string instead_text(const WhyReport& report, const WhyLink& link) {
  std::vector<std::string> verdicts;
  for (const std::string& signature : link.instead) {
    std::string verdict = signature.empty() ? "clean" : signature.substr(0, signature.find(':'));
    if (verdict == report.verdict) verdict.insert(0, "another ");
    if (std::find(verdicts.begin(), verdicts.end(), verdict) == verdicts.end()) {
      verdicts.push_back(std::move(verdict));
    }
  }
  return fmt::format("{}", fmt::join(verdicts, ", "));
}

std::string headline(const WhyLink& link) {
  const CauseGroup& group = link.group;
  if (!group.atomicity) {
    return fmt::format("order violation: {} before {}", group.first.task_name,
                       group.foreign.task_name);
  }
  return fmt::format("atomicity violation{}: {} within {}",
                     group.kinds.empty() ? "" : " (" + group.kinds + ")", group.foreign.task_name,
                     group.first.task_name);
}

std::string elsewhere_text(const WhyReport& report, const WhyLink& link) {
  const LocksetCount& count = link.elsewhere;
  if (count.accesses == 0) return "";
  std::string locks;
  for (const auto& [name, held] : count.locks) {
    if (held * 2 <= count.accesses) continue;
    locks += fmt::format("{}{} held at {}", locks.empty() ? "" : ", ", name, grouped(held));
  }
  return fmt::format("objects of this kind in {} runs of pos: {}; {}", grouped(report.sample_runs),
                     grouped(count.accesses) + " accesses",
                     locks.empty() ? "no lock is held at most of them" : locks);
}

std::string suggestion(const CauseGroup& group) {
  if (!group.atomicity) {
    return fmt::format("{} waiting before {}:{} for {}:{} of {}", group.first.task_name,
                       group.first.file, group.first.line, group.foreign.file, group.foreign.line,
                       group.foreign.task_name);
  }
  return fmt::format("{} atomic from {}:{} to {}:{}", group.first.task_name, group.first.file,
                     group.first.line, group.last.file, group.last.line);
}

std::string link_text(const WhyReport& report, const WhyLink& link, std::size_t number) {
  const CauseGroup& group = link.group;
  std::string text = wrapped(fmt::format(" {}. {}", number, headline(link)), 4);
  text += wrapped("    " + site_text(report, group.first), 6);
  text += wrapped("    " + site_text(report, group.foreign), 6);
  if (group.atomicity) text += wrapped("    " + site_text(report, group.last), 6);
  const Flip& flip = report.causes.flips[group.flips.front()];
  text += wrapped(
      fmt::format("    in this order: {}; with {} {}:{} before {} {}:{}: {}", report.verdict,
                  flip.later.task_name, flip.later.file, flip.later.line, flip.earlier.task_name,
                  flip.earlier.file, flip.earlier.line, instead_text(report, link)),
      6);
  if (group.flips.size() > 1) {
    text += fmt::format("    one of {} between these regions or on this object\n",
                        counted(group.flips.size(), "reversal"));
  }
  text +=
      wrapped(fmt::format("    locks held: {}: {}; {}: {}; in common: {}", group.first.task_name,
                          list_of(group.first.locks), group.foreign.task_name,
                          list_of(group.foreign.locks), list_of(link.common)),
              6);
  const std::string elsewhere = elsewhere_text(report, link);
  if (!elsewhere.empty()) text += wrapped("    " + elsewhere, 6);
  if (link.tested) {
    text += wrapped("    " + suggestion(group) + ": " + enforced_text(link), 6);
  }
  return text;
}

}  // namespace

std::string enforced_text(const WhyLink& link) {
  const EnforceResult& result = link.enforced;
  const std::string orders = fmt::format("up to {}, {}", counted(result.bound, "preemption"),
                                         counted(result.orders, "order"));
  switch (result.outcome) {
    case Enforced::kCloses:
      return "closes it (complete " + orders + ")";
    case Enforced::kLeaves:
      if (*result.found_by != 0) {
        return fmt::format("leaves it ({}, keeping it, has the finding, with {})", result.found_by,
                           counted(result.preemptions, "preemption"));
      }
      return fmt::format("leaves it (a run with {} has it, those forced by this included)",
                         counted(result.preemptions, "preemption"));
    case Enforced::kDeadlocks:
      return fmt::format("not decided: no run has it, but in {} of {} nobody else could go on",
                         grouped(result.given_up), counted(result.runs, "run"));
    case Enforced::kUndecided:
      break;
  }
  return fmt::format("not decided: out of {} after {}, none has it", result.budget,
                     counted(result.runs, "run"));
}

std::string why_text(const WhyReport& report) {
  const Configuration& configuration = *report.configuration;
  const CauseResult& causes = report.causes;
  std::string text = wrapped(fmt::format("{} on {} ({})", configuration.scenario.name,
                                         configuration.kernel_text(), configuration.persona->name),
                             0);
  text += "\n" + wrapped(fmt::format(" {}: {}", report.verdict, report.evidence), 2);
  if (report.waits != 0) {
    text += fmt::format(" {} of the scenario taken away: the finding is there without\n",
                        counted(report.waits, "wait() call"));
  }
  if (report.waits_needed) {
    text +=
        " the wait() calls stay: without them this schedule does not have the finding, so what\n"
        "   they order is no cause here\n";
  }
  if (report.reduced) {
    text += fmt::format(" schedule reduced: preemptions {} -> {}\n", report.preemptions_given,
                        causes.run.preemptions);
  }
  text +=
      wrapped(fmt::format(" {} reversed one at a time: {} without the finding, {} not possible",
                          counted(causes.flips.size(), "race"), causes.causes, causes.infeasible),
              2);
  if (causes.out_of_budget) text += " there are more races: the earliest were left out\n";
  if (report.chain.empty()) {
    return text +
           "\n no single reversal spares this run: the cause is not one order of two steps\n";
  }
  text += "\n The chain, last cause first:\n\n";
  for (std::size_t i = 0; i < report.chain.size(); ++i) {
    text += link_text(report, report.chain[i], i + 1);
    if (i + 1 < report.chain.size()) text += "\n";
  }
  return text;
}

}  // namespace interleaf
