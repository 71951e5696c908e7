// SPDX-License-Identifier: GPL-2.0-only
// fsx on the port, for `interleaf run --fsx`.
#pragma once

#include <string>

#include "engine/commands/command.h"

namespace interleaf {

struct FsxFlags {
  std::string ops;  // a file, or "-"; empty: no fsx
  std::string second;
  unsigned pollute = 0;
  bool flusher = false;
  bool reclaim = false;
  bool random = false;
  std::uint64_t ops_per_run = 500;

  void add_to(CLI::App& verb);
};

// The exit code. `output`: where the minimised sequence goes, or empty.
int run_fsx_command(const FsxFlags& flags, const ScenarioFlags& machine,
                    const VerdictFlags& verdict, const std::string& seed,
                    const OutputFlags& output);

}  // namespace interleaf
