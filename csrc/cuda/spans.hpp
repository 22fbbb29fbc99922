// Where the spans of each row lie: stretches of an array of ids that are summed up.
#pragma once

#include <cstdint>
#include <vector>

#include "core/views.hpp"
#include "device.hpp"

namespace probsig::gpu {

// The spans of each row, one row after the other.
struct GroupedSpans {
  DeviceArray<std::int64_t> indptr;
  DeviceArray<Bounds> bounds;
};

// What `set_spans` makes of sets.
template <class Id>
struct SetSpans {
  DeviceArray<Id> ids;
  GroupedSpans spans;
  std::vector<Id> head_ids;               // rising
  DeviceArray<std::uint8_t> head_matrix;  // see `head_product`; bit s of row h: set s holds head h
  std::int64_t head_stride = 0;           // bytes of its rows
};

// The k-th span belongs to row rows[k], which is below n_rows; those of a row stay in order.
template <class Id>
GroupedSpans group_spans(Span<Id> rows, Span<Bounds> bounds, std::int64_t n_rows);

// Row x: for each i < core with w_i = x in a run, the labels from i + 1 to the run's end, but no
// further than i + length and the next x of the run, both included. The tokens are on the device,
// the rest of the chunk on the host.
template <class Token>
GroupedSpans prefix_spans(const Chunk<Token>& chunk, std::int64_t length, CancelFlag cancel);

constexpr std::int64_t kFittingHeads = -1;

// Spans and heads whose sum is the upper triangle of N[x, y] = sets that hold both. `indptr` and
// `ids` are sets as of sequence_sets, fewer than 2^31 - 1 ids. The `heads` ids that stand in the
// most sets are heads: as many as pay off, if nobody says how many.
template <class Id>
SetSpans<Id> set_spans(Span<std::int64_t> indptr, Span<Id> ids, std::int64_t vocab_size,
                       std::int64_t heads = kFittingHeads);

// How many ids the spans of each row hold.
std::vector<std::int64_t> additions(Span<std::int64_t> indptr, Span<Bounds> bounds);

// The same, added to additions[row], on the device; and sets `outside` to 1 where a span does not
// lie within `ids` ids. `indptr` may be that of a few rows.
void add_additions(Span<std::int64_t> indptr, Span<Bounds> bounds, std::int64_t ids,
                   std::int64_t* additions, std::uint32_t* outside);

}  // namespace probsig::gpu
