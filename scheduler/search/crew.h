// SPDX-License-Identifier: GPL-2.0-only
// Workers on threads of their own that do the same thing at the same time, again and again. The
// thread that makes the crew is one of them.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace interleaf {

class Crew {
 public:
  // A member's life in its thread: sets up what it needs, then calls `serve` once.
  using Member = std::function<void(unsigned index, const std::function<void()>& serve)>;

  // Members 1 to size - 1 get threads.
  Crew(unsigned size, const Member& member);
  ~Crew();
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;

  // Calls task(index) for every member, index 0 in this thread, and returns when all are done.
  // Throws what a member threw in its life or its task; then nothing more can be done.
  void run(const std::function<void(unsigned)>& task);

 private:
  void live(unsigned index, const Member& member);
  void serve(unsigned index);

  std::mutex mutex_;
  std::condition_variable changed_;
  const std::function<void(unsigned)>* task_ = nullptr;
  std::uint64_t round_ = 0;
  unsigned busy_ = 0;
  bool over_ = false;
  std::exception_ptr failure_;
  std::vector<std::thread> threads_;
};

}  // namespace interleaf
