// SPDX-License-Identifier: GPL-2.0-only
// Reading YAML with errors that name file, line and column. yaml-cpp tells where a scalar starts;
// this finds where each of its bytes stands, through quotes and line breaks.
//
// A reader owns the text; the nodes it gives belong to it. Errors: UserError. Thread-safety: none.
#pragma once

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/call_parser.h"

namespace interleaf {

class YamlReader {
 public:
  // A key of a mapping with its value.
  struct Entry {
    LocatedText key;
    YAML::Node value;
  };

  YamlReader(std::string_view text, std::string file_name);

  const std::string& file_name() const { return file_name_; }
  // From now on the unit H stands for this many bytes.
  void set_huge_page_bytes(std::uint64_t bytes) { huge_page_bytes_ = bytes; }
  YAML::Node root() const { return root_; }

  SourcePosition position(const YAML::Node& node) const;
  std::string where(const YAML::Node& node) const;
  [[noreturn]] void fail(const YAML::Node& node, const std::string& what,
                         const std::string& remedy = "") const;
  [[noreturn]] void fail(const LocatedText& at, const std::string& what,
                         const std::string& remedy = "") const;

  // The entries in file order. `name` says what the mapping is. Errors: not a mapping, a key twice.
  std::vector<Entry> entries(const YAML::Node& node, const std::string& name) const;
  // The same, and every key is one of `known` and has a value.
  std::vector<Entry> entries(const YAML::Node& node, const std::string& name,
                             const std::vector<std::string>& known) const;
  // Errors: not a sequence.
  std::vector<YAML::Node> items(const YAML::Node& node, const std::string& name) const;

  LocatedText text(const YAML::Node& node, const std::string& name) const;
  std::uint64_t number(const YAML::Node& node, const std::string& name) const;
  // A scalar, or a sequence of scalars.
  std::vector<LocatedText> texts(const YAML::Node& node, const std::string& name) const;

 private:
  void reject_control_characters() const;
  std::vector<SourcePosition> locate(const std::string& value, SourcePosition start) const;
  SourcePosition position_at(std::size_t offset) const;

  std::string text_;
  std::string file_name_;
  std::uint64_t huge_page_bytes_ = 0;
  std::vector<std::size_t> line_starts_;  // offset of each line in text_
  YAML::Node root_;
};

}  // namespace interleaf
