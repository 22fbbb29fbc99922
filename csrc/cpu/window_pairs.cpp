// Windows by position lists: the positions of each token are gathered in its bucket, then each
// token's windows are read one after the other into a dense row.
//
// An occurrence whose whole window lies in its run is *inner*, and all inner ones are summed by one
// fixed loop; one that the end of its run cuts short is *outer*, and carries that end with it.

#include <algorithm>
#include <limits>
#include <numeric>
#include <vector>

#include "buckets.hpp"
#include "core/prefetch.hpp"
#include "core/row_accumulator.hpp"
#include "pairs.hpp"

namespace probsig {
namespace {

// Windows asked for ahead of the one being summed.
constexpr std::int64_t kAhead = 12;

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

// The occurrences of a chunk, bucket by bucket.
template <class Token>
class Occurrences {
 public:
  Occurrences(const Chunk<Token>& chunk, std::int64_t reach)
      : chunk_(chunk),
        reach_(reach),
        inner_begins_(bucket_begins(chunk.histogram)),
        outer_begins_(count_outer()),
        inner_(inner_begins_.back()),
        outer_(outer_begins_.back()) {
    inner_ends_ = inner_begins_;
    outer_ends_ = outer_begins_;
    for (std::int64_t run = 0; run < chunk.run_starts.size; ++run) {
      const std::int64_t split = first_outer(run);
      for (std::int64_t i = chunk.run_starts[run]; i < split; ++i) {
        inner_[inner_ends_[chunk.tokens[i]]++] = static_cast<std::uint32_t>(i);
      }
      for (std::int64_t i = split; i < last(run); ++i) {
        outer_[outer_ends_[chunk.tokens[i]]++] = {static_cast<std::uint32_t>(i),
                                                  static_cast<std::uint32_t>(chunk.run_ends[run])};
      }
    }
  }

  Span<std::uint32_t> inner(std::size_t id) {
    return {inner_.data() + inner_begins_[id], inner_ends_[id] - inner_begins_[id]};
  }
  Span<Outer> outer(std::size_t id) {
    return {outer_.data() + outer_begins_[id], outer_ends_[id] - outer_begins_[id]};
  }

 private:
  // Positions of the run that the chunk's core holds end here.
  std::int64_t last(std::int64_t run) const { return std::min(chunk_.run_ends[run], chunk_.core); }

  std::int64_t first_outer(std::int64_t run) const {
    const std::int64_t start = chunk_.run_starts[run];
    return std::max(start, std::min(last(run), chunk_.run_ends[run] - reach_));
  }

  std::vector<std::uint32_t> count_outer() const {
    std::vector<std::int64_t> sizes(static_cast<std::size_t>(chunk_.histogram.size), 0);
    for (std::int64_t run = 0; run < chunk_.run_starts.size; ++run) {
      for (std::int64_t i = first_outer(run); i < last(run); ++i) ++sizes[chunk_.tokens[i]];
    }
    return bucket_begins({sizes.data(), chunk_.histogram.size});
  }

  const Chunk<Token>& chunk_;
  std::int64_t reach_;
  std::vector<std::uint32_t> inner_begins_, outer_begins_;
  WorkArray<std::uint32_t, struct InnerOccurrences> inner_;
  WorkArray<Outer, struct OuterOccurrences> outer_;
  std::vector<std::uint32_t> inner_ends_, outer_ends_;
};

template <class Token, class Count>
class WindowCounter {
 public:
  WindowCounter(const Chunk<Token>& chunk, Span<std::int64_t> weights, CancelFlag cancel)
      : chunk_(chunk),
        steps_(steps_of(weights)),
        uniform_(std::all_of(weights.data, weights.data + weights.size,
                             [](std::int64_t weight) { return weight == 1; })),
        reach_(steps_.empty() ? 0 : steps_.back().distance),
        cancel_(cancel),
        row_(chunk.histogram.size) {}

  BlockBuilder run() {
    Occurrences<Token> occurrences(chunk_, reach_);
    BlockBuilder block(chunk_.histogram.size);
    for (std::int64_t id = 0; id < chunk_.histogram.size && !cancel_.set(); ++id) {
      const auto inner = occurrences.inner(static_cast<std::size_t>(id));
      const auto outer = occurrences.outer(static_cast<std::size_t>(id));
      const auto steps = static_cast<std::int64_t>(steps_.size());
      const std::int64_t additions = (inner.size + outer.size) * steps;
      if (row_.prefers_dense(additions)) {
        add_row(inner, outer, [this](std::uint32_t y, Count w) { row_.add_dense(y, w); });
        row_.emit_dense(block, additions);
      } else {
        add_row(inner, outer, [this](std::uint32_t y, Count w) { row_.add(y, w); });
        row_.emit(block);
      }
      block.end_row();
    }
    return block;
  }

 private:
  template <class Add>
  void add_row(Span<std::uint32_t> inner, Span<Outer> outer, Add add) {
    for (std::int64_t k = 0; k < inner.size; ++k) {
      if (k + kAhead < inner.size) prefetch_window(inner[k + kAhead]);
      if ((k & 0xFFFF) == 0xFFFF && cancel_.set()) return;
      add_inner(inner[k], add);
    }
    for (std::int64_t k = 0; k < outer.size; ++k) {
      if ((k & 0xFFFF) == 0xFFFF && cancel_.set()) return;
      add_outer(outer[k], add);
    }
  }

  template <class Add>
  void add_inner(std::uint32_t position, Add add) {
    const Token* token = chunk_.tokens.data + position;
    if (uniform_) {
      const auto size = static_cast<std::int64_t>(steps_.size());
      for (std::int64_t distance = 1; distance <= size; ++distance) add(token[distance], Count{1});
    } else {
      for (const Step& step : steps_) add(token[step.distance], static_cast<Count>(step.weight));
    }
  }

  template <class Add>
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
  std::vector<Step> steps_;
  bool uniform_;
  std::int64_t reach_;
  CancelFlag cancel_;
  RowAccumulator<Count> row_;
};

}  // namespace

template <class Token>
BlockBuilder window_pairs(const Chunk<Token>& chunk, Span<std::int64_t> weights,
                          CancelFlag cancel) {
  const auto total = std::accumulate(weights.data, weights.data + weights.size, std::int64_t{0});
  const std::int64_t core = std::max<std::int64_t>(chunk.core, 1);
  if (total <= std::numeric_limits<std::uint32_t>::max() / core) {
    return WindowCounter<Token, std::uint32_t>(chunk, weights, cancel).run();
  }
  return WindowCounter<Token, std::uint64_t>(chunk, weights, cancel).run();
}

template BlockBuilder window_pairs(const Chunk<std::uint16_t>&, Span<std::int64_t>, CancelFlag);
template BlockBuilder window_pairs(const Chunk<std::uint32_t>&, Span<std::int64_t>, CancelFlag);

}  // namespace probsig
