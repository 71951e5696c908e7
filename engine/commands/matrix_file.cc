// SPDX-License-Identifier: GPL-2.0-only
#include "engine/commands/matrix_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <xxhash.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "engine/expectation.h"
#include "engine/user_error.h"

namespace interleaf {
namespace {

constexpr std::string_view kMagic = "interleaf matrix 1 ";
constexpr std::size_t kDigits = 16;

std::string hex(const Schedule& schedule) {
  std::string text;
  for (const std::uint8_t choice : schedule) text += fmt::format("{:02x}", choice);
  return text;
}

Schedule schedule_of(const std::string& text) {
  if (text.size() % 2 != 0) throw std::invalid_argument("half a choice");
  Schedule schedule;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    std::size_t used = 0;
    schedule.push_back(static_cast<std::uint8_t>(std::stoul(text.substr(i, 2), &used, 16)));
    if (used != 2) throw std::invalid_argument("no choice");
  }
  return schedule;
}

Json json_of(const CellResult& result) {
  Json findings = Json::array();
  for (const CellFinding& finding : result.findings) {
    findings.push_back({{"signature", finding.signature},
                        {"preemptions", finding.preemptions},
                        {"orders", finding.orders},
                        {"schedule", hex(finding.schedule)}});
  }
  return {{"findings", std::move(findings)},
          {"known", result.known},
          {"orders", result.orders},
          {"cut", result.cut},
          {"retry_cut_orders", result.retry_cuts.orders},
          {"retry_cut_functions", result.retry_cuts.functions},
          {"complete", result.complete},
          {"exhausted", result.exhausted},
          {"complete_up_to", result.complete_up_to},
          {"budget", result.budget},
          {"window_reached", result.window_reached},
          {"window_missed", result.window_missed},
          {"asked", slugs_of(result.asked)}};
}

CellResult result_of(const Json& json) {
  CellResult result;
  for (const Json& finding : json.at("findings")) {
    result.findings.push_back({finding.at("signature"), finding.at("preemptions"),
                               finding.at("orders"), schedule_of(finding.at("schedule"))});
  }
  json.at("known").get_to(result.known);
  json.at("orders").get_to(result.orders);
  json.at("cut").get_to(result.cut);
  json.at("retry_cut_orders").get_to(result.retry_cuts.orders);
  json.at("retry_cut_functions").get_to(result.retry_cuts.functions);
  json.at("complete").get_to(result.complete);
  json.at("exhausted").get_to(result.exhausted);
  json.at("complete_up_to").get_to(result.complete_up_to);
  json.at("budget").get_to(result.budget);
  json.at("window_reached").get_to(result.window_reached);
  json.at("window_missed").get_to(result.window_missed);
  for (const std::string slug : json.at("asked")) {
    const kernel::patch_info* patch = kernel::find_patch(slug);
    if (patch == nullptr) throw std::invalid_argument("no patch");
    result.asked |= kernel::patch_bit(patch->patch);
  }
  return result;
}

// What a cell asks, besides what is the same for all.
Json question_of(const MatrixCell& cell) {
  return {{"scenario", cell.configuration->scenario.name},
          {"patches", cell.configuration->patch_slugs()},
          {"ignored", known_signatures(*cell.configuration)}};
}

bool asks(const Json& stored, const Json& question) {
  for (const auto& [name, value] : question.items()) {
    if (stored.at(name) != value) return false;
  }
  return true;
}

std::string digest_of(const Scenario& scenario) {
  return digest_text(scenario_digest_of(scenario.text));
}

std::string checksum(std::string_view text) {
  return digest_text(XXH64(text.data(), text.size(), 0));
}

[[noreturn]] void of_another(const std::string& path, const std::string& what,
                             const std::string& was, const std::string& is) {
  throw UserError(
      "the file is of another matrix: " + what + " was '" + was + "' and is '" + is + "'", path,
      "name another file");
}

}  // namespace

MatrixFile::MatrixFile(std::string path,
                       const std::vector<std::pair<std::string, std::string>>& identity)
    : path_(std::move(path)), identity_(Json::array()) {
  for (const auto& [name, value] : identity) identity_.push_back({name, value});
  std::ifstream stream(path_, std::ios::binary);
  if (!stream) {
    // Whether it can be written is known before the work, not after it.
    if (::access(path_.c_str(), F_OK) != 0 && errno == ENOENT) {
      write();
      return;
    }
    throw UserError(std::string("cannot read the file: ") + std::strerror(errno), path_);
  }
  const std::string content(std::istreambuf_iterator<char>(stream), {});
  if (!content.starts_with(kMagic)) throw UserError("this is no file of a matrix", path_);
  try {
    read(content);
  } catch (const UserError&) {
    throw;
  } catch (const std::exception&) {  // of the JSON
    throw UserError("the file of the matrix is damaged", path_, "remove it to begin anew");
  }
}

void MatrixFile::read(const std::string& content) {
  const std::size_t begin = kMagic.size() + kDigits + 1;
  if (content.size() < begin ||
      content.substr(kMagic.size(), kDigits) != checksum(std::string_view(content).substr(begin))) {
    throw UserError("the file of the matrix is damaged or not whole", path_,
                    "remove it to begin anew");
  }
  const Json json = Json::parse(content.substr(begin));
  const Json& stored = json.at("identity");
  for (std::size_t i = 0; i < std::max(stored.size(), identity_.size()); ++i) {
    const Json none = {"", ""};
    const Json& was = i < stored.size() ? stored.at(i) : none;
    const Json& is = i < identity_.size() ? identity_.at(i) : none;
    if (was == is) continue;
    of_another(path_, is.at(0), was.at(1), is.at(1));
  }
  scenarios_ = json.at("scenarios");
  cells_ = json.at("cells");
  for (const Json& cell : cells_) {
    for (const char* name : {"scenario", "patches", "ignored"}) cell.at(name);
    result_of(cell.at("result"));
  }
}

void MatrixFile::restore(Matrix& matrix) const {
  for (const Scenario& scenario : matrix.scenarios) {
    const auto stored = scenarios_.find(scenario.name);
    if (stored == scenarios_.end() || *stored == digest_of(scenario)) continue;
    of_another(path_, "the digest of scenario " + scenario.name, *stored, digest_of(scenario));
  }
  for (std::size_t i = 0; i < matrix.cells.size(); ++i) {
    if (!matrix.cells[i].configuration || matrix.cells[i].same_as != i) continue;
    const Json question = question_of(matrix.cells[i]);
    for (const Json& cell : cells_) {
      if (asks(cell, question)) set_result(matrix, i, result_of(cell.at("result")));
    }
  }
}

void MatrixFile::add(const Matrix& matrix, const MatrixCell& cell) {
  const Scenario& scenario = matrix.scenarios[cell.scenario];
  scenarios_[scenario.name] = digest_of(scenario);
  Json stored = question_of(cell);
  stored["result"] = json_of(*cell.result);
  cells_.push_back(std::move(stored));
  write();
}

void MatrixFile::write() const {
  const std::string text =
      Json{{"identity", identity_}, {"scenarios", scenarios_}, {"cells", cells_}}.dump() + "\n";
  const std::string content = std::string(kMagic) + checksum(text) + "\n" + text;
  const std::string temporary = path_ + ".tmp" + std::to_string(getpid());
  const auto fail = [&]() {
    const int error = errno;
    ::unlink(temporary.c_str());
    throw UserError(std::string("cannot write the file: ") + std::strerror(error), path_);
  };
  const int file = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file < 0) fail();
  bool whole = true;
  for (std::size_t at = 0; whole && at < content.size();) {
    const ssize_t written = ::write(file, content.data() + at, content.size() - at);
    if (written >= 0) at += static_cast<std::size_t>(written);
    whole = written >= 0 || errno == EINTR;
  }
  whole = whole && ::fsync(file) == 0;
  const int error = errno;
  const bool closed = ::close(file) == 0;
  if (!whole) errno = error;
  if (!whole || !closed || ::rename(temporary.c_str(), path_.c_str()) != 0) fail();
}

}  // namespace interleaf
