// SPDX-License-Identifier: GPL-2.0-only
// Table: a hand-written CPU table as a schedule. Its rows are a total order over entries of
// functions. The running task goes on until it blocks, ends or is held: about to enter the function
// of a row of its own whose turn has not come. Then the task of the next row goes on, or if that
// one is blocked, the one with the lowest id that is not held.
//
// "About to enter": a task announces its next access after it has entered the function, so the
// names it entered since its last access tell. Entering performs nothing that others could see.
#include <bit>
#include <utility>

#include "scheduler/strategies/keep_running.h"
#include "scheduler/strategy.h"

namespace interleaf {
namespace {

class Table final : public TableStrategy {
 public:
  explicit Table(std::vector<Row> rows) : rows_(std::move(rows)) {}

  void begin(std::uint64_t) override {
    next_ = 0;
    stuck_ = false;
    for (Seen& seen : seen_) seen = Seen();
  }

  TaskId pick(const Scheduler& scheduler, TaskMask runnable) override {
    const TaskId ran = scheduler.current_id();
    if (may_go_on(scheduler, runnable, ran)) return ran;
    const TaskId due = next_ < rows_.size() ? rows_[next_].task : kNoTask;
    if (may_go_on(scheduler, runnable, due)) return due;
    for (TaskMask rest = runnable; rest != 0; rest &= rest - 1) {
      const auto id = static_cast<TaskId>(std::countr_zero(rest));
      if (may_go_on(scheduler, runnable, id)) return id;
    }
    stuck_ = true;  // go on all the same: the run must end
    return keep_running(scheduler, runnable);
  }

  bool sees_forced() const override { return true; }
  void forced(const Scheduler& scheduler, TaskId only) override {
    if (!may_go_on(scheduler, task_bit(only), only)) stuck_ = true;
  }

  unsigned pick_value(const Scheduler&, const char*, unsigned) override { return 0; }

  std::size_t satisfied() const override { return next_; }
  const std::vector<Row>& rows() const override { return rows_; }
  bool stuck() const override { return stuck_; }

 private:
  // Functions that a task entered since its last access and that were rows already.
  struct Seen {
    std::uint64_t step = ~std::uint64_t{0};  // Task::last_step they belong to
    unsigned entered = 0;
  };

  // False if the task is not runnable or held. If the rows that it stands at are due, they are
  // satisfied: it goes on now.
  bool may_go_on(const Scheduler& scheduler, TaskMask runnable, TaskId id) {
    if (id >= kTasksMax || (runnable & task_bit(id)) == 0) return false;
    const Task& task = scheduler.task(id);
    std::size_t row = 0;
    unsigned entered = 0;
    while (stands_at(task, row, entered)) {
      if (row != next_) return false;
      seen_[id] = {task.last_step, entered + 1};
      ++next_;
    }
    return true;
  }

  // True if the task entered the function of its next row (`row`) since its last access, as the
  // `entered`th of its functions, and not before another row's.
  bool stands_at(const Task& task, std::size_t& row, unsigned& entered) const {
    row = next_;
    while (row < rows_.size() && rows_[row].task != task.id) ++row;
    if (row == rows_.size()) return false;
    const Seen& seen = seen_[task.id];
    entered = seen.step == task.last_step ? seen.entered : 0;
    while (entered < task.entered_count && rows_[row].function != task.entered[entered]->name) {
      ++entered;
    }
    return entered < task.entered_count;
  }

  std::vector<Row> rows_;
  std::size_t next_ = 0;
  bool stuck_ = false;
  Seen seen_[kTasksMax];
};

}  // namespace

std::unique_ptr<TableStrategy> make_table(std::vector<Row> rows) {
  return std::make_unique<Table>(std::move(rows));
}

}  // namespace interleaf
