// The stand-ins for CUB against the standard library.
#pragma once

#include <cub/cub.cuh>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <numeric>
#include <random>
#include <vector>

#include "support.hpp"

template <class Call>
void in_two_phases(const Call& call) {
  std::size_t bytes = 0;
  CHECK(call(nullptr, bytes) == cudaSuccess);
  CHECK(bytes > 0);
  const Array<unsigned char> work(bytes);
  CHECK(call(work.data(), bytes) == cudaSuccess);
}

template <class T>
std::vector<T> first(const Array<T>& array, int size) {
  std::vector<T> values = array.host();
  values.resize(static_cast<std::size_t>(size));
  return values;
}

template <class Key>
struct Pairs {
  std::vector<Key> keys;
  std::vector<long> values;
};

template <class Key>
Pairs<Key> random_pairs(std::size_t size, Key most, unsigned seed) {
  std::mt19937_64 random(seed);
  Pairs<Key> pairs;
  for (std::size_t i = 0; i < size; ++i) {
    pairs.keys.push_back(static_cast<Key>(random() % (std::uint64_t{most} + 1)));
    pairs.values.push_back(static_cast<long>(random() % 1000));
  }
  return pairs;
}

// Stable, by the bits [begin, end).
template <class Key>
Pairs<Key> sorted(const Pairs<Key>& pairs, int begin, int end) {
  std::vector<std::size_t> order(pairs.keys.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto digit = [&](std::size_t i) {
    return pairs.keys[i] % (static_cast<Key>(Key{1} << (end - 1)) * std::uint64_t{2}) >> begin;
  };
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return digit(a) < digit(b); });
  Pairs<Key> result;
  for (const std::size_t i : order) {
    result.keys.push_back(pairs.keys[i]);
    result.values.push_back(pairs.values[i]);
  }
  return result;
}

template <class Key>
void check_sorting(std::size_t size, int begin, int end) {
  const Pairs<Key> pairs = random_pairs<Key>(size, static_cast<Key>(40000), 1);
  const Pairs<Key> want = sorted(pairs, begin, end);
  const Array<Key> keys(pairs.keys), other_keys(size);
  const Array<long> values(pairs.values), other_values(size);
  in_two_phases([&](void* work, std::size_t& bytes) {
    return cub::DeviceRadixSort::SortPairs(work, bytes, keys.data(), other_keys.data(),
                                           values.data(), other_values.data(), size, begin, end);
  });
  CHECK(other_keys.host() == want.keys && other_values.host() == want.values);

  cub::DoubleBuffer<Key> key_buffer(keys.data(), other_keys.data());
  cub::DoubleBuffer<long> value_buffer(values.data(), other_values.data());
  in_two_phases([&](void* work, std::size_t& bytes) {
    return cub::DeviceRadixSort::SortPairs(work, bytes, key_buffer, value_buffer, size, begin, end,
                                           cudaStreamPerThread);
  });
  const bool switched = key_buffer.Current() == other_keys.data();
  CHECK((switched ? other_keys : keys).host() == want.keys);
  CHECK((switched ? other_values : values).host() == want.values);
  CHECK((switched ? keys : other_keys).host() != want.keys);
}

inline void check_runs() {
  const Pairs<unsigned> pairs = sorted(random_pairs(1000, 77u, 2), 0, 32);
  std::map<unsigned, long> sums;
  std::map<unsigned, int> lengths;
  for (std::size_t i = 0; i < pairs.keys.size(); ++i) {
    sums[pairs.keys[i]] += pairs.values[i];
    ++lengths[pairs.keys[i]];
  }
  const Array<unsigned> keys(pairs.keys), unique(1000);
  const Array<long> values(pairs.values), totals(1000);
  const Array<int> counts(1000), number(1);
  in_two_phases([&](void* work, std::size_t& bytes) {
    return cub::DeviceReduce::ReduceByKey(work, bytes, keys.data(), unique.data(), values.data(),
                                          totals.data(), number.data(), std::plus<>{}, 1000);
  });
  CHECK(number.host()[0] == static_cast<int>(sums.size()));
  in_two_phases([&](void* work, std::size_t& bytes) {
    return cub::DeviceRunLengthEncode::Encode(work, bytes, keys.data(), unique.data(),
                                              counts.data(), number.data(), 1000);
  });
  CHECK(number.host()[0] == static_cast<int>(sums.size()));
  std::size_t run = 0;
  for (const auto& [key, sum] : sums) {
    CHECK(unique.host()[run] == key && totals.host()[run] == sum);
    CHECK(counts.host()[run] == lengths[key]);
    ++run;
  }
}

inline void check_scans() {
  const std::vector<unsigned> values{4000000000u, 1, 2, 300000000, 5};
  const Array<unsigned> in(values);
  const Array<long> out(5), one(1);
  const auto scan = [&](bool exclusive) {
    in_two_phases([&](void* work, std::size_t& bytes) {
      return exclusive ? cub::DeviceScan::ExclusiveSum(work, bytes, in.data(), out.data(), 5)
                       : cub::DeviceScan::InclusiveSum(work, bytes, in.data(), out.data(), 5);
    });
    return out.host();
  };
  // In the type of the input: the sum goes round at 2^32.
  CHECK(scan(true) == (std::vector<long>{0, 4000000000, 4000000001, 4000000003, 5032707}));
  CHECK(scan(false) == (std::vector<long>{4000000000, 4000000001, 4000000003, 5032707, 5032712}));
  in_two_phases([&](void* work, std::size_t& bytes) {
    return cub::DeviceReduce::Sum(work, bytes, in.data(), one.data(), 5);
  });
  CHECK(one.host()[0] == 4300000008);
  in_two_phases([&](void* work, std::size_t& bytes) {
    return cub::DeviceReduce::Max(work, bytes, in.data(), one.data(), 5);
  });
  CHECK(one.host()[0] == 4000000000);
}

inline void check_selection_and_merge() {
  const Array<unsigned> keys(std::vector<unsigned>{1, 3, 3, 8});
  const Array<unsigned> others(std::vector<unsigned>{0, 3});
  const Array<int> values(std::vector<int>{10, 11, 12, 13}), other_values(std::vector<int>{20, 21});
  const Array<unsigned> merged(6), selected(4);
  const Array<int> merged_values(6), number(1);
  in_two_phases([&](void* work, std::size_t& bytes) {
    return cub::DeviceMerge::MergePairs(work, bytes, keys.data(), values.data(), 4, others.data(),
                                        other_values.data(), 2, merged.data(),
                                        merged_values.data(), std::less<>{});
  });
  CHECK(merged.host() == (std::vector<unsigned>{0, 1, 3, 3, 3, 8}));
  CHECK(merged_values.host() == (std::vector<int>{20, 10, 11, 12, 21, 13}));
  const Array<unsigned char> flags(std::vector<unsigned char>{0, 1, 0, 2});
  in_two_phases([&](void* work, std::size_t& bytes) {
    return cub::DeviceSelect::Flagged(work, bytes, keys.data(), flags.data(), selected.data(),
                                      number.data(), 4);
  });
  CHECK(number.host()[0] == 2);
  CHECK(first(selected, 2) == (std::vector<unsigned>{3, 8}));
}

inline void check_algorithms() {
  for (const std::size_t size : {1, 2, 3, 999, 1000}) {
    check_sorting<std::uint16_t>(size, 0, 16);
    check_sorting<std::uint32_t>(size, 0, 32);
    check_sorting<std::uint64_t>(size, 3, 9);
  }
  check_runs();
  check_scans();
  check_selection_and_merge();
}
