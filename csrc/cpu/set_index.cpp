// What is known of sets before their pairs are summed.

#include <algorithm>
#include <vector>

#include "sets.hpp"

namespace probsig {
namespace {

constexpr std::int32_t kTail = -1;
constexpr std::int64_t kGroup = 1 << kLeastPlanes;  // members that `add_lines` adds at once

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
  Indexer(Span<std::int64_t> indptr, Span<Id> ids, Span<Id> heads, Span<std::uint8_t> lined)
      : indptr_(indptr),
        ids_(ids),
        heads_(heads),
        lined_(lined),
        head_(static_cast<std::size_t>(lined.size), kTail) {
    for (std::int64_t k = 0; k < heads.size; ++k) head_[heads[k]] = static_cast<std::int32_t>(k);
  }

  SetIndex<Id> run(Span<std::int64_t> frequency) {
    make_room(frequency);
    for (std::int64_t set = 0; set < sets(); ++set) add(set);
    result_.tail_ends.push_back(n_tails());
    fill_up();
    return std::move(result_);
  }

 private:
  std::int64_t sets() const { return indptr_.size - 1; }
  std::uint32_t n_tails() { return static_cast<std::uint32_t>(result_.tails.size()); }

  // Room for everything, and where the members of each token begin.
  void make_room(Span<std::int64_t> frequency) {
    std::int64_t sum = 0, n_tails = ids_.size;
    result_.indptr.reserve_more(frequency.size + 1);
    result_.indptr.push_back(0);
    for (std::int64_t id = 0; id < frequency.size; ++id) {
      ends_.push_back(sum);
      sum += frequency[id];
      if (lined_[id]) sum = ends_.back() + (frequency[id] + kGroup - 1) / kGroup * kGroup;
      result_.indptr.push_back(sum);
    }
    for (std::int64_t k = 0; k < heads_.size; ++k) n_tails -= frequency[heads_[k]];
    result_.tails.reserve_more(n_tails);
    members_ = result_.members.reserve_more(sum);
    result_.members.extend(sum);
    lines_ = filled(result_.lines, line_blocks(heads_.size) * (sets() + 1));
    result_.tail_ends.reserve_more(sets() + 1);
  }

  // A tail's own tails begin with itself.
  void add(std::int64_t set) {
    const auto number = static_cast<std::uint32_t>(set);
    for (std::int64_t i = indptr_[set]; i < indptr_[set + 1]; ++i) {
      const Id id = ids_[i];
      const std::int32_t head = head_[id];
      members_[ends_[id]++] = {number, lined_[id] ? n_tails() : static_cast<std::uint32_t>(i)};
      if (head == kTail) {
        result_.tails.push_back(id);
      } else {
        Line& line = lines_[head / kLineBits * (sets() + 1) + set];
        line.words[head % kLineBits / 64] |= std::uint64_t{1} << (head % 64);
      }
    }
    result_.tail_ends.push_back(n_tails());
  }

  void fill_up() {
    const Member none{static_cast<std::uint32_t>(sets()), n_tails()};
    for (std::size_t id = 0; id < ends_.size(); ++id) {
      std::fill(members_ + ends_[id], members_ + result_.indptr.data()[id + 1], none);
    }
  }

  Span<std::int64_t> indptr_;
  Span<Id> ids_;
  Span<Id> heads_;
  Span<std::uint8_t> lined_;
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
SetIndex<Id> set_index(Span<std::int64_t> indptr, Span<Id> ids, Span<std::int64_t> frequency,
                       Span<Id> heads, Span<std::uint8_t> lined) {
  return Indexer<Id>(indptr, ids, heads, lined).run(frequency);
}

#define PROBSIG_INSTANTIATE(Id)                                              \
  template SetTotals set_totals(Span<std::int64_t>, Span<Id>, std::int64_t); \
  template SetIndex<Id> set_index(Span<std::int64_t>, Span<Id>, Span<std::int64_t>, Span<Id>, \
                                  Span<std::uint8_t>);
PROBSIG_INSTANTIATE(std::uint16_t)
PROBSIG_INSTANTIATE(std::uint32_t)
#undef PROBSIG_INSTANTIATE

}  // namespace probsig
