// SPDX-License-Identifier: GPL-2.0-only
// The matrix as JSON. docs/JSON.md.
#include "engine/commands/matrix_text.h"
#include "engine/expectation.h"

namespace interleaf {
namespace {

const char* state_name(CellState state) {
  switch (state) {
    case CellState::kFound:
      return "found";
    case CellState::kClean:
      return "clean";
    case CellState::kStopped:
      return "stopped";
    case CellState::kNoWindow:
      return "no-window";
    case CellState::kRefused:
      return "refused";
    case CellState::kNotSearched:
      break;
  }
  return "not-searched";
}

Json json_of(const CellResult& result) {
  Json json;
  json["orders"] = result.orders;
  json["findings"] = Json::array();
  for (const CellFinding& finding : result.findings) {
    json["findings"].push_back({{"verdict", finding.verdict()},
                                {"signature", finding.signature},
                                {"preemptions", finding.preemptions},
                                {"fewest", result.fewest(finding)},
                                {"count", finding.orders}});
  }
  json["known"] = result.known;
  json["window_reached"] = result.window_reached;
  json["window_missed"] = result.window_missed;
  json["cut"] = result.cut;
  json["cut_by_retries"] = {{"orders", result.retry_cuts.orders},
                            {"functions", result.retry_cuts.functions}};
  json["complete"] = result.complete;
  json["exhausted"] = result.exhausted;
  json["complete_up_to"] = result.complete_up_to;
  json["out_of_budget"] = result.budget;
  json["asked"] = slugs_of(result.asked);
  return json;
}

Json json_of(const Matrix& matrix, const MatrixCell& cell) {
  const std::size_t index = cell.scenario * matrix.combinations.size() + cell.combination;
  Json json;
  json["combination"] = matrix.combinations[cell.combination].name;
  json["state"] = state_name(cell.state());
  json["verdict"] = cell.state() == CellState::kFound   ? verdict_words(cell)
                    : cell.state() == CellState::kClean ? "clean"
                                                        : "";
  json["refusal"] = cell.refusal;
  json["kernel"] = nullptr;
  json["patches"] = nullptr;
  json["expected"] = nullptr;
  json["in_kernel"] = cell.in_kernel;
  json["same_as"] = nullptr;
  json["like"] = nullptr;
  json["result"] = nullptr;
  if (cell.configuration) {
    json["kernel"] = cell.configuration->kernel->name;
    json["patches"] = cell.configuration->patch_slugs();
    if (const Expectation* expected = matching_expectation(*cell.configuration)) {
      json["expected"] = expected->verdict;
    }
    if (cell.same_as != index) {
      json["same_as"] = row_name(matrix, cell.same_as);
    }
  }
  if (cell.like) json["like"] = row_name(matrix, *cell.like);
  if (cell.result) json["result"] = json_of(*cell.result);
  return json;
}

}  // namespace

Json matrix_json(const Matrix& matrix, const ExploreOptions& options,
                 const std::vector<std::string>& paths) {
  Json json;
  json["bound"] = options.preemptions_max;
  json["combinations"] = Json::array();
  for (const Combination& row : matrix.combinations) {
    json["combinations"].push_back(
        {{"name", row.name},
         {"kernel", row.kernel.empty() ? Json(nullptr) : Json(row.kernel)},
         {"patches", row.patches}});
  }
  json["scenarios"] = Json::array();
  for (std::size_t s = 0; s < matrix.scenarios.size(); ++s) {
    const Scenario& scenario = matrix.scenarios[s];
    Json cells = Json::array();
    for (std::size_t c = 0; c < matrix.combinations.size(); ++c) {
      Json cell = json_of(matrix, matrix.cell(s, c));
      cell["recording"] = paths[s * matrix.combinations.size() + c];
      cells.push_back(std::move(cell));
    }
    json["scenarios"].push_back({{"name", scenario.name},
                                 {"digest", digest_text(scenario_digest_of(scenario.text))},
                                 {"cells", std::move(cells)}});
  }
  return json;
}

}  // namespace interleaf
