// SPDX-License-Identifier: GPL-2.0-only
#include "engine/fsx/generate.h"

#include <algorithm>

#include "engine/fsx/file_model.h"
#include "scheduler/prng.h"

namespace interleaf {
namespace {

class Generator {
 public:
  explicit Generator(const FsxOptions& options) : options_(options), random_(options.seed) {}

  FsxOp next() {
    const std::uint64_t first = draw(~std::uint32_t{0});
    FsxOp op;
    op.close_open = options_.close_chance != 0 && draw(options_.close_chance) == 0;
    op.offset = draw(std::uint64_t{1} << 31);
    op.length = draw(options_.op_max + 1);
    op.kind = static_cast<FsxKind>(first % (options_.integrity ? kFsxKinds : kFsxKinds - 1));
    if (op.kind == FsxKind::kTruncate) op.length = draw(options_.length_max);
    if (op.kind == FsxKind::kFallocate || op.kind == FsxKind::kZeroRange) {
      op.keep_size = op.length != 0 && draw(2) == 0;
    }
    if (op.kind == FsxKind::kFallocate) op.unshare = op.length != 0 && draw(2) == 0;
    if (fsx_has_destination(op.kind)) op.destination = draw(std::uint64_t{1} << 31);
    if (op.kind == FsxKind::kMapRead && !options_.map_reads) op.kind = FsxKind::kRead;
    if (op.kind == FsxKind::kMapWrite && !options_.map_writes) op.kind = FsxKind::kWrite;
    trim_fsx(op, size_, {options_.length_max, options_.block_size});
    size_ = fsx_size_after(op, size_);
    op.size = size_;
    return op;
  }

 private:
  std::uint64_t draw(std::uint64_t bound) {
    return random_.below(
        static_cast<std::uint32_t>(std::min<std::uint64_t>(bound, ~std::uint32_t{0})));
  }

  const FsxOptions& options_;
  Prng random_;
  std::uint64_t size_ = 0;
};

}  // namespace

std::vector<FsxOp> generate_fsx(const FsxOptions& options) {
  Generator generator(options);
  std::vector<FsxOp> ops;
  ops.reserve(options.count);
  for (std::uint64_t i = 0; i < options.count; ++i) ops.push_back(generator.next());
  return ops;
}

}  // namespace interleaf
