// SPDX-License-Identifier: GPL-2.0-only
// A scenario's task as a running process: its descriptors, its address space, and the calls it
// makes, one after the other, against the ported kernel. Lives in the arena.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/configuration.h"
#include "engine/kernel/mm.h"
#include "scheduler/sync/completion.h"

namespace interleaf {

class Process {
 public:
  // `others` has one entry per task of the scenario, for wait(task); filled before any task runs.
  Process(const Configuration& configuration, std::size_t task,
          const std::vector<Process*>& others);

  // The task's body: all its calls, then exit (descriptors closed, mappings gone).
  void run();

  static void* operator new(std::size_t bytes) { return allocate_typed(bytes, kBlock); }

  const std::string& name() const { return task_.name; }
  Completion& ended() { return ended_; }

 private:
  static const BlockType kBlock;  // for reports

  struct Variable {
    std::int64_t value = -1;       // what the call returned
    kernel::file* file = nullptr;  // of a descriptor
  };

  void execute(const std::vector<Statement>& statements);
  void execute(const Statement& statement);
  std::int64_t call(const Statement& statement);
  std::int64_t open(const Statement& statement);
  std::int64_t close(Variable& variable);
  std::int64_t read(const Statement& statement, bool positioned);
  std::int64_t read_into(const Statement& statement);
  std::int64_t expect_read(const Statement& statement);
  void expect_bytes(const Statement& statement, std::int64_t result, const std::uint8_t* bytes,
                    std::size_t got);
  std::int64_t write(const Statement& statement, bool positioned);
  std::int64_t touch(const Statement& statement);
  std::int64_t load(std::uint64_t begin, std::size_t length, std::uint8_t* to);
  std::int64_t expect_load(const Statement& statement);
  std::int64_t store(const Statement& statement);
  void exit();

  const std::uint64_t& number(const Statement& statement, std::size_t index) const;
  kernel::file* file(const Statement& statement, std::size_t index) const;
  std::uint64_t address(const Statement& statement, std::size_t index) const;
  kernel::inode* path(const Statement& statement, std::size_t index) const;
  std::uint8_t* buffer(std::size_t bytes);

  const Configuration& configuration_;
  const TaskSpec& task_;
  const std::vector<Process*>& others_;
  std::vector<Variable> variables_;
  std::vector<std::uint8_t> buffer_;  // what reads read into
  kernel::mm_struct* mm_ = nullptr;
  Completion ended_{"the end of a task"};
};

}  // namespace interleaf
