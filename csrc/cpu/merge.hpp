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

}  // namespace probsig
