// SPDX-License-Identifier: GPL-2.0-only
// An observer of the port in front of another one, which is told everything. Who wants to hear of
// something too overrides that, and hands it on. What is not handed on here is pure still, so that
// nobody in front of another can forget what changes bytes or the disk.
#pragma once

#include "engine/kernel/hooks.h"

namespace interleaf {

class RelayObserver : public kernel::observer {
 public:
  unsigned read_begin(kernel::inode& node, kernel::loff_t pos, std::size_t len) override {
    return inner_->read_begin(node, pos, len);
  }
  void read_end(unsigned read, const void* data, long got) override {
    inner_->read_end(read, data, got);
  }
  void error_recorded(kernel::inode& node) override { inner_->error_recorded(node); }
  void file_opened(const kernel::file& f) override { inner_->file_opened(f); }
  unsigned error_asked(const kernel::file& f) override { return inner_->error_asked(f); }
  void error_sampled(const kernel::file& f) override { inner_->error_sampled(f); }
  void error_told(unsigned asked, int error) override { inner_->error_told(asked, error); }
  void store_behind_end(kernel::inode& node, kernel::loff_t pos, std::size_t len) override {
    inner_->store_behind_end(node, pos, len);
  }
  void size_changed(kernel::inode& node, kernel::loff_t size) override {
    inner_->size_changed(node, size);
  }
  void dirty_cancelled(kernel::folio& f) override { inner_->dirty_cancelled(f); }
  void folio_removed(kernel::inode& node, kernel::folio& f, kernel::folio* replacement) override {
    inner_->folio_removed(node, f, replacement);
  }
  void folio_set_aside(kernel::inode& node, kernel::folio& f, bool aside) override {
    inner_->folio_set_aside(node, f, aside);
  }
  void block_written(kernel::inode& node, kernel::loff_t pos, std::size_t len) override {
    inner_->block_written(node, pos, len);
  }
  void sync_promised(kernel::inode& node) override { inner_->sync_promised(node); }

 protected:
  kernel::observer* inner_ = nullptr;  // set before the first run
};

}  // namespace interleaf
