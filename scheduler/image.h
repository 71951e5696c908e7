// SPDX-License-Identifier: GPL-2.0-only
// A copy of bytes from elsewhere, one piece after the other. Unlike a vector it does not clear what
// is about to be overwritten, and keeps its memory when it is used again.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <utility>

namespace interleaf {

class Image {
 public:
  Image() = default;
  Image(Image&& other) noexcept { *this = std::move(other); }
  Image& operator=(Image&& other) noexcept {
    data_ = std::move(other.data_);
    size_ = std::exchange(other.size_, 0);
    capacity_ = std::exchange(other.capacity_, 0);
    return *this;
  }

  void clear() { size_ = 0; }
  void append(const void* from, std::size_t bytes) {
    if (bytes > capacity_ - size_) grow(bytes);
    if (bytes != 0) std::memcpy(data_.get() + size_, from, bytes);
    size_ += bytes;
  }
  std::size_t size() const { return size_; }
  std::span<const std::byte> bytes() const { return {data_.get(), size_}; }

 private:
  void grow(std::size_t bytes) {
    // Not to twice the size: searches hold many of these, most of them filled once.
    capacity_ = std::max(size_ + bytes, capacity_ + capacity_ / 2);
    auto grown = std::make_unique_for_overwrite<std::byte[]>(capacity_);
    if (size_ != 0) std::memcpy(grown.get(), data_.get(), size_);
    data_ = std::move(grown);
  }

  std::unique_ptr<std::byte[]> data_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

// Takes out of an image what was put into it, in the same order.
class ImageReader {
 public:
  explicit ImageReader(const Image& image) : at_(image.bytes().data()) {}
  void take(void* to, std::size_t bytes) {
    if (bytes != 0) std::memcpy(to, at_, bytes);
    at_ += bytes;
  }
  void skip(std::size_t bytes) { at_ += bytes; }

 private:
  const std::byte* at_;
};

}  // namespace interleaf
