// SPDX-License-Identifier: GPL-2.0-only
#include "tests/litmus/classics.h"

#include "scheduler/sync/atomic.h"
#include "scheduler/sync/mutex.h"
#include "scheduler/sync/shared.h"

namespace interleaf {
namespace {

struct Readers {
  unsigned readers;
  Shared<int> variable;

  explicit Readers(unsigned n) : readers(n) {}
  void run(unsigned self) {
    if (self == 0) {
      variable.write_once(1);
    } else {
      variable.read_once();
    }
  }
  void add_tasks(Scheduler& s) {
    for (unsigned i = 0; i <= readers; ++i) add_numbered_task<&Readers::run>(s, "t", this, i);
  }
};

struct LastZero {
  unsigned n;
  Shared<int> a[kTasksMax];

  explicit LastZero(unsigned of_n) : n(of_n) {}
  void run(unsigned self) {
    if (self == 0) {
      for (unsigned i = n; a[i].read_once() != 0;) --i;
    } else {
      a[self].write_once(a[self - 1].read_once() + 1);
    }
  }
  void add_tasks(Scheduler& s) {
    for (unsigned i = 0; i <= n; ++i) add_numbered_task<&LastZero::run>(s, "t", this, i);
  }
};

struct Indexer {
  static constexpr unsigned kSlots = 128, kMessages = 4;
  unsigned tasks;
  Atomic<unsigned> table[kSlots];

  explicit Indexer(unsigned n) : tasks(n) {}
  void run(unsigned self) {
    for (unsigned message = 1; message <= kMessages; ++message) {
      const unsigned word = message * 11 + self;
      unsigned slot = word * 7 % kSlots;
      while (table[slot].cmpxchg(0, word) != 0) slot = (slot + 1) % kSlots;
    }
  }
  void add_tasks(Scheduler& s) {
    for (unsigned i = 0; i < tasks; ++i) add_numbered_task<&Indexer::run>(s, "t", this, i);
  }
};

struct FileSystem {
  static constexpr unsigned kBlocks = 26, kInodes = 32;
  static constexpr LockClass kInodeLock{"inode"}, kBlockLock{"block"};
  struct Inode {
    Mutex lock{kInodeLock};
    Shared<unsigned> block;  // one more than its number; 0: none
  };
  struct Block {
    Mutex lock{kBlockLock};
    Shared<bool> busy;
  };
  unsigned tasks;
  Inode inodes[kInodes];
  Block blocks[kBlocks];

  explicit FileSystem(unsigned n) : tasks(n) {}
  bool take(Block& block) {
    block.lock.lock();
    const bool taken = !block.busy.load();
    if (taken) block.busy.store(true);
    block.lock.unlock();
    return taken;
  }
  void run(unsigned self) {
    const unsigned number = self % kInodes;
    Inode& inode = inodes[number];
    inode.lock.lock();
    if (inode.block.load() == 0) {
      unsigned block = number * 2 % kBlocks;
      while (!take(blocks[block])) block = (block + 1) % kBlocks;
      inode.block.store(block + 1);
    }
    inode.lock.unlock();
  }
  void add_tasks(Scheduler& s) {
    for (unsigned i = 0; i < tasks; ++i) add_numbered_task<&FileSystem::run>(s, "t", this, i);
  }
};

std::string called(const char* name, unsigned n) {
  return std::string(name) + "(" + std::to_string(n) + ")";
}

}  // namespace

LitmusProgram readers(unsigned n) { return litmus_program<Readers>(called("readers", n), n); }
LitmusProgram lastzero(unsigned n) { return litmus_program<LastZero>(called("lastzero", n), n); }
LitmusProgram indexer(unsigned n) { return litmus_program<Indexer>(called("indexer", n), n); }
LitmusProgram filesystem(unsigned n) {
  return litmus_program<FileSystem>(called("filesystem", n), n);
}

}  // namespace interleaf
