// Sorting, sums by key, prefix sums, selection and merging of device arrays, by CUB.
#pragma once

// Each of its headers alone: all of them take twice as long to compile.
#include <cub/device/device_merge.cuh>
#include <cub/device/device_radix_sort.cuh>
#include <cub/device/device_reduce.cuh>
#include <cub/device/device_run_length_encode.cuh>
#include <cub/device/device_scan.cuh>
#include <cub/device/device_select.cuh>

#include <algorithm>
#include <cstdint>
#include <string>

#include "device.hpp"

namespace probsig::gpu {

// But for sorting, CUB counts items in an int: some algorithms in every version, others in older ones.
constexpr std::int64_t kMostItems = (std::int64_t{1} << 31) - 1;

inline int items(std::int64_t size) {
  if (size > kMostItems) {
    throw DeviceError("expected at most 2^31 - 1 elements at a time, got " + std::to_string(size));
  }
  return static_cast<int>(size);
}

// Bits that hold all numbers below `limit`.
inline int bits_below(std::uint64_t limit) {
  int bits = 0;
  while (bits < 64 && (limit > 0 ? limit - 1 : 0) >> bits != 0) ++bits;
  return bits;
}

// Asks `call` for its work memory, then runs it: call(memory, bytes) returns a cudaError_t.
template <class Call>
void with_work_memory(const char* what, const Call& call) {
  std::size_t bytes = 0;
  check(call(nullptr, bytes), what);
  DeviceArray<unsigned char> work(static_cast<std::int64_t>(bytes > 0 ? bytes : 1));
  check(call(work.data(), bytes), what);
}

// By their lowest `bits` bits, or as many as they have; stable.
template <class Key>
void sort_keys(DeviceArray<Key>& keys, int bits) {
  bits = std::min(bits, static_cast<int>(8 * sizeof(Key)));
  DeviceArray<Key> other(keys.size());
  cub::DoubleBuffer<Key> buffer(keys.data(), other.data());
  with_work_memory("sorting keys", [&](void* work, std::size_t& bytes) {
    return cub::DeviceRadixSort::SortKeys(work, bytes, buffer, keys.size(), 0, bits, stream());
  });
  if (buffer.Current() == other.data()) keys.swap(other);
}

template <class Key, class Value>
void sort_pairs(DeviceArray<Key>& keys, DeviceArray<Value>& values, int bits) {
  bits = std::min(bits, static_cast<int>(8 * sizeof(Key)));
  DeviceArray<Key> other_keys(keys.size());
  DeviceArray<Value> other_values(values.size());
  cub::DoubleBuffer<Key> key_buffer(keys.data(), other_keys.data());
  cub::DoubleBuffer<Value> value_buffer(values.data(), other_values.data());
  with_work_memory("sorting pairs", [&](void* work, std::size_t& bytes) {
    return cub::DeviceRadixSort::SortPairs(work, bytes, key_buffer, value_buffer, keys.size(), 0,
                                           bits, stream());
  });
  if (key_buffer.Current() == other_keys.data()) keys.swap(other_keys);
  if (value_buffer.Current() == other_values.data()) values.swap(other_values);
}

template <class Key, class Value>
struct Sums {
  DeviceArray<Key> keys;
  DeviceArray<Value> values;
};

// Each distinct key of a sorted array, and how often it stands there; at most kMostItems keys.
template <class Key>
Sums<Key, std::uint32_t> run_lengths(Span<Key> keys) {
  Sums<Key, std::uint32_t> runs{DeviceArray<Key>(keys.size), DeviceArray<std::uint32_t>(keys.size)};
  if (keys.size == 0) return runs;
  DeviceArray<std::int32_t> number(1);
  with_work_memory("counting equal keys", [&](void* work, std::size_t& bytes) {
    return cub::DeviceRunLengthEncode::Encode(work, bytes, keys.data, runs.keys.data(),
                                              runs.values.data(), number.data(),
                                              items(keys.size), stream());
  });
  const std::int64_t distinct = number.at(0);
  runs.keys.truncate(distinct);
  runs.values.truncate(distinct);
  return runs;
}

struct Less {
  template <class T>
  __host__ __device__ bool operator()(T a, T b) const {
    return a < b;
  }
};
struct Plus {
  template <class T>
  __host__ __device__ T operator()(T a, T b) const {
    return static_cast<T>(a + b);
  }
};

// Each distinct key of a sorted array, and the sum of its values; at most kMostItems keys.
template <class Key, class Value>
Sums<Key, Value> sums_by_key(Span<Key> keys, Span<Value> values) {
  Sums<Key, Value> sums{DeviceArray<Key>(keys.size), DeviceArray<Value>(keys.size)};
  if (keys.size == 0) return sums;
  DeviceArray<std::int32_t> number(1);
  with_work_memory("adding up equal keys", [&](void* work, std::size_t& bytes) {
    return cub::DeviceReduce::ReduceByKey(work, bytes, keys.data, sums.keys.data(), values.data,
                                          sums.values.data(), number.data(), Plus{},
                                          items(keys.size), stream());
  });
  const std::int64_t distinct = number.at(0);
  sums.keys.truncate(distinct);
  sums.values.truncate(distinct);
  return sums;
}

// out[i] = the sum of in[0..i); `out` may be `in`. One type, as CUB adds up in that of `in`.
template <class T>
void exclusive_sum(const T* in, T* out, std::int64_t size) {
  if (size == 0) return;
  with_work_memory("adding up", [&](void* work, std::size_t& bytes) {
    return cub::DeviceScan::ExclusiveSum(work, bytes, in, out, items(size), stream());
  });
}

// Those of `in` whose flag (uint8) is not 0, in order.
template <class T>
DeviceArray<T> select(Span<T> in, const std::uint8_t* flags) {
  DeviceArray<T> out(in.size);
  if (in.size == 0) return out;
  DeviceArray<std::int64_t> number(1);
  with_work_memory("selecting", [&](void* work, std::size_t& bytes) {
    return cub::DeviceSelect::Flagged(work, bytes, in.data, flags, out.data(), number.data(),
                                      items(in.size), stream());
  });
  out.truncate(number.at(0));
  return out;
}

// Two sorted arrays with values as one; keys that stand in both stay twice.
template <class Key, class Value>
Sums<Key, Value> merged(const Sums<Key, Value>& a, const Sums<Key, Value>& b) {
  const std::int64_t size = items(a.keys.size() + b.keys.size());
  Sums<Key, Value> both{DeviceArray<Key>(size), DeviceArray<Value>(size)};
  with_work_memory("merging", [&](void* work, std::size_t& bytes) {
    return cub::DeviceMerge::MergePairs(
        work, bytes, a.keys.data(), a.values.data(), items(a.keys.size()), b.keys.data(),
        b.values.data(), items(b.keys.size()), both.keys.data(), both.values.data(), Less{},
        stream());
  });
  return both;
}

}  // namespace probsig::gpu
