#include "block_sums.hpp"

#include "damaged.hpp"

namespace probsig {
namespace {

template <class Data>
[[noreturn]] void throw_found(Span<Data> data) {
  for (std::int64_t k = 0; k < data.size; ++k) {
    if (data[k] < 1) throw_below_one(data[k]);
  }
  throw_overflow();
}

// Counts below 1 and sums past 63 bits are noticed by the top bit of `seen`: two numbers of 63 bits
// give at most 64, so no sum wraps before it is looked at.
template <class Data>
void sum_up(Span<std::int64_t> indptr, Span<std::int32_t> indices, Span<Data> data,
            std::int64_t columns, std::int64_t* row_sums, std::int64_t* column_sums) {
  std::uint64_t total = 0;
  for (std::int64_t row = 0; row + 1 < indptr.size; ++row) {
    std::uint64_t sum = 0, seen = 0;
    for (std::int64_t k = indptr[row]; k < indptr[row + 1]; ++k) {
      const std::int64_t column = indices[k];
      if (column < 0 || column >= columns) throw_outside(columns, column);
      const auto count = static_cast<std::uint64_t>(static_cast<std::int64_t>(data[k]));
      sum += count;
      seen |= count | (count - 1) | sum;
      if (seen >> 63 != 0) throw_found(data);
      column_sums[column] += static_cast<std::int64_t>(count);
    }
    total += sum;
    if (total >> 63 != 0) throw_found(data);
    row_sums[row] = static_cast<std::int64_t>(sum);
  }
}

}  // namespace

void block_sums(const BlockView& block, std::int64_t columns, std::int64_t* row_sums,
               std::int64_t* column_sums) {
  if (block.narrow_data.data != nullptr) {
    sum_up(block.indptr, block.indices, block.narrow_data, columns, row_sums, column_sums);
  } else {
    sum_up(block.indptr, block.indices, block.data, columns, row_sums, column_sums);
  }
}

}  // namespace probsig
