// SPDX-License-Identifier: GPL-2.0-only
// Names the function a task is in. One line per function, FRAME(name);, keeps a stack of names
// per task for traces, tables, signatures and landmarks.
#pragma once

#include <cstdint>

namespace interleaf {

// A function's name with its hash (FNV-1a), which goes into the digest of a run.
struct Function {
  const char* name;
  std::uint32_t hash;

  explicit constexpr Function(const char* n) : name(n), hash(2166136261u) {
    for (; *n != 0; ++n) hash = (hash ^ static_cast<unsigned char>(*n)) * 16777619u;
  }
};

class Task;

// Pushes a function onto the running task's stack of names while it lives. Outside a run it does
// nothing. Requires: `function` has static storage duration.
class Frame {
 public:
  explicit Frame(const Function& function);
  ~Frame();
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;

 private:
  Task* task_;
};

}  // namespace interleaf

#define FRAME(name)                                              \
  static constexpr ::interleaf::Function frame_function_{#name}; \
  const ::interleaf::Frame frame_ { frame_function_ }
