// SPDX-License-Identifier: GPL-2.0-only
#include "engine/choice_code.h"

#include <algorithm>
#include <bit>

namespace interleaf {
namespace {

class BitWriter {
 public:
  explicit BitWriter(std::vector<std::uint8_t>& bytes) : bytes_(bytes) {}

  void put(std::uint64_t value, int bits) {
    for (int i = 0; i < bits; ++i, ++used_) {
      if (used_ % 8 == 0) bytes_.push_back(0);
      bytes_.back() |= static_cast<std::uint8_t>((value >> i & 1) << (used_ % 8));
    }
  }

 private:
  std::vector<std::uint8_t>& bytes_;
  std::size_t used_ = 0;
};

// Past the end it reads zeros; overrun() tells.
class BitReader {
 public:
  explicit BitReader(std::span<const std::uint8_t> bytes) : bytes_(bytes) {}

  std::uint64_t get(int bits) {
    std::uint64_t value = 0;
    for (int i = 0; i < bits; ++i, ++used_) {
      if (used_ / 8 >= bytes_.size()) continue;
      value |= static_cast<std::uint64_t>(bytes_[used_ / 8] >> (used_ % 8) & 1) << i;
    }
    return value;
  }

  bool overrun() const { return used_ > 8 * bytes_.size(); }

  // Only zero bits, and fewer than a byte of them, are left.
  bool at_end() { return !overrun() && 8 * bytes_.size() - used_ < 8 && get(7) == 0; }

 private:
  std::span<const std::uint8_t> bytes_;
  std::size_t used_ = 0;
};

int symbol_bits(std::size_t alphabet_size) {
  return alphabet_size < 3 ? 0 : static_cast<int>(std::bit_width(alphabet_size - 2));
}

void put_gamma(BitWriter& bits, std::uint64_t value) {
  const int low_bits = static_cast<int>(std::bit_width(value)) - 1;
  bits.put(std::uint64_t{1} << low_bits, low_bits + 1);
  bits.put(value, low_bits);
}

// Returns 0 for what is no gamma code of a number below 2^32.
std::uint64_t get_gamma(BitReader& bits) {
  int low_bits = 0;
  while (bits.get(1) == 0) {
    if (++low_bits == 32) return 0;
  }
  return std::uint64_t{1} << low_bits | bits.get(low_bits);
}

}  // namespace

ChoiceCode encode_choices(std::span<const std::uint8_t> choices) {
  ChoiceCode code;
  auto& alphabet = code.alphabet;
  for (const std::uint8_t choice : choices) {
    if (std::find(alphabet.begin(), alphabet.end(), choice) == alphabet.end()) {
      alphabet.push_back(choice);
    }
  }
  BitWriter bits(code.runs);
  std::size_t before = 0;
  for (auto run = choices.begin(); run != choices.end();) {
    const auto end =
        std::find_if(run, choices.end(), [run](auto choice) { return choice != *run; });
    const auto symbol = static_cast<std::size_t>(std::find(alphabet.begin(), alphabet.end(), *run) -
                                                 alphabet.begin());
    if (run != choices.begin()) {
      bits.put(symbol - (symbol > before ? 1 : 0), symbol_bits(alphabet.size()));
    }
    put_gamma(bits, static_cast<std::uint64_t>(end - run));
    before = symbol;
    run = end;
  }
  return code;
}

std::optional<std::vector<std::uint8_t>> decode_choices(std::size_t count,
                                                        std::span<const std::uint8_t> alphabet,
                                                        std::span<const std::uint8_t> runs) {
  std::vector<std::uint8_t> choices;
  BitReader bits(runs);
  std::size_t symbol = 0;
  while (choices.size() < count) {
    if (!choices.empty()) {
      const std::size_t other = bits.get(symbol_bits(alphabet.size()));
      symbol = other + (other >= symbol ? 1 : 0);
    }
    const std::uint64_t length = get_gamma(bits);
    if (symbol >= alphabet.size() || length == 0 || length > count - choices.size()) return {};
    choices.insert(choices.end(), length, alphabet[symbol]);
  }
  if (!bits.at_end()) return {};
  return choices;
}

}  // namespace interleaf
