// SPDX-License-Identifier: GPL-2.0-only
// fsx on the port: a machine with one task, or two with a file each, and the daemons that are asked
// for. A long sequence is cut into runs: each starts a machine whose file is written as the byte
// array says, so that memory and blocks do not run out; at the end of each all of it is read from
// the disk.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "engine/configuration.h"
#include "engine/fsx/exercise.h"
#include "scheduler/finding.h"

namespace interleaf {

struct FsxRunOptions {
  FsxLimits limits;  // block_size: the configuration's
  FsxChecks checks;
  bool flusher = false;
  bool reclaim = false;  // a task that drops clean pages while others run
  // Else nobody is interrupted. With it run i has the seed `seed` + i.
  bool random = false;
  std::uint64_t seed = 0;
  std::uint64_t ops_per_run = 500;
  unsigned slot = 0;  // no other World's
};

struct FsxResult {
  std::vector<Finding> findings;  // of the run that had some; empty: clean
  // What differs from the byte array, if that is it; then `file` has it.
  std::optional<FsxMismatch> mismatch;
  std::size_t file = 0;
  std::size_t op = 0;               // of that file: the one under way when the run ended
  std::size_t run_begin = 0;        // the first of that run
  std::uint64_t run_file_size = 0;  // the file's size before it
  std::uint64_t done = 0;           // operations, of all files
  std::uint64_t skipped = 0;
  std::uint64_t steps = 0;
  std::uint64_t runs = 0;

  bool clean() const { return findings.empty(); }
};

// One sequence a file, one or two. The configuration's tasks and files are not used.
FsxResult run_fsx(const std::shared_ptr<const Configuration>& configuration,
                  const std::vector<std::vector<FsxOp>>& sequences, const FsxRunOptions& options);

// A configuration for it: the newest 6.12 with small huge pages, and what the overrides say.
std::shared_ptr<const Configuration> configure_fsx(Overrides overrides);

}  // namespace interleaf
