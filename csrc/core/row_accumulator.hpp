// A row of counts being summed: dense while it grows, sorted and sparse when it leaves.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "block.hpp"
#include "sorted_bits.hpp"
#include "take_row.hpp"

namespace probsig {

// `Count` is uint32_t where no sum of the row can pass 32 bits, uint16_t where none can pass 16, else
// uint64_t.
template <class Count>
class RowAccumulator {
 public:
  explicit RowAccumulator(std::int64_t columns)
      : columns_(columns),
        sums_(static_cast<std::size_t>(columns), 0),
        touched_(static_cast<std::size_t>(columns) + 1),
        occupied_(columns) {}

  // Whether a row of so many additions is better summed by `add_dense` alone: that saves the
  // bookkeeping of each, and pays a look at every column in the end.
  bool prefers_dense(std::int64_t additions) const { return additions > 2 * columns_; }

  void add_dense(std::uint32_t column, Count value) {
    sums_[column] = static_cast<Count>(sums_[column] + value);
  }

  // `value` above 0. Branch-free: which additions are the first of their column is unpredictable.
  void add(std::uint32_t column, Count value) {
    const Count before = sums_[column];
    touched_[count_] = column;
    count_ += before == 0;
    sums_[column] = static_cast<Count>(before + value);
  }

  // As `add`; true if the sum passed 63 bits. The sums so far must not have.
  bool add_checked(std::uint32_t column, Count value) {
    add(column, value);
    return sums_[column] >> 63 != 0;
  }

  // Appends what `add_dense` summed in so many additions to the block's current row, and starts
  // anew. No column below `first` was added to.
  template <class Value>
  void emit_dense(BlockOf<Value>& block, std::int64_t additions, std::int64_t first = 0) {
    const std::int64_t most = std::min(additions, columns_ - first) + kTakeSlack;
    block.extend(take_row(sums_.data(), first, columns_, block.indices.reserve_more(most),
                          block.data.reserve_more(most)));
  }

  // Appends what `add` summed to the block's current row, and starts anew.
  template <class Value>
  void emit(BlockOf<Value>& block) {
    const auto k = static_cast<std::int64_t>(count_);
    std::int32_t* indices = block.indices.reserve_more(k);
    Value* data = block.data.reserve_more(k);
    for (std::size_t i = 0; i < count_; ++i) occupied_.mark(touched_[i]);
    occupied_.take([&](std::size_t column) {
      *indices++ = static_cast<std::int32_t>(column);
      *data++ = static_cast<Value>(sums_[column]);
      sums_[column] = 0;
    });
    block.extend(k);
    count_ = 0;
  }

 private:
  std::int64_t columns_;
  std::vector<Count> sums_;
  std::vector<std::uint32_t> touched_;
  std::size_t count_ = 0;
  SortedBits occupied_;
};

}  // namespace probsig
