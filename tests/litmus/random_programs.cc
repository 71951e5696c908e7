// SPDX-License-Identifier: GPL-2.0-only
#include "tests/litmus/random_programs.h"

#include <algorithm>

#include "scheduler/check.h"
#include "scheduler/prng.h"

namespace interleaf {
namespace {

using Words = std::vector<const char*>;

std::uint32_t below(Prng& prng, std::size_t bound) {
  return prng.below(static_cast<std::uint32_t>(bound));
}

const StatementKind& draw_kind(Prng& prng) {
  return statement_kinds()[below(prng, statement_kinds().size())];
}

Words words_of(std::string_view kind, Prng& prng) {
  Words words;
  if (kind == "mixed") {
    for (unsigned left = 2 + prng.below(2); left > 0; --left) {
      const Words& more = draw_kind(prng).statements;
      words.insert(words.end(), more.begin(), more.end());
    }
    return words;
  }
  for (const StatementKind& known : statement_kinds()) {
    if (kind == known.name) return known.statements;
  }
  CHECK(false && "no such kind");
}

// A thread is started by task 0, once; who joins what is no thread would wait for nothing.
bool is_join(std::string_view word) { return word.starts_with("jn"); }

}  // namespace

std::vector<std::string> random_program_kinds() {
  std::vector<std::string> kinds;
  for (const StatementKind& kind : statement_kinds()) kinds.emplace_back(kind.name);
  kinds.emplace_back("mixed");
  return kinds;
}

StatementTexts random_program(std::string_view kind, std::uint64_t seed) {
  Prng prng(seed);
  const Words words = words_of(kind, prng);
  const bool has_threads = std::any_of(words.begin(), words.end(), &is_join);
  StatementTexts texts(2 + prng.below(2));
  std::vector<bool> is_thread(texts.size());
  for (std::size_t i = 1; i < texts.size(); ++i) is_thread[i] = has_threads && prng.below(2) == 0;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    std::vector<std::string> line;
    for (unsigned left = 1 + prng.below(4); left > 0; --left) {
      const std::string word = words[below(prng, words.size())];
      const std::size_t joined = static_cast<std::size_t>(word.back() - '0');
      if (is_join(word) && (joined >= texts.size() || !is_thread[joined] || joined == i)) continue;
      line.push_back(word);
    }
    // The starts, one of eight left out.
    for (std::size_t t = 1; i == 0 && t < texts.size(); ++t) {
      if (!is_thread[t] || prng.below(8) == 0) continue;
      const auto at = line.begin() + below(prng, line.size() + 1);
      line.insert(at, "go" + std::to_string(t));
    }
    if (is_thread[i]) line.insert(line.begin(), "+");
    for (const std::string& word : line) texts[i] += (texts[i].empty() ? "" : " ") + word;
  }
  return texts;
}

}  // namespace interleaf
