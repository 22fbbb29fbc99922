// Dense rows of counts on their way out.
#pragma once

#include <cstdint>

namespace probsig {

// What `take_row` may write beyond the entries it finds.
constexpr std::int64_t kTakeSlack = 32;

// From how many additions on a row of 32-bit sums is better summed without a list of what it touched,
// for a look at all columns in the end.
std::int64_t dense_from(std::int64_t columns);

// Moves the sums of the columns from `first` on that are not 0 to `indices` and `data`, in order, and
// sets them to 0; returns how many there were.
std::int64_t take_row(std::uint32_t* sums, std::int64_t first, std::int64_t columns,
                      std::int32_t* indices, std::int64_t* data);
std::int64_t take_row(std::uint64_t* sums, std::int64_t first, std::int64_t columns,
                      std::int32_t* indices, std::int64_t* data);
// Likewise, of sums below 2^31.
std::int64_t take_row(std::uint32_t* sums, std::int64_t first, std::int64_t columns,
                      std::int32_t* indices, std::int32_t* data);
std::int64_t take_row(std::uint16_t* sums, std::int64_t first, std::int64_t columns,
                      std::int32_t* indices, std::int32_t* data);

}  // namespace probsig
