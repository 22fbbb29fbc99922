// The sum of blocks.
#pragma once

#include <vector>

#include "core/block.hpp"
#include "core/views.hpp"

namespace probsig {

// The sum of blocks of as many rows and of `columns` columns.
// Throws std::overflow_error where a sum passes 2^63 - 1, std::out_of_range where an index is not
// below the number of columns, std::invalid_argument where a count is below 1 or the indices of a
// row do not rise.
BlockBuilder merge(const std::vector<BlockView>& blocks, std::int64_t columns);

// sums[c] = the sum of data where indices is c; `sums` holds `columns` zeros.
// Throws std::out_of_range as merge does.
void column_sums(Span<std::int32_t> indices, Span<std::int64_t> data, std::int64_t columns,
                 std::int64_t* sums);

}  // namespace probsig
