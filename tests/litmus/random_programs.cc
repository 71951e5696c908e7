// SPDX-License-Identifier: GPL-2.0-only
#include "tests/litmus/random_programs.h"

#include <algorithm>

#include "scheduler/check.h"
#include "scheduler/prng.h"

namespace interleaf {
namespace {

struct Vocabulary {
  std::vector<const char*> words;
  std::string closing;

  void add(const StatementKind& kind) {
    words.insert(words.end(), kind.statements.begin(), kind.statements.end());
    if (*kind.closing != 0) closing += std::string(closing.empty() ? "" : " ") + kind.closing;
  }
};

std::uint32_t below(Prng& prng, std::size_t bound) {
  return prng.below(static_cast<std::uint32_t>(bound));
}

Vocabulary vocabulary_of(std::string_view kind, Prng& prng) {
  const std::span<const StatementKind> kinds = statement_kinds();
  Vocabulary vocabulary;
  if (kind == "mixed") {
    for (unsigned left = 2 + prng.below(2); left > 0; --left) {
      vocabulary.add(kinds[below(prng, kinds.size())]);
    }
    return vocabulary;
  }
  for (const StatementKind& known : kinds) {
    if (kind == known.name) vocabulary.add(known);
  }
  CHECK(!vocabulary.words.empty());
  return vocabulary;
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
  const auto [words, closing] = vocabulary_of(kind, prng);
  const bool has_threads = std::any_of(words.begin(), words.end(), &is_join);
  StatementTexts texts(2 + prng.below(2));
  std::vector<bool> is_thread(texts.size());
  for (std::size_t i = 1; i < texts.size(); ++i) is_thread[i] = has_threads && prng.below(2) == 0;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    std::vector<std::string> line;
    for (unsigned left = 2 + prng.below(3); left > 0; --left) {
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
    // One of four forgets what it holds.
    if (!closing.empty() && prng.below(4) != 0) line.push_back(closing);
    if (is_thread[i]) line.insert(line.begin(), "+");
    for (const std::string& word : line) texts[i] += (texts[i].empty() ? "" : " ") + word;
  }
  return texts;
}

}  // namespace interleaf
