#include "merge.hpp"

#include <algorithm>
#include <deque>
#include <stdexcept>
#include <string>

namespace probsig {
namespace {

[[noreturn]] void throw_outside(std::int64_t columns, std::int64_t index) {
  throw std::out_of_range("counts: expected column ids from 0 to " + std::to_string(columns - 1) +
                          ", got " + std::to_string(index) + ": damaged");
}

// Indices and counts may come from a damaged file.
void check(const BlockView& block, std::int64_t columns) {
  bool fits = true;
  for (std::int64_t i = 0; i < block.indices.size; ++i) {
    fits &= block.indices[i] >= 0 && block.indices[i] < columns && block.data[i] > 0;
  }
  for (std::int64_t i = 0; !fits && i < block.indices.size; ++i) {
    const std::int64_t index = block.indices[i];
    if (index < 0 || index >= columns) throw_outside(columns, index);
    if (block.data[i] < 1) {
      throw std::invalid_argument("counts: expected counts above 0, got " +
                                  std::to_string(block.data[i]) + ": damaged");
    }
  }
}

// A part of two blocks' entries that are to be added: [a, a_end) of the one, [b, b_end) of the
// other, to `out` on.
struct Place {
  std::int64_t a, a_end, b, b_end, out;
};

// Adds one row. Returns where its sum ends; a sum past 63 bits sets the top bit of `signs`.
std::int64_t add_row(const BlockView& a, const BlockView& b, Place at, std::int32_t* indices,
                     std::int64_t* data, std::int64_t& signs) {
  // Which entry comes next is hard to foresee, so there is no branch on it.
  while (at.a < at.a_end && at.b < at.b_end) {
    const std::int32_t left = a.indices[at.a], right = b.indices[at.b];
    const bool takes_left = left <= right, takes_right = right <= left;
    const auto sum = (static_cast<std::uint64_t>(a.data[at.a]) & (takes_left ? ~0ULL : 0ULL)) +
                     (static_cast<std::uint64_t>(b.data[at.b]) & (takes_right ? ~0ULL : 0ULL));
    indices[at.out] = takes_left ? left : right;
    data[at.out] = static_cast<std::int64_t>(sum);
    signs |= data[at.out];
    ++at.out;
    at.a += takes_left;
    at.b += takes_right;
  }
  for (; at.a < at.a_end; ++at.a, ++at.out) {
    indices[at.out] = a.indices[at.a];
    data[at.out] = a.data[at.a];
  }
  for (; at.b < at.b_end; ++at.b, ++at.out) {
    indices[at.out] = b.indices[at.b];
    data[at.out] = b.data[at.b];
  }
  return at.out;
}

BlockBuilder add(const BlockView& a, const BlockView& b) {
  const std::int64_t rows = a.indptr.size - 1;
  BlockBuilder sum(rows);
  std::int32_t* indices = sum.indices.reserve_more(a.indices.size + b.indices.size);
  std::int64_t* data = sum.data.reserve_more(a.indices.size + b.indices.size);
  std::int64_t used = 0, signs = 0;
  for (std::int64_t row = 0; row < rows; ++row) {
    const Place at{a.indptr[row], a.indptr[row + 1], b.indptr[row], b.indptr[row + 1], used};
    used = add_row(a, b, at, indices, data, signs);
    sum.indptr.push_back(used);
  }
  // Two numbers below 2^63 whose sum passes it: its top bit is set.
  if (signs < 0) throw std::overflow_error("a sum of counts passed 2^63 - 1");
  sum.extend(used);
  return sum;
}

bool is_smaller(const BlockView& a, const BlockView& b) { return a.indices.size < b.indices.size; }

}  // namespace

void column_sums(Span<std::int32_t> indices, Span<std::int64_t> data, std::int64_t columns,
                 std::int64_t* sums) {
  for (std::int64_t i = 0; i < indices.size; ++i) {
    const std::int64_t index = indices[i];
    if (index < 0 || index >= columns) throw_outside(columns, index);
    sums[index] += data[i];
  }
}

BlockBuilder merge(std::vector<BlockView> blocks, std::int64_t columns) {
  for (const BlockView& block : blocks) check(block, columns);
  // Sums that others are still to be added to; the views of them stay valid as it grows.
  std::deque<BlockBuilder> sums;
  // Small ones first: so an entry is copied about as often as the logarithm of their number says.
  while (blocks.size() > 2) {
    std::partial_sort(blocks.begin(), blocks.begin() + 2, blocks.end(), is_smaller);
    sums.push_back(add(blocks[0], blocks[1]));
    blocks[0] = sums.back().view();
    blocks.erase(blocks.begin() + 1);
  }
  if (blocks.size() == 2) return add(blocks[0], blocks[1]);
  const std::vector<std::int64_t> no_entries(static_cast<std::size_t>(blocks[0].indptr.size), 0);
  return add(blocks[0], {{no_entries.data(), blocks[0].indptr.size}, {}, {}});
}

}  // namespace probsig
