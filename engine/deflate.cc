// SPDX-License-Identifier: GPL-2.0-only
#include "engine/deflate.h"

#include <zlib.h>

#include <new>

namespace interleaf {
namespace {

constexpr int kMemoryLevel = 9;

const Bytef* as_zlib(const void* bytes) { return static_cast<const Bytef*>(bytes); }

void set_buffers(z_stream& stream, std::span<const std::byte> in, std::vector<std::byte>& out) {
  stream.next_in = const_cast<Bytef*>(as_zlib(in.data()));  // zlib only reads it
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
}

}  // namespace

std::vector<std::byte> deflated(std::span<const std::byte> bytes, std::string_view dictionary) {
  z_stream stream{};
  if (deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, -MAX_WBITS, kMemoryLevel,
                   Z_DEFAULT_STRATEGY) != Z_OK) {
    throw std::bad_alloc();
  }
  deflateSetDictionary(&stream, as_zlib(dictionary.data()), static_cast<uInt>(dictionary.size()));
  std::vector<std::byte> result(deflateBound(&stream, bytes.size()));
  set_buffers(stream, bytes, result);
  deflate(&stream, Z_FINISH);
  result.resize(stream.total_out);
  deflateEnd(&stream);
  return result;
}

std::optional<std::vector<std::byte>> inflated(std::span<const std::byte> bytes, std::size_t size,
                                               std::string_view dictionary) {
  std::vector<std::byte> result(size);
  z_stream stream{};
  if (inflateInit2(&stream, -MAX_WBITS) != Z_OK) throw std::bad_alloc();
  inflateSetDictionary(&stream, as_zlib(dictionary.data()), static_cast<uInt>(dictionary.size()));
  set_buffers(stream, bytes, result);
  const int status = inflate(&stream, Z_FINISH);
  const bool whole = status == Z_STREAM_END && stream.avail_in == 0 && stream.avail_out == 0;
  inflateEnd(&stream);
  if (!whole) return {};
  return result;
}

}  // namespace interleaf
