// SPDX-License-Identifier: GPL-2.0-only
// The calls that a scenario's tasks make, as values: what a line such as
//     fd = open("f", O_RDWR)
// is after it was parsed and checked. The table of all calls, their parameters and flags is in
// call.cc; tests hold docs/SCENARIOS.md against it.
//
// Invariants of a Statement made by the parser: `arguments` has one entry per parameter of the
// signature (optional parameters that were left out are filled in); every variable slot was set
// by an earlier statement of the same task; flags are those of Linux on x86-64.
// Values only, no shared state: safe to read from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace interleaf {

// A place in a scenario file. Both count from 1; columns are bytes.
struct SourcePosition {
  int line = 0;
  int column = 0;

  bool operator==(const SourcePosition&) const = default;
};

// "file:line:column", the `where` of a UserError.
std::string where(std::string_view file_name, SourcePosition position);

enum class Call : std::uint8_t {
  kOpen,
  kClose,
  kRead,
  kWrite,
  kPread,
  kPwrite,
  kPreadInto,
  kFtruncate,
  kTruncate,
  kFsync,
  kFdatasync,
  kSyncFileRange,
  kFadvise,
  kFallocate,
  kMmap,
  kMunmap,
  kMadvise,
  kMsync,
  kTouch,
  kLoad,
  kStore,
  kExpectRead,
  kExpectLoad,
  kLseek,
  kReflink,
  kDropCaches,
  kWait,
  kLoop,  // not a line of its own: `- loop: {times: N, do: [...]}`
};

// The bytes that a write stores or that a read must find.
struct DataSource {
  enum class Kind : std::uint8_t { kZeros, kPattern, kString };
  Kind kind = Kind::kZeros;
  std::uint64_t seed = 0;    // kPattern
  std::uint64_t offset = 0;  // kPattern: index of the buffer's first byte in the pattern
  std::string text;          // kString
  // So many bytes can be read; behind them there is no memory and a copy faults.
  std::uint64_t readable = kAllReadable;

  static constexpr std::uint64_t kAllReadable = ~std::uint64_t{0};
  bool operator==(const DataSource&) const = default;
};

// Byte `index` of a buffer filled from `source`. A pattern is 1 + ((131 * i + seed) mod 255), which
// is never 0; a string is followed by zeros.
std::uint8_t data_byte(const DataSource& source, std::uint64_t index);

enum class ParameterKind : std::uint8_t {
  kPath,         // a file of the scenario
  kFd,           // a variable that open() set
  kAddress,      // a variable that mmap() set, or such a variable + bytes
  kPageAddress,  // the same, a multiple of the page size from the mapping's start
  kBytes,        // a length or an offset
  kPageBytes,    // an offset that is a multiple of the page size
  kMode,         // permission bits
  kData,
  kTask,
  kOpenFlags,
  kProtection,
  kMapFlags,
  kMadvise,
  kFadvise,
  kSyncRangeFlags,
  kFallocateMode,
  kMsyncFlags,
  kWhence,
};

// One parameter's value. Which members mean something depends on `kind`.
struct Argument {
  ParameterKind kind = ParameterKind::kBytes;
  std::uint64_t value = 0;  // bytes, mode or flags; for an address: bytes after the variable
  int variable = -1;        // kFd, kAddress, kPageAddress: slot in TaskSpec::variables
  int file = -1;            // kPath: index in Scenario::files
  int task = -1;            // kTask: index in Scenario::tasks
  DataSource data;          // kData
  SourcePosition position;
};

struct Statement {
  Call call = Call::kWait;
  std::vector<Argument> arguments;
  int variable = -1;                    // slot that receives the result, or -1
  std::optional<std::int64_t> returns;  // the result that the call must have; negative: an errno
  std::uint64_t times = 0;              // kLoop
  std::vector<Statement> body;          // kLoop
  std::string text;                     // as written, for tables and traces
  SourcePosition position;
};

// What a call's result may be bound to. kStatus results (counts, 0) can not be bound.
enum class ResultKind : std::uint8_t { kStatus, kFd, kAddress };

struct Parameter {
  std::string_view name;
  ParameterKind kind;
  bool optional = false;
};

struct CallSignature {
  std::string_view name;
  Call call;
  ResultKind result;
  std::vector<Parameter> parameters;

  std::string text() const;  // "pwrite(fd, data, len, off)"
};

// Of the flags with `exclusive` set, exactly one must be given.
struct Flag {
  std::string_view name;
  std::uint64_t value;
  bool exclusive = false;
};

const std::vector<CallSignature>& call_signatures();
const CallSignature& signature_of(Call call);           // Requires: not kLoop.
const std::vector<Flag>& flags_of(ParameterKind kind);  // empty if `kind` takes no flags

// The errno of a name such as "EIO", or 0 if it is not one that a scenario can name.
int errno_of(std::string_view name);
std::vector<std::string> errno_names();

}  // namespace interleaf
