// SPDX-License-Identifier: GPL-2.0-only
#include "engine/crash_log.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>

#include "engine/kernel/block.h"
#include "engine/kernel/fs.h"
#include "engine/kernel/machine.h"
#include "scheduler/world.h"

namespace interleaf {
namespace {

using kernel::loff_t;

// True while the run goes on: not in set-up, and not while its end checks everything.
bool listening() {
  const Scheduler* s = Scheduler::current();
  return s != nullptr && !s->in_epilogue();
}

TaskId this_task() { return Scheduler::current()->current_id(); }

CrashLog::Metadata metadata_of(const kernel::inode& node) {
  CrashLog::Metadata metadata;
  metadata.size = static_cast<std::uint64_t>(node.i_disksize.peek());
  const kernel::super_operations& s_op = *node.i_sb->s_op;
  metadata.blocks.resize(s_op.peek_block_count(&node), kernel::BLOCK_HOLE);
  for (std::size_t i = 0; i < metadata.blocks.size(); ++i) {
    const kernel::block_state there = s_op.peek_block(&node, i);
    if (there.kind == kernel::block_kind::WRITTEN) metadata.blocks[i] = there.block;
  }
  return metadata;
}

}  // namespace

kernel::observer* CrashLog::in_front_of(kernel::observer& inner) {
  inner_ = &inner;
  return this;
}

void CrashLog::files_made() {
  const HeapScope heap;
  const kernel::super_block& sb = *kernel::this_machine().sb;
  for (const kernel::inode* node : sb.inodes) {
    files_.push_back({node, node->name, metadata_of(*node)});
  }
  files_at_start_ = files_.size();
  tells_all_commits_ = sb.s_op->tells_all_commits;
  disk_.assign(sb.s_bdev->data.begin(), sb.s_bdev->data.end());
}

// Lets `inner_` choose, and hears what steps do besides what they announced.
class CrashLog::Listener final : public Strategy {
 public:
  Listener(CrashLog& log, Strategy& inner) : log_(log), inner_(inner) {}

  void begin(std::uint64_t seed) override { inner_.begin(seed); }
  TaskId pick(const Scheduler& s, TaskMask runnable) override { return inner_.pick(s, runnable); }
  unsigned pick_value(const Scheduler& s, const char* kind, unsigned count) override {
    return inner_.pick_value(s, kind, count);
  }
  bool sees_forced() const override { return inner_.sees_forced(); }
  void forced(const Scheduler& s, TaskId only) override { inner_.forced(s, only); }
  bool sees_also() const override { return true; }
  void also(const Scheduler& s, Op op, std::uint32_t object) override {
    if (inner_.sees_also()) inner_.also(s, op, object);
    const HeapScope heap;
    if (!log_.first_of_.empty()) log_.order_.also(op, object);
  }

 private:
  CrashLog& log_;
  Strategy& inner_;
};

const RunResult& CrashLog::run(World& world, Strategy& strategy, RunOptions options) {
  begin(options.observer);
  options.observer = this;
  Listener listener(*this, strategy);
  return world.run(listener, options);
}

void CrashLog::begin(Observer* next) {
  next_ = next;
  files_.resize(files_at_start_);
  effects_.clear();
  writes_.clear();
  logged_.clear();
  user_writes_.clear();
  promises_.clear();
  order_.begin(0);
  first_of_.clear();
  for (auto& values : values_) values.clear();
  for (auto& calls : running_) calls.clear();
  for (auto& unbegun : unbegun_) unbegun.clear();
  for (auto& promises : own_promise_) promises.clear();
  std::fill(std::begin(own_write_), std::end(own_write_), kNoWrite);
  write_count_ = 0;
}

bool CrashLog::ends_by_waiting() const {
  if (first_of_.empty()) return false;
  const LoggedEvent& last = order_[first_of_.back()];
  return last.op == Op::kWait && last.object == kPrivateObject;
}

// The step that what happens now belongs to.
static StepNumber now() { return static_cast<StepNumber>(Scheduler::current()->step() - 1); }

std::uint32_t CrashLog::file_of(const kernel::inode& node) {
  for (std::size_t i = 0; i < files_.size(); ++i) {
    if (files_[i].node == &node) return static_cast<std::uint32_t>(i);
  }
  files_.push_back({&node, std::string(node.name), {}});
  return static_cast<std::uint32_t>(files_.size() - 1);
}

void CrashLog::add(Effect::Kind kind, std::size_t index) {
  effects_.push_back({kind, now(), static_cast<std::uint32_t>(index)});
}

unsigned CrashLog::write_begin(kernel::inode& node, loff_t pos, const void* data, std::size_t len) {
  const unsigned handle = inner_->write_begin(node, pos, data, len);
  if (!listening()) return handle;
  const HeapScope heap;
  const auto index = static_cast<std::uint32_t>(user_writes_.size());
  user_writes_.push_back({file_of(node), static_cast<std::uint64_t>(pos), len,
                          static_cast<const std::uint8_t*>(data), kNoStep, kNoStep, false,
                          ++write_count_});
  unbegun_[this_task()].push_back(index);
  if (running_writes_.size() <= handle) running_writes_.resize(handle + 1);
  running_writes_[handle] = index;
  own_write_[this_task()] = index;
  return handle;
}

void CrashLog::write_end(unsigned handle, long acknowledged) {
  inner_->write_end(handle, acknowledged);
  if (!listening()) return;
  const HeapScope heap;
  const std::uint32_t index = running_writes_[handle];
  UserWrite& write = user_writes_[index];
  write.end = now();
  if (std::erase(unbegun_[this_task()], index) != 0) write.begin = write.end;  // all in one step
  const std::uint64_t done = acknowledged > 0 ? static_cast<std::uint64_t>(acknowledged) : 0;
  if (done < write.len) {
    UserWrite rest = write;
    rest.pos += done;
    rest.len -= done;
    rest.bytes += done;
    user_writes_[index].len = done;
    user_writes_.push_back(rest);
  }
  user_writes_[index].acknowledged = done > 0;
  own_write_[this_task()] = kNoWrite;
  std::vector<Promise>& own = own_promise_[this_task()];
  if (!own.empty() && done > 0) promise(std::move(own.front()));
  own.clear();
}

void CrashLog::give_up(const kernel::inode& node, std::uint64_t pos, std::uint64_t len) {
  if (!listening()) return;
  const HeapScope heap;
  user_writes_.push_back(
      {file_of(node), pos, len, nullptr, now(), now(), false, 0, UserWrite::Kind::kAny});
}

unsigned CrashLog::begin_change(unsigned handle, const kernel::inode& node, std::uint64_t pos,
                                std::uint64_t len, UserWrite::Kind kind) {
  if (!listening()) return handle;
  const HeapScope heap;
  const auto index = static_cast<std::uint32_t>(user_writes_.size());
  user_writes_.push_back({file_of(node), pos, len, nullptr, kNoStep, kNoStep, false, 0, kind});
  unbegun_[this_task()].push_back(index);
  if (running_changes_.size() <= handle) running_changes_.resize(handle + 1);
  running_changes_[handle] = index;
  return handle;
}

void CrashLog::end_change(unsigned handle, bool done) {
  if (!listening()) return;
  const HeapScope heap;
  const std::uint32_t index = running_changes_[handle];
  UserWrite& change = user_writes_[index];
  change.end = now();
  if (std::erase(unbegun_[this_task()], index) != 0) change.begin = change.end;
  if (!done) change.kind = UserWrite::Kind::kAny;
  change.acknowledged = done;
}

unsigned CrashLog::zero_begin(kernel::inode& node, loff_t pos, loff_t len) {
  return begin_change(inner_->zero_begin(node, pos, len), node, static_cast<std::uint64_t>(pos),
                      static_cast<std::uint64_t>(len), UserWrite::Kind::kZeros);
}

// What is zeroed behind the end of the file is nobody's.
void CrashLog::zero_end(unsigned zeroing, bool done) {
  inner_->zero_end(zeroing, done);
  if (!listening()) return;
  UserWrite& change = user_writes_[running_changes_[zeroing]];
  if (change.kind == UserWrite::Kind::kZeros) {
    const auto size = static_cast<std::uint64_t>(files_[change.file].node->i_size.look());
    change.len = size > change.pos ? std::min(change.len, size - change.pos) : 0;
  }
  end_change(zeroing, done);
}

// Changes nothing until its range is known.
unsigned CrashLog::truncate_begin(kernel::inode& node) {
  return begin_change(inner_->truncate_begin(node), node, 0, 0, UserWrite::Kind::kZeros);
}

void CrashLog::truncate_range(unsigned truncation, loff_t pos, loff_t len) {
  inner_->truncate_range(truncation, pos, len);
  if (!listening()) return;
  UserWrite& change = user_writes_[running_changes_[truncation]];
  change.pos = static_cast<std::uint64_t>(pos);
  change.len = len < 0 ? ~change.pos : static_cast<std::uint64_t>(len);
  if (len < 0) change.kind = UserWrite::Kind::kEnd;
}

unsigned CrashLog::shift_begin(kernel::inode& node, loff_t pos, loff_t shift) {
  const auto begin = static_cast<std::uint64_t>(pos);
  return begin_change(inner_->shift_begin(node, pos, shift), node, begin, ~begin,
                      UserWrite::Kind::kAny);
}

void CrashLog::shift_end(unsigned shift, bool done) {
  inner_->shift_end(shift, done);
  end_change(shift, done);
}

unsigned CrashLog::clone_begin(kernel::inode& in, loff_t in_pos, kernel::inode& out, loff_t out_pos,
                               loff_t len) {
  const auto begin = static_cast<std::uint64_t>(out_pos);
  return begin_change(inner_->clone_begin(in, in_pos, out, out_pos, len), out, begin,
                      len == 0 ? ~begin : static_cast<std::uint64_t>(len), UserWrite::Kind::kClone);
}

void CrashLog::clone_end(unsigned clone, loff_t done) {
  inner_->clone_end(clone, done);
  if (listening() && done >= 0) {
    user_writes_[running_changes_[clone]].len = static_cast<std::uint64_t>(done);
  }
  end_change(clone, done >= 0);
}

void CrashLog::size_asked(kernel::inode& node, loff_t size) {
  inner_->size_asked(node, size);
  if (!listening()) return;
  const HeapScope heap;
  user_writes_.push_back({file_of(node), static_cast<std::uint64_t>(size), 0, nullptr, now(), now(),
                          false, 0, UserWrite::Kind::kSize});
}

void CrashLog::write_error(kernel::inode& node, loff_t pos, std::size_t len) {
  inner_->write_error(node, pos, len);
  give_up(node, static_cast<std::uint64_t>(pos), len);
}

void CrashLog::disk_wrote(std::uint64_t block, const unsigned char* bytes) {
  inner_->disk_wrote(block, bytes);
  if (!listening()) return;
  const HeapScope heap;
  const std::size_t size = kernel::this_machine().geo.block_size;
  add(Effect::Kind::kWrite, writes_.size());
  writes_.push_back({now(), block, {bytes, bytes + size}, XXH64(bytes, size, 0)});
}

void CrashLog::disk_flushed() {
  inner_->disk_flushed();
  if (!listening()) return;
  const HeapScope heap;
  add(Effect::Kind::kFlush, 0);
}

void CrashLog::metadata_logged(const kernel::inode& node) {
  inner_->metadata_logged(node);
  if (!listening()) return;
  const HeapScope heap;
  add(Effect::Kind::kLogged, logged_.size());
  logged_.push_back({now(), file_of(node), metadata_of(node)});
}

void CrashLog::metadata_committed(std::uint64_t logged) {
  inner_->metadata_committed(logged);
  if (!listening()) return;
  const HeapScope heap;
  add(Effect::Kind::kCommitted, logged);
}

void CrashLog::sync_begin(kernel::inode& node, loff_t start, loff_t end) {
  inner_->sync_begin(node, start, end);
  if (!listening()) return;
  const HeapScope heap;
  Promise promise{file_of(node),
                  static_cast<std::uint64_t>(start),
                  static_cast<std::uint64_t>(end) + 1,
                  kNoStep,
                  kNoStep,
                  this_task(),
                  "",
                  {}};
  running_[this_task()].push_back(std::move(promise));
}

void CrashLog::sync_end(kernel::inode& node, int error) {
  inner_->sync_end(node, error);
  if (!listening() || running_[this_task()].empty()) return;
  const HeapScope heap;
  Promise promise = std::move(running_[this_task()].back());
  running_[this_task()].pop_back();
  if (error != 0) return;
  for (unsigned i = 0; i < Scheduler::current()->current_task().depth; ++i) {
    promise.stack.emplace_back(Scheduler::current()->current_task().stack[i]->name);
  }
  promise.own_write = own_write_[this_task()];
  if (promise.own_write != kNoWrite) {
    own_promise_[this_task()].push_back(std::move(promise));
  } else {
    this->promise(std::move(promise));
  }
}

void CrashLog::promise(Promise&& made) {
  Promise promise = std::move(made);
  promise.end = now();
  if (promise.begin == kNoStep) promise.begin = promise.end;
  const Task& task = Scheduler::current()->current_task();
  const std::string call =
      fmt::format("{}:{}", task.name, promise.stack.empty() ? "sync" : promise.stack.front());
  const auto same = std::count_if(promises_.begin(), promises_.end(), [&](const Promise& other) {
    return other.name.starts_with(call + "#");
  });
  promise.name = fmt::format("{}#{}", call, same + 1);
  add(Effect::Kind::kPromise, promises_.size());
  promises_.push_back(std::move(promise));
}

void CrashLog::event(const Scheduler& scheduler, const Task& task, const Access& access) {
  if (next_ != nullptr) next_->event(scheduler, task, access);
  if (scheduler.in_epilogue()) return;
  if (first_of_.empty()) order_.begin(scheduler.task_count());
  const StepNumber number = steps();
  first_of_.push_back(order_.add(task.id, access));
  for (const std::uint32_t write : unbegun_[task.id]) user_writes_[write].begin = number;
  unbegun_[task.id].clear();
  for (Promise& call : running_[task.id]) {
    if (call.begin == kNoStep) call.begin = number;
  }
}

void CrashLog::enter(const Scheduler& scheduler, const Task& task, const Function& function) {
  if (next_ != nullptr) next_->enter(scheduler, task, function);
}

void CrashLog::leave(const Scheduler& scheduler, const Task& task, const Function& function) {
  if (next_ != nullptr) next_->leave(scheduler, task, function);
}

void CrashLog::remark(const Scheduler& scheduler, const Task& task, std::string_view text) {
  if (next_ != nullptr) next_->remark(scheduler, task, text);
}

void CrashLog::choice(const Scheduler& scheduler, const Task& task, const char* kind,
                      unsigned value) {
  if (next_ != nullptr) next_->choice(scheduler, task, kind, value);
  if (!scheduler.in_epilogue()) values_[task.id].push_back(static_cast<std::uint8_t>(value));
}

}  // namespace interleaf
