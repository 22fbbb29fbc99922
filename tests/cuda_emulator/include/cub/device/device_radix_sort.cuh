#pragma once

#include <cub/detail/arrays.cuh>
#include <cub/util_type.cuh>

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <vector>

namespace cub {
namespace detail {

// Unsigned numbers in the order of the keys.
template <class Key>
auto sortable(Key key) {
  static_assert(std::is_integral_v<Key>, "the emulator sorts integers only");
  using Bits = std::make_unsigned_t<Key>;
  constexpr Bits kSign =
      std::is_signed_v<Key> ? static_cast<Bits>(Bits{1} << (sizeof(Key) * 8 - 1)) : Bits{0};
  return static_cast<Bits>(static_cast<Bits>(key) ^ kSign);
}

// Where each item comes from when they are sorted by the bits [begin, end) of their keys.
template <class Key>
std::vector<std::size_t> sorting(const Key* keys, std::size_t size, int begin, int end) {
  if (begin < 0 || end < begin || end > static_cast<int>(sizeof(Key) * 8)) {
    emulator::fail("radix sort: no bits [%d, %d) in a key of %zu bytes", begin, end, sizeof(Key));
  }
  const auto digit = [=](std::size_t i) {
    const std::uint64_t bits = sortable(keys[i]);
    return end - begin == 64 ? bits : (bits >> begin) & ((std::uint64_t{1} << (end - begin)) - 1);
  };
  on_device(keys, size);
  std::vector<std::size_t> from(size);
  std::iota(from.begin(), from.end(), std::size_t{0});
  if (begin == end) return from;
  std::stable_sort(from.begin(), from.end(),
                   [&](std::size_t a, std::size_t b) { return digit(a) < digit(b); });
  return from;
}

template <class T>
void gather(const T* in, const std::vector<std::size_t>& from, T* out) {
  on_device(in, from.size());
  on_device(out, from.size());
  apart(in, from.size(), out, from.size());
  std::vector<T> moved(from.size());
  for (std::size_t i = 0; i < from.size(); ++i) moved[i] = in[from[i]];
  std::copy(moved.begin(), moved.end(), out);
}

// As in CUB the result may stand in either buffer, and what is in the other means nothing.
template <class T>
void gather(DoubleBuffer<T>& buffer, const std::vector<std::size_t>& from) {
  if (from.empty()) return;
  gather(buffer.Current(), from, buffer.Alternate());
  buffer.selector ^= 1;
  if (from.size() % 3 == 0) {
    std::copy_n(buffer.Current(), from.size(), buffer.Alternate());
    buffer.selector ^= 1;
  }
  std::memset(static_cast<void*>(buffer.Alternate()), 0x5A, from.size() * sizeof(T));
}

}  // namespace detail

struct DeviceRadixSort {
  template <class Key, class Items>
  static cudaError_t SortKeys(void* temporary, std::size_t& bytes, const Key* in, Key* out,
                              Items items, int begin = 0, int end = sizeof(Key) * 8,
                              cudaStream_t = nullptr) {
    return detail::two_phases(temporary, bytes, [&] {
      detail::gather(in, detail::sorting(in, detail::count(items), begin, end), out);
    });
  }
  template <class Key, class Items>
  static cudaError_t SortKeys(void* temporary, std::size_t& bytes, DoubleBuffer<Key>& keys,
                              Items items, int begin = 0, int end = sizeof(Key) * 8,
                              cudaStream_t = nullptr) {
    return detail::two_phases(temporary, bytes, [&] {
      detail::gather(keys, detail::sorting(keys.Current(), detail::count(items), begin, end));
    });
  }
  template <class Key, class Value, class Items>
  static cudaError_t SortPairs(void* temporary, std::size_t& bytes, const Key* in, Key* out,
                               const Value* values_in, Value* values_out, Items items,
                               int begin = 0, int end = sizeof(Key) * 8, cudaStream_t = nullptr) {
    return detail::two_phases(temporary, bytes, [&] {
      const auto from = detail::sorting(in, detail::count(items), begin, end);
      detail::gather(in, from, out);
      detail::gather(values_in, from, values_out);
    });
  }
  template <class Key, class Value, class Items>
  static cudaError_t SortPairs(void* temporary, std::size_t& bytes, DoubleBuffer<Key>& keys,
                               DoubleBuffer<Value>& values, Items items, int begin = 0,
                               int end = sizeof(Key) * 8, cudaStream_t = nullptr) {
    return detail::two_phases(temporary, bytes, [&] {
      const auto from = detail::sorting(keys.Current(), detail::count(items), begin, end);
      detail::gather(keys, from);
      detail::gather(values, from);
    });
  }
};

}  // namespace cub
