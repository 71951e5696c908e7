// SPDX-License-Identifier: GPL-2.0-only
#include "engine/matrix.h"

#include <algorithm>
#include <span>
#include <tuple>
#include <utility>

#include "engine/expectation.h"
#include "engine/nearest.h"
#include "engine/user_error.h"
#include "scheduler/check.h"

namespace interleaf {
namespace {

using kernel::patch_set;

bool contains(const std::vector<std::string>& names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

const kernel::patch_info& patch_named(const std::string& slug) {
  if (const kernel::patch_info* patch = kernel::find_patch(slug)) return *patch;
  std::vector<std::string> slugs;
  for (unsigned i = 0; i < kernel::patch_count(); ++i) slugs.emplace_back(kernel::patch_at(i).slug);
  throw UserError("unknown patch \"" + slug + "\"", "", nearest_or_list(slug, slugs));
}

const kernel::kernel_info& kernel_named(const std::string& name) {
  if (const kernel::kernel_info* kernel = kernel::find_kernel(name)) return *kernel;
  std::vector<std::string> names;
  for (unsigned i = 0; i < kernel::kernel_count(); ++i) {
    names.emplace_back(kernel::kernel_at(i).name);
  }
  throw UserError("unknown kernel \"" + name + "\"", "", nearest_or_list(name, names));
}

// The first of those of which the patch needs one; null if it needs none.
const kernel::patch_info* choice_of(const kernel::patch_info& patch) {
  for (unsigned i = 0; i < kernel::patch_count(); ++i) {
    const kernel::patch_info& other = kernel::patch_at(i);
    if ((patch.needs_one & kernel::patch_bit(other.patch)) != 0) return &other;
  }
  return nullptr;
}

// The patch, behind those that it needs.
void add_with_needs(const kernel::patch_info& patch, std::vector<std::string>& slugs) {
  if (contains(slugs, patch.slug)) return;
  for (unsigned i = 0; i < kernel::patch_count(); ++i) {
    const kernel::patch_info& other = kernel::patch_at(i);
    if ((patch.needs & kernel::patch_bit(other.patch)) != 0) add_with_needs(other, slugs);
  }
  if (const kernel::patch_info* one = choice_of(patch)) add_with_needs(*one, slugs);
  slugs.emplace_back(patch.slug);
}

// What the patch builds on goes without saying, but not which of several.
std::string name_with_choice(const kernel::patch_info& patch) {
  const kernel::patch_info* one = choice_of(patch);
  return (one == nullptr ? "" : std::string(one->slug) + "+") + std::string(patch.slug);
}

// The rows, each set of patches once.
class Rows {
 public:
  Rows() { rows_.push_back({"none", "", {}}); }
  void add_kernel(const kernel::kernel_info& kernel) {
    add({std::string(kernel.name), std::string(kernel.name), {}});
  }
  void add_patch(const kernel::patch_info& patch) {
    std::vector<std::string> slugs;
    add_with_needs(patch, slugs);
    add({name_with_choice(patch), "", std::move(slugs)});
  }
  void add_patches(std::vector<std::string> slugs) {
    std::string name;
    for (const std::string& slug : slugs) name += (name.empty() ? "" : "+") + slug;
    add({std::move(name), "", std::move(slugs)});
  }
  std::vector<Combination> take() { return std::move(rows_); }

 private:
  void add(Combination row) {
    auto sorted = [](std::vector<std::string> names) {
      std::sort(names.begin(), names.end());
      return names;
    };
    const auto same = [&](const Combination& other) {
      return other.kernel == row.kernel && sorted(other.patches) == sorted(row.patches);
    };
    if (std::none_of(rows_.begin(), rows_.end(), same)) rows_.push_back(std::move(row));
  }

  std::vector<Combination> rows_;
};

patch_set patches_of(const std::vector<std::string>& slugs) {
  patch_set set = 0;
  for (const std::string& slug : slugs) set |= kernel::patch_bit(patch_named(slug).patch);
  return set;
}

// Those that came into Linux: in a scenario of an older kernel, what its calls need.
patch_set landed(patch_set set) {
  patch_set found = 0;
  for (unsigned i = 0; i < kernel::patch_count(); ++i) {
    const kernel::patch_info& patch = kernel::patch_at(i);
    if (!patch.commit.empty()) found |= set & kernel::patch_bit(patch.patch);
  }
  return found;
}

// What makes of the scenario's own patches exactly those of the combination, and, if `backports`,
// those that the scenario adds and that came into Linux.
Overrides overrides_for(const Scenario& scenario, const Combination& combination, Overrides base,
                        bool backports) {
  if (!combination.kernel.empty()) base.kernel = combination.kernel;
  const kernel::kernel_info& preset =
      kernel_named(base.kernel.empty() ? scenario.kernel : base.kernel);
  patch_set wanted = preset.patches | patches_of(combination.patches);
  if (backports) wanted |= landed(patches_of(scenario.patches_with));
  const patch_set own =
      (preset.patches | patches_of(scenario.patches_with)) & ~patches_of(scenario.patches_without);
  for (unsigned i = 0; i < kernel::patch_count(); ++i) {
    const kernel::patch_info& patch = kernel::patch_at(i);
    const patch_set bit = kernel::patch_bit(patch.patch);
    if ((wanted & ~own & bit) != 0) base.with.emplace_back(patch.slug);
    if ((own & ~wanted & bit) != 0) base.without.emplace_back(patch.slug);
  }
  return base;
}

// In everything but the patches. Of a kernel there is one size besides; all else is said by the
// scenario and the command line.
bool alike(const MatrixCell& left, const MatrixCell& right) {
  return left.scenario == right.scenario && left.configuration && right.configuration &&
         left.configuration->persona == right.configuration->persona &&
         left.configuration->geometry.folio_batch == right.configuration->geometry.folio_batch &&
         known_signatures(*left.configuration) == known_signatures(*right.configuration);
}

bool one_question(const MatrixCell& left, const MatrixCell& right) {
  return alike(left, right) && left.configuration->patches == right.configuration->patches;
}

// By weight, gravest first.
std::size_t weight_of(std::string_view verdict) {
  const auto kinds = finding_kinds();
  const auto found = std::find_if(kinds.begin(), kinds.end(),
                                  [&](FindingKind kind) { return finding_name(kind) == verdict; });
  CHECK(found != kinds.end());
  return static_cast<std::size_t>(found - kinds.begin());
}

}  // namespace

std::vector<Combination> combinations(const CombinationNames& names) {
  const bool all = !names.patches && !names.kernels && names.with.empty();
  Rows rows;
  for (unsigned i = 0; all && i < kernel::patch_count(); ++i) rows.add_patch(kernel::patch_at(i));
  for (const std::string& slug : names.patches.value_or(std::vector<std::string>())) {
    rows.add_patch(patch_named(slug));
  }
  for (const std::vector<std::string>& together : names.with) {
    std::vector<std::string> slugs;
    for (const std::string& slug : together) {
      if (!contains(slugs, patch_named(slug).slug)) slugs.push_back(slug);
    }
    rows.add_patches(std::move(slugs));
  }
  for (unsigned i = 0; all && i < kernel::kernel_count(); ++i) {
    rows.add_kernel(kernel::kernel_at(i));
  }
  for (const std::string& name : names.kernels.value_or(std::vector<std::string>())) {
    rows.add_kernel(kernel_named(name));
  }
  return rows.take();
}

const std::string& row_name(const Matrix& matrix, std::size_t index) {
  return matrix.combinations[matrix.cells[index].combination].name;
}

std::vector<std::string> slugs_of(patch_set set) {
  std::vector<std::string> slugs;
  for (unsigned i = 0; i < kernel::patch_count(); ++i) {
    const kernel::patch_info& patch = kernel::patch_at(i);
    if ((set & kernel::patch_bit(patch.patch)) != 0) slugs.emplace_back(patch.slug);
  }
  return slugs;
}

std::string_view CellFinding::verdict() const {
  return std::string_view(signature).substr(0, signature.find(':'));
}

bool CellResult::fewest(const CellFinding& finding) const {
  return static_cast<std::int64_t>(finding.preemptions) <= std::int64_t{complete_up_to} + 1;
}

CellState MatrixCell::state() const {
  if (!configuration) return CellState::kRefused;
  if (!result) return CellState::kNotSearched;
  if (!result->findings.empty()) return CellState::kFound;
  if (!result->window_reached) return CellState::kNoWindow;
  return result->complete ? CellState::kClean : CellState::kStopped;
}

Matrix make_matrix(std::vector<Scenario> scenarios, std::vector<Combination> rows,
                   const Overrides& base) {
  CHECK(base.with.empty() && base.without.empty());
  Matrix matrix;
  matrix.combinations = std::move(rows);
  for (Scenario& scenario : scenarios) {
    const auto same = [&](const Scenario& other) { return other.name == scenario.name; };
    const auto there = std::find_if(matrix.scenarios.begin(), matrix.scenarios.end(), same);
    if (there == matrix.scenarios.end()) {
      matrix.scenarios.push_back(std::move(scenario));
    } else if (there->text != scenario.text) {
      throw UserError("two scenarios are called " + scenario.name,
                      there->file_name + ", " + scenario.file_name, "rename one of the files");
    }
  }
  for (std::size_t s = 0; s < matrix.scenarios.size(); ++s) {
    for (std::size_t c = 0; c < matrix.combinations.size(); ++c) {
      MatrixCell cell;
      cell.scenario = s;
      cell.combination = c;
      const Scenario& scenario = matrix.scenarios[s];
      for (const bool backports : {true, false}) {
        if (cell.configuration) break;
        try {
          cell.configuration =
              configure(scenario, overrides_for(scenario, matrix.combinations[c], base, backports));
          const patch_set row = patches_of(matrix.combinations[c].patches);
          cell.in_kernel = row != 0 && (row & ~cell.configuration->kernel->patches) == 0;
        } catch (const CannotJudge& refusal) {
          cell.refusal = refusal.what();
        }
      }
      if (cell.configuration) cell.refusal.clear();
      const auto first =
          std::find_if(matrix.cells.begin(), matrix.cells.end(),
                       [&](const MatrixCell& other) { return one_question(other, cell); });
      cell.same_as = static_cast<std::size_t>(first - matrix.cells.begin());
      matrix.cells.push_back(std::move(cell));
    }
  }
  return matrix;
}

namespace {

// The patches of huge pages, or those of filesystems: iomap's serve several of these.
bool of_huge_pages(const kernel::patch_info& patch) {
  const std::span<const kernel::patch_info> family = kernel::thp_patches();
  return &patch >= family.data() && &patch < family.data() + family.size();
}

// Whether a scenario names a patch of either family.
struct FamiliesNamed {
  bool huge_pages = false;
  bool filesystems = false;

  void add(const std::vector<std::string>& slugs) {
    for (const std::string& slug : slugs) {
      (of_huge_pages(patch_named(slug)) ? huge_pages : filesystems) = true;
    }
  }
  explicit FamiliesNamed(const std::vector<Scenario>& scenarios) {
    for (const Scenario& scenario : scenarios) {
      add(scenario.patches_with);
      add(scenario.patches_without);
      for (const Expectation& expectation : scenario.expect) {
        add(expectation.with);
        add(expectation.without);
      }
    }
    if (!huge_pages && !filesystems) huge_pages = filesystems = true;
  }
  bool has(const kernel::patch_info& patch) const {
    return of_huge_pages(patch) ? huge_pages : filesystems;
  }
};

}  // namespace

void drop_rows_without_question(Matrix& matrix) {
  const FamiliesNamed families(matrix.scenarios);
  const auto asks = [&](std::size_t row) {
    const std::string& kernel = matrix.combinations[row].kernel;
    if (!kernel.empty()) return families.filesystems || kernel_named(kernel).on.empty();
    if (row == 0) return true;
    if (!families.has(patch_named(matrix.combinations[row].patches.back()))) return false;
    for (std::size_t s = 0; s < matrix.scenarios.size(); ++s) {
      const MatrixCell& cell = matrix.cell(s, row);
      if (cell.configuration && !cell.in_kernel) return true;
    }
    return false;
  };
  std::vector<Combination> rows;
  std::vector<bool> stays;
  for (std::size_t row = 0; row < matrix.combinations.size(); ++row) {
    stays.push_back(asks(row));
    if (stays.back()) rows.push_back(matrix.combinations[row]);
  }
  std::vector<MatrixCell> cells;
  for (MatrixCell& cell : matrix.cells) {
    if (!stays[cell.combination]) continue;
    cell.combination = cells.size() % rows.size();
    const auto first = std::find_if(cells.begin(), cells.end(), [&](const MatrixCell& other) {
      return one_question(other, cell);
    });
    cell.same_as = static_cast<std::size_t>(first - cells.begin());
    cells.push_back(std::move(cell));
  }
  matrix.combinations = std::move(rows);
  matrix.cells = std::move(cells);
}

void set_result(Matrix& matrix, std::size_t index, const CellResult& result) {
  const std::size_t first = matrix.cells[index].same_as;
  for (MatrixCell& cell : matrix.cells) {
    if (cell.same_as == first) cell.result = result;
  }
}

std::optional<std::size_t> answered_by(const Matrix& matrix, std::size_t index) {
  const MatrixCell& cell = matrix.cells[index];
  for (std::size_t i = 0; i < index; ++i) {
    const MatrixCell& other = matrix.cells[i];
    if (!other.result || other.like || other.same_as != i || !alike(other, cell)) continue;
    if (other.result->budget == "interrupted") continue;  // it will be searched again
    const patch_set differ = other.configuration->patches ^ cell.configuration->patches;
    if ((differ & other.result->asked) == 0) return i;
  }
  return std::nullopt;
}

void set_like(Matrix& matrix, std::size_t index, std::size_t like) {
  const std::size_t first = matrix.cells[index].same_as;
  for (MatrixCell& cell : matrix.cells) {
    if (cell.same_as != first) continue;
    cell.like = like;
    cell.result = matrix.cells[like].result;
  }
}

CellResult search_cell(const std::shared_ptr<const Configuration>& configuration,
                       ExploreOptions options) {
  options.keep_going = true;
  options.every_finding = true;
  for (const std::string& known : known_signatures(*configuration)) options.ignore.push_back(known);
  const ExploreReport report = explore(configuration, options);
  const BoundedResult& search = report.search;
  CellResult result;
  for (const BoundedFinding& found : search.findings) {
    result.findings.push_back({found.signature, found.preemptions, found.count, found.schedule});
  }
  std::sort(
      result.findings.begin(), result.findings.end(),
      [](const CellFinding& a, const CellFinding& b) {
        return std::tuple(weight_of(a.verdict()), a.preemptions, std::string_view(a.signature)) <
               std::tuple(weight_of(b.verdict()), b.preemptions, std::string_view(b.signature));
      });
  result.known = search.known;
  result.orders = search.classes;
  result.cut = search.cut;
  result.retry_cuts = search.retry_cuts;
  result.complete = search.complete;
  result.exhausted = search.exhausted;
  result.complete_up_to = search.complete_up_to;
  result.budget = search.budget;
  result.window_reached = report.window_reached;
  result.window_missed = report.window_missed;
  result.asked = report.patches_asked;
  return result;
}

Recording record_cell(const MatrixCell& cell) {
  CHECK(cell.state() == CellState::kFound);
  ScenarioWorld world(0, cell.configuration);
  const auto replay = make_replay(cell.result->findings.front().schedule);
  const TracedRun run = run_traced(world, *replay, 0);
  const auto is_it = [&](const Finding& finding) {
    return finding.signature() == cell.result->findings.front().signature;
  };
  if (std::none_of(run.result.findings.begin(), run.result.findings.end(), is_it)) {
    throw UserError("the finding of " + cell.configuration->scenario.name + " on " +
                        cell.configuration->kernel_text() + " does not come back",
                    "", "was the result made by another program? search again without it");
  }
  Origin origin;
  origin.strategy = "explore";
  return make_recording(*cell.configuration, run, origin);
}

}  // namespace interleaf
