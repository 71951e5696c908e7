// SPDX-License-Identifier: GPL-2.0-only
#include "tests/litmus/stack.h"

#include "scheduler/sync/atomic.h"
#include "scheduler/sync/shared.h"

namespace interleaf {
namespace {

template <bool kCounts>
struct Stack {
  // Nodes by number, 0 is none: so that top and count fit one word.
  static constexpr unsigned kNodes = 3;
  struct Top {
    unsigned node = 0;
    unsigned changes = 0;
    bool operator==(const Top&) const = default;
  };
  struct Node {
    Shared<unsigned> next;
    Shared<int> owners;
  };
  Atomic<Top> top;
  Node nodes[kNodes + 1];

  Stack() {
    for (unsigned i = 1; i <= kNodes; ++i) nodes[i].next.poke(i - 1);
    top.poke({kNodes, 0});
  }
  bool exchange(Top seen, unsigned node) {
    return top.cmpxchg(seen, {node, seen.changes + (kCounts ? 1 : 0)}) == seen;
  }
  void push(unsigned node) {
    for (;;) {
      const Top seen = top.read();
      nodes[node].next.store(seen.node);
      if (exchange(seen, node)) return;
    }
  }
  unsigned pop() {
    for (;;) {
      const Top seen = top.read();
      if (seen.node == 0) return 0;
      const unsigned next = nodes[seen.node].next.load();
      if (!exchange(seen, next)) continue;
      Shared<int>& owners = nodes[seen.node].owners;
      const int others = owners.load();
      owners.store(others + 1);
      litmus_assert(others == 0, "node", "popped twice");
      return seen.node;
    }
  }
  void pop_one(unsigned) { pop(); }
  void pop_two_push_one(unsigned) {
    const unsigned first = pop();
    pop();
    if (first != 0) {
      nodes[first].owners.store(0);
      push(first);
    }
    pop();
  }
  void add_tasks(Scheduler& s) {
    add_numbered_task<&Stack::pop_one>(s, "slow", this, 0);
    add_numbered_task<&Stack::pop_two_push_one>(s, "fast", this, 0);
  }
};

}  // namespace

LitmusProgram treiber_stack() { return litmus_program<Stack<true>>("treiber_stack"); }
LitmusProgram treiber_stack_aba() { return litmus_program<Stack<false>>("treiber_stack_aba"); }

}  // namespace interleaf
