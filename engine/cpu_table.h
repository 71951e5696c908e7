// SPDX-License-Identifier: GPL-2.0-only
// Reads a CPU table as people draw it in mail: one column per task under a heading, one row per
// step, time running down. The result is a total order of "this task enters this function".
//
//     writer        opener              CPU1 | CPU2            > CPU1=writer    CPU2=opener
//     close()                           =====|======           > close
//                   do_dentry_open      foo  |                 >                do_dentry_open
//
// Taken: tabs (8 columns), pipes, underlines, two columns or more, cells up to 3 columns off their
// heading, quoted mail, "..." cells, comments (//, #, and /* */ closed on its line), remarks after
// an arrow (-->), calls with or without arguments, wrapped arguments, source lines with one call
// ("if (folio_test_dirty(folio))"). Two cells in one row: the left one comes first.
//
// Pure functions. Errors: UserError with the line and the reason. Thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace interleaf {

struct TableRow {
  std::string task;
  std::string function;  // the task must enter it in this order
  int line = 0;

  bool operator==(const TableRow&) const = default;
};

// `tasks` in file order: the columns CPU0, CPU1, ... (or CPU1, CPU2, ... if there is no CPU0) are
// these in turn. `others` may be columns by their names. `first_line` is the number of the text's
// first line in `file_name`.
std::vector<TableRow> parse_cpu_table(std::string_view text, const std::vector<std::string>& tasks,
                                      const std::string& file_name, int first_line = 1,
                                      const std::vector<std::string>& others = {});

}  // namespace interleaf
