// SPDX-License-Identifier: GPL-2.0-only
// The cells of a matrix in a file, to go on from in another process. Written whole after every
// cell: to a temporary name, flushed to disk and renamed. The file says what its answers depend on;
// one of another program, bound or scenario is refused by name.
//
//   interleaf matrix 1 CHECKSUM\n, then one JSON object:
//   identity [[name, value]...], scenarios {name: digest},
//   cells [{scenario, patches [slug...], ignored [prefix...], result}...]
//
// Errors: UserError that names the file.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "engine/commands/command.h"
#include "engine/matrix.h"

namespace interleaf {

class MatrixFile {
 public:
  // Reads the file if there is one, else writes one.
  MatrixFile(std::string path, const std::vector<std::pair<std::string, std::string>>& identity);

  // Gives the cells of the matrix the results that are there.
  void restore(Matrix& matrix) const;
  // Adds the result of a cell and writes the file. Requires: the cell has one.
  void add(const Matrix& matrix, const MatrixCell& cell);

 private:
  void read(const std::string& content);
  void write() const;

  std::string path_;
  Json identity_;
  Json scenarios_ = Json::object();
  Json cells_ = Json::array();
};

}  // namespace interleaf
