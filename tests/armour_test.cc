// SPDX-License-Identifier: GPL-2.0-only
#include "engine/armour.h"

#include <gtest/gtest.h>

#include <sstream>

#include "engine/recording.h"
#include "engine/user_error.h"
#include "tests/recording_samples.h"

namespace interleaf {
namespace {

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (std::size_t at = text.find(from); at != text.npos; at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
}

Recording from_text(const std::string& text) { return decode(dearmour(text, "mail"), "mail"); }

std::string error_of_text(const std::string& text) {
  try {
    from_text(text);
  } catch (const UserError& error) {
    return error.what();
  }
  return "none";
}

TEST(Armour, ReadsWhatItWrote) {
  Random random(30);
  for (int i = 0; i < 200; ++i) {
    const Recording recording = random_recording(random);
    ASSERT_EQ(from_text(armoured(recording)), recording) << "recording " << i;
  }
}

TEST(Armour, FitsAMail) {
  Recording recording = fuzzed(true);
  recording.patches_with.assign(12, "a-patch-with-a-long-slug");
  recording.signature.assign(300, 's');
  std::istringstream lines(armoured(recording));
  for (std::string line; std::getline(lines, line);) {
    EXPECT_LE(line.size(), 76u) << line;
    EXPECT_EQ(line.find_first_not_of(' ') == 0, false) << line;
    EXPECT_EQ(line.find('\t'), line.npos) << line;
  }
}

TEST(Armour, ShowsWhatPeopleWantToKnow) {
  const std::string text = armoured(minimised());
  EXPECT_EQ(text.substr(0, text.find(" %body")),
            " %interleaf 1 iomap-zero-range-vs-writeback 6.12-iomap-zero-fill-dirty\n"
            "    seed=0x51f3\n"
            " P zero:iomap_zero_range/iomap_lookup#1>wb\n"
            " B wb:folio_wait_writeback/PG_writeback#1>zero\n"
            " =stale-data stale-data iomap_zero_iter <- iomap_zero_range /\n"
            "    iomap_writepages data\n");
}

TEST(Armour, SurvivesMail) {
  const std::string text = armoured(minimised());
  EXPECT_EQ(from_text("> " + replaced(text, "\n", "\n> ")), minimised());
  EXPECT_EQ(from_text("> > " + replaced(text, "\n", "\n> >")), minimised());
  EXPECT_EQ(from_text("AB> " + replaced(text, "\n", "\nAB> ")), minimised());
  EXPECT_EQ(from_text("| " + replaced(text, "\n", "\n| ")), minimised());
  EXPECT_EQ(from_text(replaced(text, "\n", "\r\n")), minimised());
  EXPECT_EQ(from_text(replaced(text, "\n ", "\n")), minimised());
  EXPECT_EQ(from_text(replaced(text, "\n ", " ")), minimised());
  EXPECT_EQ(from_text(replaced(text, "\n", "\n\n")), minimised());
  EXPECT_EQ(from_text("See %interleaf below:\n\n" + text + "\n--\n%sum 0\n" + text), minimised());
}

TEST(Armour, SaysWhereItWasChanged) {
  const std::string text = " %interleaf 1 a\n %body 3\n AQID\n %sum ";
  const std::string sum = armour({"a"}, bytes_of("\1\2\3")).substr(text.size());
  const std::string copy_again =
      "copy it again from the mail, from '%interleaf' to the line with '%sum'";
  EXPECT_EQ(dearmour(text + sum, "mail"), bytes_of("\1\2\3"));
  EXPECT_EQ(error_of_text(replaced(text + sum, "AQID", "AQIE")),
            "the text of the recording was changed, its sum differs (mail:4:2): " + copy_again);
  EXPECT_EQ(error_of_text(replaced(text + sum, "AQID", "AQ*D")),
            "'*' does not belong into the text of a recording (mail:3:4): " + copy_again);
  EXPECT_EQ(error_of_text(replaced(text + sum, "AQID", "AQ")),
            "the text of the recording has 1 bytes, not 3 (mail:2:2): " + copy_again);
  EXPECT_EQ(error_of_text(text), "the text of the recording is cut off (mail:1:2): " + copy_again);
  EXPECT_EQ(error_of_text("Hi"),
            "the text has no recording in it (mail): it must have a line that starts with "
            "'%interleaf 1'");
}

}  // namespace
}  // namespace interleaf
