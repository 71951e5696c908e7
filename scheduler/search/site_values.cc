// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/site_values.h"

#include <algorithm>
#include <string_view>

#include "scheduler/object_names.h"
#include "scheduler/scheduler.h"

namespace interleaf {
namespace {

class ValueReader final : public Observer {
 public:
  // The sites are in order of steps.
  ValueReader(const Scheduler& scheduler, const std::vector<AccessSite*>& sites)
      : names_(scheduler), sites_(sites) {}

  void event(const Scheduler& s, const Task&, const Access&) override {
    const HeapScope heap;
    look_after(s.step());
    for (; begun_ < sites_.size() && sites_[begun_]->step == s.step(); ++begun_) {
      AccessSite& site = *sites_[begun_];
      site.object_text = names_.name(site.object);
      site.before = names_.value(site.object);
    }
  }
  void enter(const Scheduler&, const Task&, const Function&) override {}
  void leave(const Scheduler&, const Task&, const Function&) override {}
  void remark(const Scheduler&, const Task&, std::string_view) override {}

  void end() {
    look_after(~std::uint64_t{0});
    for (; begun_ < sites_.size(); ++begun_) {
      AccessSite& site = *sites_[begun_];
      site.object_text = names_.name(site.object);
      site.before = site.after = names_.value(site.object);
    }
  }

 private:
  // The steps before `step` are over.
  void look_after(std::uint64_t step) {
    for (; ended_ < begun_ && sites_[ended_]->step < step; ++ended_) {
      AccessSite& site = *sites_[ended_];
      site.after = names_.value(site.object);
      if (!site.object_text.empty()) continue;
      // The step touched it first, and besides what it announced.
      site.object_text = names_.name(site.object);
      if (op_only_reads(site.op)) site.before = site.after;
    }
  }

  ObjectNames names_;
  const std::vector<AccessSite*>& sites_;
  std::size_t begun_ = 0;
  std::size_t ended_ = 0;
};

}  // namespace

void read_values(World& world, const Schedule& schedule, RunOptions options,
                 std::vector<AccessSite*> sites) {
  std::stable_sort(sites.begin(), sites.end(),
                   [](const AccessSite* a, const AccessSite* b) { return a->step < b->step; });
  ValueReader reader(world.scheduler(), sites);
  options.observer = &reader;
  const auto replay = make_replay(schedule);
  world.run(*replay, options);
  reader.end();
}

}  // namespace interleaf
