// SPDX-License-Identifier: GPL-2.0-only
// Feedback over the choice stream, as "fest" of Fray: Li et al.: "Fray: An efficient
// general-purpose concurrency testing platform for the JVM", OOPSLA 2025. Runs are POS whose draws
// come from a stream of words. Streams whose run reached something new are kept and mutated: 1 to 5
// positions are replaced, inserted, deleted or copied from another stream. Where a stream ends,
// fresh draws follow.
//
// Deviations: new is a handoff (Coverage), or an order. The last kHandoffs streams with a new
// handoff are kept; of those with a new order alone, which nearly every run of a big program is,
// the last kRecent, and one run in four goes to them. One run in eight has a fresh stream. A draw
// is 32 bits; equal ones go by task id. What is learnt belongs to a campaign (learning.h).
#include <algorithm>

#include "scheduler/prng.h"
#include "scheduler/search/coverage.h"
#include "scheduler/strategies/learning.h"
#include "scheduler/strategies/pos_priorities.h"

namespace interleaf {
namespace {

using Stream = std::vector<std::uint32_t>;

constexpr unsigned kMutations = 16;     // runs of an entry before the next has its turn
constexpr std::size_t kRecent = 64;     // entries that are kept for a new order alone
constexpr std::size_t kHandoffs = 512;  // entries that are kept for a new handoff
constexpr std::size_t kWordsMax = 1 << 14;

class Feedback final : public LearningStrategy {
 public:
  void begin(std::uint64_t seed) override {
    prng_ = Prng(seed);
    choose_stream();
    next_ = 0;
    priorities_.clear();
    coverage_.begin_run();
  }

  TaskId pick(const Scheduler& scheduler, TaskMask runnable) override {
    priorities_.deal(runnable, [&] { return draw(); });
    const TaskId task = priorities_.highest(runnable);
    goes_on(scheduler, task);
    return task;
  }

  bool sees_forced() const override { return true; }
  void forced(const Scheduler& scheduler, TaskId only) override { goes_on(scheduler, only); }

  unsigned pick_value(const Scheduler& scheduler, const char*, unsigned count) override {
    std::uint64_t product = draw();
    product *= count;
    const auto value = static_cast<unsigned>(product >> 32);
    coverage_.value(scheduler.current_id(), value);
    return value;
  }

  void ended(const RunResult&) override {
    const RunCoverage run = coverage_.end_run();
    if (run.new_handoffs == 0 && !run.new_class) return;
    stream_.resize(std::min(next_, kWordsMax));
    if (run.new_handoffs != 0) {
      keep(handoffs_, kHandoffs);
    } else {
      keep(recent_, kRecent);
    }
  }

 private:
  struct Pool {
    std::vector<Stream> streams;
    std::size_t oldest = 0;  // is replaced next, once the pool is full
    std::size_t turn = 0;    // whose turn it is
    unsigned runs = 0;       // of that turn
  };

  // The stream of the next run. Outside a run.
  void choose_stream() {
    stream_.clear();
    const std::uint32_t die = prng_.below(8);
    if (die == 0 || handoffs_.streams.empty()) return;
    Pool& pool = die <= 2 && !recent_.streams.empty() ? recent_ : handoffs_;
    if (pool.runs++ == kMutations) {
      pool.runs = 1;
      // The newest first, then what came before it: what is new was reached by way of the old.
      pool.turn = pool.turn == 0 ? pool.streams.size() - 1 : pool.turn - 1;
    }
    stream_ = pool.streams[pool.turn];
    for (std::uint32_t left = 1 + prng_.below(5); left > 0; --left) mutate();
  }

  void mutate() {
    if (stream_.empty()) return;
    const auto at = prng_.below(static_cast<std::uint32_t>(stream_.size()));
    const auto place = stream_.begin() + at;
    switch (prng_.below(4)) {
      case 0:
        *place = word();
        break;
      case 1:
        stream_.insert(place, word());
        break;
      case 2:
        stream_.erase(place);
        break;
      default: {
        const auto other = prng_.below(static_cast<std::uint32_t>(handoffs_.streams.size()));
        const Stream& from = handoffs_.streams[other];
        if (!from.empty()) *place = from[prng_.below(static_cast<std::uint32_t>(from.size()))];
      }
    }
  }

  void keep(Pool& pool, std::size_t count_max) {
    if (pool.streams.size() < count_max) {
      pool.streams.push_back(stream_);
      pool.turn = pool.streams.size() - 1;
    } else {
      pool.streams[pool.oldest] = stream_;
      pool.turn = pool.oldest;
      pool.oldest = (pool.oldest + 1) % count_max;
    }
    pool.runs = 0;
  }

  std::uint32_t word() { return static_cast<std::uint32_t>(prng_.next() >> 32); }
  std::uint32_t draw() {
    if (next_ == stream_.size()) {
      const HeapScope heap;
      stream_.push_back(word());
    }
    return stream_[next_++];
  }
  void goes_on(const Scheduler& scheduler, TaskId task) {
    priorities_.goes_on(scheduler, task);
    coverage_.event(scheduler, task, scheduler.task(task).next);
  }

  Prng prng_{0};
  PosPriorities priorities_;
  Coverage coverage_;
  Stream stream_;         // of this run
  std::size_t next_ = 0;  // draws of it so far
  Pool handoffs_, recent_;
};

}  // namespace

std::unique_ptr<LearningStrategy> make_feedback() { return std::make_unique<Feedback>(); }

}  // namespace interleaf
