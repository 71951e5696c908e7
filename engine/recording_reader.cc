// SPDX-License-Identifier: GPL-2.0-only
//
// A payload's reader: a Recording from a packed Cap'n Proto message. The writer is recording.cc.
#include <capnp/message.h>
#include <capnp/serialize-packed.h>
#include <fmt/format.h>
#include <kj/exception.h>
#include <kj/io.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/choice_code.h"
#include "engine/deflate.h"
#include "engine/recording.h"
#include "engine/recording_dictionary.h"
#include "engine/string_pool.h"
#include "engine/user_error.h"
#include "recordings/recording.capnp.h"

namespace interleaf {
namespace {

constexpr char kRecordAgain[] = "record it again with this engine";

class PayloadReader {
 public:
  PayloadReader(wire::Recording::Reader from, std::string_view name_for_errors);
  Recording read();

 private:
  [[noreturn]] void reject(const char* what) const;
  std::vector<std::byte> string_block() const;
  std::string string(std::uint16_t index) const;
  std::string name(std::uint16_t index) const;
  std::vector<std::string> names(capnp::List<std::uint16_t>::Reader indexes) const;
  // Returns `list`, whose length is within the limit.
  template <typename List>
  List bounded(List list) const;
  void get_identity(Recording& to) const;
  void get_choices(Recording& to) const;
  void get_switches(Recording& to) const;
  PowerCut get_cut() const;
  void get_outcome(Recording& to) const;

  wire::Recording::Reader from_;
  std::string_view name_for_errors_;
  std::vector<std::byte> block_;
  std::vector<std::string_view> strings_;  // point into block_
};

PayloadReader::PayloadReader(wire::Recording::Reader from, std::string_view name_for_errors)
    : from_(from), name_for_errors_(name_for_errors), block_(string_block()) {
  auto strings = strings_of(block_);
  if (!strings) reject("its strings end within one");
  strings_ = std::move(*strings);
}

void PayloadReader::reject(const char* what) const {
  throw UserError(fmt::format("the recording contradicts itself, {}", what),
                  std::string(name_for_errors_), kRecordAgain);
}

std::vector<std::byte> PayloadReader::string_block() const {
  const auto data = from_.getStrings();
  const auto stored = std::as_bytes(std::span(data.begin(), data.size()));
  const std::size_t size = from_.getStringsSize();
  if (size > kRecordingBytesMax) reject("its strings are too long");
  switch (from_.getStringCode()) {
    case wire::StringCode::RAW:
      if (stored.size() != size) reject("its strings differ from their size");
      return {stored.begin(), stored.end()};
    case wire::StringCode::DEFLATE1:
    case wire::StringCode::DEFLATE2: {
      const bool first = from_.getStringCode() == wire::StringCode::DEFLATE1;
      auto block =
          inflated(stored, size, first ? kStringDictionary1 : std::string_view(kStringDictionary2));
      if (!block) reject("its strings do not expand to their size");
      return std::move(*block);
    }
  }
  reject("its strings are in an unknown code");
}

std::string PayloadReader::string(std::uint16_t index) const {
  if (index >= strings_.size()) reject("a string is missing");
  return std::string(strings_[index]);
}

std::string PayloadReader::name(std::uint16_t index) const {
  std::string name = string(index);
  if (name.size() > kRecordingNameBytesMax) reject("a name is too long");
  return name;
}

std::vector<std::string> PayloadReader::names(capnp::List<std::uint16_t>::Reader indexes) const {
  std::vector<std::string> result;
  for (const std::uint16_t index : bounded(indexes)) result.push_back(name(index));
  return result;
}

template <typename List>
List PayloadReader::bounded(List list) const {
  if (list.size() > kRecordingRowsMax) reject("a list is too long");
  return list;
}

void PayloadReader::get_identity(Recording& to) const {
  to.tool_version = string(from_.getToolVersion());
  to.scenario_name = string(from_.getScenarioName());
  to.scenario_text = string(from_.getScenarioText());
  to.scenario_digest = from_.getScenarioDigest();
  to.kernel = name(from_.getKernel());
  to.patches = names(from_.getPatches());
  to.patches_with = names(from_.getPatchesWith());
  to.patches_without = names(from_.getPatchesWithout());
  to.persona = name(from_.getPersona());
  for (const auto setting : bounded(from_.getSettings())) {
    to.settings.push_back({name(setting.getKey()), name(setting.getValue())});
  }
  to.strategy = name(from_.getStrategy());
  to.seed = from_.getSeed();
  to.quirks = names(from_.getQuirks());
  to.detectors = names(from_.getDetectors());
}

void PayloadReader::get_choices(Recording& to) const {
  if (from_.getChoiceCount() > kRecordingChoicesMax) reject("it has too many choices");
  const auto alphabet = from_.getChoiceAlphabet();
  const auto runs = from_.getChoiceRuns();
  auto choices = decode_choices(from_.getChoiceCount(), {alphabet.begin(), alphabet.size()},
                                {runs.begin(), runs.size()});
  if (!choices) reject("its choices do not fit their count");
  to.choices = std::move(*choices);
  for (const auto choice : bounded(from_.getDataChoices())) {
    to.data_choices.push_back(
        {name(choice.getTask()), name(choice.getKind()), choice.getNth(), choice.getValue()});
  }
}

void PayloadReader::get_switches(Recording& to) const {
  const auto sites = bounded(from_.getSites());
  const auto kinds = bounded(from_.getSwitchKinds());
  const auto steps = from_.getSwitchSteps();
  const auto tasks = from_.getSwitchTasks();
  const auto site_indexes = from_.getSwitchSites();
  const auto nths = from_.getSwitchNths();
  const auto tos = from_.getSwitchTos();
  const unsigned count = kinds.size();
  if (steps.size() != count || tasks.size() != count || site_indexes.size() != count ||
      nths.size() != count || tos.size() != count) {
    reject("the columns of its switches differ in length");
  }
  std::map<std::pair<std::uint16_t, std::uint16_t>, std::uint64_t> nth_before;
  std::uint64_t step = 0;
  for (unsigned i = 0; i < count; ++i) {
    if (kinds[i] > wire::SwitchKind::BLOCK) reject("a switch is of unknown kind");
    if (site_indexes[i] >= sites.size()) reject("the site of a switch is missing");
    const auto site = sites[site_indexes[i]];
    const std::uint64_t nth = nth_before[{tasks[i], site_indexes[i]}] += nths[i];
    to.switches.push_back({static_cast<Recording::Switch::Kind>(kinds[i]), step += steps[i],
                           name(tasks[i]), name(site.getFunction()), name(site.getAccess()), nth,
                           name(tos[i])});
  }
}

PowerCut PayloadReader::get_cut() const {
  const auto from = from_.getCut();
  PowerCut to;
  to.steps = from.getSteps();
  to.logged = from.getLogged();
  to.after = name(from.getAfter());
  to.writes = from.getWrites();
  to.records = from.getRecords();
  for (const std::uint32_t write : bounded(from.getLost())) to.lost.push_back(write);
  for (const auto torn : bounded(from.getTorn())) {
    to.torn.push_back({torn.getWrite(), torn.getSectors(), torn.getLast()});
  }
  return to;
}

void PayloadReader::get_outcome(Recording& to) const {
  to.steps = from_.getSteps();
  for (const auto checkpoint : bounded(from_.getCheckpoints())) {
    to.checkpoints.push_back({checkpoint.getStep(), checkpoint.getDigest()});
  }
  to.final_digest = from_.getFinalDigest();
  to.verdict = string(from_.getVerdict());
  to.signature = string(from_.getSignature());
  to.evidence = string(from_.getEvidence());
  to.preemptions = from_.getPreemptions();
  if (from_.hasMinimality()) {
    const auto minimality = from_.getMinimality();
    to.minimality = {minimality.getPreemptions(), string(minimality.getText()),
                     minimality.getOrders(), minimality.getOtherFindings(),
                     minimality.getOneMinimal()};
  }
  if (from_.hasCut()) to.cut = get_cut();
  to.note = string(from_.getNote());
  to.provenance = string(from_.getProvenance());
}

Recording PayloadReader::read() {
  Recording to;
  get_identity(to);
  get_choices(to);
  get_switches(to);
  get_outcome(to);
  return to;
}

}  // namespace

Recording decode_payload(std::span<const std::byte> payload, std::string_view name_for_errors) {
  try {
    kj::ArrayInputStream input({reinterpret_cast<const kj::byte*>(payload.data()), payload.size()});
    capnp::ReaderOptions limits;
    limits.traversalLimitInWords = 2 * kRecordingBytesMax / 8;
    limits.nestingLimit = 8;
    capnp::PackedMessageReader message(input, limits);
    return PayloadReader(message.getRoot<wire::Recording>(), name_for_errors).read();
  } catch (const kj::Exception& error) {
    throw UserError(
        fmt::format("the recording's content is malformed, {}", error.getDescription().cStr()),
        std::string(name_for_errors), kRecordAgain);
  }
}

}  // namespace interleaf
