// SPDX-License-Identifier: GPL-2.0-only
// Small programs for tests of the bounded search: tasks whose statements are letters. Lower case
// uses variable or lock 0, upper case 1.
//   r load, w store, i increment, l lock, u unlock (if held), c toss a coin of two sides,
//   ! complain if the last load saw 2, ? complain if the coin fell on 1
#pragma once

#include <cctype>
#include <string>
#include <vector>

#include "scheduler/prng.h"
#include "scheduler/search/bounded.h"
#include "scheduler/sync/atomic.h"
#include "scheduler/sync/mutex.h"
#include "tests/scheduler_programs.h"

namespace interleaf {

using Letters = std::vector<std::string>;  // a text per task

inline constexpr LockClass kLetterLocks[] = {{"first lock"}, {"second lock"}};

struct LetterProgram {
  struct Runner {
    LetterProgram* program;
    std::string text;
    int seen = 0;
    unsigned coin = 0;
    bool held[2] = {};
  };

  Atomic<int> variable[2];
  Mutex mutex[2] = {Mutex(kLetterLocks[0]), Mutex(kLetterLocks[1])};
  std::vector<Runner> runners;

  LetterProgram(Scheduler& s, const Letters& texts) {
    for (const std::string& text : texts) runners.push_back({this, text});
    for (Runner& runner : runners) {
      add_task(s, "task", &runner, [](Runner& r) {
        for (const char letter : r.text) r.program->perform(r, letter);
      });
    }
  }

  void perform(Runner& r, char letter) {
    const int n = std::isupper(static_cast<unsigned char>(letter)) != 0 ? 1 : 0;
    switch (std::tolower(static_cast<unsigned char>(letter))) {
      case 'r':
        r.seen = variable[n].read();
        break;
      case 'w':
        variable[n].set(1);
        break;
      case 'i':
        variable[n].add(1);
        break;
      case 'l':
        if (!r.held[n]) mutex[n].lock();
        r.held[n] = true;
        break;
      case 'u':
        if (r.held[n]) mutex[n].unlock();
        r.held[n] = false;
        break;
      case 'c':
        r.coin = Scheduler::current()->choose("coin", 2);
        break;
      case '!':
        if (r.seen == 2) complain("it is 2");
        break;
      case '?':
        if (r.coin == 1) complain("it fell on 1");
        break;
      default:
        break;
    }
  }
  static void complain(const char* what) {
    Scheduler::current()->report(FindingKind::kKernelBug, what, what, false);
  }
};

inline std::function<void(Scheduler&)> letter_program(const Letters& texts) {
  return [texts](Scheduler& s) { s.set_root(new LetterProgram(s, texts)); };
}

inline WithWorld worlds_of(const Letters& texts) {
  return [texts](unsigned slot, const std::function<void(World&)>& work) {
    World world(slot, letter_program(texts));
    work(world);
  };
}

inline Letters random_letters(Prng& prng, unsigned statements_max) {
  static constexpr char kLetters[] = "rwirwilulRWIRWLULc!?!";
  Letters texts(2 + prng.below(2));
  for (std::string& text : texts) {
    for (unsigned left = 2 + prng.below(statements_max - 1); left > 0; --left) {
      text += kLetters[prng.below(sizeof(kLetters) - 1)];
    }
  }
  return texts;
}

// All that must not depend on jobs, snapshots, timing, or being resumed. The numbers of runs may:
// which of two runs that meet goes on does.
inline std::string text_of(const BoundedResult& result) {
  std::string text = result.complete ? "complete " : "incomplete ";
  text += std::to_string(result.complete_up_to) + (result.exhausted ? " exhausted\n" : "\n");
  for (const BoundedLevel& level : result.levels) {
    for (const std::uint64_t n : {level.classes, level.cut}) {
      text += std::to_string(n) + " ";
    }
    text += "\n";
  }
  const auto add = [&](const Schedule& schedule) {
    for (const std::uint8_t choice : schedule) text += " " + std::to_string(choice);
    text += "\n";
  };
  for (const BoundedFinding& finding : result.findings) {
    text += finding.signature + " " + std::to_string(finding.preemptions) + " " +
            std::to_string(finding.count) + ":";
    add(finding.schedule);
  }
  for (const auto& [signature, count] : result.known) {
    text += signature + " " + std::to_string(count) + "\n";
  }
  return text + std::to_string(result.sample.size()) + " " + result.hidden_dependence + "\n";
}

}  // namespace interleaf
