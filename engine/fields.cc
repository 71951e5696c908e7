// SPDX-License-Identifier: GPL-2.0-only
// What reports call the objects of processes and of the oracle (scheduler/block_type.h). The tables
// are within the definitions of members, since what they name is private.
#include "engine/kernel/fields.h"

#include <algorithm>

#include "engine/oracle.h"
#include "engine/process.h"

namespace interleaf {
namespace {

constexpr std::uint32_t kNumber = sizeof(ObjectNumber);

}  // namespace

const BlockType Process::kBlock{"process", "memory",
                                [] {
                                  static constexpr BlockField kFields[] = {
                                      {"end", offsetof(Process, ended_), sizeof(Process::ended_), 1,
                                       [](const Scheduler& s, const void* process, unsigned) {
                                         return value_text(
                                             s, static_cast<const Process*>(process)->ended_);
                                       }},
                                  };
                                  return std::span<const BlockField>(kFields);
                                }(),
                                [](const Scheduler&, const void* process) {
                                  return static_cast<const Process*>(process)->name();
                                }};

const BlockType Oracle::PageObjects::kBlock{
    "page of the oracle", "memory",
    [] {
      static constexpr BlockField kFields[] = {
          {"writes under way", offsetof(PageObjects, running), kNumber},
          {"acknowledged bytes", offsetof(PageObjects, data), kNumber},
          {"presence in the cache", offsetof(PageObjects, cache), kNumber},
          {"bytes on disk", offsetof(PageObjects, disk), kNumber},
      };
      return std::span<const BlockField>(kFields);
    }(),
    [](const Scheduler& scheduler, const void* page) -> std::string {
      std::size_t index = 0;
      const File* owner = kernel::find_object<File>(scheduler, File::kBlock, [&](const File& file) {
        const auto at = std::find(file.objects.begin(), file.objects.end(), page);
        index = static_cast<std::size_t>(at - file.objects.begin());
        return at != file.objects.end();
      });
      if (owner == nullptr) return "a page";
      return "page " + std::to_string(index) + " of " + owner->node->name;
    }};

const BlockType Oracle::File::kBlock{
    "file of the oracle", "memory",
    [] {
      static constexpr BlockField kFields[] = {
          {"acknowledged size", offsetof(File, size_number), kNumber, 1,
           [](const Scheduler&, const void* file, unsigned) {
             return std::to_string(static_cast<const File*>(file)->size);
           }},
          {"acknowledged size, truncated", offsetof(File, endless_number), kNumber, 1,
           [](const Scheduler&, const void* file, unsigned) {
             return std::to_string(static_cast<const File*>(file)->size);
           }},
          {"errors of writeback", offsetof(File, errors_number), kNumber, 1,
           [](const Scheduler&, const void* file, unsigned) {
             return std::to_string(static_cast<const File*>(file)->errors);
           }},
      };
      return std::span<const BlockField>(kFields);
    }(),
    [](const Scheduler&, const void* file) { return static_cast<const File*>(file)->node->name; }};

}  // namespace interleaf
