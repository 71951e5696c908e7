// SPDX-License-Identifier: GPL-2.0-only
#include "scheduler/search/checkpoint.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>

namespace interleaf {
namespace {

constexpr char kMagic[] = {'\x89', 'I', 'L', 'F', 'S', 'R', '\n', '\x1a'};
constexpr std::uint32_t kFormat = 1;
constexpr std::size_t kBuffer = std::size_t{1} << 16;
constexpr std::size_t kSum = 16;

[[noreturn]] void fail(const std::string& path, const std::string& what) {
  throw CheckpointError(what + " (" + path + ")");
}

// Of the bytes in order, whatever the pieces they come in.
class Sum {
 public:
  void add(const unsigned char* bytes, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      word_ |= std::uint64_t{bytes[i]} << (8 * held_);
      if (++held_ < 8) continue;
      hash_.mix({word_, 0});
      word_ = 0;
      held_ = 0;
    }
  }
  std::array<unsigned char, kSum> bytes() const {
    Hash128 hash = hash_;
    hash.mix({word_, held_ + 1});
    std::array<unsigned char, kSum> out;
    for (unsigned i = 0; i < 8; ++i) {
      out[i] = static_cast<unsigned char>(hash.low >> (8 * i));
      out[8 + i] = static_cast<unsigned char>(hash.high >> (8 * i));
    }
    return out;
  }

 private:
  Hash128 hash_;
  std::uint64_t word_ = 0;
  unsigned held_ = 0;
};

class Writer {
 public:
  explicit Writer(const std::string& path)
      : path_(path), temporary_(path + ".tmp" + std::to_string(getpid())) {
    file_ = open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (file_ < 0) fail(temporary_, std::string("cannot write the file: ") + std::strerror(errno));
  }
  ~Writer() {
    if (file_ < 0) return;  // renamed
    close(file_);
    unlink(temporary_.c_str());
  }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  void bytes(const void* data, std::size_t count) {
    const auto* from = static_cast<const unsigned char*>(data);
    sum_.add(from, count);
    buffer_.insert(buffer_.end(), from, from + count);
    if (buffer_.size() >= kBuffer) flush();
  }
  void number(std::uint64_t value) {
    unsigned char out[8];
    for (unsigned i = 0; i < 8; ++i) out[i] = static_cast<unsigned char>(value >> (8 * i));
    bytes(out, 8);
  }
  void hash(const Hash128& value) {
    number(value.low);
    number(value.high);
  }
  void text(const std::string& value) {
    number(value.size());
    bytes(value.data(), value.size());
  }
  void schedule(const Schedule& value) {
    number(value.size());
    bytes(value.data(), value.size());
  }
  // The file is whole: it takes its name.
  void finish() {
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

 private:
  [[noreturn]] void failed() const {
    fail(path_, std::string("cannot write the file: ") + std::strerror(errno));
  }
  void flush() {
    std::size_t at = 0;
    while (at < buffer_.size()) {
      const ssize_t written = ::write(file_, buffer_.data() + at, buffer_.size() - at);
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) failed();
      at += static_cast<std::size_t>(written);
    }
    buffer_.clear();
  }

  const std::string& path_;
  std::string temporary_;
  int file_ = -1;
  std::vector<unsigned char> buffer_;
  Sum sum_;
};

class Reader {
 public:
  Reader(const std::string& path, int file) : path_(path), file_(file) {
    struct stat status = {};
    if (fstat(file_, &status) != 0) failed();
    if (!S_ISREG(status.st_mode)) fail(path_, "this is no file of a search");
    if (static_cast<std::uint64_t>(status.st_size) < sizeof(kMagic) + kSum) damaged();
    left_ = static_cast<std::uint64_t>(status.st_size) - kSum;
  }
  ~Reader() { close(file_); }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  void bytes(void* data, std::uint64_t count) {
    if (count > left_) damaged();
    raw(data, count);
    left_ -= count;
    sum_.add(static_cast<const unsigned char*>(data), count);
  }
  std::uint64_t number() {
    unsigned char in[8];
    bytes(in, 8);
    std::uint64_t value = 0;
    for (unsigned i = 0; i < 8; ++i) value |= std::uint64_t{in[i]} << (8 * i);
    return value;
  }
  // The length of a list whose elements take at least `each` bytes.
  std::uint64_t count(std::uint64_t each) {
    const std::uint64_t value = number();
    if (value > left_ / each) damaged();
    return value;
  }
  Hash128 hash() {
    const std::uint64_t low = number();
    return {low, number()};
  }
  std::string text() {
    std::string value(count(1), '\0');
    bytes(value.data(), value.size());
    return value;
  }
  Schedule schedule() {
    Schedule value(count(1));
    bytes(value.data(), value.size());
    return value;
  }
  // Nothing may follow but the right checksum.
  void finish() {
    if (left_ != 0) damaged();
    std::array<unsigned char, kSum> stored;
    raw(stored.data(), stored.size());
    if (stored != sum_.bytes()) damaged();
  }
  [[noreturn]] void damaged() const {
    fail(path_, "the file of the search is damaged or not whole: remove it to begin anew");
  }

 private:
  [[noreturn]] void failed() const {
    fail(path_, std::string("cannot read the file: ") + std::strerror(errno));
  }
  void raw(void* data, std::uint64_t count) {
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
  void fill() {
    ssize_t got = 0;
    do {
      got = ::read(file_, buffer_.data(), buffer_.size());
    } while (got < 0 && errno == EINTR);
    if (got < 0) failed();
    if (got == 0) damaged();
    at_ = 0;
    end_ = static_cast<std::size_t>(got);
  }

  const std::string& path_;
  int file_;
  std::uint64_t left_ = 0;  // bytes before the checksum
  std::vector<unsigned char> buffer_ = std::vector<unsigned char>(kBuffer);
  std::size_t at_ = 0, end_ = 0;
  Sum sum_;
};

void put(Writer& out, const std::vector<Branch>& branches) {
  std::uint64_t count = 0;
  for (const Branch& branch : branches) count += !branch.at.empty() || branch.schedule.empty();
  out.number(count);
  for (const Branch& branch : branches) {
    if (branch.at.empty() && !branch.schedule.empty()) continue;
    out.schedule(branch.schedule);
    out.number(branch.at.size());
    for (const Branch::At& at : branch.at) {
      out.number(std::uint64_t{at.choice} | std::uint64_t{at.part} << 32);
      out.number(at.todo);
    }
  }
}

std::vector<Branch> get_branches(Reader& in) {
  std::vector<Branch> branches(in.count(16));
  for (Branch& branch : branches) {
    branch.schedule = in.schedule();
    branch.at.resize(in.count(16));
    for (Branch::At& at : branch.at) {
      const std::uint64_t word = in.number();
      at.choice = static_cast<std::uint32_t>(word);
      at.part = static_cast<std::uint8_t>(word >> 32);
      at.todo = in.number();
      if (at.choice >= branch.schedule.size()) in.damaged();
    }
  }
  return branches;
}

void put(Writer& out, const BoundedTally& tally) {
  for (const std::uint64_t n : {tally.classes, tally.runs, tally.pruned, tally.cut}) out.number(n);
  out.number(tally.hits.size());
  for (const auto& [signature, hit] : tally.hits) {
    out.text(signature);
    for (const std::uint64_t n : {hit.preemptions, hit.steps, hit.count}) out.number(n);
    out.hash(hit.order);
    out.schedule(hit.schedule);
  }
  out.number(tally.known.size());
  for (const auto& [signature, count] : tally.known) {
    out.text(signature);
    out.number(count);
  }
  out.number(tally.sample.schedules().size());
  for (const auto& [order, schedule] : tally.sample.schedules()) {
    out.hash(order);
    out.schedule(schedule);
  }
}

void get(Reader& in, BoundedTally& tally) {
  for (std::uint64_t* n : {&tally.classes, &tally.runs, &tally.pruned, &tally.cut}) {
    *n = in.number();
  }
  for (std::uint64_t left = in.count(56); left > 0; --left) {
    BoundedHit& hit = tally.hits[in.text()];
    for (std::uint64_t* n : {&hit.preemptions, &hit.steps, &hit.count}) *n = in.number();
    hit.order = in.hash();
    hit.schedule = in.schedule();
  }
  for (std::uint64_t left = in.count(16); left > 0; --left) {
    std::uint64_t& count = tally.known[in.text()];
    count = in.number();
  }
  for (std::uint64_t left = in.count(24); left > 0; --left) {
    const Hash128 order = in.hash();
    tally.sample.offer(order, in.schedule());
  }
}

void put(Writer& out, const PrefixSet& set) {
  out.number(set.size());
  set.for_each([&](const Hash128& key) { out.hash(key); });
}

void get(Reader& in, PrefixSet& set) {
  for (std::uint64_t left = in.count(16); left > 0; --left) set.insert(in.hash());
}

void put(Writer& out, const BoundedState& state) {
  for (const std::uint64_t n :
       {std::uint64_t{state.level}, std::uint64_t{state.pass}, state.runs, state.choices}) {
    out.number(n);
  }
  out.number(state.levels.size());
  for (const BoundedLevel& level : state.levels) {
    for (const std::uint64_t n : {level.classes, level.runs, level.pruned, level.cut}) {
      out.number(n);
    }
    out.number(std::bit_cast<std::uint64_t>(level.seconds));
  }
  put(out, state.tally);
  put(out, state.given);
  put(out, state.frontier);
  put(out, state.next);
}

void get(Reader& in, BoundedState& state) {
  state.level = static_cast<unsigned>(in.number());
  state.pass = static_cast<unsigned>(in.number());
  state.runs = in.number();
  state.choices = in.number();
  state.levels.resize(in.count(40));
  for (BoundedLevel& level : state.levels) {
    for (std::uint64_t* n : {&level.classes, &level.runs, &level.pruned, &level.cut}) {
      *n = in.number();
    }
    level.seconds = std::bit_cast<double>(in.number());
  }
  get(in, state.tally);
  state.given = get_branches(in);
  state.frontier = get_branches(in);
  state.next = get_branches(in);
  if (state.levels.size() != state.level + std::size_t{1}) in.damaged();
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

void write_checkpoint(const std::string& path, const Identity& identity, const BoundedState& state,
                      const PrefixSet& seen, const PrefixSet& orders) {
  Writer out(path);
  out.bytes(kMagic, sizeof(kMagic));
  out.number(kFormat);
  out.number(identity.size());
  for (const auto& [name, value] : identity) {
    out.text(name);
    out.text(value);
  }
  put(out, state);
  put(out, seen);
  put(out, orders);
  out.finish();
}

void remove_checkpoint(const std::string& path) { unlink(path.c_str()); }

bool read_checkpoint(const std::string& path, const Identity& identity, BoundedState& state,
                     PrefixSet& seen, PrefixSet& orders) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0 && errno == ENOENT) return false;
  if (file < 0) fail(path, std::string("cannot read the file: ") + std::strerror(errno));
  Reader in(path, file);
  char magic[sizeof(kMagic)];
  in.bytes(magic, sizeof(magic));
  if (std::memcmp(magic, kMagic, sizeof(magic)) != 0) fail(path, "this is no file of a search");
  if (in.number() != kFormat) fail(path, "the file of the search has a format of another version");
  Identity stored(in.count(16));
  for (auto& [name, value] : stored) {
    name = in.text();
    value = in.text();
  }
  const std::string differs = difference(stored, identity);
  if (!differs.empty()) fail(path, "the file is of another search: " + differs);
  get(in, state);
  get(in, seen);
  get(in, orders);
  in.finish();
  return true;
}

}  // namespace interleaf
