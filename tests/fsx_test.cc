// SPDX-License-Identifier: GPL-2.0-only
// fsx: its files, its generator, what it finds in a file that does something wrong, and that it
// finds nothing in this machine's files and in the port's.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/falloc.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>
#include <set>

#include "engine/fsx/exercise.h"
#include "engine/fsx/failure.h"
#include "engine/fsx/generate.h"
#include "engine/fsx/host_file.h"
#include "engine/fsx/minimize.h"
#include "engine/fsx/run.h"
#include "engine/user_error.h"
#include "tests/litmus/soak.h"

namespace interleaf {
namespace {

TEST(FsxOps, AreReadAsTheyAreWritten) {
  const std::string text =
      "read 0x0 0x1000 0x4000\n"
      "skip write 0x1000 0x0 0x4000\n"
      "fallocate 0x2000 0x3000 0x5000 keep_size close_open unshare\n"
      "clone_range 0x0 0x1000 0x8000 0x9000\n"
      "truncate 0x0 0x123 0x123\n"
      "fsync 0x0 0x0 0x123\n";
  const std::vector<FsxOp> ops = parse_fsx(text, "f");
  EXPECT_EQ(fsx_text(ops), text);
  EXPECT_EQ(ops[3].destination, 0x8000u);
  // As fsx writes them: remarks, the star of what overlaps, decimal numbers, no last newline.
  EXPECT_EQ(fsx_text(parse_fsx("# seed 1\n\n  punch_hole 16 0x20 64 *", "f")),
            "punch_hole 0x10 0x20 0x40\n");
}

TEST(FsxOps, SayWhatIsWrong) {
  const auto error = [](const char* text) -> std::string {
    try {
      parse_fsx(text, "f.ops");
    } catch (const UserError& e) {
      return e.what();
    }
    return "no error";
  };
  EXPECT_EQ(error("read 0 0 0\nraed 0 0 0\n"),
            "unknown operation \"raed\" (f.ops:2:1): did you mean \"read\"?");
  EXPECT_EQ(error("read 0 0"), "the size of the file is missing (f.ops:1:9)");
  EXPECT_EQ(error("write 0x0 12q 0"), "\"12q\" is no number (f.ops:1:11): write 0x1000 or 4096");
  EXPECT_EQ(error("write 0 0xffffffffffffffff 0"),
            "\"0xffffffffffffffff\" is too large (f.ops:1:9)");
  EXPECT_EQ(
      error("write 0 1 1 keepsize"),
      "unknown flag \"keepsize\" (f.ops:1:13): keep_size, close_open, unshare and * are known");
}

TEST(FsxGenerator, GivesTheSameForASeedAndStaysInItsLimits) {
  FsxOptions options;
  options.count = 5000;
  options.length_max = 50000;
  options.op_max = 9000;
  options.integrity = true;
  options.close_chance = 10;
  const std::vector<FsxOp> ops = generate_fsx(options);
  EXPECT_EQ(ops, generate_fsx(options));
  options.seed = 2;
  EXPECT_NE(ops, generate_fsx(options));
  std::set<FsxKind> kinds;
  std::uint64_t closes = 0;
  for (const FsxOp& op : ops) {
    closes += op.close_open;
    EXPECT_LE(op.size, 50000u);
    if (op.skip) continue;
    kinds.insert(op.kind);
    EXPECT_LE(op.offset + op.length, 50000u) << fsx_line(op);
    if (op.kind != FsxKind::kTruncate) {
      EXPECT_LE(op.length, 9000u) << fsx_line(op);
    }
    if (op.kind == FsxKind::kCollapseRange || op.kind == FsxKind::kInsertRange) {
      EXPECT_EQ(op.offset % 4096 + op.length % 4096, 0u) << fsx_line(op);
    }
  }
  EXPECT_EQ(kinds.size(), kFsxKinds - 3u);  // dedupe, copy and exchange range are skipped
  EXPECT_NEAR(static_cast<double>(closes), 500, 100);
}

TEST(FsxGenerator, LeavesMappingsOutIfAsked) {
  FsxOptions options;
  options.map_reads = options.map_writes = false;
  for (const FsxOp& op : generate_fsx(options)) {
    EXPECT_NE(op.kind, FsxKind::kMapRead);
    EXPECT_NE(op.kind, FsxKind::kMapWrite);
    EXPECT_NE(op.kind, FsxKind::kFsync);
  }
}

// A file that is right, written for itself; a test breaks one thing of it.
class GoodFile : public FsxFile {
 public:
  std::int64_t read(std::uint64_t offset, std::uint64_t length, std::uint8_t* to) override {
    if (offset >= size) return 0;
    length = std::min(length, size - offset);
    std::memcpy(to, bytes.data() + offset, length);
    return static_cast<std::int64_t>(length);
  }
  std::int64_t write(std::uint64_t offset, std::uint64_t length,
                     const std::uint8_t* from) override {
    grow(offset + length);
    std::memcpy(bytes.data() + offset, from, length);
    return static_cast<std::int64_t>(length);
  }
  std::int64_t map_read(std::uint64_t offset, std::uint64_t length, std::uint8_t* to) override {
    std::memcpy(to, bytes.data() + offset, length);
    return 0;
  }
  std::int64_t map_write(std::uint64_t offset, std::uint64_t length, const std::uint8_t* from,
                         bool) override {
    std::memcpy(bytes.data() + offset, from, length);
    return 0;
  }
  std::int64_t truncate(std::uint64_t to) override {
    if (to < size) {
      zero(to, bytes.size());
      size = to;
    }
    grow(to);
    return 0;
  }
  std::int64_t fallocate(int mode, std::uint64_t offset, std::uint64_t length) override {
    const std::uint64_t end = offset + length;
    if ((mode & FALLOC_FL_COLLAPSE_RANGE) != 0) {
      bytes.erase(bytes.begin() + static_cast<long>(offset),
                  bytes.begin() + static_cast<long>(end));
      bytes.resize(kBytes);
      zero(size - length, kBytes);
      size -= length;
      return 0;
    }
    if ((mode & FALLOC_FL_INSERT_RANGE) != 0) {
      zero(size, kBytes);
      bytes.insert(bytes.begin() + static_cast<long>(offset), length, 0);
      bytes.resize(kBytes);
      size += length;
      return 0;
    }
    if ((mode & FALLOC_FL_KEEP_SIZE) == 0) grow(end);
    if ((mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0) {
      zero(offset, std::min(end, size));
    }
    return 0;
  }
  std::int64_t clone(std::uint64_t offset, std::uint64_t length, std::uint64_t to) override {
    grow(to + length);
    std::memmove(bytes.data() + to, bytes.data() + offset, length);
    return 0;
  }
  std::int64_t fsync() override { return 0; }
  std::int64_t reopen() override { return 0; }
  void drop_cache() override {}
  std::int64_t seek(std::uint64_t offset, int whence) override {
    if (whence == SEEK_END) return static_cast<std::int64_t>(size + offset);
    if (offset >= size) return -ENXIO;
    return static_cast<std::int64_t>(whence == SEEK_DATA ? offset : size);
  }
  std::uint64_t page_size() const override { return 4096; }

 protected:
  static constexpr std::size_t kBytes = 1 << 17;
  void zero(std::uint64_t begin, std::uint64_t end) {
    if (begin >= end) return;
    std::fill(bytes.begin() + static_cast<long>(begin), bytes.begin() + static_cast<long>(end), 0);
  }
  // What is stored behind the end is zeroed when the file grows over it.
  virtual void grow(std::uint64_t to) {
    if (to <= size) return;
    zero(size, to);
    size = to;
  }
  std::vector<std::uint8_t> bytes = std::vector<std::uint8_t>(kBytes);
  std::uint64_t size = 0;
};

std::vector<FsxOp> small_ops(std::uint64_t count, std::uint64_t seed = 1) {
  FsxOptions options;
  options.seed = seed;
  options.count = count;
  options.length_max = 60000;
  options.op_max = 12000;
  options.integrity = true;
  return generate_fsx(options);
}

// What it says of this file; "clean".
std::string found(FsxFile& file, std::uint64_t count = 5000, bool pollute = false) {
  FsxChecks checks;
  checks.pollute = pollute;
  FsxExercise exercise({60000, 4096}, checks);
  const std::vector<FsxOp> ops = small_ops(count);
  const bool good =
      exercise.run(file, ops, 0, ops.size()) && exercise.check_durable(file, ops.size());
  EXPECT_EQ(good, !exercise.mismatch().has_value());
  return good ? "clean" : exercise.mismatch()->what;
}

TEST(FsxExercise, FindsNothingInAFileThatIsRight) {
  GoodFile file;
  EXPECT_EQ(found(file), "clean");
  GoodFile polluted;
  EXPECT_EQ(found(polluted, 5000, true), "clean");
}

TEST(FsxExercise, FindsAWriteThatIsLost) {
  struct : GoodFile {
    int writes = 0;
    std::int64_t write(std::uint64_t offset, std::uint64_t length,
                       const std::uint8_t* from) override {
      if (++writes >= 50 && length > 1) {
        GoodFile::write(offset, length - 1, from);
        grow(offset + length);
        return static_cast<std::int64_t>(length);
      }
      return GoodFile::write(offset, length, from);
    }
  } file;
  EXPECT_NE(found(file).find(" are wrong"), std::string::npos);
}

TEST(FsxExercise, FindsBytesThatShouldHaveBeenZeroed) {
  struct : GoodFile {
    void grow(std::uint64_t to) override { size = std::max(size, to); }
  } file;
  EXPECT_NE(found(file, 5000, true).find("got 0xe5"), std::string::npos);
}

TEST(FsxExercise, FindsAWrongSizeAnErrorAndAShortRead) {
  struct : GoodFile {
    std::int64_t truncate(std::uint64_t to) override { return GoodFile::truncate(to / 2); }
  } wrong_size;
  EXPECT_NE(found(wrong_size).find("the size is"), std::string::npos);
  struct : GoodFile {
    std::int64_t fsync() override { return -EIO; }
  } error;
  EXPECT_EQ(found(error), "returned -EIO, wanted 0x0");
  struct : GoodFile {
    std::int64_t read(std::uint64_t offset, std::uint64_t length, std::uint8_t* to) override {
      return GoodFile::read(offset, length - 1, to);
    }
  } short_read;
  EXPECT_NE(found(short_read).find("returned 0x"), std::string::npos);
}

TEST(FsxExercise, FindsDataInWhatLseekCallsAHole) {
  struct : GoodFile {
    std::int64_t seek(std::uint64_t offset, int whence) override {
      return whence == SEEK_DATA ? -ENXIO : GoodFile::seek(offset, whence);
    }
  } file;
  EXPECT_NE(found(file).find("and there are bytes before it"), std::string::npos);
}

TEST(FsxExercise, FindsBytesBehindTheEndOfAMappedPage) {
  struct : GoodFile {
    std::int64_t map_read(std::uint64_t offset, std::uint64_t length, std::uint8_t* to) override {
      GoodFile::map_read(offset, length, to);
      if (offset + length > size) to[size - offset] = 7;
      return 0;
    }
  } file;
  EXPECT_NE(found(file).find("behind the end of the file, at 0x"), std::string::npos);
}

// Refused operations leave the byte array alone.
TEST(FsxExercise, SkipsWhatTheFileCannotDo) {
  struct : GoodFile {
    std::int64_t fallocate(int, std::uint64_t, std::uint64_t) override { return -EOPNOTSUPP; }
    std::int64_t clone(std::uint64_t, std::uint64_t, std::uint64_t) override { return -EOPNOTSUPP; }
  } file;
  FsxExercise exercise({60000, 4096}, {});
  const std::vector<FsxOp> ops = small_ops(3000);
  EXPECT_TRUE(exercise.run(file, ops, 0, ops.size()));
  EXPECT_EQ(exercise.done() + exercise.skipped(), 3000u);
  EXPECT_GT(exercise.skipped(), 1000u);
}

TEST(FsxMinimum, KeepsWhatIsNeededAndNothingElse) {
  const std::vector<FsxOp> ops = small_ops(400);
  const std::set<std::uint64_t> needed = {ops[3].offset, ops[77].offset, ops[399].offset};
  const auto fails = [&](const std::vector<FsxOp>& candidate) {
    std::set<std::uint64_t> there;
    for (const FsxOp& op : candidate) {
      if (needed.contains(op.offset)) there.insert(op.offset);
    }
    return there == needed;
  };
  const FsxMinimum minimum = minimize_fsx(ops, fails, 100000);
  EXPECT_EQ(minimum.ops.size(), needed.size());
  EXPECT_TRUE(fails(minimum.ops));
  EXPECT_TRUE(minimum.complete);
  const FsxMinimum cut = minimize_fsx(ops, fails, 5);
  EXPECT_EQ(cut.tried, 5u);
  EXPECT_FALSE(cut.complete);
  EXPECT_TRUE(fails(cut.ops));
}

TEST(FsxHost, AgreesWithAFileOfThisMachine) {
  const std::string directory = std::filesystem::temp_directory_path();
  for (const bool pollute : {false, true}) {
    FsxHostFile file(directory);
    FsxChecks checks;
    checks.pollute = pollute;
    checks.seek_each = true;
    FsxExercise exercise({60000, file.block_size()}, checks);
    const std::vector<FsxOp> ops = small_ops(1000, 3);
    EXPECT_TRUE(exercise.run(file, ops, 0, ops.size()) && exercise.check_durable(file, ops.size()))
        << fsx_line(ops[std::min(exercise.mismatch()->op, ops.size() - 1)]) << "\n"
        << exercise.mismatch()->what;
    EXPECT_GT(exercise.done(), 300u);
  }
  EXPECT_THROW(FsxHostFile("/nonexistent/directory"), UserError);
}

std::string shown(const FsxResult& result, const std::vector<FsxOp>& ops) {
  if (result.clean()) return "clean";
  return fsx_verdict(result) + " at " +
         (result.op < ops.size() ? fsx_line(ops[result.op]) : "the end") + ": " +
         fsx_finding(result)->message;
}

std::shared_ptr<const Configuration> configured(const char* persona) {
  Overrides overrides;
  overrides.persona = persona;
  return configure_fsx(std::move(overrides));
}

constexpr const char* kPersonas[] = {"generic", "ext4", "btrfs", "xfs"};

// In a soak with fsx's own sizes; else with small ones.
class FsxPort : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Personas, FsxPort, testing::ValuesIn(kPersonas),
                         [](const auto& persona) { return std::string(persona.param); });

TEST_P(FsxPort, AgreesWithTheByteArrayInSequence) {
  FsxOptions generate;
  generate.count = 100'000;
  generate.length_max = soaking() ? 262144 : 65536;
  generate.op_max = soaking() ? 65536 : 16384;
  generate.close_chance = 100;
  const std::vector<FsxOp> ops = generate_fsx(generate);
  FsxRunOptions options;
  options.limits.length_max = generate.length_max;
  const FsxResult result = run_fsx(configured(GetParam()), {ops}, options);
  EXPECT_EQ(shown(result, ops), "clean");
  EXPECT_EQ(result.done + result.skipped, generate.count);
  EXPECT_GT(result.done, generate.count / 3);
}

TEST_P(FsxPort, AgreesWithTheByteArrayAmongOtherTasks) {
  FsxOptions generate;
  generate.count = soaking() ? 20'000 : 300;
  generate.length_max = 32768;
  generate.op_max = 8192;
  generate.integrity = true;
  const std::vector<FsxOp> ops = generate_fsx(generate);
  generate.seed = 2;
  const std::vector<FsxOp> other = generate_fsx(generate);
  FsxRunOptions options;
  options.limits.length_max = generate.length_max;
  options.flusher = true;
  options.reclaim = true;
  options.random = true;
  options.ops_per_run = 100;
  const FsxResult result = run_fsx(configured(GetParam()), {ops, other}, options);
  EXPECT_EQ(shown(result, result.file == 0 ? ops : other), "clean");
  EXPECT_EQ(result.done + result.skipped, 2 * generate.count);
}

// ext2 leaves what was stored behind the end where it is when the file grows.
TEST(FsxMachine, FindsTheBytesThatNobodyZeroedAndCutsTheSequenceDown) {
  FsxOptions generate;
  generate.count = 500;
  generate.length_max = 32768;
  generate.op_max = 8192;
  const std::vector<FsxOp> ops = generate_fsx(generate);
  FsxRunOptions options;
  options.limits.length_max = generate.length_max;
  options.checks.pollute = true;
  options.ops_per_run = 100;
  const auto configuration = configured("generic");
  const FsxResult result = run_fsx(configuration, {ops}, options);
  EXPECT_EQ(fsx_verdict(result), "stale-data") << shown(result, ops);
  EXPECT_EQ(run_fsx(configuration, {ops}, options).steps, result.steps);
  const FsxMinimum minimum = minimize_failure(configuration, {ops}, options, result, 2000);
  EXPECT_TRUE(minimum.complete);
  EXPECT_GE(minimum.ops.size(), 2u);
  EXPECT_LE(minimum.ops.size(), 4u) << fsx_text(minimum.ops);
  // The file that is printed shows it again.
  const FsxResult again =
      run_fsx(configuration, {parse_fsx(fsx_text(minimum.ops), "ops")}, options);
  EXPECT_EQ(fsx_verdict(again), "stale-data");
  options.checks.pollute = false;
  EXPECT_EQ(shown(run_fsx(configuration, {minimum.ops}, options), minimum.ops), "clean");
}

// generic/363 on XFS: zero range skipped what was dirty over unwritten extents, until c5c810b94cfd.
TEST(FsxMachine, FindsOnXfsOf66WhatFlushingInZeroRangeCloses) {
  FsxOptions generate;
  generate.count = 1000;
  generate.length_max = 65536;
  generate.op_max = 16384;
  const std::vector<FsxOp> ops = generate_fsx(generate);
  FsxRunOptions options;
  options.limits.length_max = generate.length_max;
  options.checks.pollute = true;
  Overrides overrides;
  overrides.persona = "xfs";
  overrides.kernel = "6.6";
  const auto old = configure_fsx(overrides);
  const FsxResult result = run_fsx(old, {ops}, options);
  EXPECT_EQ(fsx_verdict(result), "stale-data") << shown(result, ops);
  const FsxMinimum minimum = minimize_failure(old, {ops}, options, result, 2000);
  EXPECT_TRUE(minimum.complete);
  EXPECT_LE(minimum.ops.size(), 4u) << fsx_text(minimum.ops);
  overrides.with = {"iomap-zero-range-flush-all"};
  EXPECT_EQ(shown(run_fsx(configure_fsx(overrides), {ops}, options), ops), "clean");
  overrides.with = {};
  overrides.kernel = "6.12.95";
  EXPECT_EQ(shown(run_fsx(configure_fsx(overrides), {ops}, options), ops), "clean");
}

}  // namespace
}  // namespace interleaf
