#include "sorted_sums.cuh"

#include <algorithm>
#include <utility>

#include "launch.cuh"
#include "search.cuh"

namespace probsig::gpu {
namespace {

// In memory of its own size: what CUB wrote lies in memory for as many entries as there might be.
template <class T>
DeviceArray<T> fitted(const DeviceArray<T>& array) {
  DeviceArray<T> result(array.size());
  const T* from = array.data();
  T* to = result.data();
  for_each("copying sums", array.size(), [=] __device__(std::int64_t i) { to[i] = from[i]; });
  return result;
}

template <class Key>
SumList<Key> sums_of_sorted(SumList<Key> list) {
  const std::int64_t size = list.keys.size();
  auto sums = sums_by_key(list.keys.span(), list.values.span());
  list = {};
  if (sums.keys.size() == size) return sums;
  return {fitted(sums.keys), fitted(sums.values)};
}

}  // namespace

template <class Key>
SumList<Key> sums_of_keys(DeviceArray<Key> keys, int key_bits, int weight_bits,
                          Span<std::int64_t> weights) {
  if (keys.size() == 0) return {};
  sort_keys(keys, std::max(key_bits, 1));
  auto runs = run_lengths(keys.span());
  keys = {};
  const std::int64_t size = runs.keys.size();
  const auto weights_there = DeviceArray<std::int64_t>::from_host(weights);
  SumList<Key> list{DeviceArray<Key>(size), DeviceArray<std::int64_t>(size)};
  const Key* run_keys = runs.keys.data();
  const std::uint32_t* lengths = runs.values.data();
  const std::int64_t* each = weights_there.data();
  Key* list_keys = list.keys.data();
  std::int64_t* values = list.values.data();
  for_each("weighing sums", size, [=] __device__(std::int64_t i) {
    const Key key = run_keys[i];
    list_keys[i] = static_cast<Key>(key >> weight_bits);
    const std::int64_t weight =
        weight_bits == 0 ? 1 : each[key & ((Key{1} << weight_bits) - 1)];
    values[i] = lengths[i] * weight;
  });
  runs = {};
  return weight_bits == 0 ? std::move(list) : sums_of_sorted(std::move(list));
}

template <class Key>
SumList<Key> added(SumList<Key> a, SumList<Key> b) {
  if (a.keys.size() == 0) return b;
  if (b.keys.size() == 0) return a;
  auto both = merged(a, b);
  a = {};
  b = {};
  return sums_of_sorted(std::move(both));
}

template <class Key>
void SortedSums<Key>::push(SumList<Key> list) {
  if (list.keys.size() == 0) return;
  while (!lists_.empty() && lists_.back().keys.size() <= 2 * list.keys.size()) {
    list = added(std::move(lists_.back()), std::move(list));
    lists_.pop_back();
  }
  lists_.push_back(std::move(list));
}

template <class Key>
void SortedSums<Key>::merge() {
  while (lists_.size() > 1) {
    SumList<Key> last = std::move(lists_.back());
    lists_.pop_back();
    lists_.back() = added(std::move(lists_.back()), std::move(last));
  }
}

template <class Key>
SumList<Key> SortedSums<Key>::take() {
  merge();
  if (lists_.empty()) return {};
  SumList<Key> all = std::move(lists_.back());
  lists_.clear();
  return all;
}

template <class Key>
std::int64_t SortedSums<Key>::size() const {
  std::int64_t result = 0;
  for (const SumList<Key>& list : lists_) result += list.keys.size();
  return result;
}

template <class Key>
DeviceBlock to_block(SumList<Key> list, std::int64_t vocab_size, std::int64_t factor) {
  const std::int64_t size = list.keys.size();
  DeviceBlock block{DeviceArray<std::int64_t>(vocab_size + 1), DeviceArray<std::int32_t>(size), {}};
  const Key* keys = list.keys.data();
  std::int64_t* indptr = block.indptr.data();
  std::int32_t* indices = block.indices.data();
  std::int64_t* values = list.values.data();
  const auto columns = static_cast<std::uint64_t>(vocab_size);
  for_each("finding rows", vocab_size + 1, [=] __device__(std::int64_t row) {
    indptr[row] = first_not_below(keys, size, row * vocab_size);  // keys have 62 bits at most
  });
  for_each("splitting keys", size, [=] __device__(std::int64_t i) {
    indices[i] = static_cast<std::int32_t>(keys[i] % columns);
    values[i] *= factor;
  });
  block.data = std::move(list.values);
  return block;
}

#define PROBSIG_SORTED_SUMS(Key)                                                          \
  template SumList<Key> sums_of_keys(DeviceArray<Key>, int, int, Span<std::int64_t>);     \
  template SumList<Key> added(SumList<Key>, SumList<Key>);                                \
  template class SortedSums<Key>;                                                         \
  template DeviceBlock to_block(SumList<Key>, std::int64_t, std::int64_t)
PROBSIG_SORTED_SUMS(std::uint32_t);
PROBSIG_SORTED_SUMS(std::uint64_t);
#undef PROBSIG_SORTED_SUMS

}  // namespace probsig::gpu
