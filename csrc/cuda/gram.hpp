// Squares of the Gram matrix of sparse rows, row by row, without forming it.
#pragma once

#include <cstdint>

#include "core/views.hpp"
#include "device.hpp"

namespace probsig::gpu {

// A sparse float matrix by rows, on the device: row r holds the columns
// indices[indptr[r] .. indptr[r + 1]), none of them twice. contract.py calls it Rows.
struct RowsView {
  Span<std::int64_t> indptr;
  Span<std::int32_t> indices;
  Span<double> values;

  std::int64_t rows() const { return indptr.size - 1; }
};

// out[i - row_begin] = sum over j != i of (p_i . p_j - shift)^2 for the rows i in
// [row_begin, row_end) of a sparse matrix P; j runs over all rows.
//
// `rows` is P, `columns` the same matrix by columns (P'), whose indices rise within a column. The
// order of all sums is fixed by P alone: products are added in the order of the row's indices.
// Once `cancel` is set, the rows left are not written.
//
// O(sum over the rows' entries of their column's length), plus O(rows of P) for each row; 4 bytes
// of work memory for each column and 1,536 rows of P. Throws DeviceMemoryError.
DeviceArray<double> gram_squares(const RowsView& rows, const RowsView& columns, double shift,
                                 std::int64_t row_begin, std::int64_t row_end, CancelFlag cancel);

}  // namespace probsig::gpu
