// SPDX-License-Identifier: GPL-2.0-only
// A lock-free stack with the ABA bug: pop() exchanges the top if it is the node it saw, though that
// node may have been popped and pushed again meanwhile, with another one below it. A node is then
// lost or handed out twice.
#include "scheduler/examples/trace.h"
#include "scheduler/sync/atomic.h"
#include "scheduler/sync/shared.h"
#include "scheduler/world.h"

using namespace interleaf;

struct Node {
  Shared<Node*> next;
  Shared<int> owners;
};

struct Stack {
  Atomic<Node*> top;

  void push(Node* node) {
    for (;;) {
      Node* seen = top.read();
      node->next.store(seen);
      if (top.cmpxchg(seen, node) == seen) return;
    }
  }
  Node* pop() {
    for (;;) {
      Node* seen = top.read();
      if (seen == nullptr) return nullptr;
      Node* next = seen->next.load();
      if (top.cmpxchg(seen, next) != seen) continue;
      seen->owners.store(seen->owners.load() + 1);
      if (seen->owners.peek() != 1) {
        Scheduler::current()->report(FindingKind::kKernelBug, "node", "popped twice", true);
      }
      return seen;
    }
  }
  void give_back(Node* node) {
    node->owners.store(0);
    push(node);
  }
};

static void pop_one(void* stack) { static_cast<Stack*>(stack)->pop(); }
static void pop_two_push_one(void* stack) {
  auto& s = *static_cast<Stack*>(stack);
  Node* first = s.pop();
  s.pop();
  if (first != nullptr) s.give_back(first);
  s.pop();
}

int main() {
  World world(0, [](Scheduler& s) {
    auto* stack = new Stack();
    for (int i = 0; i < 3; ++i) {
      auto* node = new Node();
      node->next.poke(stack->top.peek());
      stack->top.poke(node);
    }
    s.spawn("slow", &pop_one, stack);
    s.spawn("fast", &pop_two_push_one, stack);
    s.spawn("late", &pop_one, stack);
  });
  const auto random = make_random();
  for (std::uint64_t seed = 0; seed < 100000; ++seed) {
    if (world.run(*random, {.seed = seed}).clean()) continue;
    std::printf("found by seed %llu\n", static_cast<unsigned long long>(seed));
    Trace trace;
    const RunResult& result = world.run(*random, {.seed = seed, .observer = &trace});
    std::printf("      %s\n", result.verdict()->message.c_str());
    return 1;
  }
  std::printf("not found\n");
  return 0;
}
