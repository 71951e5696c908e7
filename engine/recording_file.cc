// SPDX-License-Identifier: GPL-2.0-only
//
// What surrounds the payload: header, checksum and compression; the text form; files.
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/armour.h"
#include "engine/deflate.h"
#include "engine/recording.h"
#include "engine/user_error.h"

namespace interleaf {
namespace {

using Bytes = std::vector<std::byte>;

constexpr std::array<unsigned char, 8> kMagic = {0x89, 'I', 'L', 'F', '\r', '\n', 0x1a, '\n'};
constexpr std::size_t kMagicShortBytes = 4;  // enough to tell ours from foreign files
constexpr std::size_t kSumAt = 8;
constexpr std::size_t kFormatAt = 16;  // the checksum covers everything from here
constexpr std::size_t kReaderAt = 18;
constexpr std::size_t kPayloadBytesAt = 20;
constexpr std::size_t kStoredBytesAt = 24;
constexpr std::size_t kHeaderBytes = 28;

constexpr std::size_t kPayloadBytesMax = 2 * kRecordingBytesMax;  // packing may enlarge
constexpr std::size_t kInputBytesMax = 4 * kRecordingBytesMax;    // a mail around an armour
constexpr std::size_t kCaptionRowsMax = 24;
constexpr mode_t kNewFileMode = 0666;  // less the umask
constexpr int kTemporariesMax = 100;
constexpr char kCopyAgain[] = "copy the file again, as binary, or use its text form";

void put(Bytes& file, std::size_t at, std::uint64_t value, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) file[at + i] = static_cast<std::byte>(value >> (8 * i));
}

std::uint64_t get(std::span<const std::byte> file, std::size_t at, std::size_t size) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < size; ++i) {
    value |= std::to_integer<std::uint64_t>(file[at + i]) << (8 * i);
  }
  return value;
}

std::uint64_t sum_of(std::span<const std::byte> file) {
  return XXH64(file.data() + kFormatAt, file.size() - kFormatAt, 0);
}

bool has_magic(std::span<const std::byte> file, std::size_t size) {
  const std::size_t known = std::min(file.size(), size);
  return known > 0 && std::memcmp(file.data(), kMagic.data(), known) == 0;
}

void check_magic(std::span<const std::byte> file, const std::string& name) {
  if (file.empty()) {
    throw UserError("the file is empty", name,
                    "give a recording, 'interleaf run -o FILE' makes one");
  }
  if (!has_magic(file, kMagicShortBytes)) {
    throw UserError("this is not a recording", name,
                    "give a file written with -o, or a text with a line '%interleaf 1'");
  }
  if (!has_magic(file, kMagic.size())) {
    throw UserError("the recording was changed as if it were text", name, kCopyAgain);
  }
}

// Everything before the payload, from the outside in: each check relies on those before it.
void check_header(std::span<const std::byte> file, const std::string& name) {
  check_magic(file, name);
  const std::size_t whole =
      kHeaderBytes + (file.size() < kHeaderBytes ? 0 : get(file, kStoredBytesAt, 4));
  if (file.size() < whole) {
    throw UserError(fmt::format("the recording is cut off, {} of {}{} bytes are there", file.size(),
                                file.size() < kHeaderBytes ? "at least " : "", whole),
                    name, kCopyAgain);
  }
  if (file.size() > whole) {
    throw UserError(fmt::format("{} bytes follow the recording", file.size() - whole), name,
                    kCopyAgain);
  }
  if (sum_of(file) != get(file, kSumAt, 8)) {
    throw UserError("the recording is damaged, its checksum differs", name, kCopyAgain);
  }
  if (get(file, kReaderAt, 2) > kRecordingReader) {
    throw UserError(
        fmt::format("the recording has format {} and needs reader {}, this program has reader {}",
                    get(file, kFormatAt, 2), get(file, kReaderAt, 2), kRecordingReader),
        name, "use a newer interleaf");
  }
}

class File {
 public:
  File() = default;
  ~File() { close(); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  bool is_open() const { return descriptor_ >= 0; }
  int descriptor() const { return descriptor_; }

  // "-" is standard input.
  void open(const std::string& path, int flags) {
    descriptor_ = path == "-" ? ::dup(STDIN_FILENO) : ::open(path.c_str(), flags, kNewFileMode);
  }

  bool close() {
    const int descriptor = std::exchange(descriptor_, -1);
    return descriptor < 0 || ::close(descriptor) == 0;
  }

 private:
  int descriptor_ = -1;
};

[[noreturn]] void fail_to(const char* action, const std::string& path, const char* remedy) {
  throw UserError(fmt::format("cannot {}, {}", action, std::strerror(errno)), path, remedy);
}

[[noreturn]] void fail_to_write(const std::string& path) {
  fail_to("write the recording", path, "name a file in a directory you can write to");
}

[[noreturn]] void refuse_overwrite(const std::string& path) {
  throw UserError("the file exists already", path, "name another file, or use --force");
}

// A new file beside `target`, removed again unless it got its final name. A name that is taken, by
// another thread or a process that was killed, is passed over.
struct Temporary {
  explicit Temporary(const std::string& target) {
    for (int i = 0; i < kTemporariesMax && !file.is_open(); ++i) {
      path = fmt::format("{}.tmp-{}-{}", target, ::getpid(), i);
      file.open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC);
      if (!file.is_open() && errno != EEXIST) break;
    }
    if (!file.is_open()) fail_to_write(path);
  }
  ~Temporary() {
    if (!renamed) ::unlink(path.c_str());
  }

  std::string path;
  File file;
  bool renamed = false;
};

bool write_and_sync(int descriptor, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count = ::write(descriptor, bytes.data(), bytes.size());
    if (count < 0 && errno != EINTR) return false;
    if (count > 0) bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
  return ::fsync(descriptor) == 0;
}

// Where the file system knows no rename without replacing, the check of save() must do.
bool rename_to(const std::string& from, const std::string& to, Overwrite overwrite) {
  if (overwrite == Overwrite::kRefuse) {
    if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) {
      return true;
    }
    if (errno == EEXIST) refuse_overwrite(to);
    if (errno != EINVAL && errno != ENOSYS) return false;
  }
  return ::rename(from.c_str(), to.c_str()) == 0;
}

Bytes read_all(const std::string& path, const std::string& name) {
  File file;
  file.open(path, O_RDONLY | O_CLOEXEC);
  Bytes bytes;
  std::array<std::byte, 65536> part;
  ssize_t count = file.is_open() ? 1 : -1;
  while (count > 0) {
    count = ::read(file.descriptor(), part.data(), part.size());
    if (count > 0) bytes.insert(bytes.end(), part.begin(), part.begin() + count);
    if (count < 0 && errno == EINTR) count = 1;
    if (bytes.size() > kInputBytesMax) {
      throw UserError(fmt::format("the file has more than {} bytes", kInputBytesMax), name,
                      "give a recording, or one mail");
    }
  }
  if (count < 0) fail_to("read the recording", name, "name a file you can read");
  return bytes;
}

std::string kernel_text(const Recording& recording) {
  std::string text = recording.kernel;
  for (const std::string& patch : recording.patches_with) text += "+" + patch;
  for (const std::string& patch : recording.patches_without) text += "-" + patch;
  return text == recording.kernel ? text + "+none" : text;
}

std::string row_text(const Recording::Switch& row) {
  return fmt::format("{} {}:{}/{}#{}>{}", row.kind == Recording::Switch::Kind::kBlock ? 'B' : 'P',
                     row.task, row.function, row.access, row.nth, row.to);
}

}  // namespace

std::vector<std::byte> encode(const Recording& recording) {
  const Bytes payload = encode_payload(recording);
  Bytes stored = deflated(payload);
  if (stored.size() >= payload.size()) stored = payload;
  Bytes file(kHeaderBytes);
  std::memcpy(file.data(), kMagic.data(), kMagic.size());
  put(file, kFormatAt, recording.format, 2);
  put(file, kReaderAt, recording.required_reader, 2);
  put(file, kPayloadBytesAt, payload.size(), 4);
  put(file, kStoredBytesAt, stored.size(), 4);
  file.insert(file.end(), stored.begin(), stored.end());
  put(file, kSumAt, sum_of(file), 8);
  return file;
}

Recording decode(std::span<const std::byte> file, std::string_view name_for_errors) {
  const std::string name(name_for_errors);
  check_header(file, name);
  const std::size_t payload_bytes = get(file, kPayloadBytesAt, 4);
  const auto stored = file.subspan(kHeaderBytes);
  if (payload_bytes > kPayloadBytesMax) {
    throw UserError(fmt::format("the recording has more than {} bytes", kPayloadBytesMax), name,
                    "minimize it before saving it");
  }
  std::optional<Bytes> expanded;
  if (stored.size() != payload_bytes) {
    expanded = inflated(stored, payload_bytes);
    if (!expanded) {
      throw UserError("the recording does not expand to the size in its header", name,
                      "record it again with this engine");
    }
  }
  Recording recording = decode_payload(expanded ? *expanded : stored, name);
  recording.format = static_cast<std::uint16_t>(get(file, kFormatAt, 2));
  recording.required_reader = static_cast<std::uint16_t>(get(file, kReaderAt, 2));
  return recording;
}

std::string armoured(const Recording& recording) {
  std::vector<std::string> caption = {fmt::format("{} {} seed={:#x}", recording.scenario_name,
                                                  kernel_text(recording), recording.seed)};
  const std::size_t rows = std::min(recording.switches.size(), kCaptionRowsMax);
  for (std::size_t i = 0; i < rows; ++i) caption.push_back(row_text(recording.switches[i]));
  if (rows < recording.switches.size()) {
    caption.push_back(fmt::format("... {} more switches", recording.switches.size() - rows));
  }
  caption.push_back(fmt::format("={} {}", recording.verdict, recording.signature));
  return armour(caption, encode(recording));
}

void save(const std::string& path, const Recording& recording, Overwrite overwrite) {
  const Bytes bytes = encode(recording);
  if (overwrite == Overwrite::kRefuse && ::access(path.c_str(), F_OK) == 0) refuse_overwrite(path);
  Temporary temporary(path);
  File& file = temporary.file;
  if (!write_and_sync(file.descriptor(), bytes) || !file.close() ||
      !rename_to(temporary.path, path, overwrite)) {
    fail_to_write(path);
  }
  temporary.renamed = true;
}

Recording load(const std::string& path) {
  const std::string name = path == "-" ? "standard input" : path;
  const Bytes bytes = read_all(path, name);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!has_magic(bytes, kMagicShortBytes) && is_armoured(text)) {
    return decode(dearmour(text, name), name);
  }
  return decode(bytes, name);
}

}  // namespace interleaf
