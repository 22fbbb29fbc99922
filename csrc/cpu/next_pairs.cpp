// Bucket transposition: each token's successors are gathered in its bucket, then each bucket is
// counted into a dense row. Two passes of sequential reads; only the gathering writes at random,
// to one open cache line a token of the vocabulary.

#include <algorithm>
#include <vector>

#include "buckets.hpp"
#include "core/prefetch.hpp"
#include "core/row_accumulator.hpp"
#include "pairs.hpp"

namespace probsig {
namespace {

// How far ahead a bucket's open line is asked for. PERF: gains 15 % on Zen 5 with 1 MB of L2; from
// 48 to 200 it matters little.
constexpr std::int64_t kAhead = 96;
// Rows of so few successors are sorted where they lie.
constexpr std::int64_t kShort = 16;
constexpr std::int64_t kPoll = std::int64_t{1} << 20;

// Writes each successor into its predecessor's bucket; returns where the buckets end.
template <class Token>
std::vector<std::uint32_t> gather(const Chunk<Token>& chunk, std::vector<std::uint32_t> next,
                                  Token* buckets, CancelFlag cancel) {
  const Token* tokens = chunk.tokens.data;
  const std::int64_t vocab_size = chunk.histogram.size;
  const std::int64_t last_ahead = chunk.tokens.size - kAhead;
  for (std::int64_t run = 0; run < chunk.run_starts.size; ++run) {
    std::int64_t i = chunk.run_starts[run];
    const std::int64_t last = std::min(chunk.run_ends[run] - 1, chunk.core);
    while (i < last) {
      if (cancel.set()) return next;
      const std::int64_t stop = std::min(last, i + kPoll);
      for (; i < std::min(stop, last_ahead); ++i) {
        // That token may lie in another run, or between runs, where ids need not be valid.
        const std::int64_t ahead = tokens[i + kAhead];
        if (ahead < vocab_size) prefetch_write(buckets + next[static_cast<std::size_t>(ahead)]);
        buckets[next[tokens[i]]++] = tokens[i + 1];
      }
      for (; i < stop; ++i) buckets[next[tokens[i]]++] = tokens[i + 1];
    }
  }
  return next;
}

template <class Token>
void emit_short(Token* begin, Token* end, BlockBuilder& block) {
  std::sort(begin, end);
  while (begin < end) {
    const Token column = *begin;
    const Token* first = begin;
    while (begin < end && *begin == column) ++begin;
    block.push_back(column, begin - first);
  }
}

template <class Token>
void count_row(Token* begin, Token* end, RowAccumulator<std::uint32_t>& row, BlockBuilder& block) {
  if (end - begin <= kShort) {
    emit_short(begin, end, block);
  } else if (row.prefers_dense(end - begin)) {
    for (; begin < end; ++begin) row.add_dense(*begin, 1);
    row.emit_dense(block);
  } else {
    for (; begin < end; ++begin) row.add(*begin, 1);
    row.emit(block);
  }
}

}  // namespace

template <class Token>
BlockBuilder next_pairs(const Chunk<Token>& chunk, CancelFlag cancel) {
  const std::int64_t vocab_size = chunk.histogram.size;
  BlockBuilder block(vocab_size);
  const std::vector<std::uint32_t> begins = bucket_begins(chunk.histogram);
  WorkArray<Token, struct NextBuckets> buckets(begins.back());
  const std::vector<std::uint32_t> ends = gather(chunk, begins, buckets.data(), cancel);
  RowAccumulator<std::uint32_t> row(vocab_size);
  for (std::size_t id = 0; id + 1 < begins.size() && !cancel.set(); ++id) {
    count_row(buckets.data() + begins[id], buckets.data() + ends[id], row, block);
    block.end_row();
  }
  return block;
}

template BlockBuilder next_pairs(const Chunk<std::uint16_t>&, CancelFlag);
template BlockBuilder next_pairs(const Chunk<std::uint32_t>&, CancelFlag);

}  // namespace probsig
