// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/dpor_checkpoint.h"

#include <bit>
#include <map>
#include <memory>

namespace interleaf {
namespace {

// The least that an element takes, in bytes: a node, a path, a step of one, an entry of `besides`.
constexpr std::uint64_t kNodeBytes = 56;
constexpr std::uint64_t kPathBytes = 8;
constexpr std::uint64_t kStepBytes = 32;
constexpr std::uint64_t kBesidesBytes = 16;

void put(CheckpointWriter& out, const DporNode& node) {
  for (const TaskMask mask :
       {node.enabled, node.backtrack, node.done, node.known, node.sleep, TaskMask{node.data}}) {
    out.number(mask);
  }
  out.number(node.besides.size());
  for (const Besides& besides : node.besides) {
    out.number(besides.task | std::uint64_t{static_cast<std::uint8_t>(besides.op)} << 8);
    out.number(besides.place);
  }
}

std::shared_ptr<DporNode> get_node(CheckpointReader& in) {
  auto node = std::make_shared<DporNode>();
  for (TaskMask* mask :
       {&node->enabled, &node->backtrack, &node->done, &node->known, &node->sleep}) {
    *mask = in.number();
  }
  node->data = in.number_below(2) != 0;
  node->besides.resize(in.count(kBesidesBytes));
  for (Besides& besides : node->besides) {
    const std::uint64_t word = in.number();
    besides.task = static_cast<TaskId>(word);
    besides.op = static_cast<Op>(word >> 8);
    besides.place = in.number();
    if (besides.task >= kTasksMax || word >> 8 > static_cast<std::uint64_t>(Op::kFree)) {
      in.damaged();
    }
  }
  if (!node->settled()) in.damaged();
  return node;
}

// Of all paths, in the order of first use.
class Nodes {
 public:
  explicit Nodes(const std::vector<DporPath>& paths) {
    for (const DporPath& path : paths) {
      for (const DporStep& step : path) {
        if (numbers_.emplace(step.node.get(), nodes_.size()).second) {
          nodes_.push_back(step.node.get());
        }
      }
    }
  }
  const std::vector<const DporNode*>& all() const { return nodes_; }
  std::uint64_t number(const DporNode* node) const { return numbers_.at(node); }

 private:
  std::vector<const DporNode*> nodes_;
  std::map<const DporNode*, std::uint64_t> numbers_;  // looked up only
};

void put(CheckpointWriter& out, const std::vector<DporPath>& paths) {
  const Nodes nodes(paths);
  out.number(nodes.all().size());
  for (const DporNode* node : nodes.all()) put(out, *node);
  out.number(paths.size());
  for (const DporPath& path : paths) {
    out.number(path.size());
    for (const DporStep& step : path) {
      out.number(nodes.number(step.node.get()));
      out.number(step.taken);
      out.number(step.events);
      out.number(step.covered);
    }
  }
}

std::vector<DporPath> get_paths(CheckpointReader& in) {
  std::vector<std::shared_ptr<DporNode>> nodes(in.count(kNodeBytes));
  for (auto& node : nodes) node = get_node(in);
  std::vector<DporPath> paths(in.count(kPathBytes));
  for (DporPath& path : paths) {
    path.resize(in.count(kStepBytes));
    for (DporStep& step : path) {
      step.node = nodes[in.number_below(nodes.size())];
      step.taken = static_cast<std::uint8_t>(in.number_below(64));
      step.events = static_cast<EventNumber>(in.number());
      step.covered = in.number();
      step.node->shared = step.node->shared || step.node.use_count() > 2;
    }
  }
  return paths;
}

}  // namespace

void write_dpor_checkpoint(const std::string& path, const Identity& identity,
                           const DporState& state) {
  CheckpointWriter out(path, identity);
  const DporCounts& counts = state.counts;
  for (const std::uint64_t n : {counts.events, counts.replayed, counts.fallbacks}) out.number(n);
  out.number(std::bit_cast<std::uint64_t>(counts.seconds));
  out.tally(state.tally);
  put(out, state.paths);
  out.finish();
}

bool read_dpor_checkpoint(const std::string& path, const Identity& identity, DporState& state) {
  const auto in = CheckpointReader::open(path, identity);
  if (!in) return false;
  DporCounts& counts = state.counts;
  for (std::uint64_t* n : {&counts.events, &counts.replayed, &counts.fallbacks}) {
    *n = in->number();
  }
  counts.seconds = std::bit_cast<double>(in->number());
  in->tally(state.tally);
  state.paths = get_paths(*in);
  in->finish();
  return true;
}

}  // namespace interleaf
