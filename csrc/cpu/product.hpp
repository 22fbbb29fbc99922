// The product of a sparse matrix with a dense one, of which only squares are kept.
#pragma once

#include <cstdint>

#include "core/views.hpp"
#include "cpu/gram.hpp"

namespace probsig {

// Rows of floats one after the other.
struct DenseView {
  Span<double> values;
  std::int64_t count;
  std::int64_t width;

  std::int64_t rows() const { return count; }
  const double* row(std::int64_t i) const { return values.data + i * width; }
};

// With m_c = sum over the entries i of row c of `columns` of value_ci x_i, x_i row i of `dense`:
// returns the sum of |m_c|^2 over c in [begin, end); where `shares` is not null, adds
// value_ci (m_c . x_i) to shares[i] for each entry, which sum to it.
//
// Indices must be valid. The order of all sums is fixed by the arguments. Once `cancel` is set, what
// is left is not summed. O(entries x width) time; one row of work memory. Throws std::bad_alloc.
double product_squares(const RowsView& columns, const DenseView& dense, std::int64_t begin,
                       std::int64_t end, CancelFlag cancel, double* shares);

}  // namespace probsig
