#include "head_table.cuh"

#include <algorithm>
#include <functional>
#include <vector>

#include "launch.cuh"

namespace probsig::gpu {
namespace {

constexpr int kRowThreads = 256;  // a warp takes a row
// Blocks enough to fill any device.
constexpr std::int64_t kMostRowBlocks = 4096;

// As many cells as a thread loads at once.
template <class Cell>
struct alignas(16) Cells {
  static constexpr int kSize = static_cast<int>(16 / sizeof(Cell));

  Cell value[kSize];

  __device__ int at_least(Cell least) const {
    int number = 0;
#pragma unroll
    for (int k = 0; k < kSize; ++k) number += value[k] >= least;
    return number;
  }
};

template <class Cell>
struct Table {
  Cell* cells;
  std::int64_t rows;
  std::int64_t stride;

  // The cells of this lane, of the warp's from `first` on; a row is padded to whole vectors.
  __device__ Cells<Cell>* vector(std::int64_t row, std::int64_t column) const {
    return reinterpret_cast<Cells<Cell>*>(cells + row * stride + column);
  }
};

__device__ inline std::int64_t warp_index() { return thread_index() / kWarp; }
__device__ inline std::int64_t warp_count() { return thread_count() / kWarp; }
__device__ inline int lane_index() { return static_cast<int>(threadIdx.x) % kWarp; }

// How many cells of each row are at least `least` (> 0). Bytes moved: the table's, once.
template <class Cell>
__global__ void count_kernel(Table<Cell> table, Cell least, std::int64_t* counts) {
  for (std::int64_t row = warp_index(); row < table.rows; row += warp_count()) {
    unsigned number = 0;  // of a row's cells: below 2^24
    for (std::int64_t column = lane_index() * Cells<Cell>::kSize; column < table.stride;
         column += kWarp * Cells<Cell>::kSize) {
      const Cells<Cell> cells = *table.vector(row, column);
      number += static_cast<unsigned>(cells.at_least(least));
    }
    number = __reduce_add_sync(kAllLanes, number);
    if (lane_index() == 0) counts[row] = number;
  }
}

// How many the lanes below this one have, and all together.
__device__ int2 exclusive_warp_sum(int number) {
  int sum = number;
  for (int step = 1; step < kWarp; step *= 2) {
    const int before = __shfl_up_sync(kAllLanes, sum, static_cast<unsigned>(step));
    if (lane_index() >= step) sum += before;
  }
  return make_int2(sum - number, __shfl_sync(kAllLanes, sum, kWarp - 1));
}

template <class Key>
struct Taken {
  const std::uint32_t* ids;
  std::int64_t vocab_size;
  const std::int64_t* offsets;  // of rows
  Key* keys;
  std::int64_t* values;

  __device__ void put(std::int64_t position, std::int64_t row, std::int64_t column,
                      std::int64_t value) const {
    keys[position] = static_cast<Key>(ids[row] * vocab_size + ids[column]);
    values[position] = value;
  }
};

// Moves them out, in order, and leaves zeros. Bytes moved: the table's once, and what is taken.
template <class Cell, class Key>
__global__ void move_kernel(Table<Cell> table, Cell least, Taken<Key> taken) {
  for (std::int64_t row = warp_index(); row < table.rows; row += warp_count()) {
    std::int64_t position = taken.offsets[row];
    for (std::int64_t first = 0; first < table.stride; first += kWarp * Cells<Cell>::kSize) {
      const std::int64_t column = first + lane_index() * Cells<Cell>::kSize;
      Cells<Cell> cells{};
      if (column < table.stride) cells = *table.vector(row, column);
      const int number = cells.at_least(least);
      if (!__any_sync(kAllLanes, number > 0)) continue;
      const int2 sums = exclusive_warp_sum(number);
      std::int64_t mine = position + sums.x;
      position += sums.y;
      if (number == 0) continue;
#pragma unroll
      for (int k = 0; k < Cells<Cell>::kSize; ++k) {
        if (cells.value[k] < least) continue;
        taken.put(mine++, row, column + k, static_cast<std::int64_t>(cells.value[k]));
        cells.value[k] = 0;
      }
      *table.vector(row, column) = cells;
    }
  }
}

Grid row_grid(std::int64_t rows) {
  constexpr int kRows = kRowThreads / kWarp;
  return {std::min((rows + kRows - 1) / kRows, kMostRowBlocks), kRowThreads};
}

// `number` of `ids`, those with the highest counts; they rise as ids do.
std::vector<std::uint32_t> most_frequent(const std::vector<std::uint32_t>& ids,
                                         Span<std::int64_t> histogram, std::int64_t number) {
  if (number >= static_cast<std::int64_t>(ids.size())) return ids;
  if (number == 0) return {};
  std::vector<std::int64_t> counts;
  for (const std::uint32_t id : ids) counts.push_back(histogram[id]);
  const auto last = counts.begin() + number - 1;
  std::nth_element(counts.begin(), last, counts.end(), std::greater<>());
  const std::int64_t least = *last;
  const auto is_more = [&](std::int64_t count) { return count > least; };
  std::int64_t ties = number - std::count_if(counts.begin(), last, is_more);
  std::vector<std::uint32_t> result;
  for (const std::uint32_t id : ids) {
    if (is_more(histogram[id]) || (histogram[id] == least && ties-- > 0)) result.push_back(id);
  }
  return result;
}

DeviceArray<std::uint32_t> to_device(const std::vector<std::uint32_t>& values) {
  return DeviceArray<std::uint32_t>::from_host(values.data(),
                                               static_cast<std::int64_t>(values.size()));
}

// 16 bytes are a whole number of cells.
template <class Cell>
std::int64_t padded(std::int64_t row) {
  constexpr std::int64_t kSize = Cells<Cell>::kSize;
  return (row + kSize - 1) / kSize * kSize;
}

}  // namespace

template <class Cell>
HeadTable<Cell>::HeadTable(Span<std::int64_t> histogram, std::int64_t heads)
    : stride_(padded<Cell>(heads)), cells_(DeviceArray<Cell>::zeros(heads * stride_)) {
  std::vector<std::uint32_t> ids(static_cast<std::size_t>(histogram.size));
  for (std::size_t id = 0; id < ids.size(); ++id) ids[id] = static_cast<std::uint32_t>(id);
  ids = most_frequent(ids, histogram, heads);
  std::vector<std::uint32_t> words(static_cast<std::size_t>(histogram.size), kNoHead);
  for (std::size_t slot = 0; slot < ids.size(); ++slot) {
    words[ids[slot]] = head_word(static_cast<std::uint32_t>(slot), hot_of(kNoHead));
  }
  std::vector<std::uint32_t> hot_slots;
  for (const std::uint32_t id : most_frequent(ids, histogram, kMostHot)) {
    const std::uint32_t slot = slot_of(words[id]);
    words[id] = head_word(slot, static_cast<std::uint32_t>(hot_slots.size()));
    hot_slots.push_back(slot);
  }
  words_ = to_device(words);
  ids_ = to_device(ids);
  hot_slots_ = to_device(hot_slots);
}

template <class Cell>
template <class Key>
Sums<Key, std::int64_t> HeadTable<Cell>::collect(Cell least, std::int64_t most, bool& all) {
  Table<Cell> table{cells_.data(), ids_.size(), stride_};
  auto offsets = DeviceArray<std::int64_t>::zeros(table.rows + 1);
  launch("counting a table's sums", row_grid(table.rows), count_kernel<Cell>, table, least,
         offsets.data());
  exclusive_sum(offsets.data(), offsets.data(), offsets.size());
  std::vector<std::int64_t> begins(static_cast<std::size_t>(offsets.size()));
  offsets.to_host(begins.data());

  const auto end = std::upper_bound(begins.begin(), begins.end(), most) - 1;
  all = end + 1 == begins.end();
  table.rows = end - begins.begin();
  Sums<Key, std::int64_t> sums{DeviceArray<Key>(*end), DeviceArray<std::int64_t>(*end)};
  if (*end == 0) return sums;
  launch("taking a table's sums", row_grid(table.rows), move_kernel<Cell, Key>, table, least,
         Taken<Key>{ids_.data(), words_.size(), offsets.data(), sums.keys.data(),
                    sums.values.data()});
  return sums;
}

template class HeadTable<std::uint32_t>;
template class HeadTable<std::uint64_t>;

#define PROBSIG_COLLECT(Cell, Key)                                             \
  template Sums<Key, std::int64_t> HeadTable<Cell>::collect(Cell, std::int64_t, bool&)
PROBSIG_COLLECT(std::uint32_t, std::uint32_t);
PROBSIG_COLLECT(std::uint32_t, std::uint64_t);
PROBSIG_COLLECT(std::uint64_t, std::uint32_t);
PROBSIG_COLLECT(std::uint64_t, std::uint64_t);
#undef PROBSIG_COLLECT

}  // namespace probsig::gpu
