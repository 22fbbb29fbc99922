// Rows are summed one after the other, each in a dense row that stays in the cache, over all spans
// of all parts: so no row is ever summed twice and merged.

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <vector>

#include "core/prefetch.hpp"
#include "core/row_accumulator.hpp"
#include "core/take_row.hpp"
#include "spans.hpp"

namespace probsig {
namespace {

// Spans asked for ahead of the one being summed: they lie anywhere in the ids.
constexpr std::int64_t kAhead = 8;

// The spans of one row in one part.
template <class Id>
struct RowSpans {
  const SpansView<Id>& part;
  std::int64_t begin;
  std::int64_t end;

  RowSpans(const SpansView<Id>& of, std::int64_t row)
      : part(of), begin(of.indptr[row]), end(of.indptr[row + 1]) {}

  // Throws std::out_of_range if a span is not within the ids.
  std::int64_t additions() const {
    std::int64_t sum = 0;
    for (std::int64_t k = begin; k < end; ++k) {
      const Bounds bounds = part.bounds[k];
      if (bounds.begin > bounds.end || bounds.end > part.ids.size) {
        throw std::out_of_range("bounds: expected spans within the ids");
      }
      sum += bounds.end - bounds.begin;
    }
    return sum;
  }

  template <class Count, class Add>
  void sum(CancelFlag cancel, Add add) const {
    for (std::int64_t k = begin; k < end; ++k) {
      if (k + kAhead < end) prefetch(part.bounds[k + kAhead]);
      if (cancel.set()) return;
      const Bounds bounds = part.bounds[k];
      if (part.span_weights.size == 0 && part.id_weights.size == 0) {
        sum_plain<Count>(part.ids.data + bounds.begin, part.ids.data + bounds.end, add);
      } else {
        sum_weighted<Count>(k, add);
      }
    }
  }

 private:
  // Both ends: short spans may lie across two cache lines, and long ones are fetched by themselves.
  void prefetch(Bounds bounds) const {
    prefetch_read(part.ids.data + bounds.begin);
    prefetch_read(part.ids.data + bounds.end - 1);
  }

  // Four at a time: a fifth faster.
  template <class Count, class Add>
  static void sum_plain(const Id* id, const Id* last, Add add) {
    for (; last - id >= 4; id += 4) {
      add(id[0], Count{1});
      add(id[1], Count{1});
      add(id[2], Count{1});
      add(id[3], Count{1});
    }
    for (; id < last; ++id) add(*id, Count{1});
  }

  template <class Count, class Add>
  void sum_weighted(std::int64_t k, Add add) const {
    const Count weight = part.span_weights.size == 0 ? Count{1} : Count(part.span_weights[k]);
    for (std::int64_t i = part.bounds[k].begin; i < part.bounds[k].end; ++i) {
      const Count each = part.id_weights.size == 0 ? Count{1} : Count(part.id_weights[i]);
      if (weight * each != 0) add(part.ids[i], weight * each);
    }
  }
};

template <class Id, class Count>
class SpanSummer {
 public:
  SpanSummer(const std::vector<SpansView<Id>>& parts, std::int64_t columns, CancelFlag cancel)
      : parts_(parts),
        columns_(columns),
        dense_from_(dense_from(columns)),
        cancel_(cancel),
        sums_(columns) {}

  void run(std::int64_t row_begin, const std::vector<std::int64_t>& additions,
           BlockBuilder& block) {
    reserve(block, additions);
    std::int64_t row = row_begin;
    for (const std::int64_t each : additions) {
      if (cancel_.set()) break;
      if (each > dense_from_) {
        add_row(row, [this](Id column, Count value) { sums_.add_dense(column, value); });
        sums_.emit_dense(block, each);
      } else {
        add_row(row, [this](Id column, Count value) { sums_.add(column, value); });
        sums_.emit(block);
      }
      block.end_row();
      ++row;
    }
  }

 private:
  // Room for all entries that there can be: what is not used takes no memory, while to grow, by
  // and by, costs copies and the huge pages.
  void reserve(BlockBuilder& block, const std::vector<std::int64_t>& additions) const {
    std::int64_t most = kTakeSlack;
    for (const std::int64_t each : additions) most += std::min(each, columns_);
    block.reserve(most);
  }

  template <class Add>
  void add_row(std::int64_t row, Add add) {
    for (const auto& part : parts_) RowSpans<Id>(part, row).template sum<Count>(cancel_, add);
  }

  const std::vector<SpansView<Id>>& parts_;
  std::int64_t columns_;
  std::int64_t dense_from_;
  CancelFlag cancel_;
  RowAccumulator<Count> sums_;
};

template <class Id>
bool weighted(const std::vector<SpansView<Id>>& parts) {
  return std::any_of(parts.begin(), parts.end(), [](const SpansView<Id>& part) {
    return part.id_weights.size > 0 || part.span_weights.size > 0;
  });
}

}  // namespace

template <class Id>
void span_sums(const std::vector<SpansView<Id>>& parts, std::int64_t columns,
               std::int64_t row_begin, std::int64_t row_end, CancelFlag cancel,
               BlockBuilder& block) {
  std::vector<std::int64_t> additions;
  for (std::int64_t row = row_begin; row < row_end; ++row) {
    additions.push_back(0);
    for (const auto& part : parts) additions.back() += RowSpans<Id>(part, row).additions();
  }
  const auto most = std::max_element(additions.begin(), additions.end());
  const bool narrow = most == additions.end() || *most <= std::numeric_limits<std::uint32_t>::max();
  if (narrow && !weighted(parts)) {
    SpanSummer<Id, std::uint32_t>(parts, columns, cancel).run(row_begin, additions, block);
  } else {
    SpanSummer<Id, std::uint64_t>(parts, columns, cancel).run(row_begin, additions, block);
  }
}

template void span_sums(const std::vector<SpansView<std::uint16_t>>&, std::int64_t, std::int64_t,
                        std::int64_t, CancelFlag, BlockBuilder&);
template void span_sums(const std::vector<SpansView<std::uint32_t>>&, std::int64_t, std::int64_t,
                        std::int64_t, CancelFlag, BlockBuilder&);

}  // namespace probsig
