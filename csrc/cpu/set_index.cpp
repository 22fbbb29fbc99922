// What is known of sets before their pairs are summed.

#include <algorithm>
#include <vector>

#include "sets.hpp"

namespace probsig {
namespace {

constexpr std::int32_t kTail = -1;

template <class T>
T* filled(PodVector<T>& vector, std::int64_t size, T value = {}) {
  T* const data = vector.reserve_more(size);
  std::fill_n(data, size, value);
  vector.extend(size);
  return data;
}

template <class Id>
class Indexer {
 public:
  Indexer(Span<std::int64_t> indptr, Span<Id> ids, Span<Id> heads, std::int64_t vocab_size)
      : indptr_(indptr), ids_(ids), heads_(heads), head_(static_cast<std::size_t>(vocab_size), kTail) {
    for (std::int64_t k = 0; k < heads.size; ++k) head_[heads[k]] = static_cast<std::int32_t>(k);
  }

  SetIndex<Id> run() {
    count();
    lines_ = filled(result_.lines, line_blocks(heads_.size) * (sets() + 1));
    result_.tail_ends.reserve_more(sets());
    for (std::int64_t set = 0; set < sets(); ++set) {
      split(set);
      add_members(set);
    }
    return std::move(result_);
  }

 private:
  std::int64_t sets() const { return indptr_.size - 1; }

  // Room for everything, and where the members of each token begin.
  void count() {
    ends_.assign(head_.size(), 0);
    std::int64_t n_tails = 0;
    for (std::int64_t i = 0; i < ids_.size; ++i) {
      ++ends_[ids_[i]];
      n_tails += head_[ids_[i]] == kTail;
    }
    std::int64_t sum = 0;
    result_.indptr.reserve_more(static_cast<std::int64_t>(ends_.size()) + 1);
    result_.indptr.push_back(0);
    for (std::int64_t& end : ends_) {
      const std::int64_t begin = sum;
      result_.indptr.push_back(sum += end);
      end = begin;
    }
    members_ = result_.members.reserve_more(ids_.size);
    result_.members.extend(ids_.size);
    result_.tails.reserve_more(n_tails);
  }

  void split(std::int64_t set) {
    for (std::int64_t i = indptr_[set]; i < indptr_[set + 1]; ++i) {
      const std::int32_t head = head_[ids_[i]];
      if (head == kTail) {
        result_.tails.push_back(ids_[i]);
      } else {
        Line& line = lines_[head / kLineBits * (sets() + 1) + set];
        line.words[head % kLineBits / 64] |= std::uint64_t{1} << (head % 64);
      }
    }
    result_.tail_ends.push_back(static_cast<std::uint32_t>(result_.tails.size()));
  }

  // A tail's own tails begin with itself.
  void add_members(std::int64_t set) {
    std::uint32_t tail = set == 0 ? 0 : result_.tail_ends.data()[set - 1];
    for (std::int64_t i = indptr_[set]; i < indptr_[set + 1]; ++i) {
      members_[ends_[ids_[i]]++] = {static_cast<std::uint32_t>(set), tail};
      tail += head_[ids_[i]] == kTail;
    }
  }

  Span<std::int64_t> indptr_;
  Span<Id> ids_;
  Span<Id> heads_;
  std::vector<std::int32_t> head_;  // which head a token is, or kTail
  std::vector<std::int64_t> ends_;  // of each token's members so far
  Member* members_ = nullptr;
  Line* lines_ = nullptr;
  SetIndex<Id> result_;
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

template <class Id>
SetIndex<Id> set_index(Span<std::int64_t> indptr, Span<Id> ids, Span<Id> heads,
                       std::int64_t vocab_size) {
  return Indexer<Id>(indptr, ids, heads, vocab_size).run();
}

#define PROBSIG_INSTANTIATE(Id)                                                         \
  template SetTotals set_totals(Span<std::int64_t>, Span<Id>, std::int64_t);            \
  template SetIndex<Id> set_index(Span<std::int64_t>, Span<Id>, Span<Id>, std::int64_t);
PROBSIG_INSTANTIATE(std::uint16_t)
PROBSIG_INSTANTIATE(std::uint32_t)
#undef PROBSIG_INSTANTIATE

}  // namespace probsig
