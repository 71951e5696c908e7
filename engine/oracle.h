// SPDX-License-Identifier: GPL-2.0-only
// The judge: a model of the data that users were told is safe in the file. For every byte it knows
// which write was last acknowledged, and it reports a loss at the step that destroys the last copy.
//
// What counts as a copy: an uptodate folio in the page cache, one that a collapse has set aside to
// put back or to copy, or the disk through the file's block map. Checked when a folio leaves the
// cache, when a disk block changes, when a write is acknowledged, and at the end of the run (cache
// first, then the disk after a clean unmount). Reads are compared with what they may return.
//
// A hole punch, a zeroed range, and the bytes that truncate takes or adds count as writes of zeros:
// once they have returned, what was there before must not show again, neither in the cache nor,
// behind it, on the disk. Of such bytes only what a reader would see counts, not any copy.
//
// Every error of writeback is told once to every file that was open when it was recorded.
//
// Allowed to go: bytes of a write that failed or was short, bytes whose writeback error was
// recorded, bytes already reported. Of calls that overlap in time either content is right; so is a
// read that overlaps a write returning old or new bytes. What was stored behind the end of the file
// belongs to nobody, but must be gone when the file grows over it, unless it was growing then.
//
// Lives in the arena and rewinds with the World. Sees contents without making points.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/byte_ranges.h"
#include "engine/kernel/hooks.h"
#include "scheduler/access.h"
#include "scheduler/block_type.h"
#include "scheduler/finding.h"

namespace interleaf {

class Oracle final : public kernel::powered_observer {
 public:
  Oracle() = default;

  // Setup: `image` (whole pages, immutable, or empty for holes) is what the file holds.
  void add_file(kernel::inode& node, std::uint64_t size, const std::vector<std::uint8_t>& image);

  unsigned write_begin(kernel::inode& node, kernel::loff_t pos, const void* data,
                       std::size_t len) override;
  void write_end(unsigned write, long acknowledged) override;
  unsigned read_begin(kernel::inode& node, kernel::loff_t pos, std::size_t len) override;
  void read_end(unsigned read, const void* data, long got) override;
  unsigned zero_begin(kernel::inode& node, kernel::loff_t pos, kernel::loff_t len) override;
  void zero_end(unsigned zeroing, bool done) override;
  unsigned truncate_begin(kernel::inode& node) override;
  void truncate_range(unsigned truncation, kernel::loff_t pos, kernel::loff_t len) override;
  unsigned shift_begin(kernel::inode& node, kernel::loff_t pos, kernel::loff_t shift) override;
  void shift_end(unsigned shift, bool done) override;
  unsigned clone_begin(kernel::inode& in, kernel::loff_t in_pos, kernel::inode& out,
                       kernel::loff_t out_pos, kernel::loff_t len) override;
  void clone_end(unsigned clone, kernel::loff_t done) override;
  void store_behind_end(kernel::inode& node, kernel::loff_t pos, std::size_t len) override;
  void error_recorded(kernel::inode& node) override;
  void file_opened(const kernel::file& f) override;
  unsigned error_asked(const kernel::file& f) override;
  void error_sampled(const kernel::file& f) override;
  void error_told(unsigned asked, int error) override;
  void size_changed(kernel::inode& node, kernel::loff_t size) override;
  void dirty_cancelled(kernel::folio& f) override;
  void folio_removed(kernel::inode& node, kernel::folio& f, kernel::folio* replacement) override;
  void folio_set_aside(kernel::inode& node, kernel::folio& f, bool aside) override;
  void block_written(kernel::inode& node, kernel::loff_t pos, std::size_t len) override;
  void write_error(kernel::inode& node, kernel::loff_t pos, std::size_t len) override;
  void sync_promised(kernel::inode& node) override;

  // Setup: requests of the disk may fail. Else errors of writeback make no two steps depend on each
  // other.
  void expect_errors() { errors_expected_ = true; }

  // At the end of a run: the whole of every file, in the cache or on disk; with `disk_only` after
  // everything was written back.
  void check_all(bool disk_only);
  // When nothing goes on any more: dirty data has a place on the disk, or a reservation.
  void check_dirty();
  // After everything was written back: what clean folios show is what the disk has, whatever is
  // known of the bytes. So nobody can tell that they are dropped.
  void check_dropped();
  // Has it been told that bytes of these were lost, or that they could not be written?
  bool is_told(const kernel::inode& node, std::uint64_t begin, std::uint64_t end) const;

 private:
  // A page of acknowledged bytes: null is zeros; else immutable, or owned by this model.
  struct Page {
    const std::uint8_t* bytes = nullptr;
    bool owned = false;
  };
  // Bytes that may be there instead of the acknowledged ones; null: any bytes.
  struct Alternative {
    std::uint64_t pos;
    std::uint64_t len;
    const std::uint8_t* bytes;
  };
  // What the judgement on a page depends on besides announced accesses, as objects that steps touch
  // (Scheduler::also). Calls that overlap in time are judged otherwise than calls one after the
  // other, so begins and ends must not pass each other; begins may pass begins.
  struct PageObjects {
    ObjectNumber running;  // begins of writes are one group, all that looks at them another
    ObjectNumber data;     // acknowledged and alternative bytes
    ObjectNumber cache;    // whether a folio is in the cache
    ObjectNumber disk;

    static const BlockType kBlock;  // for reports
    static void* operator new(std::size_t bytes) { return allocate_typed(bytes, kBlock); }
  };
  struct File {
    static const BlockType kBlock;
    static void* operator new(std::size_t bytes) { return allocate_typed(bytes, kBlock); }

    ObjectNumber size_number;
    // Ends of changes without an end, against begins behind the last page: once there were any.
    ObjectNumber endless_number;
    bool endless = false;
    std::vector<PageObjects*> objects;  // by page, as far as needed; these stay where they are
    kernel::inode* node;
    std::uint64_t size = 0;  // acknowledged bytes end here
    std::vector<Page> pages;
    std::vector<Alternative> alternatives;
    ObjectNumber errors_number;
    std::uint64_t errors = 0;       // of writeback, recorded so far
    std::uint64_t errors_seen = 0;  // so many have been told somebody
    ByteRanges zeroed;              // by a call that said so, and not written since
    ByteRanges excused;             // the disk need not have them: an error was told, or a finding
  };
  // A call that changes bytes, from its begin to its end.
  struct Change {
    // kPending: a truncate whose range is not known yet, and that has changed nothing.
    enum class Kind : std::uint8_t { kWrite, kZero, kMove, kPending };
    Kind kind = Kind::kWrite;
    File* file = nullptr;
    std::uint64_t pos = 0;
    std::uint64_t end = 0;                // kEndless: all behind pos
    const std::uint8_t* bytes = nullptr;  // kWrite
    bool running = true;
    std::uint64_t number = 0;    // "write #2" in reports
    std::vector<ByteRange> met;  // what changes that overlapped it in time, and have ended, changed
    std::int64_t shift = 0;      // kMove within the file, or
    File* source = nullptr;      // kMove: where the bytes come from
    std::uint64_t source_pos = 0;
    bool source_changed = false;  // meanwhile
  };
  static constexpr std::uint64_t kEndless = ~std::uint64_t{0};
  // What an open file was told of the errors of its inode, which are numbered from 1: for certain
  // up to told_first, perhaps up to told_last.
  struct Opened {
    const kernel::file* file = nullptr;
    File* of = nullptr;
    std::uint64_t told_first = 0;
    std::uint64_t told_last = 0;
    std::uint64_t sampled = 0;
  };
  struct Asked {
    std::size_t opened = 0;  // in opened_
    std::uint64_t errors = 0;
    bool running = true;
  };
  struct Read {
    File* file;
    std::uint64_t pos;
    std::uint64_t len;
    bool running;
    std::vector<Alternative> before;  // what was overwritten meanwhile
  };
  struct Cancelled {
    unsigned folio;
    std::uint64_t step;
  };
  // A folio that a collapse has replaced for now, or whose slots are about to go.
  struct Aside {
    const kernel::inode* node;
    const kernel::folio* folio;
    std::uint64_t index;
    unsigned pages;
  };
  struct Range {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    std::uint64_t zeros = 0;  // of the bytes found instead
    std::uint64_t bytes = 0;

    void add(std::uint64_t at, std::uint8_t found);
  };
  // What check() found wrong.
  struct Wrong {
    Range lost;
    Range stale;  // zeroed, and something else shows
  };

  // The step under way touches the objects of the pages of [pos, end).
  void touch(Op op, ObjectNumber PageObjects::*object, File& file, std::uint64_t pos,
             std::uint64_t end);
  void touch_size(Op op, File& file);
  // Looks at all that a judgement on [pos, end) depends on but the disk and the cache.
  void look(File& file, std::uint64_t pos, std::uint64_t end);
  File& file_of(const kernel::inode& node);
  void store(File& file, std::uint64_t pos, const std::uint8_t* bytes, std::uint64_t len);
  static const std::uint8_t* zero_page();
  static void set_page(Page& page, const std::uint8_t* bytes);
  void store_zeros(File& file, std::uint64_t pos, std::uint64_t end);
  unsigned add(Change&& change);
  // The step under way begins a change of [pos, end).
  void touch_begin(File& file, std::uint64_t pos, std::uint64_t end);
  void touch_errors(Op op, File& file);
  Opened& opened(const kernel::file& f);
  std::uint64_t end_of_running(const Change& endless);
  // The change is over; [pos, done_end) of it was made.
  void finish(Change& change, std::uint64_t done_end);
  // What overlapped may have stayed instead; what did not can be told for certain again.
  void keep_alternatives(Change& change, std::uint64_t end);
  void tell_readers(File& file, std::uint64_t begin, std::uint64_t end);
  void move(Change& change);
  void clone(Change& change, std::uint64_t end);
  // Running changes, or bytes that are not known for certain: what is there cannot be told.
  bool uncertain(const File& file, std::uint64_t begin, std::uint64_t end) const;
  // False: of no byte is anything allowed() but what is expected.
  bool has_others(const File& file) const;
  bool allowed(const File& file, std::uint64_t pos, std::uint8_t byte) const;
  // A running call zeroes this byte: what the call takes away first, the folio or the block, is its
  // own affair, and so is what a reader would see if it could get past the locks.
  bool taken(const File& file, std::uint64_t pos) const;
  // No byte of [begin, end) can be wrong: one thing that allows any byte covers all of it.
  bool anything_goes(const File& file, std::uint64_t begin, std::uint64_t end) const;
  std::uint8_t expected(const File& file, std::uint64_t pos) const;
  // What the page cache shows for a page or keeps for it, or null.
  const std::uint8_t* cached_page(const kernel::inode& node, std::uint64_t pos,
                                  std::uint64_t len) const;
  // Whether acknowledged bytes of [pos, end) have a copy left; reports those that have none.
  void check(File& file, std::uint64_t pos, std::uint64_t end, bool look_in_cache,
             const char* event, const kernel::folio* gone);
  bool check_page(File& file, std::uint64_t page, std::uint64_t begin, std::uint64_t end,
                  bool look_in_cache, Wrong& wrong);
  void report_lost(File& file, const Range& lost, const char* event, const kernel::folio* gone);
  std::uint64_t users_bytes(const File& file, std::uint64_t pos, std::uint64_t end) const;
  // What the disk has for the block that starts at pos; null: zeros.
  static const std::uint8_t* disk_bytes(const kernel::inode& node, std::uint64_t pos);
  void compare_with_disk(const File& file, std::uint64_t pos, std::uint64_t end,
                         const std::uint8_t* page, Wrong& wrong) const;
  static void report_dropped(const File& file, const Range& range, FindingKind kind);
  void report_error(const File& file, const char* what);
  void report_stale(File& file, const Range& stale, const char* event);

  std::vector<File*> files_;
  std::vector<Change> changes_;
  std::vector<Opened> opened_;
  std::vector<Asked> asked_;
  bool errors_expected_ = false;
  std::vector<Read> reads_;
  std::vector<Cancelled> cancelled_;
  std::vector<Aside> aside_;
  std::uint64_t write_count_ = 0;
};

}  // namespace interleaf
