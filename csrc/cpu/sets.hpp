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

// Sets by token. *Lined* tokens, those in many sets, sum the *heads* of these sets, 512 at once, as
// lines of bits, and the *tails* one by one; other tokens sum all ids one by one.
template <class Id>
struct SetIndex {
  PodVector<std::int64_t> indptr;  // the members of each token
  // A set that holds it, and where its tails above the token begin; where the token is not lined,
  // its place among all ids. Lined tokens are filled up to whole groups with the set of no ids.
  PodVector<Member> members;
  PodVector<Id> tails;                 // of all sets, rising within each
  PodVector<std::uint32_t> tail_ends;  // of each set, and of the set of no ids
  PodVector<Line> lines;               // for 512 heads at a time, a line for each of these
};

template <class Id>
struct SetIndexView {
  Span<std::int64_t> set_indptr;  // of the sets themselves
  Span<Id> ids;
  Span<std::int64_t> indptr;
  Span<Member> members;
  Span<Id> tails;
  Span<std::uint32_t> tail_ends;
  Span<Line> lines;

  std::int64_t sets() const { return set_indptr.size - 1; }
  // Of the heads from 512 * block on.
  const Line* slab(std::int64_t block) const { return lines.data + block * (sets() + 1); }
};

inline std::int64_t line_blocks(std::int64_t heads) {
  return (heads + kLineBits - 1) / kLineBits;
}

// `indptr` and `ids` are sets as of sequence_sets.
template <class Id>
SetTotals set_totals(Span<std::int64_t> indptr, Span<Id> ids, std::int64_t vocab_size);

// `frequency` is as of set_totals; `heads` rise; `lined`: for each token, whether it is. Sets and ids are fewer than 2^32 each.
template <class Id>
SetIndex<Id> set_index(Span<std::int64_t> indptr, Span<Id> ids, Span<std::int64_t> frequency,
                       Span<Id> heads, Span<std::uint8_t> lined);

// Rows [row_begin, row_end) of the upper triangle of N[x, y] = sets, of all parts, that hold both;
// these are fewer than 2^31, and all parts have the same heads and lined tokens. `additions` are the
// sums of all rows. Appended to `block`, which must be empty.
template <class Id>
void set_sums(const std::vector<SetIndexView<Id>>& parts, Span<Id> heads, Span<std::uint8_t> lined,
              Span<std::int64_t> additions, std::int64_t row_begin, std::int64_t row_end,
              CancelFlag cancel, NarrowBlockBuilder& block);

}  // namespace probsig
