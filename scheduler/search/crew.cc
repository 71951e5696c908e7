// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/crew.h"

namespace interleaf {

Crew::Crew(unsigned size, const Member& member) : busy_(size - 1) {
  for (unsigned i = 1; i < size; ++i) {
    threads_.emplace_back([this, i, member] { live(i, member); });
  }
}

Crew::~Crew() {
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
  }
  changed_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Crew::run(const std::function<void(unsigned)>& task) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return busy_ == 0; });  // all have set up
  if (failure_) std::rethrow_exception(failure_);
  task_ = &task;
  busy_ = static_cast<unsigned>(threads_.size());
  ++round_;
  lock.unlock();
  changed_.notify_all();
  std::exception_ptr own;
  try {
    task(0);
  } catch (...) {
    own = std::current_exception();
  }
  lock.lock();
  changed_.wait(lock, [&] { return busy_ == 0; });
  if (own) std::rethrow_exception(own);
  if (failure_) std::rethrow_exception(failure_);
}

void Crew::live(unsigned index, const Member& member) {
  bool served = false;
  std::exception_ptr failure;
  try {
    member(index, [&] {
      served = true;
      serve(index);
    });
  } catch (...) {
    failure = std::current_exception();
  }
  const std::lock_guard lock(mutex_);
  if (failure && !failure_) failure_ = failure;
  if (!served) --busy_;
  changed_.notify_all();
}

void Crew::serve(unsigned index) {
  std::unique_lock lock(mutex_);
  for (std::uint64_t done = round_;;) {
    --busy_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return over_ || round_ != done; });
    if (over_) return;
    done = round_;
    const auto& task = *task_;
    lock.unlock();
    std::exception_ptr failure;
    try {
      task(index);
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    if (failure && !failure_) failure_ = failure;
  }
}

}  // namespace interleaf
