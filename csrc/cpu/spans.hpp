// Sets as spans: for each row, stretches of an array of ids that are summed up.
#pragma once

#include <cstdint>
#include <vector>

#include "core/block.hpp"
#include "core/views.hpp"

namespace probsig {

// Weights are there for all ids (spans), or for none: then each is 1.
template <class Id>
struct SpansView {
  Span<Id> ids;
  Span<std::int64_t> id_weights;
  Span<std::int64_t> indptr;
  Span<Bounds> bounds;
  Span<std::int64_t> span_weights;
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

// The k-th span belongs to row rows[k], which is below n_rows; those of a row stay in order.
template <class Id>
GroupedSpans group_spans(Span<Id> rows, Span<Bounds> bounds, std::int64_t n_rows);

// Rows [row_begin, row_end) of N[x, y] = sum over the spans of x, in all parts, of the span's weight
// times the weights of the y in it. Ids are below `columns`, and no row sums to 2^63.
// Appended to `block`, which must be empty.
template <class Id>
void span_sums(const std::vector<SpansView<Id>>& parts, std::int64_t columns,
               std::int64_t row_begin, std::int64_t row_end, CancelFlag cancel,
               BlockBuilder& block);

}  // namespace probsig
