// Sets as spans: for each row, stretches of an array of ids that are summed up.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/block.hpp"
#include "core/common_bits.hpp"
#include "core/views.hpp"

namespace probsig {

// Which sets hold each of a few ids, a bit a set: see `common_bits`.
template <class Id>
struct HeadsView {
  Span<Id> ids;
  Span<std::uint64_t> bits;

  // Which head a row is; -1 if it is none.
  std::int64_t index(std::int64_t row) const {
    const Id* const found = std::lower_bound(ids.data, ids.data + ids.size, row);
    return found < ids.data + ids.size && *found == row ? found - ids.data : -1;
  }
  // How many sums a row gets from here.
  std::int64_t additions(std::int64_t row) const {
    const std::int64_t head = index(row);
    return head < 0 ? 0 : ids.size - head;
  }
  std::int64_t groups() const { return (ids.size + kLanes - 1) / kLanes; }
  std::int64_t words() const { return ids.size == 0 ? 0 : bits.size / (groups() * kLanes); }
};

// Weights are there for all ids (spans), or for none: then each is 1.
template <class Id>
struct SpansView {
  Span<Id> ids;
  Span<std::int64_t> id_weights;
  Span<std::int64_t> indptr;
  Span<Bounds> bounds;
  Span<std::int64_t> span_weights;
  HeadsView<Id> heads;
};

// The spans of each row, one row after the other.
struct GroupedSpans {
  PodVector<std::int64_t> indptr;
  PodVector<Bounds> bounds;

  // Sets the row pointers from how many spans each row has, and makes room for them; once.
  void make_room(const std::vector<std::int64_t>& sizes);

  // Where the spans of each row begin, or end.
  std::vector<std::int64_t> begins() { return {indptr.data(), indptr.data() + indptr.size() - 1}; }
  std::vector<std::int64_t> ends() { return {indptr.data() + 1, indptr.data() + indptr.size()}; }
};

// What `set_spans` makes of sets.
template <class Id>
struct SetSpans {
  PodVector<Id> ids;
  GroupedSpans spans;
  PodVector<Id> head_ids;
  PodVector<std::uint64_t> head_bits;
};

template <class Id>
struct Sets {
  PodVector<std::int64_t> indptr;
  PodVector<Id> ids;
  PodVector<std::int64_t> multiplicity;
};

// Row x: for each i < core with w_i = x in a run, the labels from i + 1 to the run's end, but no
// further than i + length and the next x of the run, both included.
template <class Token>
GroupedSpans prefix_spans(const Chunk<Token>& chunk, std::int64_t length, CancelFlag cancel);

// The tokens of each run, sorted and each once; all below the vocabulary size.
template <class Token>
Sets<Token> sequence_sets(Span<Token> tokens, Span<std::int64_t> run_starts,
                          Span<std::int64_t> run_ends, std::int64_t vocab_size, bool multiplicity,
                          CancelFlag cancel);

// Spans and heads whose sum is the upper triangle of N[x, y] = sets that hold both. `indptr` and
// `ids` are sets as of sequence_sets.
template <class Id>
SetSpans<Id> set_spans(Span<std::int64_t> indptr, Span<Id> ids, std::int64_t vocab_size);

// The k-th span belongs to row rows[k], which is below n_rows; those of a row stay in order.
template <class Id>
GroupedSpans group_spans(Span<Id> rows, Span<Bounds> bounds, std::int64_t n_rows);

// Rows [row_begin, row_end) of N[x, y] = sum over the spans of x, in all parts, of the span's weight
// times the weights of the y in it; and where both are heads, x not above y, the sets that hold both.
// Ids are below `columns`, and no row sums to 2^63.
// Appended to `block`, which must be empty.
template <class Id>
void span_sums(const std::vector<SpansView<Id>>& parts, std::int64_t columns,
               std::int64_t row_begin, std::int64_t row_end, CancelFlag cancel,
               BlockBuilder& block);

}  // namespace probsig
