// SPDX-License-Identifier: GPL-2.0-only
//
// A payload's writer: a Recording as a packed Cap'n Proto message. The reader is
// recording_reader.cc.
#include "engine/recording.h"

#include <capnp/message.h>
#include <capnp/serialize-packed.h>
#include <fmt/format.h>
#include <kj/io.h>
#include <xxhash.h>

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/choice_code.h"
#include "engine/deflate.h"
#include "engine/recording_dictionary.h"
#include "engine/string_pool.h"
#include "engine/user_error.h"
#include "recordings/recording.capnp.h"

namespace interleaf {
namespace {

using Builder = wire::Recording::Builder;
using Numbers16 = capnp::List<std::uint16_t>;
using IndexPair = std::pair<std::uint16_t, std::uint16_t>;

constexpr std::size_t kFirstSegmentWords = std::size_t{1} << 14;

void require_at_most(std::size_t count_max, std::size_t count, const char* what) {
  if (count <= count_max) return;
  throw UserError(fmt::format("the recording has {} {}, a file holds {}", count, what, count_max),
                  "", "minimize it before saving it");
}

class PayloadWriter {
 public:
  explicit PayloadWriter(const Recording& from) : from_(from) {}
  std::vector<std::byte> write();

 private:
  std::uint16_t string(const std::string& string);
  std::uint16_t name(const std::string& name);
  void put_names(Numbers16::Builder (Builder::*init)(unsigned),
                 const std::vector<std::string>& names);
  template <typename List>
  List list(List (Builder::*init)(unsigned), std::size_t rows);
  template <typename List, typename Number>
  void put_column(List (Builder::*init)(unsigned), const std::vector<Number>& column);
  void put_identity();
  void put_choices();
  void put_switches();
  void put_sites(const std::vector<IndexPair>& sites);
  void put_cut(const PowerCut& from);
  void put_outcome();
  void put_strings();

  const Recording& from_;
  capnp::MallocMessageBuilder message_{kFirstSegmentWords};
  Builder to_ = message_.initRoot<wire::Recording>();
  StringPool strings_;
};

std::uint16_t PayloadWriter::string(const std::string& string) {
  const auto index = strings_.index_of(string);
  if (!index) require_at_most(kPoolStringsMax, kPoolStringsMax + 1, "or more distinct strings");
  return *index;
}

std::uint16_t PayloadWriter::name(const std::string& name) {
  require_at_most(kRecordingNameBytesMax, name.size(), "bytes in one name");
  return string(name);
}

void PayloadWriter::put_names(Numbers16::Builder (Builder::*init)(unsigned),
                              const std::vector<std::string>& names) {
  std::vector<std::uint16_t> indexes;
  for (const std::string& n : names) indexes.push_back(name(n));
  put_column(init, indexes);
}

// A list of so many rows; where there are none, nothing is stored.
template <typename List>
List PayloadWriter::list(List (Builder::*init)(unsigned), std::size_t rows) {
  require_at_most(kRecordingRowsMax, rows, "rows in one list");
  return rows == 0 ? List() : (to_.*init)(static_cast<unsigned>(rows));
}

template <typename List, typename Number>
void PayloadWriter::put_column(List (Builder::*init)(unsigned), const std::vector<Number>& column) {
  auto rows = list(init, column.size());
  for (unsigned i = 0; i < rows.size(); ++i) rows.set(i, column[i]);
}

void PayloadWriter::put_identity() {
  to_.setToolVersion(string(from_.tool_version));
  to_.setScenarioName(string(from_.scenario_name));
  to_.setScenarioText(string(from_.scenario_text));
  to_.setScenarioDigest(from_.scenario_digest);
  to_.setKernel(name(from_.kernel));
  put_names(&Builder::initPatches, from_.patches);
  put_names(&Builder::initPatchesWith, from_.patches_with);
  put_names(&Builder::initPatchesWithout, from_.patches_without);
  to_.setPersona(name(from_.persona));
  to_.setStrategy(name(from_.strategy));
  to_.setSeed(from_.seed);
  put_names(&Builder::initQuirks, from_.quirks);
  put_names(&Builder::initDetectors, from_.detectors);

  auto settings = list(&Builder::initSettings, from_.settings.size());
  for (unsigned i = 0; i < settings.size(); ++i) {
    settings[i].setKey(name(from_.settings[i].key));
    settings[i].setValue(name(from_.settings[i].value));
  }
}

void PayloadWriter::put_choices() {
  require_at_most(kRecordingChoicesMax, from_.choices.size(), "choices");
  to_.setChoiceCount(from_.choices.size());
  if (!from_.choices.empty()) {
    const ChoiceCode code = encode_choices(from_.choices);
    to_.setChoiceAlphabet({code.alphabet.data(), code.alphabet.size()});
    to_.setChoiceRuns({code.runs.data(), code.runs.size()});
  }

  auto rows = list(&Builder::initDataChoices, from_.data_choices.size());
  for (unsigned i = 0; i < rows.size(); ++i) {
    const auto& choice = from_.data_choices[i];
    rows[i].setTask(name(choice.task));
    rows[i].setKind(name(choice.kind));
    rows[i].setNth(choice.nth);
    rows[i].setValue(choice.value);
  }
}

void PayloadWriter::put_switches() {
  std::vector<wire::SwitchKind> kinds;
  std::vector<std::uint64_t> steps, nths;
  std::vector<std::uint16_t> tasks, sites, tos;
  std::vector<IndexPair> site_table;
  std::map<IndexPair, std::uint16_t> site_indexes;
  std::map<IndexPair, std::uint64_t> nth_before;
  std::uint64_t step_before = 0;
  for (const auto& row : from_.switches) {
    kinds.push_back(static_cast<wire::SwitchKind>(row.kind));
    steps.push_back(row.step - step_before);
    tasks.push_back(name(row.task));
    const IndexPair site(name(row.function), name(row.access));
    const auto [index, added] = site_indexes.try_emplace(site, site_table.size());
    if (added) site_table.push_back(site);
    sites.push_back(index->second);
    std::uint64_t& before = nth_before[{tasks.back(), sites.back()}];
    nths.push_back(row.nth - before);
    tos.push_back(name(row.to));
    before = row.nth;
    step_before = row.step;
  }
  put_sites(site_table);
  put_column(&Builder::initSwitchKinds, kinds);
  put_column(&Builder::initSwitchSteps, steps);
  put_column(&Builder::initSwitchTasks, tasks);
  put_column(&Builder::initSwitchSites, sites);
  put_column(&Builder::initSwitchNths, nths);
  put_column(&Builder::initSwitchTos, tos);
}

void PayloadWriter::put_sites(const std::vector<IndexPair>& sites) {
  auto rows = list(&Builder::initSites, sites.size());
  for (unsigned i = 0; i < rows.size(); ++i) {
    rows[i].setFunction(sites[i].first);
    rows[i].setAccess(sites[i].second);
  }
}

void PayloadWriter::put_cut(const PowerCut& from) {
  auto to = to_.initCut();
  to.setSteps(from.steps);
  to.setLogged(from.logged);
  to.setAfter(string(from.after));
  to.setWrites(from.writes);
  to.setRecords(from.records);
  auto lost = to.initLost(static_cast<unsigned>(from.lost.size()));
  for (unsigned i = 0; i < lost.size(); ++i) lost.set(i, from.lost[i]);
  auto torn = to.initTorn(static_cast<unsigned>(from.torn.size()));
  for (unsigned i = 0; i < torn.size(); ++i) {
    torn[i].setWrite(from.torn[i].write);
    torn[i].setSectors(from.torn[i].sectors);
    torn[i].setLast(from.torn[i].last);
  }
}

void PayloadWriter::put_outcome() {
  to_.setSteps(from_.steps);
  to_.setFinalDigest(from_.final_digest);
  to_.setPreemptions(from_.preemptions);
  to_.setVerdict(string(from_.verdict));
  to_.setSignature(string(from_.signature));
  to_.setEvidence(string(from_.evidence));
  to_.setNote(string(from_.note));
  to_.setProvenance(string(from_.provenance));
  if (from_.minimality) {
    auto minimality = to_.initMinimality();
    minimality.setPreemptions(from_.minimality->preemptions);
    minimality.setText(string(from_.minimality->text));
    minimality.setOrders(from_.minimality->orders);
    minimality.setOtherFindings(from_.minimality->other_findings);
    minimality.setOneMinimal(from_.minimality->one_minimal);
  }
  if (from_.cut) put_cut(*from_.cut);

  auto checkpoints = list(&Builder::initCheckpoints, from_.checkpoints.size());
  for (unsigned i = 0; i < checkpoints.size(); ++i) {
    checkpoints[i].setStep(from_.checkpoints[i].step);
    checkpoints[i].setDigest(from_.checkpoints[i].digest);
  }
}

void PayloadWriter::put_strings() {
  const auto& block = strings_.block();
  const auto small = deflated(block, kStringDictionary2);
  const bool raw = small.size() >= block.size();
  const auto& stored = raw ? block : small;
  to_.setStrings({reinterpret_cast<const kj::byte*>(stored.data()), stored.size()});
  to_.setStringsSize(static_cast<std::uint32_t>(block.size()));
  to_.setStringCode(raw ? wire::StringCode::RAW : wire::StringCode::DEFLATE2);
}

std::vector<std::byte> PayloadWriter::write() {
  put_identity();
  put_choices();
  put_switches();
  put_outcome();
  require_at_most(kRecordingBytesMax, strings_.block().size() + 8 * message_.sizeInWords(),
                  "bytes");
  put_strings();
  kj::VectorOutputStream packed;
  capnp::writePackedMessage(packed, message_);
  const auto bytes = std::as_bytes(std::span(packed.getArray().begin(), packed.getArray().size()));
  return {bytes.begin(), bytes.end()};
}

}  // namespace

std::uint64_t scenario_digest_of(std::string_view scenario_text) {
  return XXH64(scenario_text.data(), scenario_text.size(), 0);
}

std::vector<std::byte> encode_payload(const Recording& recording) {
  return PayloadWriter(recording).write();
}

}  // namespace interleaf
