// Partition in two steps. Sending each pair straight to the bucket of its first token writes to as
// many places as there are ids: more than the caches hold. So pairs go to a few hundred groups of
// consecutive ids first, and each group, small by then, to the buckets of its ids, which are
// counted into a dense row.
//
// PERF (Zen 5 with 1 MB of L2 a core, 28 M tokens a chunk, V = 50 k): one step with prefetch on huge
// pages is as fast on one thread, and a fifth slower on two, which share the L3.

#include <algorithm>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "buckets.hpp"
#include "core/prefetch.hpp"
#include "core/row_accumulator.hpp"
#include "pairs.hpp"

namespace probsig {
namespace {

// Pairs a group, unless one id alone has more: the group, its buckets and a row fit into 1 MB.
constexpr std::int64_t kGroup = std::int64_t{1} << 16;
// More groups than this would not stay in the first-level cache; large chunks get larger ones.
constexpr std::int64_t kMostGroups = 512;
// Rows of so few successors are sorted.
constexpr std::int64_t kShort = 16;
// How far ahead of a group's end its memory is asked for: two cache lines.
constexpr std::int64_t kAhead = 32;
constexpr std::int64_t kPoll = std::int64_t{1} << 20;
// Above, an id of a group and a successor need not fit into 32 bits, or groups not into 16.
constexpr std::int64_t kNarrowVocab = std::int64_t{1} << 24;

// Consecutive ids whose pairs are kept together.
struct Groups {
  std::vector<std::uint16_t> of;     // the group of an id: 16 bits, to stay in near caches
  std::vector<std::uint32_t> first;  // the first id of each, then the vocabulary's size
  std::vector<std::uint32_t> begin;  // where the pairs of each begin, then their number
  unsigned bits = 0;                 // a pair is (id - the group's first) << bits | successor

  std::size_t size() const { return first.size() - 1; }
};

// The histogram bounds how many pairs come.
Groups group_ids(Span<std::int64_t> histogram, unsigned pair_bits) {
  Groups groups;
  while ((histogram.size - 1) >> groups.bits != 0) ++groups.bits;
  const std::int64_t most_ids = std::int64_t{1} << (pair_bits - groups.bits);
  std::int64_t total = 0;
  for (std::int64_t id = 0; id < histogram.size; ++id) total += histogram[id];
  const std::int64_t limit = std::max(kGroup, total / kMostGroups);
  std::int64_t pairs = 0, position = 0;
  for (std::int64_t id = 0; id < histogram.size; ++id) {
    pairs += histogram[id];
    if (id == 0 || pairs > limit || id - groups.first.back() == most_ids) {
      groups.first.push_back(static_cast<std::uint32_t>(id));
      groups.begin.push_back(static_cast<std::uint32_t>(position));
      pairs = histogram[id];
    }
    groups.of.push_back(static_cast<std::uint16_t>(groups.first.size() - 1));
    position += histogram[id];
  }
  groups.first.push_back(static_cast<std::uint32_t>(histogram.size));
  groups.begin.push_back(static_cast<std::uint32_t>(position));
  return groups;
}

struct OpenGroup {
  std::uint32_t end;
  std::uint32_t first;
};

// Appends each pair to its group; returns where the groups end.
template <class Token, class Pair>
std::vector<OpenGroup> partition(const Chunk<Token>& chunk, const Groups& groups, Pair* pairs,
                                 CancelFlag cancel) {
  std::vector<OpenGroup> open;
  for (std::size_t group = 0; group < groups.size(); ++group) {
    open.push_back({groups.begin[group], groups.first[group]});
  }
  const Token* tokens = chunk.tokens.data;
  const std::uint16_t* of = groups.of.data();
  const unsigned bits = groups.bits;
  for (std::int64_t run = 0; run < chunk.run_starts.size; ++run) {
    std::int64_t i = chunk.run_starts[run];
    const std::int64_t last = std::min(chunk.run_ends[run] - 1, chunk.core);
    while (i < last && !cancel.set()) {
      const std::int64_t stop = std::min(last, i + kPoll);
      for (; i < stop; ++i) {
        OpenGroup& group = open[of[tokens[i]]];
        prefetch_write(pairs + group.end + kAhead);
        pairs[group.end++] = static_cast<Pair>(tokens[i] - group.first) << bits | tokens[i + 1];
      }
    }
  }
  return open;
}

// Pairs of 32 bits come with counts of as many.
template <class Token, class Pair>
class PairCounter {
  using Block = BlockOf<std::make_signed_t<Pair>>;

 public:
  PairCounter(const Chunk<Token>& chunk, CancelFlag cancel)
      : chunk_(chunk),
        cancel_(cancel),
        groups_(group_ids(chunk.histogram, 8 * sizeof(Pair))),
        row_(chunk.histogram.size),
        block_(chunk.histogram.size) {}

  Block run() && {
    block_.reserve(most_entries(chunk_.histogram, chunk_.histogram.size, 1) + kTakeSlack);
    WorkArray<Pair, struct NextPairs> pairs(groups_.begin.back());
    const std::vector<OpenGroup> open = partition(chunk_, groups_, pairs.data(), cancel_);
    for (std::size_t group = 0; group < groups_.size() && !cancel_.set(); ++group) {
      const Pair* begin = pairs.data() + groups_.begin[group];
      const Pair* end = pairs.data() + open[group].end;
      if (groups_.first[group + 1] - groups_.first[group] == 1) {
        count_row(begin, end);  // the only id has number 0 there: a pair is its successor
      } else {
        count_group(group, begin, end);
      }
    }
    return std::move(block_);
  }

 private:
  void count_group(std::size_t group, const Pair* begin, const Pair* end) {
    const std::int64_t first = groups_.first[group];
    const std::int64_t ids = groups_.first[group + 1] - first;
    const auto begins = bucket_begins({chunk_.histogram.data + first, ids});
    fill_buckets(begins, begin, end);
    for (std::size_t id = 0; id < ends_.size(); ++id) {
      Token* const bucket = buckets_.data();
      const std::uint32_t high = begins[id + 1] - backs_[id];
      if (ends_[id] < backs_[id]) std::copy_n(bucket + backs_[id], high, bucket + ends_[id]);
      count_row(bucket + begins[id], bucket + ends_[id] + high);
    }
  }

  // From both ends of the group at once, into both ends of the buckets: where an id follows
  // itself, its bucket's end waits for the one before. What the histogram counts too much is left
  // between the two.
  void fill_buckets(const std::vector<std::uint32_t>& begins, const Pair* begin, const Pair* end) {
    ends_.assign(begins.begin(), begins.end() - 1);
    backs_.assign(begins.begin() + 1, begins.end());
    if (buckets_.size() < begins.back()) buckets_.resize(begins.back());
    const unsigned bits = groups_.bits;
    const Pair mask = (Pair{1} << bits) - 1;
    Token* const buckets = buckets_.data();
    std::uint32_t* const ends = ends_.data();
    std::uint32_t* const backs = backs_.data();
    for (; end - begin >= 2; ++begin) {
      --end;
      buckets[ends[*begin >> bits]++] = static_cast<Token>(*begin & mask);
      buckets[--backs[*end >> bits]] = static_cast<Token>(*end & mask);
    }
    if (begin < end) buckets[ends[*begin >> bits]++] = static_cast<Token>(*begin & mask);
  }

  template <class Successor>
  void count_row(const Successor* begin, const Successor* end) {
    const std::int64_t additions = end - begin;
    if (additions <= kShort) {
      emit_short(begin, end);
    } else if (row_.prefers_dense(additions)) {
      for (; begin < end; ++begin) row_.add_dense(static_cast<std::uint32_t>(*begin), 1);
      row_.emit_dense(block_, additions);
    } else {
      for (; begin < end; ++begin) row_.add(static_cast<std::uint32_t>(*begin), 1);
      row_.emit(block_);
    }
    block_.end_row();
  }

  template <class Successor>
  void emit_short(const Successor* begin, const Successor* end) {
    Successor sorted[kShort];
    const std::int64_t size = std::copy(begin, end, sorted) - sorted;
    std::sort(sorted, sorted + size);
    for (std::int64_t i = 0; i < size;) {
      const std::int64_t first = i;
      while (i < size && sorted[i] == sorted[first]) ++i;
      block_.push_back(static_cast<std::uint32_t>(sorted[first]),
                       static_cast<std::make_signed_t<Pair>>(i - first));
    }
  }

  const Chunk<Token>& chunk_;
  CancelFlag cancel_;
  Groups groups_;
  RowAccumulator<std::uint32_t> row_;
  Block block_;
  std::vector<Token> buckets_;  // of the group at hand
  std::vector<std::uint32_t> ends_, backs_;  // of what fills each from below and from above
};

}  // namespace

template <class Token>
PairBlock next_pairs(const Chunk<Token>& chunk, CancelFlag cancel) {
  const bool fits = chunk.core <= std::numeric_limits<std::int32_t>::max();
  if (fits && chunk.histogram.size <= kNarrowVocab) {
    return PairCounter<Token, std::uint32_t>(chunk, cancel).run();
  }
  return PairCounter<Token, std::uint64_t>(chunk, cancel).run();
}

template PairBlock next_pairs(const Chunk<std::uint16_t>&, CancelFlag);
template PairBlock next_pairs(const Chunk<std::uint32_t>&, CancelFlag);

}  // namespace probsig
