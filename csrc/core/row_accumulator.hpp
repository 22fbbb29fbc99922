// A row of counts being summed: dense while it grows, sorted and sparse when it leaves.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "block.hpp"

namespace probsig {

// `Count` is uint32_t where no sum of the row can pass 32 bits, else uint64_t.
template <class Count>
class RowAccumulator {
 public:
  explicit RowAccumulator(std::int64_t columns)
      : columns_(columns),
        sums_(static_cast<std::size_t>(columns), 0),
        touched_(static_cast<std::size_t>(columns) + 1),
        occupied_(static_cast<std::size_t>(columns + 63) / 64, 0) {}

  // Whether a row of so many additions is better summed by `add_dense` alone: that saves the
  // bookkeeping of each, and pays a look at every column in the end.
  bool prefers_dense(std::int64_t additions) const { return additions > 2 * columns_; }

  void add_dense(std::uint32_t column, Count value) { sums_[column] += value; }

  // `value` above 0. Branch-free: which additions are the first of their column is unpredictable.
  void add(std::uint32_t column, Count value) {
    const Count before = sums_[column];
    touched_[count_] = column;
    count_ += before == 0;
    sums_[column] = before + value;
  }

  // Appends what `add_dense` summed to the block's current row, and starts anew.
  void emit_dense(BlockBuilder& block) {
    std::int32_t* indices = block.indices.reserve_more(columns_);
    std::int64_t* data = block.data.reserve_more(columns_);
    std::int64_t k = 0;
    for (std::int64_t column = 0; column < columns_; ++column) {
      const Count sum = sums_[static_cast<std::size_t>(column)];
      indices[k] = static_cast<std::int32_t>(column);
      data[k] = static_cast<std::int64_t>(sum);
      k += sum != 0;
    }
    std::fill(sums_.begin(), sums_.end(), Count{0});
    block.extend(k);
  }

  // Appends what `add` summed to the block's current row, and starts anew.
  void emit(BlockBuilder& block) {
    // A sort of k columns costs about k log k unpredictable branches, the bitmap a look at each
    // 64 columns: they meet near one touched column in 512.
    const auto k = static_cast<std::int64_t>(count_);
    if (k * 512 < columns_) {
      emit_sorted(block, k);
    } else {
      emit_bitmap(block, k);
    }
    count_ = 0;
  }

 private:
  void emit_sorted(BlockBuilder& block, std::int64_t k) {
    std::sort(touched_.begin(), touched_.begin() + k);
    std::int32_t* indices = block.indices.reserve_more(k);
    std::int64_t* data = block.data.reserve_more(k);
    for (std::int64_t i = 0; i < k; ++i) take(touched_[static_cast<std::size_t>(i)], *indices++, *data++);
    block.extend(k);
  }

  void emit_bitmap(BlockBuilder& block, std::int64_t k) {
    for (std::int64_t i = 0; i < k; ++i) {
      const std::uint32_t column = touched_[static_cast<std::size_t>(i)];
      occupied_[column / 64] |= std::uint64_t{1} << (column % 64);
    }
    std::int32_t* indices = block.indices.reserve_more(k);
    std::int64_t* data = block.data.reserve_more(k);
    for (std::size_t word = 0; word < occupied_.size(); ++word) {
      std::uint64_t bits = occupied_[word];
      occupied_[word] = 0;
      for (; bits != 0; bits &= bits - 1) {
        const auto column = static_cast<std::uint32_t>(word * 64 + lowest_bit(bits));
        take(column, *indices++, *data++);
      }
    }
    block.extend(k);
  }

  void take(std::uint32_t column, std::int32_t& index, std::int64_t& value) {
    index = static_cast<std::int32_t>(column);
    value = static_cast<std::int64_t>(sums_[column]);
    sums_[column] = 0;
  }

  static std::size_t lowest_bit(std::uint64_t bits) {
#if defined(__GNUC__) || defined(__clang__)
    return static_cast<std::size_t>(__builtin_ctzll(bits));
#else
    std::size_t bit = 0;
    while ((bits >> bit & 1) == 0) ++bit;
    return bit;
#endif
  }

  std::int64_t columns_;
  std::vector<Count> sums_;
  std::vector<std::uint32_t> touched_;
  std::size_t count_ = 0;
  std::vector<std::uint64_t> occupied_;
};

}  // namespace probsig
