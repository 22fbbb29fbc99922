// Spans are grouped by a stable sort of whole spans (8 bytes) by their rows: to sort their numbers
// and fetch them afterwards would read 32 bytes for each. For 17-bit rows of 4 bytes, three passes
// that move 24 bytes a span: an H100's 3 TB/s bound it at some 40 G spans/s.

#include "spans.hpp"

#include <algorithm>

#include "launch.cuh"
#include "primitives.cuh"
#include "runs.cuh"
#include "search.cuh"

namespace probsig::gpu {
namespace {

// Bits of a row's number, in so far as the type has them.
template <class Id>
int row_bits(std::int64_t rows) {
  return std::clamp(bits_below(static_cast<std::uint64_t>(rows)), 1,
                    static_cast<int>(8 * sizeof(Id)));
}

// Tokens, and what follows each of them in its run, up to `length` labels; in order.
template <class Token>
Sums<Token, Bounds> stretches(const Chunk<Token>& chunk, const Runs& runs, std::int64_t length) {
  Sums<Token, Bounds> result{DeviceArray<Token>(runs.tokens()), DeviceArray<Bounds>(runs.tokens())};
  Token* token = result.keys.data();
  Bounds* bounds = result.values.data();
  const RunsView view = runs.view();
  const Token* tokens = chunk.tokens.data;
  for_each("listing tokens", runs.tokens(), [=] __device__(std::int64_t place) {
    const std::int64_t run = view.run_of(place);
    const std::int64_t next = view.position(run, place) + 1;
    token[place] = tokens[next - 1];
    bounds[place] = {static_cast<std::uint32_t>(next),
                     static_cast<std::uint32_t>(min(next + length, view.end(run)))};
  });
  return result;
}

// Ends spans at the next one of the same token: its occurrence is the last label. One in a later
// run begins beyond this run's end, and so changes nothing.
template <class Token>
void end_at_next(Span<Token> tokens, Bounds* bounds) {
  for_each("ending spans", tokens.size - 1, [=] __device__(std::int64_t i) {
    if (tokens.data[i] == tokens.data[i + 1]) {
      bounds[i].end = min(bounds[i].end, bounds[i + 1].begin);
    }
  });
}

// Keeps the spans of tokens before position `core`.
template <class Token>
void keep_core(Sums<Token, Bounds>& spans, std::int64_t core) {
  DeviceArray<std::uint8_t> kept(spans.keys.size());
  std::uint8_t* keep = kept.data();
  const Bounds* bounds = spans.values.data();
  for_each("finding the core", spans.keys.size(),
           [=] __device__(std::int64_t i) { keep[i] = bounds[i].begin <= core; });
  spans.keys = select(spans.keys.span(), keep);
  spans.values = select(spans.values.span(), keep);
}

}  // namespace

template <class Id>
GroupedSpans group_spans(Span<Id> rows, Span<Bounds> bounds, std::int64_t n_rows) {
  DeviceArray<Id> sorted(rows.size);
  DeviceArray<Bounds> grouped(bounds.size);
  with_work_memory("grouping spans", [&](void* work, std::size_t& bytes) {
    return cub::DeviceRadixSort::SortPairs(work, bytes, rows.data, sorted.data(), bounds.data,
                                           grouped.data(), rows.size, 0, row_bits<Id>(n_rows),
                                           stream());
  });
  return {row_pointers(sorted.span(), n_rows), std::move(grouped)};
}

template <class Token>
GroupedSpans prefix_spans(const Chunk<Token>& chunk, std::int64_t length, CancelFlag cancel) {
  const std::int64_t rows = chunk.histogram.size;
  if (cancel.set()) return {DeviceArray<std::int64_t>::zeros(rows + 1), {}};
  const Runs runs(chunk.run_starts, chunk.run_ends);
  auto spans = stretches(chunk, runs, std::min(length, chunk.tokens.size));
  sort_pairs(spans.keys, spans.values, row_bits<Token>(rows));
  end_at_next(spans.keys.span(), spans.values.data());
  const std::int64_t last = chunk.run_ends.size - 1;
  if (last >= 0 && chunk.run_ends[last] > chunk.core) keep_core(spans, chunk.core);
  return {row_pointers(spans.keys.span(), rows), std::move(spans.values)};
}

#define PROBSIG_INSTANTIATE(Id)                                                       \
  template GroupedSpans group_spans(Span<Id>, Span<Bounds>, std::int64_t);            \
  template GroupedSpans prefix_spans(const Chunk<Id>&, std::int64_t, CancelFlag);
PROBSIG_INSTANTIATE(std::uint16_t)
PROBSIG_INSTANTIATE(std::uint32_t)
#undef PROBSIG_INSTANTIATE

}  // namespace probsig::gpu
