// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/fiber.h"

#include <sys/mman.h>

#include <boost/fiber/algo/algorithm.hpp>
#include <boost/fiber/context.hpp>
#include <boost/fiber/fiber.hpp>
#include <boost/fiber/operations.hpp>
#include <cstring>
#include <deque>
#include <vector>

#include "scheduler/check.h"

namespace interleaf {
namespace {

using boost::fibers::context;

// Boost keeps the saved stack pointer of a suspended context private. Explicit instantiation may
// name private members; that is how we learn where the live part of a stack begins.
template <typename Tag, auto kMember>
struct Reach {
  friend auto& reach(Tag, typename Tag::Object& object) { return object.*kMember; }
};
struct ContextTag {
  using Object = context;
  friend auto& reach(ContextTag, Object&);
};
struct FiberTag {
  using Object = boost::context::fiber;
  friend auto& reach(FiberTag, Object&);
};
template struct Reach<ContextTag, &context::c_>;
template struct Reach<FiberTag, &boost::context::fiber::fctx_>;

std::uintptr_t saved_stack_pointer(context& c) {
  return reinterpret_cast<std::uintptr_t>(reach(FiberTag{}, reach(ContextTag{}, c)));
}

// Boost's own scheduler runs only while workers are created and ended; then a plain queue does.
class Queue final : public boost::fibers::algo::algorithm {
 public:
  void awakened(context* c) noexcept override { ready_.push_back(c); }
  context* pick_next() noexcept override {
    if (ready_.empty()) return nullptr;
    context* c = ready_.front();
    ready_.pop_front();
    return c;
  }
  void forget(const context* c) { std::erase(ready_, c); }
  bool has_ready_fibers() const noexcept override { return !ready_.empty(); }
  void suspend_until(const std::chrono::steady_clock::time_point&) noexcept override {}
  void notify() noexcept override {}

 private:
  std::deque<context*> ready_;
};

// Hands out one prepared stack.
class GivenStack {
 public:
  GivenStack(std::uintptr_t top, std::size_t size) : top_(top), size_(size) {}
  boost::context::stack_context allocate() {
    boost::context::stack_context stack;
    stack.sp = reinterpret_cast<void*>(top_);
    stack.size = size_;
    return stack;
  }
  void deallocate(boost::context::stack_context&) noexcept {}

 private:
  std::uintptr_t top_;
  std::size_t size_;
};

}  // namespace

struct FiberPool::Impl {
  struct Worker {
    context* where = nullptr;
    std::uintptr_t top = 0;
    boost::fibers::fiber fiber;
  };

  std::vector<Worker> workers;
  context* main = nullptr;
  Queue* queue = nullptr;
  void (*body)(void*, unsigned) = nullptr;
  void* argument = nullptr;
  bool ending = false;

  void work(unsigned index) {
    workers[index].where = context::active();
    main->resume();
    if (!ending) body(argument, index);
  }
};

namespace {

// Boost's scheduler of a thread cannot exchange its algorithm while fibers exist: one for all.
Queue& queue_of_this_thread() {
  thread_local Queue* queue = nullptr;
  if (queue == nullptr) {
    queue = new Queue();  // owned by Boost from here on
    context::active()->get_scheduler()->set_algo(Queue::ptr_t(queue));
  }
  return *queue;
}

}  // namespace

FiberPool::FiberPool(Arena& arena, unsigned count, void (*body)(void*, unsigned), void* argument)
    : count_(count), impl_(std::make_unique<Impl>()) {
  impl_->queue = &queue_of_this_thread();
  impl_->body = body;
  impl_->argument = argument;
  impl_->main = context::active();
  CHECK(count <= kTasksMax);
  impl_->workers.resize(count);
  const long page = 4096;
  std::uintptr_t top = arena.base() + Arena::kReservation;
  for (unsigned i = 0; i < count; ++i) {
    Impl::Worker& worker = impl_->workers[i];
    worker.top = top;
    // A page below each stack that nobody may touch: an overflow stops at once.
    CHECK(mprotect(reinterpret_cast<void*>(top - kStackBytes - page), page, PROT_NONE) == 0);
    worker.fiber = boost::fibers::fiber(boost::fibers::launch::post, std::allocator_arg,
                                        GivenStack(top, kStackBytes),
                                        [impl = impl_.get(), i] { impl->work(i); });
    boost::this_fiber::yield();  // runs the worker up to its first park
    impl_->queue->forget(impl_->main);
    where_[i] = worker.where;
    top -= kStackBytes + page;
  }
}

FiberPool::~FiberPool() {
  impl_->ending = true;
  for (unsigned i = 0; i < count_; ++i) {
    impl_->main->get_scheduler()->schedule(impl_->workers[i].where);
    impl_->workers[i].fiber.join();
  }
}

void FiberPool::resume(unsigned worker) { static_cast<context*>(where_[worker])->resume(); }

void FiberPool::resume_main() { impl_->main->resume(); }

void FiberPool::save_stacks(Image& image) const {
  for (const Impl::Worker& worker : impl_->workers) {
    const std::uintptr_t pointer = saved_stack_pointer(*worker.where);
    CHECK(pointer <= worker.top && worker.top - pointer <= kStackBytes);
    const std::size_t live = worker.top - pointer;
    image.append(&live, sizeof(live));
    image.append(reinterpret_cast<const void*>(pointer), live);
  }
}

void FiberPool::restore_stacks(ImageReader& image) {
  for (const Impl::Worker& worker : impl_->workers) {
    std::size_t live = 0;
    image.take(&live, sizeof(live));
    image.take(reinterpret_cast<void*>(worker.top - live), live);
  }
}

}  // namespace interleaf
