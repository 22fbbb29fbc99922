// Sets as suffixes: a token's pairs with all larger tokens of a set are one span. Tokens in many
// sets are *heads*: the pairs among them, two fifths of all in text, are counted as common bits instead,
// and so spans hold heads and tails apart.

#include <algorithm>
#include <vector>

#include "spans.hpp"

namespace probsig {
namespace {

// A head stands in at least one of so many sets: with many more heads (one in 64) the bits cost what
// they save.
constexpr std::int64_t kShare = 24;
// Fewer sets or heads are not worth it.
constexpr std::int64_t kLeastSets = 512, kLeastHeads = 64;
constexpr std::int32_t kTail = -1;

template <class Id>
class SetSplitter {
 public:
  SetSplitter(Span<std::int64_t> indptr, Span<Id> ids, std::int64_t vocab_size)
      : indptr_(indptr), ids_(ids), head_(static_cast<std::size_t>(vocab_size), kTail) {}

  SetSpans<Id> run() {
    choose_heads();
    split();
    std::vector<std::int64_t> sizes(head_.size(), 0);
    for_each_span([&](Id row, Bounds) { ++sizes[row]; });
    result_.spans.make_room(sizes);
    std::vector<std::int64_t> ends = result_.spans.begins();
    Bounds* bounds = result_.spans.bounds.data();
    for_each_span([&](Id row, Bounds span) { bounds[ends[row]++] = span; });
    return std::move(result_);
  }

 private:
  std::int64_t sets() const { return indptr_.size - 1; }

  void choose_heads() {
    std::vector<std::int64_t> frequency(head_.size(), 0);
    for (std::int64_t i = 0; i < ids_.size; ++i) ++frequency[ids_[i]];
    const auto is_head = [&](std::int64_t sets_with) { return sets_with * kShare >= sets(); };
    if (sets() < kLeastSets ||
        std::count_if(frequency.begin(), frequency.end(), is_head) < kLeastHeads) {
      return;
    }
    for (std::size_t id = 0; id < head_.size(); ++id) {
      if (!is_head(frequency[id])) continue;
      head_[id] = static_cast<std::int32_t>(result_.head_ids.size());
      result_.head_ids.push_back(static_cast<Id>(id));
      n_heads_ += frequency[id];
    }
    const std::int64_t groups = (result_.head_ids.size() + kLanes - 1) / kLanes;
    words_ = (sets() + 63) / 64;
    const std::int64_t size = groups * words_ * kLanes;
    std::fill_n(result_.head_bits.reserve_more(size), size, 0);
    result_.head_bits.extend(size);
  }

  // The tails of all sets, then their heads; and the bits of these.
  void split() {
    Id* tails = result_.ids.reserve_more(ids_.size);
    result_.ids.extend(ids_.size);
    Id* heads = tails + (ids_.size - n_heads_);
    for (std::int64_t set = 0; set < sets(); ++set) {
      for (std::int64_t i = indptr_[set]; i < indptr_[set + 1]; ++i) {
        const std::int32_t head = head_[ids_[i]];
        if (head == kTail) {
          *tails++ = ids_[i];
        } else {
          *heads++ = ids_[i];
          const std::int64_t word = (head / kLanes * words_ + set / 64) * kLanes + head % kLanes;
          result_.head_bits.data()[word] |= std::uint64_t{1} << (set % 64);
        }
      }
    }
  }

  // visit(row, span) for each token of each set: the tails from it on, and if it is a tail itself,
  // the heads above it.
  template <class Visit>
  void for_each_span(Visit visit) const {
    std::int64_t tail = 0, head = ids_.size - n_heads_;
    for (std::int64_t set = 0; set < sets(); ++set) {
      const std::int64_t begin = indptr_[set], end = indptr_[set + 1];
      std::int64_t heads = 0;
      for (std::int64_t i = begin; i < end; ++i) heads += head_[ids_[i]] != kTail;
      const std::int64_t tail_end = tail + end - begin - heads, head_end = head + heads;
      for (std::int64_t i = begin; i < end; ++i) {
        const Id id = ids_[i];
        if (head_[id] != kTail) {
          ++head;
          if (tail < tail_end) visit(id, bounds(tail, tail_end));
        } else {
          visit(id, bounds(tail++, tail_end));
          if (head < head_end) visit(id, bounds(head, head_end));
        }
      }
    }
  }

  static Bounds bounds(std::int64_t begin, std::int64_t end) {
    return {static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end)};
  }

  Span<std::int64_t> indptr_;
  Span<Id> ids_;
  std::vector<std::int32_t> head_;  // which head a token is, or kTail
  std::int64_t n_heads_ = 0;        // how often heads stand in the sets
  std::int64_t words_ = 0;
  SetSpans<Id> result_;
};

}  // namespace

template <class Id>
SetSpans<Id> set_spans(Span<std::int64_t> indptr, Span<Id> ids, std::int64_t vocab_size) {
  return SetSplitter<Id>(indptr, ids, vocab_size).run();
}

template SetSpans<std::uint16_t> set_spans(Span<std::int64_t>, Span<std::uint16_t>, std::int64_t);
template SetSpans<std::uint32_t> set_spans(Span<std::int64_t>, Span<std::uint32_t>, std::int64_t);

}  // namespace probsig
