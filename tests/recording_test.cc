// SPDX-License-Identifier: GPL-2.0-only
#include "engine/recording.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "engine/armour.h"
#include "engine/choice_code.h"
#include "engine/user_error.h"
#include "tests/recording_samples.h"

namespace interleaf {
namespace {

std::string error_of(const Bytes& file) {
  try {
    decode(file, "a.rec");
  } catch (const UserError& error) {
    return error.what();
  }
  return "none";
}

TEST(Recording, DecodesToWhatWasEncoded) {
  Random random(20);
  for (int i = 0; i < 500; ++i) {
    const Recording recording = random_recording(random);
    const Bytes file = encode(recording);
    ASSERT_EQ(decode(file, "a.rec"), recording) << "recording " << i;
    ASSERT_EQ(encode(Recording(recording)), file) << "recording " << i;
  }
}

TEST(Recording, DecodesWhenEverythingIsEmpty) {
  EXPECT_EQ(decode(encode(Recording{}), "a.rec"), Recording{});
}

TEST(Recording, StaysWithinItsSizes) {
  EXPECT_LE(encode(fuzzed(false)).size(), 900u);
  EXPECT_LE(encode(fuzzed(true)).size(), 10u * 300u);
  EXPECT_LE(encode(minimised()).size(), 900u);
  Recording without_scenario = minimised();
  without_scenario.scenario_text.clear();
  EXPECT_LE(encode(without_scenario).size(), 500u);
}

TEST(Recording, CodesRandomChoicesInThreeBitsEach) {
  EXPECT_LE(8 * encode_choices(fuzzed(false).choices).runs.size(), 3u * 300u);
}

TEST(Recording, CodesChoicesAsTheSchemaSays) {
  const std::vector<std::uint8_t> choices = {0, 0, 0, 1, 0x81, 0};
  const ChoiceCode code = encode_choices(choices);
  EXPECT_EQ(code.alphabet, (std::vector<std::uint8_t>{0, 1, 0x81}));
  // 010+1 | 0 1 | 1 1 | 0 1, written lowest bit first: 0 1 1, 0 1, 1 1, 0 | 1.
  EXPECT_EQ(code.runs, (std::vector<std::uint8_t>{0b01110110, 0b1}));
  EXPECT_EQ(decode_choices(choices.size(), code.alphabet, code.runs), choices);
}

TEST(Recording, RefusesToEncodeWhatNoFileHolds) {
  Recording recording;
  recording.kernel.assign(kRecordingNameBytesMax + 1, 'k');
  EXPECT_THROW(encode(recording), UserError);
  recording = {};
  recording.checkpoints.resize(kRecordingRowsMax + 1);
  EXPECT_THROW(encode(recording), UserError);
  recording = {};
  recording.choices.resize(kRecordingChoicesMax + 1);
  EXPECT_THROW(encode(recording), UserError);
  recording = {};
  recording.note.assign(kRecordingBytesMax, 'n');
  EXPECT_THROW(encode(recording), UserError);
}

// Calls use(damaged) with every byte of `bytes` once changed: each bit, 0 and 255.
template <typename Use>
void with_each_byte_damaged(const Bytes& bytes, Use use) {
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    Bytes damaged = bytes;
    const auto original = bytes[at];
    std::vector<std::byte> values = {std::byte{0}, std::byte{255}};
    for (int bit = 0; bit < 8; ++bit) values.push_back(original ^ std::byte{1} << bit);
    for (const std::byte value : values) {
      if (value == original) continue;
      damaged[at] = value;
      use(damaged);
    }
  }
}

TEST(Recording, RejectsEveryDamagedByte) {
  with_each_byte_damaged(encode(minimised()), [](const Bytes& damaged) {
    EXPECT_THROW(decode(damaged, "a.rec"), UserError);
  });
}

TEST(Recording, SurvivesEveryDamagedByteBehindTheChecksum) {
  with_each_byte_damaged(encode_payload(minimised()), [](const Bytes& damaged) {
    try {
      const Recording recording = decode_payload(damaged, "a.rec");
      EXPECT_EQ(decode_payload(encode_payload(recording), "again"), recording);
    } catch (const UserError&) {
    }
  });
}

TEST(Recording, RejectsEveryTruncation) {
  const Bytes file = encode(minimised());
  for (std::size_t size = 1; size < file.size(); ++size) {
    const std::string error = error_of(Bytes(file.begin(), file.begin() + size));
    ASSERT_TRUE(error.starts_with("the recording is cut off, " + std::to_string(size))) << error;
  }
}

TEST(Recording, SaysWhatIsWrongWithAFile) {
  EXPECT_EQ(error_of({}),
            "the file is empty (a.rec): give a recording, 'interleaf run -o FILE' makes one");
  const std::string foreign =
      "this is not a recording (a.rec): give a file written with -o, or a text with a line "
      "'%interleaf 1'";
  EXPECT_EQ(error_of(bytes_of("\x89PNG\r\n\x1a\n")), foreign);
  EXPECT_EQ(error_of(bytes_of("name: canary\n")), foreign);

  const std::string copy_again = " (a.rec): copy the file again, as binary, or use its text form";
  Bytes file = encode(minimised());
  EXPECT_EQ(error_of(Bytes(file.begin(), file.begin() + 20)),
            "the recording is cut off, 20 of at least 28 bytes are there" + copy_again);
  file.push_back(std::byte{0});
  EXPECT_EQ(error_of(file), "1 bytes follow the recording" + copy_again);
  file.pop_back();
  file.back() ^= std::byte{1};
  EXPECT_EQ(error_of(file), "the recording is damaged, its checksum differs" + copy_again);
  file.erase(file.begin() + 4);
  EXPECT_EQ(error_of(file), "the recording was changed as if it were text" + copy_again);
}

TEST(Recording, SaysThatItIsTooNew) {
  Recording newer = minimised();
  newer.format = 7;
  EXPECT_EQ(decode(encode(newer), "a.rec"), newer);
  newer.required_reader = kRecordingReader + 1;
  EXPECT_EQ(error_of(encode(newer)),
            "the recording has format 7 and needs reader 2, this program has reader 1 (a.rec): use "
            "a newer interleaf");
}

// Written by the first engine. Stays as it is for ever, as do schema, dictionary and armour.
constexpr char kFormat1[] = R"(
 %interleaf 1 iomap-zero-range-vs-writeback 6.12-iomap-zero-fill-dirty
    seed=0x51f3
 P zero:iomap_zero_range/iomap_lookup#1>wb
 B wb:folio_wait_writeback/PG_writeback#1>zero
 =stale-data stale-data iomap_zero_iter <- iomap_zero_range /
    iomap_writepages data
 %body 311
 iUlMRg0KGgrUkA19hd8FKQEAAQAbAQAAGwEAABBBUAoSUzMBAQFVAgMECf9p9HKZz//gVwAVChY
 XA/NRAV4BXv/RwrOk0HcenAABAQAAMZE6BBFBGwAAET0LET0fEUkSEUkiEUkXEVETEVEVEVUTEV
 UTEVUVEVkTAAMVBQYHAQgRDAEFCwwFDQwFDg8CAQ9okEMCEQgBBRIRBRUUBAEBDgE8BRATBAEBA
 QEBBRMQ/2M0kAWPSOiCD0Y8dMHFkW5ZsS68KuPKS8wFRn1JeT4XC6gg4IeohjTDkvPLBZB0g9ML
 H7DVA5LQBZacupn5osjymTBHMQMVsUGqZxaQq1lArTZWcIOHFVztMRqxgLTwIA++CKAPzTCVJ/E
 gN2FFsDXTuRAtRjekxiP6sI+NLubIjz8+5ugNSC8
 %sum 5e4d7d5d9a8f9160
)";

TEST(Recording, ReadsFormatOne) {
  Recording expected = minimised();
  expected.format = 1;
  expected.tool_version = "0";
  expected.scenario_text = "name: two\n";
  expected.scenario_digest = scenario_digest_of(expected.scenario_text);
  expected.checkpoints.clear();
  expected.evidence.clear();
  expected.minimality.reset();
  EXPECT_EQ(decode(dearmour(kFormat1, "format 1"), "format 1"), expected);
}

class RecordingFile : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "recording-XXXXXX";
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    directory_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string path(const std::string& name) const { return directory_ / name; }
  std::string files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(directory_)) {
      names.push_back(entry.path().filename());
    }
    std::sort(names.begin(), names.end());
    std::string result;
    for (const auto& name : names) result += name + " ";
    return result;
  }

  std::filesystem::path directory_;
};

TEST_F(RecordingFile, LoadsWhatWasSaved) {
  save(path("a.rec"), minimised(), Overwrite::kRefuse);
  EXPECT_EQ(load(path("a.rec")), minimised());
  EXPECT_EQ(files(), "a.rec ");
}

TEST_F(RecordingFile, LoadsAMail) {
  std::ofstream(path("mail")) << "Subject: a race\n\nHi,\n\n" << armoured(minimised()) << "\nBye\n";
  EXPECT_EQ(load(path("mail")), minimised());
}

TEST_F(RecordingFile, LoadsStandardInput) {
  save(path("a.rec"), minimised(), Overwrite::kRefuse);
  const int standard_input = dup(STDIN_FILENO);
  const int file = open(path("a.rec").c_str(), O_RDONLY);
  dup2(file, STDIN_FILENO);
  EXPECT_EQ(load("-"), minimised());
  dup2(standard_input, STDIN_FILENO);
  close(file);
  close(standard_input);
}

TEST_F(RecordingFile, IsSavedBesideALeftTemporary) {
  std::ofstream(path("a.rec.tmp-" + std::to_string(getpid()) + "-0")) << "left";
  save(path("a.rec"), minimised(), Overwrite::kRefuse);
  EXPECT_EQ(load(path("a.rec")), minimised());
}

TEST_F(RecordingFile, IsOverwrittenOnlyByForce) {
  save(path("a.rec"), minimised(), Overwrite::kRefuse);
  EXPECT_THROW(save(path("a.rec"), fuzzed(false), Overwrite::kRefuse), UserError);
  EXPECT_EQ(load(path("a.rec")), minimised());
  save(path("a.rec"), fuzzed(false), Overwrite::kForce);
  EXPECT_EQ(load(path("a.rec")), fuzzed(false));
  EXPECT_EQ(files(), "a.rec ");
}

TEST_F(RecordingFile, LeavesNothingWhenItCannotBeSaved) {
  std::filesystem::create_directory(path("taken"));
  EXPECT_THROW(save(path("taken"), minimised(), Overwrite::kForce), UserError);
  EXPECT_THROW(save(path("missing/a.rec"), minimised(), Overwrite::kRefuse), UserError);
  EXPECT_EQ(files(), "taken ");
}

TEST_F(RecordingFile, CannotBeLoadedWhenItIsNoFile) {
  EXPECT_THROW(load(path("missing")), UserError);
  EXPECT_THROW(load(directory_), UserError);
}

}  // namespace
}  // namespace interleaf
