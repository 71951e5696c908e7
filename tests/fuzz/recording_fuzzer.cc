// SPDX-License-Identifier: GPL-2.0-only
//
// libFuzzer target: no bytes do more to the reader of recordings than throw UserError, and what it
// does read, it reads again after writing. Every input is tried as a file, as a payload (past the
// checksum) and as text.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>
#include <vector>

#include "engine/armour.h"
#include "engine/recording.h"
#include "engine/user_error.h"

namespace {

using interleaf::Recording;

template <typename Read>
void read_twice(Read read) {
  Recording recording;
  std::vector<std::byte> written;
  try {
    recording = read();
    written = interleaf::encode(recording);  // what shares bytes in the input may be too large
  } catch (const interleaf::UserError&) {
    return;
  }
  if (interleaf::decode(written, "written") != recording) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  read_twice([&] { return interleaf::decode(bytes, "file"); });
  read_twice([&] { return interleaf::decode_payload(bytes, "payload"); });
  read_twice([&] { return interleaf::decode(interleaf::dearmour(text, "text"), "text"); });
  return 0;
}
