// SPDX-License-Identifier: GPL-2.0-only
//
// Armour: bytes as a text that survives mail. At most 76 columns, ASCII, no tabs, every line starts
// with a blank, no '=' in the body (quoted-printable), so that a reply, a wrapping mailer and an
// archive leave it readable:
//
//      %interleaf 1 <caption>
//      <more caption lines>
//      %body <number of bytes>
//      <base64 without padding>
//      %sum <xxh64 of the bytes, 16 hex digits>
//
// Caption lines are for people and ignored when reading: what they say is in the bytes.
// Reading tolerates quoting ("> ", "AB> ", "| "), CRLF, other text before and after, and any white
// space between and within lines; of several armours in one text it takes the first.
// Errors: UserError with line and column where that means anything. Pure functions, any thread.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace interleaf {

// Requires: at least one caption line. Longer lines are folded; what is not printable ASCII, and
// '%', becomes '?'.
std::string armour(const std::vector<std::string>& caption, std::span<const std::byte> bytes);

bool is_armoured(std::string_view text);

std::vector<std::byte> dearmour(std::string_view text, std::string_view name_for_errors);

}  // namespace interleaf
