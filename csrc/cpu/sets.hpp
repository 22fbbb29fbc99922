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
// `Number`, of members: uint16_t where sets, and the ids of each, are fewer than 2^16, or uint32_t.
template <class Id, class Number>
struct SetIndex {
  PodVector<std::int64_t> indptr;  // the members of each token
  // A set that holds it, and how many of the set's tails begin with the token or lie above it; where
  // the token is not lined, how many of its ids do. Lined tokens are filled up to whole groups with
  // the set of no ids.
  PodVector<Member<Number>> members;
  PodVector<Id> tails;  // of all sets, rising within each, with kTailGap zeros before each
  PodVector<std::uint32_t> tail_ends;  // of each set, and of the set of no ids
  PodVector<Line> lines;               // for 512 heads at a time, a line for each of these
};

// Tails are added in fours from the last back, and so up to three that lie before those asked for.
constexpr std::int64_t kTailGap = 3;

template <class Id, class Number>
struct SetIndexView {
  Span<std::int64_t> set_indptr;  // of the sets themselves
  Span<Id> ids;
  Span<std::int64_t> indptr;
  Span<Member<Number>> members;
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

// `frequency` is as of set_totals; `heads` rise; `lined`: for each token, whether it is. Members, ids
// and tails with their gaps are fewer than 2^32 each.
template <class Id, class Number>
SetIndex<Id, Number> set_index(Span<std::int64_t> indptr, Span<Id> ids,
                               Span<std::int64_t> frequency, Span<Id> heads,
                               Span<std::uint8_t> lined);

// Rows [row_begin, row_end) of the upper triangle of N[x, y] = sets, of all parts, that hold both;
// these are fewer than 2^31, and all parts have the same heads and lined tokens. `additions` are the
// sums of all rows. Appended to `block`, which must be empty.
template <class Id, class Number>
void set_sums(const std::vector<SetIndexView<Id, Number>>& parts, Span<Id> heads,
              Span<std::uint8_t> lined, Span<std::int64_t> additions, std::int64_t row_begin,
              std::int64_t row_end, CancelFlag cancel, NarrowBlockBuilder& block);

}  // namespace probsig
