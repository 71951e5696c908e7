// SPDX-License-Identifier: GPL-2.0-only
// What of one run matters to a power cut: what reached the disk and its log, what users wrote, what
// fsync and the like promised, each with the step of the run that it belongs to, and the order of
// all steps. Written while the run goes on, by standing in front of its oracle; read afterwards.
//
// The end of a run, its unmount, is left out: no task is left to be promised anything.
//
// Outlives the run and does not rewind: for runs that go straight from start to end. One per World.
// Not thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/relay_observer.h"
#include "scheduler/scheduler.h"
#include "scheduler/search/happens_before.h"

namespace interleaf {

class World;
struct RunOptions;
struct RunResult;

// The number of a step: 0, 1, ... in the order of the run. kNoStep: before the first.
using StepNumber = std::uint32_t;
inline constexpr StepNumber kNoStep = ~StepNumber{0};

class CrashLog : public RelayObserver, public Observer {
 public:
  static constexpr std::uint32_t kNoWrite = ~0u;

  // What is on disk about a file.
  struct Metadata {
    std::uint64_t size = 0;
    std::vector<std::uint64_t> blocks;  // BLOCK_HOLE: reads zeros
  };
  struct File {
    const kernel::inode* node;
    std::string name;
    Metadata initial;
  };
  // Something that survives a power cut, or a promise that something does.
  struct Effect {
    enum class Kind : std::uint8_t { kWrite, kFlush, kLogged, kCommitted, kPromise };
    Kind kind;
    StepNumber step;      // it happens right after this one
    std::uint32_t index;  // in writes, logged, promises; committed: how many of logged
  };
  struct BlockWrite {
    StepNumber step;
    std::uint64_t block;
    std::vector<std::uint8_t> bytes;
    std::uint64_t hash;  // of the bytes
  };
  struct Logged {
    StepNumber step;
    std::uint32_t file;
    Metadata metadata;
  };
  // Bytes of a file that a user wrote or gave up: from the first step of the call on, and
  // acknowledged right after `end`.
  struct UserWrite {
    enum class Kind : std::uint8_t {
      kBytes,
      kAny,    // any bytes are right
      kZeros,  // zeros, or nothing behind the end of the file
      kEnd,    // truncate: the file ends at pos; nothing is there, or zeros
      kClone,  // any bytes are right; the file is as long as it was, or ends within them
      kSize,   // no bytes: a call may make the file end at pos
    };
    std::uint32_t file;
    std::uint64_t pos;
    std::uint64_t len;
    const std::uint8_t* bytes;  // kBytes, else null
    StepNumber begin;
    StepNumber end;
    bool acknowledged;
    std::uint64_t number;  // "write #2"; 0: no write
    Kind kind = Kind::kBytes;
  };
  struct Promise {
    std::uint32_t file;
    std::uint64_t pos;
    std::uint64_t end_pos;  // behind the last byte
    StepNumber begin;       // the call's first step
    StepNumber end;         // it returned right after this one
    TaskId task;
    std::string name;  // "writer:fsync#1"
    std::vector<std::string> stack;
    // A write with O_SYNC or O_DSYNC promises itself, when it returns: in user_writes.
    std::uint32_t own_write = kNoWrite;
  };

  // Setup, once: `inner` is told everything too; files and disk are as a run finds them.
  kernel::observer* in_front_of(kernel::observer& inner);
  void files_made();
  // Forgets the run before and writes down this one; options.observer is told everything too.
  const RunResult& run(World& world, Strategy& strategy, RunOptions options);

  const std::vector<File>& files() const { return files_; }
  const std::vector<Effect>& effects() const { return effects_; }
  const std::vector<BlockWrite>& writes() const { return writes_; }
  const std::vector<Logged>& logged() const { return logged_; }
  const std::vector<UserWrite>& user_writes() const { return user_writes_; }
  const std::vector<Promise>& promises() const { return promises_; }
  // No record is in the log before metadata_committed() has said so.
  bool tells_all_commits() const { return tells_all_commits_; }
  // Steps of the run, those of its epilogue left out.
  StepNumber steps() const { return static_cast<StepNumber>(first_of_.size()); }
  TaskId task(StepNumber step) const { return order_[first_of_[step]].task; }
  unsigned tasks() const { return order_.tasks(); }
  // How many steps of each task happen before this one, itself included: tasks() numbers.
  const std::uint32_t* clock(StepNumber step) const { return order_.clock(first_of_[step]); }
  // True if `i` happens before `j` or is the same.
  bool before(StepNumber i, StepNumber j) const {
    if (i == kNoStep) return true;
    return j != kNoStep && i <= j && order_.before(first_of_[i], first_of_[j]);
  }
  // True if the last step waited until no other task could go on.
  bool ends_by_waiting() const;
  // Of the data choices, by task.
  const std::vector<std::vector<std::uint8_t>>& values() const { return values_; }
  // The bytes of a block when the run began; null: zeros.
  const std::uint8_t* initial_block(std::uint64_t block) const {
    return block < disk_.size() ? disk_[block] : nullptr;
  }

  unsigned write_begin(kernel::inode& node, kernel::loff_t pos, const void* data,
                       std::size_t len) override;
  void write_end(unsigned write, long acknowledged) override;
  unsigned zero_begin(kernel::inode& node, kernel::loff_t pos, kernel::loff_t len) override;
  void zero_end(unsigned zeroing, bool done) override;
  unsigned truncate_begin(kernel::inode& node) override;
  void truncate_range(unsigned truncation, kernel::loff_t pos, kernel::loff_t len) override;
  unsigned shift_begin(kernel::inode& node, kernel::loff_t pos, kernel::loff_t shift) override;
  void shift_end(unsigned shift, bool done) override;
  unsigned clone_begin(kernel::inode& in, kernel::loff_t in_pos, kernel::inode& out,
                       kernel::loff_t out_pos, kernel::loff_t len) override;
  void clone_end(unsigned clone, kernel::loff_t done) override;
  void size_asked(kernel::inode& node, kernel::loff_t size) override;
  void write_error(kernel::inode& node, kernel::loff_t pos, std::size_t len) override;
  void disk_wrote(std::uint64_t block, const unsigned char* bytes) override;
  void disk_flushed() override;
  void metadata_logged(const kernel::inode& node) override;
  void metadata_committed(std::uint64_t logged) override;
  void sync_begin(kernel::inode& node, kernel::loff_t start, kernel::loff_t end) override;
  void sync_end(kernel::inode& node, int error) override;

  void event(const Scheduler& scheduler, const Task& task, const Access& access) override;
  void enter(const Scheduler& scheduler, const Task& task, const Function& function) override;
  void leave(const Scheduler& scheduler, const Task& task, const Function& function) override;
  void remark(const Scheduler& scheduler, const Task& task, std::string_view text) override;
  void choice(const Scheduler& scheduler, const Task& task, const char* kind,
              unsigned value) override;

 private:
  class Listener;

  void begin(Observer* next);
  std::uint32_t file_of(const kernel::inode& node);
  void add(Effect::Kind kind, std::size_t index);
  void promise(Promise&& made);
  // From now on these bytes may be anything, until they are written again.
  void give_up(const kernel::inode& node, std::uint64_t pos, std::uint64_t len);
  // The call to which the oracle gave this handle: what it makes of the bytes, and that it ended.
  unsigned begin_change(unsigned handle, const kernel::inode& node, std::uint64_t pos,
                        std::uint64_t len, UserWrite::Kind kind);
  void end_change(unsigned handle, bool done);

  Observer* next_ = nullptr;
  std::vector<File> files_;
  std::size_t files_at_start_ = 0;
  bool tells_all_commits_ = false;
  std::vector<const std::uint8_t*> disk_;
  std::vector<Effect> effects_;
  std::vector<BlockWrite> writes_;
  std::vector<Logged> logged_;
  std::vector<UserWrite> user_writes_;
  std::vector<Promise> promises_;
  HappensBefore order_;
  std::vector<EventNumber> first_of_;  // by step
  std::vector<std::vector<std::uint8_t>> values_ =
      std::vector<std::vector<std::uint8_t>>(kTasksMax);
  std::vector<std::uint32_t> running_writes_;      // by the oracle's handle: in user_writes_
  std::vector<Promise> running_[kTasksMax];        // calls that have not returned
  std::vector<std::uint32_t> unbegun_[kTasksMax];  // user writes whose first step is to come
  // Of each task: the write that has not returned, and what it will promise.
  std::uint32_t own_write_[kTasksMax] = {};
  std::vector<Promise> own_promise_[kTasksMax];
  std::vector<std::uint32_t> running_changes_;  // by the oracle's handle: in user_writes_
  std::uint64_t write_count_ = 0;
};

}  // namespace interleaf
