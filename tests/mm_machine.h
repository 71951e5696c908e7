// SPDX-License-Identifier: GPL-2.0-only
// For tests of mappings: a machine with one file and one process, what tasks do in it, and a check
// that nothing is left mapped and all counts are back where they began.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>

#include <string>

#include "engine/kernel/bug.h"
#include "engine/kernel/page_table.h"
#include "engine/kernel/pagemap.h"
#include "tests/kernel_harness.h"

namespace kernel {

inline constexpr std::size_t kPage = 4096;
inline constexpr int kRW = PROT_READ | PROT_WRITE;
inline constexpr unsigned kPmds = 16;

/* `pages` pages; every page of its own letter, starting with 'a'. */
inline std::string letters(unsigned pages) {
  std::string bytes;
  for (unsigned i = 0; i < pages; ++i) bytes.append(kPage, static_cast<char>('a' + i));
  return bytes;
}

inline std::string describe(const interleaf::RunResult& result) {
  std::string text;
  for (const interleaf::Finding& finding : result.findings) {
    text += std::string(interleaf::finding_name(finding.kind)) + ": " + finding.message + " [" +
            finding.task_name + ":";
    for (const std::string& function : finding.stack) text += " " + function;
    text += "]\n";
  }
  return text;
}

/* ---- inside tasks ---- */

inline address_space* mapping_of(const char* name) { return find_inode(name)->i_mapping; }

inline folio* cached(pgoff_t index) {
  return static_cast<folio*>(xa_peek(&mapping_of("f")->i_pages, index).entry);
}

inline std::uint64_t map(mm_struct* mm, file* f, unsigned pages, int prot, int flags) {
  const std::int64_t address = do_mmap(mm, f, 0, pages * kPage, prot, flags);
  BUG_ON(address <= 0);
  return static_cast<std::uint64_t>(address);
}

/* The byte at this address, '!' for SIGBUS, '?' for SIGSEGV. */
inline char load(mm_struct* mm, std::uint64_t address) {
  char byte = 0;
  const int error = access_load(mm, address, &byte, 1);
  return error == 0 ? byte : error == -EIO ? '!' : '?';
}

inline char store(mm_struct* mm, std::uint64_t address, char byte) {
  const int error = access_store(mm, address, &byte, 1);
  return error == 0 ? byte : error == -EIO ? '!' : '?';
}

inline char read_byte(file* f, loff_t pos) {
  char byte = '-';
  return vfs_read(f, pos, &byte, 1) == 1 ? byte : '-';
}

inline pte_t peek_pte(mm_struct* mm, std::uint64_t address) {
  const pmd_t pmd = pmd_offset(mm, address)->peek();
  return pmd.table == nullptr ? pte_t{} : pte_offset(pmd.table, address)->peek();
}

/* "-", or p, w, d, y for the bits that are set; in capitals for a private page. */
inline std::string show(mm_struct* mm, std::uint64_t address) {
  const pte_t pte = peek_pte(mm, address);
  if (pte_none(pte)) return "-";
  const bool anon = folio_test_anon(pte.f);
  std::string text(anon ? "P" : "p");
  if (pte_write(pte)) text += anon ? 'W' : 'w';
  if (pte_dirty(pte)) text += anon ? 'D' : 'd';
  if (pte_young(pte)) text += anon ? 'Y' : 'y';
  return text;
}

inline bool is_dirty(pgoff_t index) { return cached(index)->flags.peek(PG_dirty); }

/* ---- a machine with one file and one process ---- */

struct machine_of_test {
  kernel_harness harness;
  mm_struct* mm = nullptr;
  bool* ready = nullptr; /* in the World: false at the start of every run */

  explicit machine_of_test(unsigned pages, harness_options options = {}) : harness(options) {
    harness.file("f", letters(pages));
    harness.setup([this] {
      mm = new mm_struct("process", kPmds);
      ready = new bool(false);
    });
  }
  /* For the other tasks: the process has mapped the file. */
  void wait_until_ready() const {
    while (!*ready) interleaf::Scheduler::current()->relax();
  }
  /* A second thread begins, unless the process has ended. */
  bool join() const {
    wait_until_ready();
    return mm->mm_users.inc_not_zero();
  }
  /* Who takes a folio out of the cache unmaps it first, and both under its lock, as who maps
   * it: true at every instant. */
  void check_mapped_folios_are_cached() const {
    for (unsigned page = 0; page < hpage_pages(); ++page) {
      const pte_t pte = peek_pte(mm, pmd_size() + page * kPage);
      BUG_ON(!pte_none(pte) && !folio_test_anon(pte.f) && pte.f->mapping.peek() == nullptr);
    }
  }
};

/* Nothing mapped anywhere; each folio of the cache has the cache's references and no others. */
inline std::string leftovers(machine_of_test& test) {
  return test.harness.inspect([&]() -> std::string {
    std::string text;
    const auto expect = [&text](const char* what, long is, long should) {
      if (is != should) text += std::string(what) + " " + std::to_string(is) + " ";
    };
    address_space* mapping = mapping_of("f");
    for (pgoff_t index = 0; index < 16;) {
      const xa_peeked peeked = xa_peek(&mapping->i_pages, index);
      auto* f = static_cast<folio*>(peeked.entry);
      if (f == nullptr || xa_is_value(f)) {
        ++index;
        continue;
      }
      const int cache = static_cast<int>(folio_nr_pages(f));
      const int own = f->flags.peek(PG_private) ? 1 : 0;
      expect("mapcount", f->_mapcount.peek(), 0);
      expect("refs", f->_refcount.peek(), cache + own);
      index += folio_nr_pages(f);
    }
    expect("nr_file_mapped", this_machine().stat.nr_file_mapped.peek(), 0);
    expect("i_mmap", static_cast<long>(mapping->i_mmap.size()), 0);
    expect("i_mmap_writable", mapping->i_mmap_writable.peek(), 0);
    expect("i_writecount", mapping->host->i_writecount.peek(), 0);
    expect("vmas", static_cast<long>(test.mm->vmas.size()), 0);
    for (unsigned i = 0; i < kPmds; ++i) expect("pmd", pmd_none(test.mm->pmds[i].peek()), 1);
    return text;
  });
}

/* One task, from start to end without a switch; what it recorded is compared by the caller. */
template <typename Body>
void run_alone(machine_of_test& test, Body body) {
  test.harness.task("process", [&test, body] {
    body(test.mm);
    mmput(test.mm);
    lru_add_drain_all();
  });
  const interleaf::RunResult& result = test.harness.run_in_order();
  EXPECT_TRUE(result.clean()) << describe(result);
  EXPECT_EQ(result.end, interleaf::RunEnd::kFinished);
  EXPECT_EQ(leftovers(test), "");
}

/* A folio of PMD order at index 0, as a collapse leaves it. */
inline folio* add_huge_folio() {
  folio* f = folio_alloc(hpage_order());
  BUG_ON(filemap_add_folio(mapping_of("f"), f, 0, 0) != 0);
  for (unsigned page = 0; page < hpage_pages(); ++page) {
    const char byte = static_cast<char>('A' + page);
    folio_write_contents(f, page * kPage, &byte, 1);
  }
  folio_set_uptodate(f);
  folio_unlock(f);
  folio_put(f);
  return f;
}

}  // namespace kernel
