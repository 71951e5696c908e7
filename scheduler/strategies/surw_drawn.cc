// SPDX-License-Identifier: GPL-2.0-only
// SURW (surw.cc) whose interesting events are drawn per run: the accesses of one object that tasks
// share, or of all objects of one kind. The paper leaves open what is interesting; drawing it anew
// for every run is what "selective" comes to where nobody says.
#include <algorithm>

#include "scheduler/prng.h"
#include "scheduler/strategies/trial.h"

namespace interleaf {
namespace {

// What a trial counted of some objects.
struct Counted {
  std::uint64_t kind = 0;
  std::vector<ObjectPlace> places;
  std::vector<std::uint32_t> events;
};

class DrawnSurw final : public Strategy {
 public:
  DrawnSurw(const std::vector<Counted>& all, const std::vector<TaskId>& started_by) {
    for (const Counted& counted : all)
      members_.push_back(make_surw(counted.places, counted.events, started_by));
    // Nothing is shared: then nothing is interesting.
    if (members_.empty()) members_.push_back(make_surw(std::vector<ObjectPlace>(), {}));
  }

  void begin(std::uint64_t seed) override {
    Prng prng(seed);
    chosen_ = members_[prng.below(static_cast<std::uint32_t>(members_.size()))].get();
    chosen_->begin(prng.next());
  }
  TaskId pick(const Scheduler& scheduler, TaskMask runnable) override {
    return chosen_->pick(scheduler, runnable);
  }
  unsigned pick_value(const Scheduler& scheduler, const char* kind, unsigned count) override {
    return chosen_->pick_value(scheduler, kind, count);
  }
  bool sees_forced() const override { return true; }
  void forced(const Scheduler& scheduler, TaskId only) override {
    chosen_->forced(scheduler, only);
  }

 private:
  std::vector<std::unique_ptr<Strategy>> members_;
  Strategy* chosen_ = nullptr;
};

void add(Counted& to, const Trial::Object& object) {
  to.kind = object.kind;
  to.places.push_back(object.place);
  to.events.resize(object.events.size());
  for (std::size_t i = 0; i < object.events.size(); ++i) to.events[i] += object.events[i];
}

}  // namespace

std::unique_ptr<Strategy> make_surw(const Trial& trial, SurwScope scope) {
  std::vector<Counted> all;  // in order of first access
  for (const Trial::Object& object : trial.objects) {
    const auto same = std::find_if(all.begin(), all.end(), [&](const Counted& counted) {
      return scope == SurwScope::kKind && counted.kind == object.kind;
    });
    if (same != all.end()) {
      add(*same, object);
    } else {
      add(all.emplace_back(), object);
    }
  }
  std::erase_if(all, [](const Counted& counted) {
    return std::count_if(counted.events.begin(), counted.events.end(),
                         [](std::uint32_t count) { return count != 0; }) < 2;
  });
  return std::make_unique<DrawnSurw>(all, trial.started_by);
}

}  // namespace interleaf
