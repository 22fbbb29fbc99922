// Where the ids of a range stand among tokens.
#pragma once

#include <cstdint>

namespace probsig {

// What `find_ids` may write beyond what it finds.
constexpr std::int64_t kFindSlack = 16;

// Ids from `begin` on, below `end`.
struct IdRange {
  std::uint32_t begin;
  std::uint32_t end;

  bool holds(std::uint32_t id) const { return id - begin < end - begin; }
};

// Writes the i in [first, last) for which the range holds tokens[i], rising; returns how many.
std::int64_t find_ids(const std::uint16_t* tokens, std::int64_t first, std::int64_t last,
                      IdRange range, std::uint32_t* found);
std::int64_t find_ids(const std::uint32_t* tokens, std::int64_t first, std::int64_t last,
                      IdRange range, std::uint32_t* found);

}  // namespace probsig
