// A token of a run is the number run x V + id: sorted, these numbers are the sets one after the
// other, and where a number changes, an id of a set begins.
//
// Bytes moved for each token, with keys of k bytes: its id, 2 k for each eight bits of the sort
// (four or five passes), 2 k + 12 to find the changes. So an H100's 3 TB/s bound it at some 40 G
// tokens/s with 4-byte keys.

#include "sets.hpp"

#include <algorithm>

#include "launch.cuh"
#include "primitives.cuh"
#include "runs.cuh"
#include "search.cuh"

namespace probsig::gpu {
namespace {

template <class Key, class Token>
DeviceArray<Key> sorted_keys(Span<Token> tokens, const Runs& runs, std::int64_t vocab_size) {
  DeviceArray<Key> keys(runs.tokens());
  Key* key = keys.data();
  const RunsView view = runs.view();
  for_each("numbering tokens", runs.tokens(), [=] __device__(std::int64_t place) {
    const std::int64_t run = view.run_of(place);
    key[place] = static_cast<Key>(run * vocab_size + tokens.data[view.position(run, place)]);
  });
  const auto limit = static_cast<std::uint64_t>(runs.size() * vocab_size);
  sort_keys(keys, std::max(bits_below(limit), 1));
  return keys;
}

// How many keys before each one, and before the end, are the first of their kind.
template <class Key>
DeviceArray<std::uint32_t> distinct_before(Span<Key> keys) {
  DeviceArray<std::uint32_t> before(keys.size + 1);
  std::uint32_t* is_first = before.data();
  for_each("finding distinct tokens", keys.size + 1, [=] __device__(std::int64_t i) {
    is_first[i] = i < keys.size && (i == 0 || keys.data[i] != keys.data[i - 1]);
  });
  exclusive_sum(is_first, is_first, keys.size + 1);
  return before;
}

template <class Key>
DeviceArray<std::int64_t> set_pointers(Span<Key> keys, const std::uint32_t* before,
                                       std::int64_t sets, std::int64_t vocab_size) {
  DeviceArray<std::int64_t> indptr(sets + 1);
  std::int64_t* pointers = indptr.data();
  for_each("finding sets", sets + 1, [=] __device__(std::int64_t set) {
    pointers[set] = before[first_not_below(keys.data, keys.size, set * vocab_size)];
  });
  return indptr;
}

// How many keys each distinct one has.
template <class Key>
DeviceArray<std::int64_t> multiplicities(Span<Key> keys, const std::uint32_t* before,
                                         std::int64_t distinct) {
  DeviceArray<std::uint32_t> begins(distinct + 1);
  DeviceArray<std::int64_t> sizes(distinct);
  std::uint32_t* begin = begins.data();
  std::int64_t* size = sizes.data();
  for_each("finding multiplicities", keys.size + 1, [=] __device__(std::int64_t i) {
    const bool is_first = i == keys.size || before[i] != before[i + 1];
    if (is_first) begin[before[i]] = static_cast<std::uint32_t>(i);
  });
  for_each("counting multiplicities", distinct,
           [=] __device__(std::int64_t i) { size[i] = begin[i + 1] - begin[i]; });
  return sizes;
}

template <class Key, class Token>
DeviceSets<Token> sets_by_keys(Span<Token> tokens, const Runs& runs, std::int64_t vocab_size,
                               bool multiplicity) {
  const auto sorted = sorted_keys<Key>(tokens, runs, vocab_size);
  const Span<Key> keys = sorted.span();
  const auto places = distinct_before(keys);
  const std::uint32_t* before = places.data();
  const std::int64_t distinct = places.at(keys.size);
  DeviceSets<Token> sets{set_pointers(keys, before, runs.size(), vocab_size),
                         DeviceArray<Token>(distinct), {}};
  Token* id = sets.ids.data();
  const auto size = static_cast<Key>(vocab_size);
  for_each("listing sets", keys.size, [=] __device__(std::int64_t i) {
    if (before[i] != before[i + 1]) id[before[i]] = static_cast<Token>(keys.data[i] % size);
  });
  if (multiplicity) sets.multiplicity = multiplicities(keys, before, distinct);
  return sets;
}

}  // namespace

template <class Token>
DeviceSets<Token> sequence_sets(Span<Token> tokens, Span<std::int64_t> run_starts,
                                Span<std::int64_t> run_ends, std::int64_t vocab_size,
                                bool multiplicity, CancelFlag cancel) {
  if (cancel.set()) return {DeviceArray<std::int64_t>::zeros(run_starts.size + 1), {}, {}};
  const Runs runs(run_starts, run_ends);
  // Runs are fewer than 2^32, ids than 2^31: so 64 bits always do.
  const bool narrow = runs.size() * vocab_size <= std::int64_t{1} << 32;
  return narrow ? sets_by_keys<std::uint32_t>(tokens, runs, vocab_size, multiplicity)
                : sets_by_keys<std::uint64_t>(tokens, runs, vocab_size, multiplicity);
}

template DeviceSets<std::uint16_t> sequence_sets(Span<std::uint16_t>, Span<std::int64_t>,
                                                 Span<std::int64_t>, std::int64_t, bool,
                                                 CancelFlag);
template DeviceSets<std::uint32_t> sequence_sets(Span<std::uint32_t>, Span<std::int64_t>,
                                                 Span<std::int64_t>, std::int64_t, bool,
                                                 CancelFlag);

}  // namespace probsig::gpu
