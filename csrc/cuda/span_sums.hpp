// Sums of spans, by rows.
#pragma once

#include <cstdint>
#include <vector>

#include "blocks.hpp"
#include "core/views.hpp"

namespace probsig::gpu {

// Spans of rows, and the heads whose pairs they leave out (see `SetSpans`). On the device but for
// head_ids. Weights are there for all ids (spans), or for none: then each is 1.
template <class Id>
struct SpansView {
  Span<Id> ids;
  Span<std::int64_t> id_weights;
  Span<std::int64_t> indptr;
  Span<Bounds> bounds;
  Span<std::int64_t> span_weights;
  Span<Id> head_ids;
  const std::uint8_t* head_matrix;
  std::int64_t head_stride;
};

// Rows [row_begin, row_end) of N[x, y] = sum over the spans of x, in all parts, of the span's
// weight times the weights of the y in it; and where both are heads, x not above y, the sets that
// hold both. Ids are below `columns`, and no row sums to 2^63. Throws std::out_of_range where a
// span is not within the ids. Empty once `cancel` is set.
template <class Id>
DeviceBlock span_sums(const std::vector<SpansView<Id>>& parts, std::int64_t columns,
                      std::int64_t row_begin, std::int64_t row_end, CancelFlag cancel);

}  // namespace probsig::gpu
