// SPDX-License-Identifier: GPL-2.0-only
// While one lives, the first SIGINT or SIGTERM sets a flag instead of ending the program; a second
// one ends it as usual. One at a time.
#pragma once

#include <atomic>
#include <csignal>

namespace interleaf {

class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  const std::atomic<bool>* flag() const;

 private:
  struct sigaction old_int_ = {};
  struct sigaction old_term_ = {};
};

}  // namespace interleaf
