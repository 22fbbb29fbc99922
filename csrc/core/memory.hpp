// Memory for plain numbers: not set to zero, grown without copies, and given back to the system the
// moment it is freed, but for what FreePages may keep. The C library keeps freed blocks of a few MB for itself, and a count that
// adds up hundreds of them would so come to hold twice what it uses.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <type_traits>
#include <utility>

#include "free_pages.hpp"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace probsig {

class Memory {
 public:
  Memory() = default;
  Memory(Memory&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  Memory& operator=(Memory&&) = delete;
  ~Memory() { resize(0); }

  void* data() const { return data_; }
  std::size_t size() const { return bytes_; }

  // Keeps what fits of the content. Throws std::bad_alloc.
  void resize(std::size_t bytes) {
    const bool was_mapped = mapped(bytes_);
    if (mapped(bytes)) {
      data_ = was_mapped ? remap(bytes) : move_to(map(bytes));
    } else if (was_mapped) {
      data_ = move_to(bytes == 0 ? nullptr : checked(std::malloc(bytes)), bytes);
    } else if (bytes == 0) {
      std::free(data_);
      data_ = nullptr;
    } else {
      data_ = checked(std::realloc(data_, bytes));
    }
    bytes_ = bytes;
    advise_huge();
  }

 private:
  // Huge pages, where the system has some: writes scattered over tens of MB otherwise spend a
  // quarter of their time in the TLB, and new memory is had with a 500th of the page faults.
  void advise_huge() const {
#if defined(__linux__)
    // For the whole mapping: advice for a part would split it, and mremap moves no two at once.
    if (mapped(bytes_)) madvise(data_, bytes_, MADV_HUGEPAGE);
#endif
  }

  static constexpr std::size_t kMapped = std::size_t{1} << 20;

#if defined(__linux__)
  static bool mapped(std::size_t bytes) { return bytes >= kMapped; }
  static void* map(std::size_t bytes) {
    if (const auto free = FreePages::shared().take(bytes); free.data != nullptr) {
      void* const moved = mremap(free.data, free.bytes, bytes, MREMAP_MAYMOVE);
      if (moved != MAP_FAILED) return moved;
      munmap(free.data, free.bytes);
    }
    return checked(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  }
  static void unmap(void* data, std::size_t bytes) {
    if (!FreePages::shared().give({data, bytes})) munmap(data, bytes);
  }
  void* remap(std::size_t bytes) { return checked(mremap(data_, bytes_, bytes, MREMAP_MAYMOVE)); }
  static void* checked(void* data) {
    if (data == nullptr || data == MAP_FAILED) throw std::bad_alloc();
    return data;
  }
#else
  static bool mapped(std::size_t) { return false; }
  static void* map(std::size_t) { return nullptr; }
  static void unmap(void*, std::size_t) {}
  void* remap(std::size_t) { return nullptr; }
  static void* checked(void* data) {
    if (data == nullptr) throw std::bad_alloc();
    return data;
  }
#endif

  // From malloc's memory to a mapping, which is always the larger.
  void* move_to(void* mapping) {
    if (bytes_ > 0) std::memcpy(mapping, data_, bytes_);
    std::free(data_);
    return mapping;
  }
  // From a mapping to malloc's memory, which is always the smaller.
  void* move_to(void* block, std::size_t bytes) {
    if (bytes > 0) std::memcpy(block, data_, bytes);
    unmap(data_, bytes_);
    return block;
  }

  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

// An uninitialised array in memory that the thread keeps for the next one of the same `Tag`, until
// the thread ends: chunk after chunk, new pages would cost a tenth of the time. One at a time.
template <class T, class Tag>
class WorkArray {
  static_assert(std::is_trivial_v<T>);

 public:
  explicit WorkArray(std::int64_t size) {
    const std::size_t bytes = static_cast<std::size_t>(size) * sizeof(T);
    if (memory().size() < bytes) {
      memory().resize(0);  // nothing in it is worth a copy
      memory().resize(bytes);
    }
    data_ = static_cast<T*>(memory().data());
  }
  WorkArray(const WorkArray&) = delete;
  WorkArray& operator=(const WorkArray&) = delete;

  T* data() { return data_; }
  T& operator[](std::int64_t i) { return data_[i]; }

 private:
  static Memory& memory() {
    static thread_local Memory kept;
    return kept;
  }

  T* data_ = nullptr;
};

// A growing array whose memory can be handed on.
template <class T>
class PodVector {
  static_assert(std::is_trivial_v<T>);

 public:
  std::int64_t size() const { return size_; }
  T* data() { return data_; }

  // Lets an empty vector use somebody else's memory first, which must outlive it; it moves into its
  // own once that is full.
  void borrow(T* data, std::int64_t capacity) {
    data_ = data;
    capacity_ = capacity;
  }
  bool borrowed() const { return data_ != memory_.data(); }

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

  // The memory, cut to size; not of one that still borrows.
  Memory release() && {
    memory_.resize(static_cast<std::size_t>(size_) * sizeof(T));
    return std::move(memory_);
  }

 private:
  void grow(std::int64_t needed) {
    const std::int64_t larger = capacity_ + capacity_ / 2 + 64;
    capacity_ = needed > larger ? needed : larger;
    const T* const before = borrowed() ? data_ : nullptr;
    memory_.resize(static_cast<std::size_t>(capacity_) * sizeof(T));
    data_ = static_cast<T*>(memory_.data());
    if (before != nullptr) std::copy_n(before, size_, data_);
  }

  Memory memory_;
  T* data_ = nullptr;
  std::int64_t size_ = 0;
  std::int64_t capacity_ = 0;
};

}  // namespace probsig
