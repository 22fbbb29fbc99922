// Cells for the pairs of the most frequent ids, the heads.
#pragma once

#include <cstdint>

#include "core/views.hpp"
#include "device.hpp"
#include "primitives.cuh"

namespace probsig::gpu {

// One word for each id: its slot, the number among heads, in the lower 24 bits; in the upper 8 its
// number among the hottest heads, which blocks count in memory of their own.
constexpr std::uint32_t kNoSlot = 0xFFFFFFu;
constexpr std::uint32_t kNoHead = 0xFFFFFFFFu;
constexpr int kMostHot = 96;

__host__ __device__ inline std::uint32_t slot_of(std::uint32_t word) { return word & kNoSlot; }
__host__ __device__ inline std::uint32_t hot_of(std::uint32_t word) { return word >> 24; }
__host__ __device__ inline std::uint32_t head_word(std::uint32_t slot, std::uint32_t hot) {
  return hot << 24 | slot;
}

template <class Cell>
struct HeadView {
  const std::uint32_t* words;  // of ids
  std::uint32_t vocab_size;
  Cell* cells;
  std::int64_t stride;             // of a row
  const std::uint32_t* hot_slots;  // of the hottest
  int hot;

  // Ids outside the vocabulary lie in no run: their word means nothing.
  __device__ std::uint32_t word(std::uint32_t id) const {
    return id < vocab_size ? __ldg(words + id) : kNoHead;
  }
  __device__ Cell* cell(std::uint32_t row, std::uint32_t column) const {
    return cells + row * stride + column;
  }
};

// Slots rise with ids, so that the table read row by row gives sorted keys.
template <class Cell>
class HeadTable {
 public:
  // The ids that the histogram has most of, lower ones first among equals.
  HeadTable(Span<std::int64_t> histogram, std::int64_t heads);

  HeadView<Cell> view() {
    return {words_.data(),  static_cast<std::uint32_t>(words_.size()),
            cells_.data(),  stride_,
            hot_slots_.data(), static_cast<int>(hot_slots_.size())};
  }

  // Takes the cells of `least` or more out of the first rows, all of those that hold no more than
  // `most` such cells together; says in `all` whether these are all rows. Keys are of pairs.
  template <class Key>
  Sums<Key, std::int64_t> collect(Cell least, std::int64_t most, bool& all);

 private:
  DeviceArray<std::uint32_t> words_;
  DeviceArray<std::uint32_t> ids_;  // of slots
  DeviceArray<std::uint32_t> hot_slots_;
  std::int64_t stride_;
  DeviceArray<Cell> cells_;
};

}  // namespace probsig::gpu
