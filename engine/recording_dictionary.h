// SPDX-License-Identifier: GPL-2.0-only
//
// What recordings have in common, as the preset dictionary of their compressed strings: saves about
// a fifth of a file. Likely words last. Frozen: files in `stringCode` deflate1 cannot be read with
// another text, so a better one is another string and another `stringCode`.
#pragma once

#include <string_view>

namespace interleaf {

inline constexpr std::string_view kStringDictionary1 =
    "jbd2_journal_stop ext4_da_write_begin ext4_da_write_end ext4_map_blocks ext4_io_submit "
    "ext4_put_io_end_defer ext4_writepages ext4_release_folio ext4_invalidate_folio "
    "ext4_dirty_folio ext4_page_mkwrite i_data_sem i_disksize buffer_head try_to_free_buffers "
    "block_dirty_folio block_invalidate_folio i_private_lock btrfs_page_mkwrite "
    "btrfs_folio_set_dirty btrfs_folio_clear_dirty btrfs_folio_end_lock extent_lock ordered_extent "
    "xfs_vm_writepages xfs_map_blocks xfs_iomap_valid xfs_buffered_write_iomap_begin "
    "xfs_buffered_write_iomap_end xfs_iomap_write_unwritten xfs_end_io xfs_file_write_iter "
    "iomap_dio_rw iomap_dio_complete iomap_dio_bio_iter iomap_set_range_dirty "
    "iomap_set_range_uptodate "
    "iomap_write_begin iomap_write_end iomap_zero_iter iomap_zero_range iomap_lookup iomap_iter "
    "iomap_submit_ioend iomap_finish_ioend iomap_writepages iomap_dirty_folio "
    "shrink_folio_list pageout remove_mapping __remove_mapping folio_ref_freeze try_to_unmap "
    "rmap_walk folio_mkclean page_mkclean do_page_mkwrite fault_dirty_shared_page do_wp_page "
    "filemap_fault filemap_map_pages next_uptodate_folio set_page_dirty_lock bio_set_pages_dirty "
    "pin_user_pages unpin_user_pages_dirty_lock get_user_pages gup_fast folio_maybe_dma_pinned "
    "collapse_file madvise_collapse khugepaged hpage_collapse_scan_file filemap_nr_thps "
    "retract_page_tables split_huge_page truncate_inode_partial_folio i_writecount do_dentry_open "
    "generic_file_open pagecache_isize_extended truncate_setsize truncate_pagecache "
    "truncate_inode_pages_range truncate_inode_folio truncate_cleanup_folio unmap_mapping_range "
    "unmap_mapping_pages unmap_mapping_folio invalidate_inode_pages2_range "
    "invalidate_mapping_pages mapping_evict_folio filemap_release_folio folio_invalidate "
    "folio_batch find_lock_entries find_get_entries filemap_get_folios filemap_get_folios_tag "
    "filemap_get_entry filemap_get_read_batch filemap_add_folio filemap_remove_folio "
    "__filemap_get_folio filemap_write_and_wait_range filemap_fdatawrite_range "
    "filemap_fdatawait_range do_writepages writeback_iter write_cache_pages "
    "balance_dirty_pages_ratelimited vfs_fsync_range folio_clear_dirty_for_io folio_cancel_dirty "
    "folio_account_cleaned filemap_dirty_folio folio_mark_dirty folio_mark_accessed "
    "folio_mark_uptodate folio_test_dirty folio_test_writeback folio_start_writeback "
    "folio_end_writeback folio_wait_writeback folio_wait_stable folio_trylock folio_lock "
    "folio_unlock folio_try_get folio_put folio_mapped folio_mapping xas_load xas_store "
    "invalidate_lock i_rwsem i_lock i_size i_pages PG_uptodate PG_locked PG_writeback PG_dirty "
    "refcount mapcount index mapping flags state unwritten written delalloc hole "
    "use-after-free warning assertion livelock deadlock lock-order data-race torn-dma "
    "stale-data data-loss clean bytes 4096..8191 of data: expected write #1 read lost-at "
    "preemptions=2, clean-at=1, classes= exhaustive dfs dpor replay random pct "
    "generic btrfs xfs xa_slots disk_blocks readahead_pages folio_batch page_size block_size "
    "ftruncate fallocate sync_file_range msync fsync pread expect_read store load loop munmap "
    "Link: https://lore.kernel.org/all/ linux-fsdevel Message-ID: links:\n  - steps_max: faults: "
    "khugepaged: {scans: patches: {with: [open-flush-before-purge]}\npersona: 6.12.96 6.12 "
    "PROT_WRITE, MAP_SHARED MADV_DONTNEED O_CREAT random keep-running begin end acquire release "
    "granted try-acquire rmw wait wake rcu_gp kworker/io unmount dirty_writeback_timer "
    "lost-dirty-data:page_cache_delete_batch<delete_from_page_cache_batch<"
    "truncate_inode_pages_range<truncate_inode_pages<do_dentry_open<do_open<open:folio"
    "lock-order:write_cache_pages<filemap_invalidate_lock_shared<collapse_file<madvise"
    "bytes 16384..20479 of f, acknowledged by write #1, are lost: the last copy left the page cache"
    "# The # a write-open # The landed fix: invalidate_lock, dirty folio, huge page, nr_thps = 1\n"
    "#\n#   writer     writes behind the end of the file and closes it; nothing is synced\n"
    "#   collapser  makes a huge page of the first range, which are clean: nr_thps = 1\n"
    "#   opener     opens for write, sees nr_thps = 1 and drops the whole page cache,\n"
    "title: \nreported: linux-mm 2026-06-30 \nkernel: 6.12.95\npersona: ext4\n"
    "geometry: {hpage_pages: 4}\nfiles:\n  f: {size: 2H, content: pattern(7)}\n"
    "  f: {size: 1H, content: pattern(7)}\ntasks:\n  reader:\n  second:\n  writer:\n"
    "    - fd = open(\"f\", O_RDWR)\n    - pwrite(fd, pattern(91), 4K, 1H)\n    - close(fd)\n"
    "  collapser:\n    - wait(writer)\n    - rd = open(\"f\", O_RDONLY)\n"
    "    - p = mmap(rd, 0, 1H, PROT_READ, MAP_PRIVATE)\n    - touch(p, 1H)\n"
    "    - madvise(p, 1H, MADV_COLLAPSE)\n  opener:\n    - wait(collapser)\n"
    "    - fd = open(\"f\", O_RDWR)\n    - close(fd)\ndaemons: [flusher]\ntable: |\n"
    "  writer              collapser           opener\n  close\n"
    "                      collapse_file\n                                          "
    "do_dentry_open\n                                          truncate_inode_pages\n"
    "window: [collapser:collapse_file, opener:truncate_inode_pages]\nexpect:\n"
    "  - {verdict: unknown, known: [\"lock-order:\"]}\n"
    "  - {without: khugepaged-write-all-dirty, verdict: lost-dirty-data}\n"
    "  - with: khugepaged-write-all-dirty\n    verdict: clean\n    known:\n";

}  // namespace interleaf
