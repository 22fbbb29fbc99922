// What is known of sets before their pairs are summed.

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <vector>

#include "core/prefetch.hpp"
#include "sets.hpp"

namespace probsig {
namespace {

constexpr std::int32_t kTail = -1;
// Ids whose members' places are asked for ahead of time: they lie anywhere.
constexpr std::int64_t kAhead = 16;
constexpr std::int64_t kGroup = 1 << kLeastPlanes;  // members that `add_lines` adds at once

template <class T>
T* filled(PodVector<T>& vector, std::int64_t size, T value = {}) {
  T* const data = vector.reserve_more(size);
  std::fill_n(data, size, value);
  vector.extend(size);
  return data;
}

template <class Id, class Number>
class Indexer {
 public:
  Indexer(Span<std::int64_t> indptr, Span<Id> ids, Span<Id> heads, Span<std::uint8_t> lined)
      : indptr_(indptr), ids_(ids), heads_(heads), lined_(lined) {
    tokens_.resize(static_cast<std::size_t>(lined.size), {0, kTail});
    for (std::int64_t k = 0; k < heads.size; ++k) {
      tokens_[heads[k]].head = static_cast<std::int32_t>(k);
    }
  }

  SetIndex<Id, Number> run(Span<std::int64_t> frequency) {
    make_room(frequency);
    for (std::int64_t set = 0; set < sets(); ++set) {
      add_bits(set);
      add_members(set);
    }
    result_.tails.extend(n_tails_);
    result_.tail_ends.push_back(n_tails_);
    fill_up();
    return std::move(result_);
  }

 private:
  // All that each id looks up, in one place.
  struct Token {
    std::uint32_t end;  // of its members so far
    std::int32_t head;  // which head it is, or kTail
  };

  std::int64_t sets() const { return indptr_.size - 1; }

  // Room for everything, and where the members of each token begin.
  void make_room(Span<std::int64_t> frequency) {
    std::int64_t sum = 0, n_tails = ids_.size + kTailGap * sets();
    result_.indptr.reserve_more(frequency.size + 1);
    result_.indptr.push_back(0);
    for (std::int64_t id = 0; id < frequency.size; ++id) {
      tokens_[id].end = static_cast<std::uint32_t>(sum);
      sum += lined_[id] ? (frequency[id] + kGroup - 1) / kGroup * kGroup : frequency[id];
      result_.indptr.push_back(sum);
    }
    for (std::int64_t k = 0; k < heads_.size; ++k) n_tails -= frequency[heads_[k]];
    if (std::max(sum, n_tails) > std::numeric_limits<std::uint32_t>::max()) {
      throw std::length_error("ids: expected members fewer than 2^32");
    }
    tails_ = result_.tails.reserve_more(n_tails);
    members_ = result_.members.reserve_more(sum);
    result_.members.extend(sum);
    lines_ = filled(result_.lines, line_blocks(heads_.size) * (sets() + 1));
    result_.tail_ends.reserve_more(sets() + 1);
  }

  // Of the heads of a set; and its tails.
  void add_bits(std::int64_t set) {
    for (std::int64_t k = 0; k < kTailGap; ++k) tails_[n_tails_++] = 0;
    for (std::int64_t i = indptr_[set]; i < indptr_[set + 1]; ++i) {
      const std::int32_t head = tokens_[ids_[i]].head;
      if (head == kTail) {
        tails_[n_tails_++] = ids_[i];
      } else {
        Line& line = lines_[head / kLineBits * (sets() + 1) + set];
        line.words[head % kLineBits / 64] |= std::uint64_t{1} << (head % 64);
      }
    }
    result_.tail_ends.push_back(n_tails_);
  }

  // From the last id back, so that it is known how many follow. A tail's own begin with itself.
  void add_members(std::int64_t set) {
    const std::int64_t begin = indptr_[set], end = indptr_[set + 1];
    std::int64_t tails = 0;
    for (std::int64_t i = end - 1; i >= begin; --i) {
      if (i - kAhead >= begin) prefetch_write(members_ + tokens_[ids_[i - kAhead]].end);
      Token& token = tokens_[ids_[i]];
      tails += token.head == kTail;
      const std::int64_t others = lined_[ids_[i]] ? tails : end - i;
      members_[token.end++] = {static_cast<Number>(set), static_cast<Number>(others)};
    }
  }

  void fill_up() {
    const Member<Number> none{static_cast<Number>(sets()), 0};
    for (std::size_t id = 0; id < tokens_.size(); ++id) {
      std::fill(members_ + tokens_[id].end, members_ + result_.indptr.data()[id + 1], none);
    }
  }

  Span<std::int64_t> indptr_;
  Span<Id> ids_;
  Span<Id> heads_;
  Span<std::uint8_t> lined_;
  std::vector<Token> tokens_;
  Member<Number>* members_ = nullptr;
  Id* tails_ = nullptr;
  std::uint32_t n_tails_ = 0;
  Line* lines_ = nullptr;
  SetIndex<Id, Number> result_;
};

}  // namespace

template <class Id>
SetTotals set_totals(Span<std::int64_t> indptr, Span<Id> ids, std::int64_t vocab_size) {
  SetTotals totals;
  std::int64_t* const frequency = filled(totals.frequency, vocab_size);
  std::int64_t* const rows = filled(totals.row_sums, vocab_size);
  std::int64_t* const columns = filled(totals.column_sums, vocab_size);
  for (std::int64_t set = 0; set + 1 < indptr.size; ++set) {
    const std::int64_t begin = indptr[set], end = indptr[set + 1];
    for (std::int64_t i = begin; i < end; ++i) {
      ++frequency[ids[i]];
      rows[ids[i]] += end - i;
      columns[ids[i]] += i + 1 - begin;
    }
  }
  return totals;
}

template <class Id, class Number>
SetIndex<Id, Number> set_index(Span<std::int64_t> indptr, Span<Id> ids,
                               Span<std::int64_t> frequency, Span<Id> heads,
                               Span<std::uint8_t> lined) {
  return Indexer<Id, Number>(indptr, ids, heads, lined).run(frequency);
}

#define PROBSIG_INSTANTIATE(Id, Number)                                              \
  template SetIndex<Id, Number> set_index(Span<std::int64_t>, Span<Id>, Span<std::int64_t>, \
                                          Span<Id>, Span<std::uint8_t>);
PROBSIG_INSTANTIATE(std::uint16_t, std::uint16_t)
PROBSIG_INSTANTIATE(std::uint16_t, std::uint32_t)
PROBSIG_INSTANTIATE(std::uint32_t, std::uint16_t)
PROBSIG_INSTANTIATE(std::uint32_t, std::uint32_t)
#undef PROBSIG_INSTANTIATE

template SetTotals set_totals(Span<std::int64_t>, Span<std::uint16_t>, std::int64_t);
template SetTotals set_totals(Span<std::int64_t>, Span<std::uint32_t>, std::int64_t);

}  // namespace probsig
