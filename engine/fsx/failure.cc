// SPDX-License-Identifier: GPL-2.0-only
#include "engine/fsx/failure.h"

#include <algorithm>

namespace interleaf {
namespace {

using Sequences = std::vector<std::vector<FsxOp>>;

// The failing run alone: what was in the files when it began comes from a write.
Sequences run_alone(const Sequences& sequences, const FsxResult& failure) {
  Sequences result;
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const std::vector<FsxOp>& ops = sequences[i];
    const std::size_t begin = std::min(failure.run_begin, ops.size());
    const std::size_t end = i == failure.file ? std::min(failure.op + 1, ops.size()) : ops.size();
    std::vector<FsxOp> part(ops.begin() + static_cast<std::ptrdiff_t>(begin),
                            ops.begin() + static_cast<std::ptrdiff_t>(std::max(begin, end)));
    if (i == failure.file && failure.run_file_size != 0) {
      FsxOp first;
      first.kind = FsxKind::kWrite;
      first.length = first.size = failure.run_file_size;
      part.insert(part.begin(), first);
    }
    result.push_back(std::move(part));
  }
  return result;
}

}  // namespace

const Finding* fsx_finding(const FsxResult& result) {
  const auto gravest =
      std::min_element(result.findings.begin(), result.findings.end(),
                       [](const Finding& a, const Finding& b) { return a.kind < b.kind; });
  return gravest == result.findings.end() ? nullptr : &*gravest;
}

std::string fsx_verdict(const FsxResult& result) {
  const Finding* finding = fsx_finding(result);
  return finding == nullptr ? "clean" : std::string(finding_name(finding->kind));
}

FsxMinimum minimize_failure(const std::shared_ptr<const Configuration>& configuration,
                            Sequences sequences, const FsxRunOptions& options,
                            const FsxResult& failure, std::uint64_t tries_max) {
  const std::string verdict = fsx_verdict(failure);
  const auto fails = [&](const Sequences& candidate, std::uint64_t ops_per_run) {
    FsxRunOptions run = options;
    run.ops_per_run = ops_per_run;
    for (std::uint64_t seed = 0; seed < (options.random ? kSeedsTried : 1); ++seed) {
      run.seed = options.seed + seed;
      if (fsx_verdict(run_fsx(configuration, candidate, run)) == verdict) return true;
    }
    return false;
  };
  std::uint64_t ops_per_run = ~std::uint64_t{0} >> 1;
  const Sequences alone = run_alone(sequences, failure);
  if (fails(alone, ops_per_run)) {
    sequences = alone;
  } else {
    ops_per_run = options.ops_per_run;
    for (std::size_t i = 0; i < sequences.size(); ++i) {
      if (i == failure.file) sequences[i].resize(std::min(failure.op + 1, sequences[i].size()));
    }
    if (!fails(sequences, ops_per_run)) return {};
  }
  return minimize_fsx(
      sequences[failure.file],
      [&](const std::vector<FsxOp>& ops) {
        Sequences candidate = sequences;
        candidate[failure.file] = ops;
        return fails(candidate, ops_per_run);
      },
      tries_max);
}

}  // namespace interleaf
