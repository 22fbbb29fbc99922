// Sums by key as sorted lists, merged such that each entry is merged O(log n) times.
#pragma once

#include <cstdint>
#include <vector>

#include "blocks.hpp"
#include "primitives.cuh"

namespace probsig::gpu {

template <class Key>
using SumList = Sums<Key, std::int64_t>;

// The sum of weights[key & (2^weight_bits - 1)] by key >> weight_bits; where there are no weight
// bits, how often each key occurs. Keys lie below 2^key_bits; at most kMostItems of them.
template <class Key>
SumList<Key> sums_of_keys(DeviceArray<Key> keys, int key_bits, int weight_bits,
                          Span<std::int64_t> weights /*host*/);

// The sum of two lists, of at most kMostItems entries together.
template <class Key>
SumList<Key> added(SumList<Key> a, SumList<Key> b);

template <class Key>
class SortedSums {
 public:
  // Merges the lists that are no longer than twice what comes after them.
  void push(SumList<Key> list);
  // All into one.
  void merge();
  SumList<Key> take();
  std::int64_t size() const;

 private:
  std::vector<SumList<Key>> lists_;
};

// Of keys row * vocab_size + column; sums times `factor`.
template <class Key>
DeviceBlock to_block(SumList<Key> list, std::int64_t vocab_size, std::int64_t factor);

}  // namespace probsig::gpu
