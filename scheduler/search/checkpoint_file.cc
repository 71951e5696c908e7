// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/checkpoint_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace interleaf {
namespace {

constexpr char kMagic[] = {'\x89', 'I', 'L', 'F', 'S', 'R', '\n', '\x1a'};
constexpr std::uint32_t kFormat = 1;
constexpr std::size_t kBuffer = std::size_t{1} << 16;

[[noreturn]] void fail(const std::string& path, const std::string& what) {
  throw CheckpointError(what + " (" + path + ")");
}

// Names what differs; empty: nothing.
std::string difference(const Identity& stored, const Identity& now) {
  for (std::size_t i = 0; i < std::max(stored.size(), now.size()); ++i) {
    if (i >= stored.size() || i >= now.size() || stored[i].first != now[i].first) {
      return "it was written by another version";
    }
    if (stored[i].second == now[i].second) continue;
    return now[i].first + " was '" + stored[i].second + "' and is '" + now[i].second + "'";
  }
  return "";
}

}  // namespace

// ---- the checksum
// --------------------------------------------------------------------------------

void CheckpointSum::add(const unsigned char* bytes, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    word_ |= std::uint64_t{bytes[i]} << (8 * held_);
    if (++held_ < 8) continue;
    hash_.mix({word_, 0});
    word_ = 0;
    held_ = 0;
  }
}

std::vector<unsigned char> CheckpointSum::bytes() const {
  Hash128 hash = hash_;
  hash.mix({word_, held_ + 1});
  std::vector<unsigned char> out(kBytes);
  for (unsigned i = 0; i < 8; ++i) {
    out[i] = static_cast<unsigned char>(hash.low >> (8 * i));
    out[8 + i] = static_cast<unsigned char>(hash.high >> (8 * i));
  }
  return out;
}

// ---- writing
// -------------------------------------------------------------------------------------

CheckpointWriter::CheckpointWriter(const std::string& path, const Identity& identity)
    : path_(path), temporary_(path + ".tmp" + std::to_string(getpid())) {
  file_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file_ < 0) fail(temporary_, std::string("cannot write the file: ") + std::strerror(errno));
  bytes(kMagic, sizeof(kMagic));
  number(kFormat);
  number(identity.size());
  for (const auto& [name, value] : identity) {
    text(name);
    text(value);
  }
}

CheckpointWriter::~CheckpointWriter() {
  if (file_ < 0) return;  // renamed
  close(file_);
  unlink(temporary_.c_str());
}

void CheckpointWriter::bytes(const void* data, std::size_t count) {
  const auto* from = static_cast<const unsigned char*>(data);
  sum_.add(from, count);
  buffer_.insert(buffer_.end(), from, from + count);
  if (buffer_.size() >= kBuffer) flush();
}

void CheckpointWriter::number(std::uint64_t value) {
  unsigned char out[8];
  for (unsigned i = 0; i < 8; ++i) out[i] = static_cast<unsigned char>(value >> (8 * i));
  bytes(out, 8);
}

void CheckpointWriter::hash(const Hash128& value) {
  number(value.low);
  number(value.high);
}

void CheckpointWriter::text(const std::string& value) {
  number(value.size());
  bytes(value.data(), value.size());
}

void CheckpointWriter::schedule(const Schedule& value) {
  number(value.size());
  bytes(value.data(), value.size());
}

void CheckpointWriter::tally(const BoundedTally& value) {
  for (const std::uint64_t n : {value.classes, value.runs, value.pruned, value.cut}) number(n);
  number(value.hits.size());
  for (const auto& [signature, hit] : value.hits) {
    text(signature);
    for (const std::uint64_t n : {hit.preemptions, hit.steps, hit.count}) number(n);
    hash(hit.order);
    schedule(hit.schedule);
  }
  number(value.known.size());
  for (const auto& [signature, count] : value.known) {
    text(signature);
    number(count);
  }
  number(value.sample.schedules().size());
  for (const auto& [order, kept] : value.sample.schedules()) {
    hash(order);
    schedule(kept);
  }
  number(value.retry_cuts.orders);
  number(value.retry_cuts.functions.size());
  for (const auto& [name, count] : value.retry_cuts.functions) {
    text(name);
    number(count);
  }
}

void CheckpointWriter::finish() {
  const auto sum = sum_.bytes();
  buffer_.insert(buffer_.end(), sum.begin(), sum.end());
  flush();
  if (fsync(file_) != 0) failed();
  const int file = std::exchange(file_, -1);
  if (close(file) != 0 || rename(temporary_.c_str(), path_.c_str()) != 0) {
    const int error = errno;
    unlink(temporary_.c_str());
    errno = error;
    failed();
  }
}

void CheckpointWriter::failed() const {
  fail(path_, std::string("cannot write the file: ") + std::strerror(errno));
}

void CheckpointWriter::flush() {
  std::size_t at = 0;
  while (at < buffer_.size()) {
    const ssize_t written = ::write(file_, buffer_.data() + at, buffer_.size() - at);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) failed();
    at += static_cast<std::size_t>(written);
  }
  buffer_.clear();
}

void remove_checkpoint(const std::string& path) { unlink(path.c_str()); }

// ---- reading
// -------------------------------------------------------------------------------------

std::unique_ptr<CheckpointReader> CheckpointReader::open(const std::string& path,
                                                         const Identity& identity) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0 && errno == ENOENT) return nullptr;
  if (file < 0) fail(path, std::string("cannot read the file: ") + std::strerror(errno));
  std::unique_ptr<CheckpointReader> in(new CheckpointReader(path, file));
  struct stat status = {};
  if (fstat(file, &status) != 0) in->failed();
  if (!S_ISREG(status.st_mode)) fail(path, "this is no file of a search");
  const auto size = static_cast<std::uint64_t>(status.st_size);
  if (size < sizeof(kMagic) + CheckpointSum::kBytes) in->damaged();
  in->left_ = size - CheckpointSum::kBytes;
  char magic[sizeof(kMagic)];
  in->bytes(magic, sizeof(magic));
  if (std::memcmp(magic, kMagic, sizeof(magic)) != 0) fail(path, "this is no file of a search");
  if (in->number() != kFormat) fail(path, "the file of the search has a format of another version");
  Identity stored(in->count(16));
  for (auto& [name, value] : stored) {
    name = in->text();
    value = in->text();
  }
  const std::string differs = difference(stored, identity);
  if (!differs.empty()) fail(path, "the file is of another search: " + differs);
  return in;
}

CheckpointReader::CheckpointReader(const std::string& path, int file)
    : path_(path), file_(file), buffer_(kBuffer) {}

CheckpointReader::~CheckpointReader() { close(file_); }

std::uint64_t CheckpointReader::number() {
  unsigned char in[8];
  bytes(in, 8);
  std::uint64_t value = 0;
  for (unsigned i = 0; i < 8; ++i) value |= std::uint64_t{in[i]} << (8 * i);
  return value;
}

std::uint64_t CheckpointReader::number_below(std::uint64_t end) {
  const std::uint64_t value = number();
  if (value >= end) damaged();
  return value;
}

std::uint64_t CheckpointReader::count(std::uint64_t each) {
  const std::uint64_t value = number();
  if (value > left_ / each) damaged();
  return value;
}

Hash128 CheckpointReader::hash() {
  const std::uint64_t low = number();
  return {low, number()};
}

std::string CheckpointReader::text() {
  std::string value(count(1), '\0');
  bytes(value.data(), value.size());
  return value;
}

Schedule CheckpointReader::schedule() {
  Schedule value(count(1));
  bytes(value.data(), value.size());
  return value;
}

void CheckpointReader::tally(BoundedTally& value) {
  for (std::uint64_t* n : {&value.classes, &value.runs, &value.pruned, &value.cut}) *n = number();
  for (std::uint64_t left = count(56); left > 0; --left) {
    BoundedHit& hit = value.hits[text()];
    for (std::uint64_t* n : {&hit.preemptions, &hit.steps, &hit.count}) *n = number();
    hit.order = hash();
    hit.schedule = schedule();
  }
  for (std::uint64_t left = count(16); left > 0; --left) {
    std::uint64_t& orders = value.known[text()];
    orders = number();
  }
  for (std::uint64_t left = count(24); left > 0; --left) {
    const Hash128 order = hash();
    value.sample.offer(order, schedule());
  }
  value.retry_cuts.orders = number();
  for (std::uint64_t left = count(16); left > 0; --left) {
    std::uint64_t& orders = value.retry_cuts.functions[text()];
    orders = number();
  }
}

void CheckpointReader::finish() {
  if (left_ != 0) damaged();
  std::vector<unsigned char> stored(CheckpointSum::kBytes);
  raw(stored.data(), stored.size());
  if (stored != sum_.bytes()) damaged();
}

void CheckpointReader::damaged() const {
  fail(path_, "the file of the search is damaged or not whole: remove it to begin anew");
}

void CheckpointReader::failed() const {
  fail(path_, std::string("cannot read the file: ") + std::strerror(errno));
}

void CheckpointReader::bytes(void* data, std::uint64_t count) {
  if (count > left_) damaged();
  raw(data, count);
  left_ -= count;
  sum_.add(static_cast<const unsigned char*>(data), count);
}

void CheckpointReader::raw(void* data, std::uint64_t count) {
  auto* to = static_cast<unsigned char*>(data);
  while (count > 0) {
    if (at_ == end_) fill();
    const std::size_t now = std::min<std::uint64_t>(count, end_ - at_);
    std::memcpy(to, buffer_.data() + at_, now);
    to += now;
    at_ += now;
    count -= now;
  }
}

void CheckpointReader::fill() {
  ssize_t got = 0;
  do {
    got = ::read(file_, buffer_.data(), buffer_.size());
  } while (got < 0 && errno == EINTR);
  if (got < 0) failed();
  if (got == 0) damaged();
  at_ = 0;
  end_ = static_cast<std::size_t>(got);
}

}  // namespace interleaf
