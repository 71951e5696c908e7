// SPDX-License-Identifier: GPL-2.0-only
#include "engine/fsx/minimize.h"

#include <algorithm>

namespace interleaf {
namespace {

std::vector<FsxOp> without(const std::vector<FsxOp>& ops, std::size_t begin, std::size_t end) {
  std::vector<FsxOp> rest(ops.begin(), ops.begin() + static_cast<std::ptrdiff_t>(begin));
  rest.insert(rest.end(), ops.begin() + static_cast<std::ptrdiff_t>(end), ops.end());
  return rest;
}

}  // namespace

FsxMinimum minimize_fsx(std::vector<FsxOp> ops,
                        const std::function<bool(const std::vector<FsxOp>&)>& fails,
                        std::uint64_t tries_max) {
  FsxMinimum result;
  const auto try_it = [&](const std::vector<FsxOp>& candidate) {
    if (result.tried == tries_max) {
      result.complete = false;
      return false;
    }
    ++result.tried;
    return fails(candidate);
  };
  std::vector<FsxOp> real = ops;
  std::erase_if(real, [](const FsxOp& op) { return op.skip; });
  if (real.size() < ops.size() && try_it(real)) ops = std::move(real);
  // Pieces from halves down to single operations; those behind go first, since the last fails.
  for (std::size_t piece = (ops.size() + 1) / 2; piece >= 1 && result.complete;) {
    bool smaller = false;
    for (std::size_t end = ops.size(); end > 0 && ops.size() > 1 && result.complete;) {
      const std::size_t begin = end > piece ? end - piece : 0;
      std::vector<FsxOp> candidate = without(ops, begin, end);
      if (!candidate.empty() && try_it(candidate)) {
        ops = std::move(candidate);
        smaller = true;
      }
      end = begin;
    }
    if (!smaller && piece == 1) break;
    piece = smaller ? std::min(piece, std::max<std::size_t>(ops.size() / 2, 1)) : (piece + 1) / 2;
  }
  result.ops = std::move(ops);
  return result;
}

}  // namespace interleaf
