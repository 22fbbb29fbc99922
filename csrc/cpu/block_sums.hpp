// The sums of a block's rows and columns.
#pragma once

#include "core/views.hpp"

namespace probsig {

// row_sums[x] = sum over y of N[x, y], column_sums[y] = sum over x; `column_sums` holds `columns`
// zeros. Throws as merge does: std::overflow_error where the sum of all counts passes 2^63 - 1,
// std::out_of_range where an index is not below the number of columns, std::invalid_argument where
// a count is below 1.
void block_sums(const BlockView& block, std::int64_t columns, std::int64_t* row_sums,
               std::int64_t* column_sums);

}  // namespace probsig
