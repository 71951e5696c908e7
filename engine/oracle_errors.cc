// SPDX-License-Identifier: GPL-2.0-only
// Oracle: who was told of which error of writeback. Of errors that are recorded while a call asks
// nobody can say whether it saw them.
#include <fmt/format.h>

#include <algorithm>
#include <cerrno>

#include "engine/kernel/fs.h"
#include "engine/oracle.h"
#include "scheduler/scheduler.h"

namespace interleaf {

void Oracle::touch_errors(Op op, File& file) {
  Scheduler* s = Scheduler::current();
  if (s == nullptr || !errors_expected_) return;
  s->also(file.errors == 0 ? op : Op::kWrite, file.errors_number, &file.errors_number);
}

Oracle::Opened& Oracle::opened(const kernel::file& f) {
  for (Opened& each : opened_) {
    if (each.file == &f) return each;
  }
  opened_.push_back({.file = &f, .of = &file_of(*f.f_inode)});
  return opened_.back();
}

void Oracle::error_recorded(kernel::inode& node) {
  File& file = file_of(node);
  touch_errors(Op::kWrite, file);
  ++file.errors;
}

// Errors from before are told too if nobody has been told of them; that is not asked for here.
void Oracle::file_opened(const kernel::file& f) {
  File& file = file_of(*f.f_inode);
  touch_errors(Op::kRead, file);
  opened(f) = {.file = &f,
               .of = &file,
               .told_first = file.errors_seen,
               .told_last = file.errors,
               .sampled = 0};
}

unsigned Oracle::error_asked(const kernel::file& f) {
  Opened& asking = opened(f);
  touch_errors(Op::kRead, *asking.of);
  asking.sampled = 0;
  const auto index = static_cast<std::size_t>(&asking - opened_.data());
  std::size_t slot = 0;
  while (slot < asked_.size() && asked_[slot].running) ++slot;
  if (slot == asked_.size()) asked_.emplace_back();
  asked_[slot] = {.opened = index, .errors = asking.of->errors, .running = true};
  return static_cast<unsigned>(slot);
}

void Oracle::error_sampled(const kernel::file& f) {
  Opened& asking = opened(f);
  touch_errors(Op::kRead, *asking.of);
  asking.sampled = asking.of->errors;
}

void Oracle::error_told(unsigned handle, int error) {
  Asked& asked = asked_[handle];
  asked.running = false;
  Opened& told = opened_[asked.opened];
  File& file = *told.of;
  touch_errors(Op::kRead, file);
  if (error == 0) {
    if (asked.errors > told.told_last) {
      report_error(file, "returned 0, and the file has not been told of an error of its writeback");
      told.told_last = asked.errors;
    }
    return;
  }
  if (error == -EIO && file.errors <= told.told_first) {
    report_error(file, "returned -EIO, and the file has been told of every error of its writeback");
  }
  told.told_first = std::max({told.told_first, asked.errors, told.sampled});
  told.told_last = file.errors;
  file.errors_seen = std::max(file.errors_seen, told.told_first);
}

void Oracle::report_error(const File& file, const char* what) {
  if (Scheduler* s = Scheduler::current()) {
    s->report(FindingKind::kUnexpectedReturn, "writeback error",
              fmt::format("a sync of {} {}", file.node->name, what), false);
  }
}

}  // namespace interleaf
