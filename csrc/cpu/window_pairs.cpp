// Windows by position lists: the positions of each token are gathered in its bucket, then each
// token's windows are read one after the other into a dense row.
//
// An occurrence whose whole window lies in its run is *inner*, and all inner ones are summed by one
// fixed loop; one that the end of its run cuts short is *outer*, and carries that end with it.

#include <algorithm>
#include <limits>
#include <numeric>
#include <type_traits>
#include <utility>
#include <vector>

#include "buckets.hpp"
#include "core/prefetch.hpp"
#include "core/row_accumulator.hpp"
#include "core/take_row.hpp"
#include "pairs.hpp"

namespace probsig {
namespace {

// Windows asked for ahead of the one being summed.
constexpr std::int64_t kAhead = 24;

struct Outer {
  std::uint32_t position;
  std::uint32_t run_end;
};

// A distance with its weight; those of weight 0 are left out.
struct Step {
  std::int64_t distance;
  std::int64_t weight;
};

std::vector<Step> steps_of(Span<std::int64_t> weights) {
  std::vector<Step> steps;
  for (std::int64_t i = 0; i < weights.size; ++i) {
    if (weights[i] != 0) steps.push_back({i + 1, weights[i]});
  }
  return steps;
}

std::int64_t total_of(Span<std::int64_t> weights) {
  const std::int64_t* const end = weights.data + weights.size;
  return std::max<std::int64_t>(std::accumulate(weights.data, end, std::int64_t{0}), 1);
}

// The occurrences of some ids in a chunk, bucket by bucket; a bucket's number is its id less the
// first.
template <class Token>
class Occurrences {
 public:
  Occurrences(const Chunk<Token>& chunk, IdRange ids, std::int64_t reach)
      : chunk_(chunk),
        ids_(ids),
        reach_(reach),
        inner_begins_(bucket_begins(histogram())),
        inner_(inner_begins_.back()) {
    inner_ends_ = inner_begins_;
    std::vector<Outer> outer;
    for (std::int64_t run = 0; run < chunk.run_starts.size; ++run) {
      const std::int64_t split = first_outer(run);
      for (std::int64_t i = chunk.run_starts[run]; i < split; i += kStep) {
        add_inner(i, std::min(i + kStep, split));
      }
      for (std::int64_t i = split; i < last(run); ++i) {
        if (!ids.holds(chunk.tokens[i])) continue;
        outer.push_back({static_cast<std::uint32_t>(i),
                         static_cast<std::uint32_t>(chunk.run_ends[run])});
      }
    }
    sort_outer(outer);
  }

  Span<std::uint32_t> inner(std::size_t bucket) {
    return {inner_.data() + inner_begins_[bucket], inner_ends_[bucket] - inner_begins_[bucket]};
  }
  Span<Outer> outer(std::size_t bucket) {
    return {outer_.data() + outer_begins_[bucket],
            outer_begins_[bucket + 1] - outer_begins_[bucket]};
  }

 private:
  // Tokens looked through in one go: what is found stays in the first-level cache.
  static constexpr std::int64_t kStep = 2048;

  Span<std::int64_t> histogram() const {
    return {chunk_.histogram.data + ids_.begin, std::int64_t{ids_.end} - ids_.begin};
  }
  std::size_t bucket_of(std::uint32_t position) const {
    return chunk_.tokens[position] - std::size_t{ids_.begin};
  }

  void add_inner(std::int64_t begin, std::int64_t end) {
    std::uint32_t found[kStep + kFindSlack];
    const std::int64_t size = find_ids(chunk_.tokens.data, begin, end, ids_, found);
    for (std::int64_t k = 0; k < size; ++k) inner_[inner_ends_[bucket_of(found[k])]++] = found[k];
  }

  void sort_outer(const std::vector<Outer>& outer) {
    std::vector<std::int64_t> sizes(static_cast<std::size_t>(histogram().size), 0);
    for (const Outer& each : outer) ++sizes[bucket_of(each.position)];
    outer_begins_ = bucket_begins({sizes.data(), histogram().size});
    outer_.resize(outer.size());
    std::vector<std::uint32_t> ends = outer_begins_;
    for (const Outer& each : outer) outer_[ends[bucket_of(each.position)]++] = each;
  }

  // Positions of the run that the chunk's core holds end here.
  std::int64_t last(std::int64_t run) const { return std::min(chunk_.run_ends[run], chunk_.core); }

  std::int64_t first_outer(std::int64_t run) const {
    const std::int64_t start = chunk_.run_starts[run];
    return std::max(start, std::min(last(run), chunk_.run_ends[run] - reach_));
  }

  const Chunk<Token>& chunk_;
  IdRange ids_;
  std::int64_t reach_;
  std::vector<std::uint32_t> inner_begins_, inner_ends_;
  WorkArray<std::uint32_t, struct InnerOccurrences> inner_;
  std::vector<std::uint32_t> outer_begins_;
  std::vector<Outer> outer_;
};

// Rows whose sums fit are summed in half as many bits: more of them stay in near caches.
template <class Token, class Value>
class WindowCounter {
  using Narrow = std::conditional_t<sizeof(Value) == 4, std::uint16_t, std::uint32_t>;
  using Wide = std::conditional_t<sizeof(Value) == 4, std::uint32_t, std::uint64_t>;

 public:
  WindowCounter(const Chunk<Token>& chunk, Span<std::int64_t> weights, IdRange rows,
                CancelFlag cancel)
      : chunk_(chunk),
        rows_(rows),
        steps_(steps_of(weights)),
        total_(total_of(weights)),
        uniform_(std::all_of(weights.data, weights.data + weights.size,
                             [](std::int64_t weight) { return weight == 1; })),
        reach_(steps_.empty() ? 0 : steps_.back().distance),
        cancel_(cancel),
        dense_from_(dense_from(chunk.histogram.size)),
        narrow_(chunk.histogram.size),
        wide_(chunk.histogram.size),
        block_(std::int64_t{rows.end} - rows.begin) {}

  BlockOf<Value> run() && {
    Occurrences<Token> occurrences(chunk_, rows_, reach_);
    const Span<std::int64_t> rows{chunk_.histogram.data + rows_.begin,
                                  std::int64_t{rows_.end} - rows_.begin};
    const auto steps = static_cast<std::int64_t>(steps_.size());
    if (steps > 0) block_.reserve(most_entries(rows, chunk_.histogram.size, steps) + kTakeSlack);
    for (std::int64_t row = 0; row < rows.size && !cancel_.set(); ++row) {
      const auto inner = occurrences.inner(static_cast<std::size_t>(row));
      const auto outer = occurrences.outer(static_cast<std::size_t>(row));
      if (inner.size + outer.size <= std::numeric_limits<Narrow>::max() / total_) {
        count_row<Narrow>(narrow_, inner, outer);
      } else {
        count_row<Wide>(wide_, inner, outer);
      }
      block_.end_row();
    }
    return std::move(block_);
  }

 private:
  template <class Count>
  void count_row(RowAccumulator<Count>& sums, Span<std::uint32_t> inner, Span<Outer> outer) {
    const std::int64_t additions =
        (inner.size + outer.size) * static_cast<std::int64_t>(steps_.size());
    if (additions > dense_from_) {
      add_row<Count>(inner, outer, [&](std::uint32_t y, Count w) { sums.add_dense(y, w); });
      sums.emit_dense(block_, additions);
    } else {
      add_row<Count>(inner, outer, [&](std::uint32_t y, Count w) { sums.add(y, w); });
      sums.emit(block_);
    }
  }

  template <class Count, class Add>
  void add_row(Span<std::uint32_t> inner, Span<Outer> outer, Add add) {
    for (std::int64_t k = 0; k < inner.size; ++k) {
      if (k + kAhead < inner.size) prefetch_window(inner[k + kAhead]);
      if ((k & 0xFFFF) == 0xFFFF && cancel_.set()) return;
      add_inner<Count>(inner[k], add);
    }
    for (std::int64_t k = 0; k < outer.size; ++k) {
      if ((k & 0xFFFF) == 0xFFFF && cancel_.set()) return;
      add_outer<Count>(outer[k], add);
    }
  }

  template <class Count, class Add>
  void add_inner(std::uint32_t position, Add add) {
    const Token* token = chunk_.tokens.data + position;
    if (uniform_) {
      const auto size = static_cast<std::int64_t>(steps_.size());
      for (std::int64_t distance = 1; distance <= size; ++distance) add(token[distance], Count{1});
    } else {
      for (const Step& step : steps_) add(token[step.distance], static_cast<Count>(step.weight));
    }
  }

  template <class Count, class Add>
  void add_outer(Outer occurrence, Add add) {
    const Token* token = chunk_.tokens.data + occurrence.position;
    const std::int64_t room = std::int64_t{occurrence.run_end} - 1 - occurrence.position;
    for (const Step& step : steps_) {
      if (step.distance > room) return;
      add(token[step.distance], static_cast<Count>(step.weight));
    }
  }

  // A window may lie across two cache lines.
  void prefetch_window(std::uint32_t position) const {
    const Token* token = chunk_.tokens.data + position;
    prefetch_read(token + 1);
    prefetch_read(token + reach_);
  }

  const Chunk<Token>& chunk_;
  IdRange rows_;
  std::vector<Step> steps_;
  std::int64_t total_;  // of all weights, at least 1
  bool uniform_;
  std::int64_t reach_;
  CancelFlag cancel_;
  std::int64_t dense_from_;
  RowAccumulator<Narrow> narrow_;
  RowAccumulator<Wide> wide_;
  BlockOf<Value> block_;
};

}  // namespace

template <class Token>
PairBlock window_pairs(const Chunk<Token>& chunk, Span<std::int64_t> weights, IdRange rows,
                       CancelFlag cancel) {
  std::int64_t most = 1;  // occurrences of a row's id
  for (std::uint32_t id = rows.begin; id < rows.end; ++id) {
    most = std::max(most, chunk.histogram[id]);
  }
  if (total_of(weights) <= std::numeric_limits<std::int32_t>::max() / most) {
    return WindowCounter<Token, std::int32_t>(chunk, weights, rows, cancel).run();
  }
  return WindowCounter<Token, std::int64_t>(chunk, weights, rows, cancel).run();
}

template PairBlock window_pairs(const Chunk<std::uint16_t>&, Span<std::int64_t>, IdRange,
                                CancelFlag);
template PairBlock window_pairs(const Chunk<std::uint32_t>&, Span<std::int64_t>, IdRange,
                                CancelFlag);

}  // namespace probsig
