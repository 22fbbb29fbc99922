// Memory for plain numbers, not set to zero and grown without copies where the system can.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <type_traits>
#include <utility>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace probsig {

// An uninitialised array on huge pages where there are some: scattered writes over tens of MB
// otherwise spend their time in the TLB (a quarter of it on a 2026 server core).
template <class T>
class HugeArray {
  static_assert(std::is_trivial_v<T>);

 public:
  explicit HugeArray(std::int64_t size) {
    constexpr std::size_t kHugePage = std::size_t{1} << 21;
    const std::size_t bytes = static_cast<std::size_t>(size) * sizeof(T);
    const std::size_t alignment = bytes >= kHugePage ? kHugePage : 64;
    const std::size_t rounded = (bytes + alignment - 1) / alignment * alignment;
    data_ = static_cast<T*>(std::aligned_alloc(alignment, rounded ? rounded : alignment));
    if (data_ == nullptr) throw std::bad_alloc();
#if defined(__linux__)
    if (alignment == kHugePage) madvise(data_, rounded, MADV_HUGEPAGE);  // advice: may fail
#endif
  }
  HugeArray(const HugeArray&) = delete;
  HugeArray& operator=(const HugeArray&) = delete;
  ~HugeArray() { std::free(data_); }

  T* data() { return data_; }
  T& operator[](std::int64_t i) { return data_[i]; }

 private:
  T* data_ = nullptr;
};

// A growing array whose memory can be handed on. `realloc` moves pages, not bytes, once it is
// large, so growing does not double the peak.
template <class T>
class PodVector {
  static_assert(std::is_trivial_v<T>);

 public:
  PodVector() = default;
  PodVector(PodVector&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        capacity_(std::exchange(other.capacity_, 0)) {}
  PodVector(const PodVector&) = delete;
  PodVector& operator=(const PodVector&) = delete;
  PodVector& operator=(PodVector&&) = delete;
  ~PodVector() { std::free(data_); }

  std::int64_t size() const { return size_; }
  T* data() { return data_; }

  // Room for `count` more elements; returns where they start. `extend` then says how many came.
  T* reserve_more(std::int64_t count) {
    if (size_ + count > capacity_) grow(size_ + count);
    return data_ + size_;
  }
  void extend(std::int64_t count) { size_ += count; }
  void push_back(T value) {
    *reserve_more(1) = value;
    ++size_;
  }

  // The memory, cut to size, for std::free; nullptr where there was none.
  T* release() {
    if (size_ < capacity_) reallocate(size_ ? size_ : 1);
    capacity_ = size_ = 0;
    return std::exchange(data_, nullptr);
  }

 private:
  void grow(std::int64_t needed) {
    const std::int64_t larger = capacity_ + capacity_ / 2 + 64;
    reallocate(needed > larger ? needed : larger);
  }
  void reallocate(std::int64_t capacity) {
    void* moved = std::realloc(data_, static_cast<std::size_t>(capacity) * sizeof(T));
    if (moved == nullptr) throw std::bad_alloc();
    data_ = static_cast<T*>(moved);
    capacity_ = capacity;
  }

  T* data_ = nullptr;
  std::int64_t size_ = 0;
  std::int64_t capacity_ = 0;
};

}  // namespace probsig
