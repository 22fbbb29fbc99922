// Sets of tokens, and the pairs of tokens that they hold.
#pragma once

#include <cstdint>
#include <vector>

#include "core/bit_planes.hpp"
#include "core/block.hpp"
#include "core/views.hpp"

namespace probsig {

// The sums of an upper triangle N[x, y] = sets that hold both x and y >= x, and how many hold each x.
struct SetTotals {
  PodVector<std::int64_t> frequency;
  PodVector<std::int64_t> row_sums;
  PodVector<std::int64_t> column_sums;
};

// Sets by token: for each token, the sets that hold it; and of each set the *tails*, which are summed
// one by one, and a bit for each *head*, of which 512 are summed at once.
template <class Id>
struct SetIndex {
  PodVector<std::int64_t> indptr;     // the members of each token
  PodVector<Member> members;          // a set that holds it, and where tails above the token begin
  PodVector<Id> tails;                // of all sets, rising within each
  PodVector<std::uint32_t> tail_ends;  // of each set
  PodVector<Line> lines;  // for 512 heads at a time, a line a set, and one of zeros
};

template <class Id>
struct SetIndexView {
  Span<std::int64_t> indptr;
  Span<Member> members;
  Span<Id> tails;
  Span<std::uint32_t> tail_ends;
  Span<Line> lines;

  std::int64_t sets() const { return tail_ends.size; }
  // Of the heads from 512 * block on.
  const Line* slab(std::int64_t block) const { return lines.data + block * (sets() + 1); }
};

inline std::int64_t line_blocks(std::int64_t heads) {
  return (heads + kLineBits - 1) / kLineBits;
}

// `indptr` and `ids` are sets as of sequence_sets.
template <class Id>
SetTotals set_totals(Span<std::int64_t> indptr, Span<Id> ids, std::int64_t vocab_size);

// `heads` rise. Sets and ids are fewer than 2^32 each.
template <class Id>
SetIndex<Id> set_index(Span<std::int64_t> indptr, Span<Id> ids, Span<Id> heads,
                       std::int64_t vocab_size);

// Rows [row_begin, row_end) of the upper triangle of N[x, y] = sets, of all parts, that hold both;
// these are fewer than 2^31, and all parts have the same heads. `additions` are the sums of all rows.
// Appended to `block`, which must be empty.
template <class Id>
void set_sums(const std::vector<SetIndexView<Id>>& parts, Span<Id> heads,
              Span<std::int64_t> additions, std::int64_t row_begin, std::int64_t row_end,
              CancelFlag cancel, NarrowBlockBuilder& block);

}  // namespace probsig
