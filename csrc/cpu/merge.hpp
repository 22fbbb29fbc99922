// The sum of blocks.
#pragma once

#include <vector>

#include "core/block.hpp"
#include "core/views.hpp"

namespace probsig {

// Rows [row_begin, row_end) of all blocks, added up.
// Throws std::overflow_error where a sum passes 2^63 - 1, std::out_of_range where an index is not
// below the number of columns, std::invalid_argument where a count is below 1.
BlockBuilder merge(const std::vector<BlockView>& blocks, std::int64_t row_begin,
                   std::int64_t row_end);

}  // namespace probsig
