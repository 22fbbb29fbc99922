// Sets as suffixes: a token's pairs with itself and all larger tokens of a set are one span. Pairs
// of *heads*, the tokens in the most sets, are left to a matrix product. So that each token still
// has one span, sets are laid out anew, tails rising, then heads falling:
//   a tail's span reaches from itself over the larger tails to the smallest head above it,
//   a head's from the first tail above it to the last tail.

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <utility>

#include "head_choice.hpp"
#include "head_product.hpp"
#include "launch.cuh"
#include "primitives.cuh"
#include "search.cuh"
#include "spans.hpp"

namespace probsig::gpu {
namespace {

constexpr std::int64_t kHeadShare = 16;  // of the memory, one of so many parts

// The vocabulary may be larger than the ids' type.
template <class Id>
std::int64_t possible_ids(std::int64_t vocab_size) {
  return std::min(vocab_size, std::int64_t{std::numeric_limits<Id>::max()} + 1);
}

// Ids by the number of sets that hold them; the values are what that number lacks to 2^32 - 1, so
// that the highest comes first.
template <class Id>
Sums<std::uint32_t, Id> ids_by_frequency(Span<Id> ids, std::int64_t possible) {
  DeviceArray<std::uint32_t> lacking(possible);
  fill(lacking.data(), 0xFF, static_cast<std::size_t>(possible) * sizeof(std::uint32_t));
  DeviceArray<Id> order(possible);
  std::uint32_t* key = lacking.data();
  Id* id = order.data();
  for_each("numbering ids", possible,
           [=] __device__(std::int64_t i) { id[i] = static_cast<Id>(i); });
  for_each("counting sets with each id", ids.size,
           [=] __device__(std::int64_t i) { atomicSub(key + ids.data[i], 1u); });
  sort_pairs(lacking, order, 32);
  return {std::move(lacking), std::move(order)};
}

// Rising. Of ids in as many sets the lower ones come first, as the sort is stable.
template <class Id>
std::vector<Id> choose(Span<std::int64_t> indptr, Span<Id> ids, std::int64_t vocab_size,
                       std::int64_t heads) {
  const std::int64_t sets = indptr.size - 1;
  if (heads == 0 || ids.size == 0 || sets >> 31 != 0) return {};  // the product's sums have 32 bits
  const std::int64_t possible = possible_ids<Id>(vocab_size);
  auto by_frequency = ids_by_frequency(ids, possible);
  const std::int64_t most = std::min(possible, kMostHeads);
  by_frequency.keys.truncate(most);
  by_frequency.values.truncate(most);
  std::vector<Id> chosen(static_cast<std::size_t>(most));
  by_frequency.values.to_host(chosen.data());
  if (heads == kFittingHeads) {
    std::vector<std::uint32_t> frequencies(chosen.size());
    by_frequency.keys.to_host(frequencies.data());
    for (std::uint32_t& each : frequencies) each = ~each;
    heads = choose_heads({frequencies.data(), most}, sets,
                         memory_budget(current_device()) / kHeadShare);
  }
  chosen.resize(static_cast<std::size_t>(std::min(heads, most)));
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

// Every id's span, in the order of the sets, where there are no heads.
DeviceArray<Bounds> suffixes(Span<std::int64_t> indptr, std::int64_t size) {
  DeviceArray<Bounds> spans(size);
  Bounds* bounds = spans.data();
  for_each("listing spans", size, [=] __device__(std::int64_t i) {
    const std::int64_t set = segment_of(indptr.data, indptr.size - 1, i);
    bounds[i] = {static_cast<std::uint32_t>(i), static_cast<std::uint32_t>(indptr.data[set + 1])};
  });
  return spans;
}

// Which head each token is, or -1.
template <class Id>
DeviceArray<std::int32_t> head_numbers(const std::vector<Id>& head_ids, std::int64_t vocab_size) {
  DeviceArray<std::int32_t> numbers(vocab_size);
  fill(numbers.data(), 0xFF, static_cast<std::size_t>(vocab_size) * sizeof(std::int32_t));
  const auto size = static_cast<std::int64_t>(head_ids.size());
  const auto heads = DeviceArray<Id>::from_host(head_ids.data(), size);
  const Id* id = heads.data();
  std::int32_t* number = numbers.data();
  for_each("numbering heads", size, [=] __device__(std::int64_t head) {
    number[id[head]] = static_cast<std::int32_t>(head);
  });
  return numbers;
}

// How many ids before each one, and before the end, are heads.
template <class Id>
DeviceArray<std::uint32_t> heads_before(Span<Id> ids, const std::int32_t* head) {
  DeviceArray<std::uint32_t> before(ids.size + 1);
  std::uint32_t* is_head = before.data();
  for_each("finding heads", ids.size + 1, [=] __device__(std::int64_t i) {
    is_head[i] = i < ids.size && head[ids.data[i]] >= 0;
  });
  exclusive_sum(is_head, is_head, ids.size + 1);
  return before;
}

// Lays sets out anew, and marks the sets that hold each head; every id's span, in the order of the
// sets. For each id it moves 16 bytes and those of two ids, and 32 for the bit of a head.
template <class Id>
DeviceArray<Bounds> split(Span<std::int64_t> indptr, Span<Id> ids, const std::int32_t* head,
                          const std::uint32_t* before, SetSpans<Id>& result) {
  DeviceArray<Bounds> spans(ids.size);
  Bounds* bounds = spans.data();
  Id* place = result.ids.data();
  auto* words = reinterpret_cast<std::uint32_t*>(result.head_matrix.data());
  const std::int64_t row_words = result.head_stride / 4;
  for_each("splitting sets", ids.size, [=] __device__(std::int64_t i) {
    const std::int64_t set = segment_of(indptr.data, indptr.size - 1, i);
    const std::int64_t begin = indptr.data[set], end = indptr.data[set + 1];
    const std::int64_t below = before[i] - before[begin];  // heads of the set
    const std::int64_t tails_end = end - (before[end] - before[begin]);
    const std::int64_t number = head[ids.data[i]];
    const std::int64_t span_end = number >= 0 ? tails_end : end - below;
    bounds[i] = {static_cast<std::uint32_t>(i - below), static_cast<std::uint32_t>(span_end)};
    place[number >= 0 ? end - 1 - below : i - below] = ids.data[i];
    if (number >= 0) atomicOr(words + number * row_words + set / 32, 1u << (set % 32));
  });
  return spans;
}

template <class Id>
DeviceArray<Id> copy_of(Span<Id> ids) {
  DeviceArray<Id> copy(ids.size);
  Id* to = copy.data();
  for_each("copying ids", ids.size, [=] __device__(std::int64_t i) { to[i] = ids.data[i]; });
  return copy;
}

}  // namespace

template <class Id>
SetSpans<Id> set_spans(Span<std::int64_t> indptr, Span<Id> ids, std::int64_t vocab_size,
                       std::int64_t heads) {
  if (ids.size >= kMostItems) throw std::invalid_argument("ids: expected fewer than 2^31 - 1");
  SetSpans<Id> result;
  result.head_ids = choose(indptr, ids, vocab_size, heads);
  if (result.head_ids.empty()) {
    const auto spans = suffixes(indptr, ids.size);
    result.ids = copy_of(ids);
    result.spans = group_spans(ids, spans.span(), vocab_size);
    return result;
  }
  const auto rows = padded(static_cast<std::int64_t>(result.head_ids.size()));
  result.head_stride = padded((indptr.size - 1 + 7) / 8);
  result.head_matrix = DeviceArray<std::uint8_t>::zeros(rows * result.head_stride);
  result.ids = DeviceArray<Id>(ids.size);
  const auto numbers = head_numbers(result.head_ids, vocab_size);
  const auto before = heads_before(ids, numbers.data());
  const auto spans = split(indptr, ids, numbers.data(), before.data(), result);
  result.spans = group_spans(ids, spans.span(), vocab_size);
  return result;
}

template SetSpans<std::uint16_t> set_spans(Span<std::int64_t>, Span<std::uint16_t>, std::int64_t,
                                           std::int64_t);
template SetSpans<std::uint32_t> set_spans(Span<std::int64_t>, Span<std::uint32_t>, std::int64_t,
                                           std::int64_t);

}  // namespace probsig::gpu
