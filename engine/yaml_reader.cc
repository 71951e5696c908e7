// SPDX-License-Identifier: GPL-2.0-only
#include "engine/yaml_reader.h"

#include <yaml-cpp/eventhandler.h>

#include <algorithm>
#include <sstream>

#include "engine/nearest.h"
#include "engine/user_error.h"

namespace interleaf {
namespace {

SourcePosition from_mark(const YAML::Mark& mark) { return {mark.line + 1, mark.column + 1}; }

// Refuses aliases, with which a small file can be a huge or an endless one.
class AliasFinder : public YAML::EventHandler {
 public:
  explicit AliasFinder(const std::string& file_name) : file_name_(file_name) {}

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    throw UserError("a scenario can not use an alias (*name)",
                    interleaf::where(file_name_, from_mark(mark)), "repeat the value");
  }
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}

 private:
  const std::string& file_name_;
};

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

}  // namespace

YamlReader::YamlReader(std::string_view text, std::string file_name)
    : text_(text), file_name_(std::move(file_name)), line_starts_{0} {
  for (std::size_t i = 0; i < text_.size(); ++i) {
    if (text_[i] == '\n') line_starts_.push_back(i + 1);
  }
  reject_control_characters();
  bool more = false;  // not by YAML::LoadAll, which does not end on a text that starts with ","
  try {
    std::istringstream stream(text_);
    YAML::Parser parser(stream);
    AliasFinder finder(file_name_);
    more = parser.HandleNextDocument(finder) && parser.HandleNextDocument(finder);
    root_.reset(YAML::Load(text_));
  } catch (const YAML::Exception& error) {
    const SourcePosition at = error.mark.is_null() ? SourcePosition{1, 1} : from_mark(error.mark);
    throw UserError("not valid YAML: " + error.msg, interleaf::where(file_name_, at));
  }
  if (more) throw UserError("the file holds more than one YAML document", file_name_);
}

// yaml-cpp takes the byte 4 for the end of the file.
void YamlReader::reject_control_characters() const {
  for (std::size_t i = 0; i < text_.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text_[i]);
    if (byte >= ' ' || byte == '\t' || byte == '\n' || byte == '\r') continue;
    throw UserError("the file holds a control character (byte " + std::to_string(byte) + ")",
                    interleaf::where(file_name_, position_at(i)));
  }
}

SourcePosition YamlReader::position_at(std::size_t offset) const {
  const auto next = std::upper_bound(line_starts_.begin(), line_starts_.end(), offset);
  const auto line = static_cast<std::size_t>(next - line_starts_.begin());
  return {static_cast<int>(line), static_cast<int>(offset - line_starts_[line - 1] + 1)};
}

SourcePosition YamlReader::position(const YAML::Node& node) const {
  const YAML::Mark mark = node.Mark();
  return mark.is_null() ? SourcePosition{1, 1} : from_mark(mark);
}

std::string YamlReader::where(const YAML::Node& node) const {
  return interleaf::where(file_name_, position(node));
}

void YamlReader::fail(const YAML::Node& node, const std::string& what,
                      const std::string& remedy) const {
  throw UserError(what, where(node), remedy);
}

void YamlReader::fail(const LocatedText& at, const std::string& what,
                      const std::string& remedy) const {
  throw UserError(what, interleaf::where(file_name_, at.positions.front()), remedy);
}

std::vector<YamlReader::Entry> YamlReader::entries(const YAML::Node& node,
                                                   const std::string& name) const {
  if (!node.IsMap()) fail(node, name + " must be a mapping (key: value)");
  std::vector<Entry> entries;
  for (const auto& pair : node) {
    Entry entry{text(pair.first, "a key of " + name), pair.second};
    for (const Entry& earlier : entries) {
      if (earlier.key.text != entry.key.text) continue;
      fail(entry.key, "key \"" + entry.key.text + "\" appears twice in " + name,
           "the first one is in line " + std::to_string(earlier.key.positions.front().line));
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

std::vector<YamlReader::Entry> YamlReader::entries(const YAML::Node& node, const std::string& name,
                                                   const std::vector<std::string>& known) const {
  std::vector<Entry> result = entries(node, name);
  for (const Entry& entry : result) {
    if (std::find(known.begin(), known.end(), entry.key.text) != known.end()) {
      if (entry.value.IsNull()) fail(entry.key, "key \"" + entry.key.text + "\" has no value");
      continue;
    }
    fail(entry.key, "unknown key \"" + entry.key.text + "\" in " + name,
         nearest_or_list(entry.key.text, known));
  }
  return result;
}

std::vector<YAML::Node> YamlReader::items(const YAML::Node& node, const std::string& name) const {
  if (!node.IsSequence()) fail(node, name + " must be a list (- item)");
  return {node.begin(), node.end()};
}

LocatedText YamlReader::text(const YAML::Node& node, const std::string& name) const {
  if (!node.IsScalar() || node.Scalar().empty()) {
    fail(node, name + (node.IsNull() || node.IsScalar() ? " is empty" : " must be a plain text"));
  }
  return {node.Scalar(), locate(node.Scalar(), position(node)), huge_page_bytes_};
}

std::uint64_t YamlReader::number(const YAML::Node& node, const std::string& name) const {
  return parse_number(text(node, name), file_name_);
}

std::vector<LocatedText> YamlReader::texts(const YAML::Node& node, const std::string& name) const {
  if (!node.IsSequence()) return {text(node, name)};
  std::vector<LocatedText> result;
  for (const YAML::Node& item : node) result.push_back(text(item, "an entry of " + name));
  return result;
}

// Walks value and file side by side. A blank of the value may be a line break with indentation in
// the file; in quotes, '' and \" are two bytes in the file and one in the value. Where the two
// can not be matched (other escapes), the last known place stands.
std::vector<SourcePosition> YamlReader::locate(const std::string& value,
                                               SourcePosition start) const {
  std::vector<SourcePosition> positions;
  positions.reserve(value.size() + 1);
  const std::size_t line =
      std::min(static_cast<std::size_t>(start.line - 1), line_starts_.size() - 1);
  std::size_t at =
      std::min(line_starts_[line] + static_cast<std::size_t>(start.column - 1), text_.size());
  const char quote = at < text_.size() && (text_[at] == '"' || text_[at] == '\'') ? text_[at] : 0;
  if (quote != 0) ++at;
  for (const char c : value) {
    if (quote != 0 && at + 1 < text_.size() && text_[at] != c &&
        (text_[at] == '\\' && text_[at + 1] == c)) {
      ++at;
    }
    positions.push_back(position_at(at));
    if (at >= text_.size()) continue;
    if (is_blank(c) && is_blank(text_[at])) {
      const std::size_t next = std::min(text_.find_first_not_of(" \t\r\n", at), text_.size());
      const bool line_break = text_.find('\n', at) < next;
      at = line_break ? next : at + 1;
    } else if (text_[at] == c) {
      at += quote == '\'' && c == '\'' ? 2 : 1;
    }
  }
  positions.push_back(position_at(std::min(at, text_.size())));
  return positions;
}

}  // namespace interleaf
