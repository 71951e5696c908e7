// SPDX-License-Identifier: GPL-2.0-only
//
// UserError: something the user gave us cannot be used (an unknown name, a bad file). The message
// is one line, "what is wrong (file:line:column): what to type instead"; empty parts are left out
// with their punctuation. Thrown anywhere outside fibers, caught in main only, which exits 129.
// Findings are Verdicts and our own bugs are CHECKs; neither is ever a UserError.
#pragma once

#include <stdexcept>
#include <string>

namespace interleaf {

class UserError : public std::runtime_error {
 public:
  explicit UserError(const std::string& what, const std::string& where = "",
                     const std::string& remedy = "")
      : std::runtime_error(what + (where.empty() ? "" : " (" + where + ")") +
                           (remedy.empty() ? "" : ": " + remedy)) {}
};

// What was asked for makes sense but has no answer here: a patch that this kernel can not take, a
// recording made with a patch that this program does not know. main exits 125, which `git bisect
// run` skips.
class CannotJudge : public UserError {
 public:
  using UserError::UserError;
};

}  // namespace interleaf
