// Dense rows of counts on their way out.
#pragma once

#include <cstdint>

namespace probsig {

// What `take_row` may write beyond the entries it finds.
constexpr std::int64_t kTakeSlack = 16;

// Moves the sums that are not 0 to `indices` and `data`, in order, and sets all to 0; returns how many
// there were.
std::int64_t take_row(std::uint32_t* sums, std::int64_t columns, std::int32_t* indices,
                      std::int64_t* data);
std::int64_t take_row(std::uint64_t* sums, std::int64_t columns, std::int32_t* indices,
                      std::int64_t* data);

}  // namespace probsig
