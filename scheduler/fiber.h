// SPDX-License-Identifier: GPL-2.0-only
// The stacks: a pool of Boost.Fiber workers, one per task, parked between runs and never created
// or ended while a World lives. This file pair is the only one that includes Boost. Boost does not
// choose: who runs next is decided first, then the chosen fiber's context is resumed directly.
//
// Everything of a worker, Boost's own bookkeeping included, lies on its stack inside the arena's
// reservation, so copying [stack pointer, top) away and back rewinds it (Boost 1.74).
//
// Not thread-safe; create, use and destroy a pool on one OS thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "scheduler/access.h"
#include "scheduler/arena.h"
#include "scheduler/image.h"

namespace interleaf {

class FiberPool {
 public:
#if defined(__SANITIZE_ADDRESS__)
  static constexpr std::size_t kStackBytes = 1024 * 1024;
#else
  static constexpr std::size_t kStackBytes = 256 * 1024;
#endif

  // Creates `count` workers, each parked at the start of `body(argument, worker)`, which is called
  // when the worker is first resumed and never returns while the pool lives.
  FiberPool(Arena& arena, unsigned count, void (*body)(void*, unsigned), void* argument);
  ~FiberPool();
  FiberPool(const FiberPool&) = delete;
  FiberPool& operator=(const FiberPool&) = delete;

  // Leaves the calling context (the main one or a worker) and goes on in worker `worker`.
  void resume(unsigned worker);
  // Leaves the calling worker and goes on in the main context.
  void resume_main();

  unsigned size() const { return count_; }

  // The live part of every stack, appended to `image`; the main context only.
  void save_stacks(Image& image) const;
  void restore_stacks(ImageReader& image);

 private:
  struct Impl;
  unsigned count_;
  void* where_[kTasksMax];  // a worker's context
  std::unique_ptr<Impl> impl_;
};

}  // namespace interleaf
