// SPDX-License-Identifier: GPL-2.0-only
// inode, address_space, file, super_block and their operations.
//
// Lock order of the locks this port has: i_rwsem -> invalidate_lock -> i_mmap_rwsem;
// mmap_lock -> invalidate_lock -> folio lock; mmap_lock -> i_mmap_rwsem -> page table locks ->
// i_pages.xa_lock; i_lock -> i_pages.xa_lock. Several folio locks of a mapping: ascending index.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/kernel/block_types.h"
#include "engine/kernel/config.h"
#include "engine/kernel/errno.h"
#include "engine/kernel/xarray.h"
#include "scheduler/sync/bit_flags.h"
#include "scheduler/sync/refcount.h"
#include "scheduler/sync/rwsem.h"
#include "scheduler/sync/spinlock.h"
#include "scheduler/sync/wait_queue.h"

namespace kernel
{

struct file;
struct folio;
struct inode;
struct super_block;
struct vm_area_struct;
struct vm_fault;
struct writeback_control;
struct readahead_control;

enum as_flags : unsigned {
	AS_EIO,
	AS_ENOSPC,
	AS_LARGE_FOLIO_SUPPORT,
	AS_RELEASE_ALWAYS,
	AS_STABLE_WRITES, /* folios must not change while under writeback */
	AS_FLAGS,
};
enum inode_state : unsigned {
	I_DIRTY_SYNC,
	I_DIRTY_DATASYNC,
	I_DIRTY_PAGES,
	I_SYNC,
	I_FREEING,
	I_STATES
};

using errseq_t = std::uint32_t;

struct address_space_operations {
	int (*read_folio)(file *, folio *);
	void (*readahead)(readahead_control *); /* null: read_folio for each */
	int (*writepages)(struct address_space *, writeback_control *);
	bool (*dirty_folio)(struct address_space *, folio *);
	int (*write_begin)(file *, struct address_space *, loff_t pos, unsigned len, folio **,
			   void **fsdata);
	int (*write_end)(file *, struct address_space *, loff_t pos, unsigned len, unsigned copied,
			 folio *, void *fsdata);
	void (*invalidate_folio)(folio *, std::size_t offset, std::size_t len);
	bool (*release_folio)(folio *, gfp_t); /* true: private data is gone */
	int (*launder_folio)(folio *);
	void (*free_folio)(folio *);
	/* Of a folio that is not uptodate: are these bytes? Null: they are not. */
	bool (*is_partially_uptodate)(folio *, std::size_t from, std::size_t count);
};

struct address_space {
	inode *host;
	xarray i_pages;
	interleaf::Rwsem invalidate_lock;
	interleaf::Rwsem i_mmap_rwsem;
	interleaf::Spinlock i_private_lock; /* buffers come and go, and become dirty */
	std::vector<vm_area_struct *> i_mmap; /* i_mmap_rwsem; in order of mmap */
	interleaf::Atomic<int> i_mmap_writable;
	interleaf::Atomic<int> nr_thps;
	interleaf::Shared<unsigned long> nrpages;
	interleaf::Shared<pgoff_t> writeback_index;
	interleaf::BitFlags<AS_FLAGS> flags;
	interleaf::Atomic<errseq_t> wb_err;
	const address_space_operations *a_ops = nullptr;

	explicit address_space(inode *owner);
};

struct file_operations {
	int (*open)(inode *, file *);
	void (*release)(inode *, file *);
	long (*read_iter)(file *, loff_t pos, void *to, std::size_t len);
	long (*write_iter)(file *, loff_t pos, const void *from, std::size_t len);
	/* read_iter of a file that is open with O_DIRECT. Null: such an open fails. */
	long (*read_direct)(file *, loff_t pos, class user_buffer *to);
	int (*mmap)(file *, vm_area_struct *);
	int (*fsync)(file *, loff_t start, loff_t end, bool datasync);
	/* The last two may be null: -EOPNOTSUPP. */
	loff_t (*llseek)(file *, loff_t offset, int whence);
	long (*fallocate)(file *, int mode, loff_t offset, loff_t len);
	/* vm_operations_struct's in Linux; see filemap_page_mkwrite(). */
	unsigned (*page_mkwrite)(folio *, struct address_space *);
	loff_t (*remap_file_range)(file *in, loff_t in_pos, file *out, loff_t out_pos, loff_t len,
				   unsigned flags);
};

struct inode_operations {
	/* i_rwsem is held for write. */
	int (*setattr_size)(inode *, loff_t size);
};

/* In place of a block's number on the disk. */
inline constexpr std::uint64_t BLOCK_HOLE = ~std::uint64_t{ 0 };
inline constexpr std::uint64_t BLOCK_DELAYED = ~std::uint64_t{ 0 } - 1;

struct inode {
	std::string name;
	unsigned i_ino = 0;
	bool regular = true; /* S_ISREG */
	super_block *i_sb = nullptr;
	interleaf::Rwsem i_rwsem;
	interleaf::Spinlock i_lock;
	interleaf::Shared<loff_t> i_size;
	interleaf::Shared<loff_t> i_disksize; /* the size that is on disk */
	interleaf::Atomic<int> i_writecount;
	interleaf::Atomic<int> i_dio_count; /* direct I/O under way */
	interleaf::WaitQueue i_dio_wait{ "direct I/O of the file" };
	interleaf::BitFlags<I_STATES> i_state;
	address_space i_data;
	address_space *i_mapping = &i_data;
	const inode_operations *i_op = nullptr;
	const file_operations *i_fop = nullptr;

protected:
	/* Filesystems have inodes of their own, with a block type each. */
	inode(super_block *sb, std::string file_name, unsigned ino);
};

/* What a file has at one of its blocks. UNWRITTEN reads as zeros, whatever the disk has there. */
enum class block_kind : std::uint8_t { HOLE, DELALLOC, UNWRITTEN, WRITTEN };
struct block_state {
	block_kind kind = block_kind::HOLE;
	std::uint64_t block = BLOCK_HOLE; /* on the disk, if UNWRITTEN or WRITTEN */
};

/* What an inode has reserved for data that has no blocks of the disk yet; in blocks. */
struct inode_reservations {
	std::uint64_t counted = 0; /* as its counter says */
	std::uint64_t data = 0; /* as its map says: DELALLOC */
	std::uint64_t copies = 0; /* and the map of copies */
	bool behind_end = false; /* what is behind the end of the file is there on purpose */
	bool copies_kept = false; /* so are copies that nothing dirty waits for */
};

struct super_operations {
	/* At boot, once there is a super block: what the filesystem has of its own, and its tasks; null:
	 * none. */
	void (*spawn_daemons)(interleaf::Scheduler &) = nullptr;
	/* A new empty file, with its operations tables; it is not in sb->inodes yet. */
	inode *(*alloc_inode)(super_block *, std::string_view name, unsigned ino);
	/* In set-up: the file has this block of the disk at `index`, WRITTEN. Ascending indexes. */
	void (*map_block)(inode *, std::uint64_t index, std::uint64_t block);
	/* Everything was written back; nobody will use the inode again. Null: nothing to do. */
	void (*evict_inode)(inode *) = nullptr;
	/* For set-up, oracle and reports, no points: what is at a block, and how many blocks from
	 * the first one on there are that may be anything but HOLE. */
	block_state (*peek_block)(const inode *, std::uint64_t index);
	std::uint64_t (*peek_block_count)(const inode *);
	/* For the oracle, no points: bytes of a folio that is not uptodate are there all the same, as a
	 * read of the folio would find. Null: never. */
	bool (*peek_uptodate)(folio *, std::size_t from, std::size_t count) = nullptr;
	/* Likewise: are bytes of a folio in blocks that are dirty by a state of their own? No value:
	 * they have none, and are what the folio is. Null: never any. */
	std::optional<bool> (*peek_dirty)(const folio *, std::size_t from,
					  std::size_t count) = nullptr;
	/* Likewise, of the map of copies that take the place of shared blocks. Null: there is none. */
	block_state (*peek_copy)(const inode *, std::uint64_t index) = nullptr;
	std::uint64_t (*peek_copy_count)(const inode *) = nullptr;
	/* For checks, no points: reservations of an inode; those of all, by the counter that makes a
	 * write fail for want of space. Both null: there are none, and freed blocks are not counted. */
	inode_reservations (*peek_reservations)(const inode *) = nullptr;
	std::uint64_t (*peek_reserved)(const super_block *) = nullptr;
	/* The log is on the disk as far as metadata_committed() has told and no further: the
	 * filesystem writes data of its own before each commit. Else a record may come there at any
	 * moment after metadata_logged(), in order. */
	bool tells_all_commits = false;
};

enum file_modes : unsigned {
	FMODE_READ = 1,
	FMODE_WRITE = 2,
	FMODE_WRITER = 4, /* i_writecount was raised */
	FMODE_OPENED = 8,
};

struct file_ra_state {
	pgoff_t start = 0;
	unsigned size = 0;
	unsigned async_size = 0;
	unsigned ra_pages = 0;
	loff_t prev_pos = -1;
	mutable interleaf::ObjectNumber
		number; /* of all of it; khugepaged uses it as well as the task */
};
/* The step under way uses or changes it: there is no lock, and no point of its own. */
inline void touch_ra_state(const file_ra_state *ra)
{
	if (interleaf::Scheduler *scheduler = interleaf::Scheduler::current())
		scheduler->also(interleaf::Op::kReadModifyWrite, ra->number, ra);
}

inline constexpr interleaf::LockClass f_lock_class{ "f_lock" };

struct file {
	inode *f_inode = nullptr;
	address_space *f_mapping = nullptr;
	unsigned f_mode = 0;
	int f_flags = 0; /* O_* of <fcntl.h> */
	interleaf::Refcount f_count{ "file", 1 };
	loff_t f_pos = 0;
	interleaf::Spinlock f_lock{ f_lock_class };
	interleaf::Shared<errseq_t> f_wb_err; /* stores: f_lock */
	errseq_t f_sb_err = 0;
	file_ra_state f_ra;
	const file_operations *f_op = nullptr;

	static void *operator new(std::size_t bytes)
	{
		return interleaf::allocate_typed(bytes, file_block);
	}
};

/* The dirty inodes of the filesystem, for its flusher. fs_writeback.cc */
struct bdi_writeback {
	interleaf::Spinlock list_lock; /* outside i_lock */
	std::vector<inode *> b_dirty; /* list_lock; in the order they became dirty */
	interleaf::WaitQueue dwork{ "dirty inodes" };

	bdi_writeback();
};

/* Inodes that a task of the filesystem has to look after, in order. */
struct inode_workqueue {
	interleaf::Spinlock lock;
	std::vector<inode *> inodes; /* lock */
	interleaf::WaitQueue work{ "work" };

	inode_workqueue();
	void queue(inode *node); /* any context */
	inode *wait(); /* sleeps; takes it off */
};

struct super_block {
	std::vector<inode *> inodes;
	interleaf::ObjectNumber inodes_number; /* of the list: looked up and changed within steps */
	struct block_device *s_bdev = nullptr;
	const super_operations *s_op = nullptr;
	void *s_fs_info = nullptr; /* the filesystem's */
	std::uint64_t next_block = 0; /* next free block of the disk */
	std::uint64_t delayed_blocks = 0; /* alloc_lock; promised to DELALLOC extents */
	interleaf::Spinlock alloc_lock; /* and next_block */
	std::uint64_t freed_blocks =
		0; /* of those before next_block; for checks: they stay unused */
	std::map<std::uint64_t, unsigned> refcounts; /* alloc_lock; of blocks with several owners */
	interleaf::Atomic<std::uint64_t> s_log; /* changes of metadata logged so far */
	bdi_writeback s_wb;
	inode_workqueue s_end_io; /* inodes with requests whose end may sleep */

	super_block();
	static void *operator new(std::size_t bytes)
	{
		return interleaf::allocate_typed(bytes, super_block_block);
	}
};

/* i_size with its ordering rules (32-bit seqcounts are not modelled). i_size_write is what tells
 * the watcher size_changed(). */
loff_t i_size_read(const inode *node, std::source_location where = std::source_location::current());
void i_size_write(inode *node, loff_t size,
		  std::source_location where = std::source_location::current());

/* Direct I/O of a file goes on without its locks; who frees blocks waits, with i_rwsem held for write. */
void inode_dio_begin(inode *node);
void inode_dio_end(inode *node);
void inode_dio_wait(inode *node);

void inode_lock(inode *node, std::source_location where = std::source_location::current());
void inode_unlock(inode *node, std::source_location where = std::source_location::current());
void inode_lock_shared(inode *node, std::source_location where = std::source_location::current());
void inode_unlock_shared(inode *node, std::source_location where = std::source_location::current());
void filemap_invalidate_lock(address_space *mapping,
			     std::source_location where = std::source_location::current());
void filemap_invalidate_unlock(address_space *mapping,
			       std::source_location where = std::source_location::current());
void filemap_invalidate_lock_shared(address_space *mapping,
				    std::source_location where = std::source_location::current());
bool filemap_invalidate_trylock_shared(
	address_space *mapping, std::source_location where = std::source_location::current());
void filemap_invalidate_unlock_shared(address_space *mapping,
				      std::source_location where = std::source_location::current());
/* What brings folios into the cache holds invalidate_lock shared, against those who truncate:
 * from 5.15 on. Before, this does nothing. */
void filemap_fill_lock(address_space *mapping,
		       std::source_location where = std::source_location::current());
void filemap_fill_unlock(address_space *mapping,
			 std::source_location where = std::source_location::current());
void i_mmap_lock_read(address_space *mapping,
		      std::source_location where = std::source_location::current());
void i_mmap_unlock_read(address_space *mapping,
			std::source_location where = std::source_location::current());
void i_mmap_lock_write(address_space *mapping,
		       std::source_location where = std::source_location::current());
void i_mmap_unlock_write(address_space *mapping,
			 std::source_location where = std::source_location::current());

bool mapping_large_folio_support(const address_space *mapping);
int filemap_nr_thps(address_space *mapping,
		    std::source_location where = std::source_location::current());
void filemap_nr_thps_inc(address_space *mapping,
			 std::source_location where = std::source_location::current());
void filemap_nr_thps_dec(address_space *mapping,
			 std::source_location where = std::source_location::current());

/* i_writecount (include/linux/fs.h). */
int get_write_access(inode *node, std::source_location where = std::source_location::current());
void put_write_access(inode *node, std::source_location where = std::source_location::current());
/* Lowers the count below zero, so that opens for write fail, unless somebody writes: -ETXTBSY. */
int deny_write_access(file *f, std::source_location where = std::source_location::current());
void allow_write_access(file *f, std::source_location where = std::source_location::current());
bool inode_is_open_for_write(const inode *node,
			     std::source_location where = std::source_location::current());

/* open.cc, file_table.cc, read_write.cc, sync.cc: the system calls' insides.
 * All return 0 or a negative errno unless said. Requires: the calling task is a user task. */
file *do_open(inode *node, int flags); /* file or ERR_PTR; do_dentry_open + O_TRUNC */
int do_dentry_open(file *f, inode *node);
int generic_file_open(inode *node, file *f); /* ->open of filesystems without more to do */
void fput(file *f);
void get_file(file *f);
int filp_close(file *f);
long vfs_read(file *f, loff_t pos, void *to, std::size_t len); /* bytes */
long vfs_write(file *f, loff_t pos, const void *from, std::size_t len); /* bytes */
/* With O_DIRECT. `to` is of no use afterwards. */
long vfs_read_direct(file *f, loff_t pos, user_buffer *to);
loff_t vfs_llseek(file *f, loff_t offset, int whence); /* the new position */
/* ->llseek of filesystems that know no holes: all bytes of the file are data. */
loff_t generic_file_llseek(file *f, loff_t offset, int whence);
/* What is left of lseek(2) when the position is known. The position, or -EINVAL. */
loff_t vfs_setpos(file *f, loff_t offset);
long vfs_fallocate(file *f, int mode, loff_t offset, loff_t len);
int vfs_truncate(inode *node, loff_t size); /* truncate(2) by path */
int do_ftruncate(file *f, loff_t size);
int vfs_fsync_range(file *f, loff_t start, loff_t end, bool datasync);
int vfs_fadvise(file *f, loff_t offset, loff_t len, int advice);
loff_t vfs_clone_file_range(file *in, loff_t in_pos, file *out, loff_t out_pos, loff_t len);
int ioctl_file_clone_range(file *out, file *in, loff_t in_pos, loff_t len, loff_t out_pos);
int drop_caches_sysctl_handler();
int do_sync_file_range(file *f, loff_t offset, loff_t len, unsigned flags);
inode *find_inode(std::string_view name); /* null if there is none */
inode *create_inode(std::string_view name); /* a new empty file */
/*
 * In set-up: the new file has `size` bytes, on the disk and not in the cache. `bytes` has whole
 * blocks, which live as long as the World or lie in the arena; null: a hole.
 */
void place_contents(inode *node, loff_t size, const unsigned char *bytes);
/* At unmount, after sync_filesystem(): the filesystem checks what it keeps of its inodes. */
void generic_shutdown_super(super_block *sb);
/*
 * What the disk has for the file's bytes [pos, pos + len), zeros where nothing was written, whatever
 * the sizes say. For tests, reports and the oracle; no points.
 */
void peek_disk(const inode *node, loff_t pos, std::size_t len, void *to);

} // namespace kernel
