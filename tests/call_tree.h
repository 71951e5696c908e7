// SPDX-License-Identifier: GPL-2.0-only
// What one task called below one function, as the text that shared/kernel-calls uses: a line per
// function, two spaces per level, "repeat N:" for equal consecutive groups.
#pragma once

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "scheduler/scheduler.h"

namespace interleaf {

class CallTree final : public Observer {
 public:
  /* Only `names` appear; below `opaque` functions only those in `inside`. */
  CallTree(std::string task, std::string root, std::set<std::string_view> names)
      : task_(std::move(task)), root_(std::move(root)), names_(std::move(names)) {}
  void restrict_below(std::string function, std::set<std::string_view> inside) {
    opaque_ = std::move(function);
    inside_ = std::move(inside);
  }

  /* Of the last time the root was called. */
  std::string text() const {
    std::string out;
    render({calls_}, 0, out);
    return out;
  }

  void event(const Scheduler&, const Task&, const Access&) override {}
  void remark(const Scheduler&, const Task&, std::string_view) override {}
  void enter(const Scheduler&, const Task& task, const Function& function) override {
    if (task_ != task.name) return;
    const HeapScope heap;
    if (root_ == function.name && stack_.empty()) calls_ = {function.name, {}};
    if (root_ != function.name && stack_.empty()) return;
    const bool below_opaque = std::ranges::find(stack_, opaque_) != stack_.end();
    stack_.emplace_back(function.name);
    const bool shown = (stack_.size() == 1 || names_.contains(function.name)) &&
                       (!below_opaque || inside_.contains(function.name));
    shown_.push_back(shown);
    if (shown && stack_.size() > 1) innermost().push_back({function.name, {}});
  }
  void leave(const Scheduler&, const Task& task, const Function&) override {
    if (task_ != task.name || stack_.empty()) return;
    const HeapScope heap;
    stack_.pop_back();
    shown_.pop_back();
  }

 private:
  struct Call {
    std::string name;
    std::vector<Call> calls;
    bool operator==(const Call&) const = default;
  };

  /* Where the call that is just being entered belongs. */
  std::vector<Call>& innermost() {
    Call* call = &calls_;
    const auto levels = std::count(shown_.begin() + 1, shown_.end(), true) - 1;
    for (std::ptrdiff_t i = 0; i < levels; ++i) call = &call->calls.back();
    return call->calls;
  }
  static void render(const std::vector<Call>& calls, unsigned depth, std::string& out) {
    for (std::size_t i = 0; i < calls.size();) {
      std::size_t group = 1;
      std::size_t times = 1;
      for (std::size_t size = 1; i + 2 * size <= calls.size(); ++size) {
        std::size_t n = 1;
        while (i + (n + 1) * size <= calls.size() &&
               std::equal(calls.begin() + static_cast<std::ptrdiff_t>(i),
                          calls.begin() + static_cast<std::ptrdiff_t>(i + size),
                          calls.begin() + static_cast<std::ptrdiff_t>(i + n * size)))
          ++n;
        if (n > 1 && n * size > times * group) {
          group = size;
          times = n;
        }
      }
      if (times == 1)
        group = 1;
      else
        out += std::string(2 * depth, ' ') + "repeat " + std::to_string(times) + ":\n";
      for (std::size_t j = i; j < i + group; ++j) {
        const unsigned level = depth + (times > 1 ? 1 : 0);
        out += std::string(2 * level, ' ') + calls[j].name + "\n";
        render(calls[j].calls, level + 1, out);
      }
      i += group * times;
    }
  }

  std::string task_;
  std::string root_;
  std::set<std::string_view> names_;
  std::string opaque_;
  std::set<std::string_view> inside_;
  std::vector<std::string> stack_;
  std::vector<bool> shown_;
  Call calls_;
};

}  // namespace interleaf
