// SPDX-License-Identifier: GPL-2.0-only
// Programs written down as text, one per task: "l0 r0 w0 u0" takes lock 0, loads and stores
// variable 0, drops the lock. A statement is a word and the number of an object (of values, for a
// choice). The words are in statements.cc, by kind of object. A task whose text begins with "+" is
// a thread that another one starts ("go2": task 2).
#pragma once

#include <span>
#include <string>
#include <vector>

#include "tests/litmus/program.h"

namespace interleaf {

using StatementTexts = std::vector<std::string>;

// Ends the program at a word that does not exist.
LitmusProgram statements_program(const StatementTexts& texts);

// The statements that are about one kind of object, with some accesses of variables that tell in
// which order things happened.
struct StatementKind {
  const char* name;
  std::vector<const char*> statements;
  const char* closing = "";  // drops what may be held
};
std::span<const StatementKind> statement_kinds();

}  // namespace interleaf
