// Squares of the Gram matrix of sparse rows, without forming it.
#pragma once

#include <cstdint>

#include "core/views.hpp"

namespace probsig {

// A sparse float matrix by rows: row r holds the columns indices[indptr[r] .. indptr[r + 1]), none
// of them twice. contract.py calls it Rows.
struct RowsView {
  Span<std::int64_t> indptr;
  Span<std::int32_t> indices;
  Span<double> values;

  std::int64_t rows() const { return indptr.size - 1; }
};

// For the pairs j < i of rows of a sparse matrix P with i in [row_begin, row_end): adds
// (p_i . p_j - shift)^2 to shares[i] and to shares[j].
//
// `rows` is P, `columns` the same matrix by columns (P'), both with valid indices, those of
// `columns` rising within a column. The order of all sums is fixed by P and the range. Once `cancel`
// is set, the rows left are not summed.
//
// O(half the sum over the rows' entries of their column's length, and i for each row i); 8 bytes of
// work memory for each row and column of P. Throws std::bad_alloc.
void gram_squares(const RowsView& rows, const RowsView& columns, double shift,
                  std::int64_t row_begin, std::int64_t row_end, CancelFlag cancel, double* shares);

// out[k] = sum over j != i of (p_i . p_j - shift)^2 for the row i = chosen[k]; j runs over all rows.
// As above, but for twice the time a row.
void gram_row_squares(const RowsView& rows, const RowsView& columns, double shift,
                      Span<std::int64_t> chosen, CancelFlag cancel, double* out);

}  // namespace probsig
