// Where the spans of each row lie.

#include <algorithm>
#include <limits>
#include <vector>

#include "core/sorted_bits.hpp"
#include "spans.hpp"

namespace probsig {
namespace {

// How often each token stands in the part of the runs that the core holds.
template <class Token>
std::vector<std::int64_t> occurrences(const Chunk<Token>& chunk) {
  std::vector<std::int64_t> sizes(static_cast<std::size_t>(chunk.histogram.size), 0);
  for (std::int64_t run = 0; run < chunk.run_starts.size; ++run) {
    const std::int64_t end = std::min(chunk.run_ends[run], chunk.core);
    for (std::int64_t i = chunk.run_starts[run]; i < end; ++i) ++sizes[chunk.tokens[i]];
  }
  return sizes;
}

}  // namespace

void GroupedSpans::make_room(const std::vector<std::int64_t>& sizes) {
  indptr.reserve_more(static_cast<std::int64_t>(sizes.size()) + 1);
  std::int64_t sum = 0;
  indptr.push_back(sum);
  for (const std::int64_t size : sizes) indptr.push_back(sum += size);
  bounds.reserve_more(sum);
  bounds.extend(sum);
}

// Backwards, so that the next occurrence of each token is known when one is met.
template <class Token>
GroupedSpans prefix_spans(const Chunk<Token>& chunk, std::int64_t length, CancelFlag cancel) {
  GroupedSpans spans;
  spans.make_room(occurrences(chunk));
  auto ends = spans.ends();
  Bounds* bounds = spans.bounds.data();
  constexpr std::int64_t kNone = std::numeric_limits<std::int64_t>::max();
  std::vector<std::int64_t> next(static_cast<std::size_t>(chunk.histogram.size), kNone);
  for (std::int64_t run = chunk.run_starts.size - 1; run >= 0 && !cancel.set(); --run) {
    const std::int64_t run_end = chunk.run_ends[run];
    for (std::int64_t i = run_end - 1; i >= chunk.run_starts[run]; --i) {
      const std::size_t token = chunk.tokens[i];
      // A next occurrence in a later run lies beyond this one's end, and so changes nothing.
      const std::int64_t last = std::min(next[token], std::min(i + length, run_end - 1));
      next[token] = i;
      if (i >= chunk.core) continue;
      bounds[--ends[token]] = {static_cast<std::uint32_t>(i + 1),
                               static_cast<std::uint32_t>(last + 1)};
    }
  }
  return spans;
}

template <class Token>
Sets<Token> sequence_sets(Span<Token> tokens, Span<std::int64_t> run_starts,
                          Span<std::int64_t> run_ends, std::int64_t vocab_size, bool multiplicity,
                          CancelFlag cancel) {
  Sets<Token> sets;
  SortedBits present(vocab_size);
  std::vector<std::int64_t> counts(multiplicity ? static_cast<std::size_t>(vocab_size) : 0, 0);
  sets.indptr.reserve_more(run_starts.size + 1);
  sets.indptr.push_back(0);
  for (std::int64_t run = 0; run < run_starts.size && !cancel.set(); ++run) {
    present.mark_all(tokens.data + run_starts[run], tokens.data + run_ends[run]);
    if (multiplicity) {
      for (std::int64_t i = run_starts[run]; i < run_ends[run]; ++i) ++counts[tokens[i]];
    }
    const std::int64_t most = run_ends[run] - run_starts[run];
    Token* const first = sets.ids.reserve_more(most);
    Token* id = first;
    present.take([&](std::size_t number) { *id++ = static_cast<Token>(number); });
    sets.ids.extend(id - first);
    if (multiplicity) {
      for (const Token* each = first; each < id; ++each) {
        sets.multiplicity.push_back(counts[*each]);
        counts[*each] = 0;
      }
    }
    sets.indptr.push_back(sets.ids.size());
  }
  return sets;
}

template <class Id>
GroupedSpans group_spans(Span<Id> rows, Span<Bounds> bounds, std::int64_t n_rows) {
  std::vector<std::int64_t> sizes(static_cast<std::size_t>(n_rows), 0);
  for (std::int64_t k = 0; k < rows.size; ++k) ++sizes[rows[k]];
  GroupedSpans spans;
  spans.make_room(sizes);
  auto begins = spans.begins();
  Bounds* grouped = spans.bounds.data();
  for (std::int64_t k = 0; k < rows.size; ++k) grouped[begins[rows[k]]++] = bounds[k];
  return spans;
}

#define PROBSIG_INSTANTIATE(Token)                                                              \
  template GroupedSpans prefix_spans(const Chunk<Token>&, std::int64_t, CancelFlag);            \
  template Sets<Token> sequence_sets(Span<Token>, Span<std::int64_t>, Span<std::int64_t>,       \
                                     std::int64_t, bool, CancelFlag);                           \
  template GroupedSpans group_spans(Span<Token>, Span<Bounds>, std::int64_t);
PROBSIG_INSTANTIATE(std::uint16_t)
PROBSIG_INSTANTIATE(std::uint32_t)
#undef PROBSIG_INSTANTIATE

}  // namespace probsig
