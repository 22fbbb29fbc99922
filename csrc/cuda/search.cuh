// Binary searches in sorted device arrays. Threads beside each other mostly look for what lies
// close together, so their steps read the same cache lines.
#pragma once

#include <cstdint>

#include "device.hpp"
#include "launch.cuh"

namespace probsig::gpu {

// The first number that is at least `value`; `size` if there is none.
template <class T>
__device__ std::int64_t first_not_below(const T* sorted, std::int64_t size, std::int64_t value) {
  std::int64_t begin = 0, end = size;
  while (begin < end) {
    const std::int64_t middle = begin + (end - begin) / 2;
    if (static_cast<std::int64_t>(sorted[middle]) < value) {
      begin = middle + 1;
    } else {
      end = middle;
    }
  }
  return begin;
}

// The segment [begins[s], begins[s + 1]) that holds `position`, which one of them does.
__device__ inline std::int64_t segment_of(const std::int64_t* begins, std::int64_t segments,
                                          std::int64_t position) {
  return first_not_below(begins, segments, position + 1) - 1;
}

// Where each of `rows` rows begins among sorted row numbers, and where the last one ends.
template <class Id>
DeviceArray<std::int64_t> row_pointers(Span<Id> sorted, std::int64_t rows) {
  DeviceArray<std::int64_t> indptr(rows + 1);
  std::int64_t* pointers = indptr.data();
  for_each("finding rows", rows + 1, [=] __device__(std::int64_t row) {
    pointers[row] = first_not_below(sorted.data, sorted.size, row);
  });
  return indptr;
}

}  // namespace probsig::gpu
