// Counts the pairs of one slab of distances: those of hot ids in the block's own memory, those of
// heads in the table, all others as keys in the tail.
//
// Bytes moved for each position: 2 or 4 (its token), 0.25 (its mask), and 4 (its word) from the
// first- or second-level cache. For each pair an atomic in the second-level cache, with 32 bytes
// read and 32 written where the cell's sector was not there; or, in the tail, 4 or 8 bytes written,
// and about a hundred more when it is sorted. It should be the atomics that bound it: at 3 TB/s and
// 64 bytes each, memory serves 47 G a second of those that miss the cache.
#pragma once

#include <cstdint>
#include <type_traits>

#include "head_table.cuh"
#include "launch.cuh"
#include "pair_plan.hpp"
#include "run_mask.cuh"
#include "token_vectors.cuh"

namespace probsig::gpu {

constexpr int kPairThreads = 512;
constexpr int kPairBlocks = 3;  // of a multiprocessor
constexpr int kTile = 4096;     // positions that a block looks at together
// A tile's words, those its last position looks ahead to, and what is loaded beside them in whole
// vectors.
constexpr int kWords = kTile + kSpan + 16;

// Pairs that wait to be sorted.
template <class Key>
struct TailView {
  Key* keys;  // null where all pairs have cells
  unsigned long long* used;
  int weight_bits;
};

template <class Token, class Key, class Cell>
struct PairTask {
  Span<Token> tokens;
  const MaskWord* mask;
  std::int64_t begin, end;  // positions, of the core
  HeadView<Cell> heads;     // `hot` is 0 where a block's own counters could overflow
  TailView<Key> tail;
};

template <class Key>
struct PairShared {
  alignas(16) std::uint32_t words[kWords];
  std::uint32_t hot[kMostHot * kMostHot];
  Key waiting[kPairThreads / kWarp][2 * kWarp];
};

// The keys that a warp appends: 32 at a time, with one atomic.
template <class Key>
class WarpTail {
 public:
  __device__ WarpTail(const TailView<Key>& tail, Key* waiting)
      : tail_(tail), waiting_(waiting), lane_(static_cast<int>(threadIdx.x) % kWarp) {}

  // All lanes call it together; `mine`: this one has a key.
  __device__ void append(bool mine, Key key) {
    const unsigned lanes = __ballot_sync(kAllLanes, mine);
    if (lanes == 0) return;
    if (mine) waiting_[number_ + __popc(lanes & ((1u << lane_) - 1))] = key;
    number_ += __popc(lanes);
    if (number_ < kWarp) return;
    write(kWarp);
    number_ -= kWarp;
    const Key moved = waiting_[kWarp + lane_];
    if (lane_ < number_) waiting_[lane_] = moved;
    __syncwarp();
  }
  __device__ void finish() {
    if (number_ > 0) write(number_);
  }

 private:
  __device__ void write(int number) {
    __syncwarp();
    unsigned long long position = 0;
    if (lane_ == 0) {
      position = atomicAdd(tail_.used, static_cast<unsigned long long>(number));
    }
    position = __shfl_sync(kAllLanes, position, 0);
    if (lane_ < number) tail_.keys[position + static_cast<unsigned>(lane_)] = waiting_[lane_];
  }

  const TailView<Key>& tail_;
  Key* waiting_;
  int lane_;
  int number_ = 0;  // waiting; the same in all lanes
};

// Loads the words of `size` positions from `first` (>= 0) on; returns where the first one stands.
template <class Token, class Key, class Cell>
__device__ int load_words(const PairTask<Token, Key, Cell>& task, std::int64_t first, int size,
                          std::uint32_t* words) {
  const int shift = misalignment(task.tokens.data + first);
  const std::int64_t origin = first - shift;  // below 0 where the array begins within a vector
  for (int v = static_cast<int>(threadIdx.x) * kVector<Token>; v < shift + size;
       v += kPairThreads * kVector<Token>) {
    const std::int64_t i = origin + v;
    std::uint32_t found[kVector<Token>];
    if (i >= 0 && i + kVector<Token> <= task.tokens.size) {
      const uint4 vector = load_vector(task.tokens.data + i);
#pragma unroll
      for (int k = 0; k < kVector<Token>; ++k) {
        found[k] = task.heads.word(token_of<Token>(vector, k));
      }
    } else {
#pragma unroll
      for (int k = 0; k < kVector<Token>; ++k) {
        const bool inside = i + k >= 0 && i + k < task.tokens.size;
        found[k] = inside ? task.heads.word(task.tokens.data[i + k]) : kNoHead;
      }
    }
#pragma unroll
    for (int k = 0; k < kVector<Token>; k += 4) {
      *reinterpret_cast<uint4*>(words + v + k) =
          make_uint4(found[k], found[k + 1], found[k + 2], found[k + 3]);
    }
  }
  return shift;
}

// Adds to the counter of a pair, if it has one.
template <class Cell>
__device__ bool add_to_heads(const HeadView<Cell>& heads, std::uint32_t* hot, std::uint32_t row,
                             std::uint32_t column, Cell weight) {
  const auto size = static_cast<std::uint32_t>(heads.hot);
  if (hot_of(row) < size && hot_of(column) < size) {
    atomicAdd(hot + hot_of(row) * kMostHot + hot_of(column), static_cast<std::uint32_t>(weight));
    return true;
  }
  if (slot_of(row) == kNoSlot || slot_of(column) == kNoSlot) return false;
  using Atomic = std::conditional_t<sizeof(Cell) == 4, unsigned, unsigned long long>;
  atomicAdd(reinterpret_cast<Atomic*>(heads.cell(slot_of(row), slot_of(column))),
            static_cast<Atomic>(weight));
  return true;
}

// All pairs that position i begins. `words` begin with that of the position before the slab's first
// distance.
template <class Token, class Key, class Cell>
__device__ void count_position(const PairTask<Token, Key, Cell>& task, const Slab& slab,
                               std::int64_t i, const std::uint32_t* words, std::uint32_t* hot,
                               WarpTail<Key>& tail) {
  std::int64_t distances = 0;
  if (i < task.end) distances = first_cut(task.mask, i) - i - (slab.first - 1);
  const int mine = static_cast<int>(
      max(min(distances, static_cast<std::int64_t>(slab.distances)), std::int64_t{0}));
  const int all = static_cast<int>(__reduce_max_sync(kAllLanes, static_cast<unsigned>(mine)));
  std::uint32_t row = words[0];
  if (slab.first > 1 && mine > 0) row = task.heads.word(task.tokens.data[i]);

  for (int d = 0; d < all; ++d) {
    // Where weights do not differ they are 0 or 1: the compiler then knows what it adds.
    if (slab.weights[d] == 0) continue;
    const Cell weight = sizeof(Cell) == 4 ? 1 : static_cast<Cell>(slab.weights[d]);
    const bool other =
        d < mine && !add_to_heads(task.heads, hot, row, words[d + 1], weight);
    if (task.tail.keys == nullptr) continue;
    Key key = 0;
    if (other) {
      const std::uint64_t x = task.tokens.data[i];
      const std::uint64_t y = task.tokens.data[i + slab.first + d];
      const std::uint64_t pair = x * task.heads.vocab_size + y;
      key = static_cast<Key>(pair << task.tail.weight_bits);
      if (sizeof(Cell) == 8) key |= static_cast<Key>(d);
    }
    tail.append(other, key);
  }
}

template <class Token, class Key, class Cell>
__global__ __launch_bounds__(kPairThreads, kPairBlocks) void pair_kernel(
    PairTask<Token, Key, Cell> task, Slab slab) {
  auto& shared = *dynamic_shared<PairShared<Key>>();
  const auto thread = static_cast<int>(threadIdx.x);
  for (int k = thread; k < kMostHot * kMostHot; k += kPairThreads) shared.hot[k] = 0;
  WarpTail<Key> tail(task.tail, shared.waiting[thread / kWarp]);

  for (std::int64_t tile = task.begin + std::int64_t{blockIdx.x} * kTile; tile < task.end;
       tile += std::int64_t{gridDim.x} * kTile) {
    __syncthreads();  // nobody reads the last tile's words any more
    const int shift =
        load_words(task, tile + slab.first - 1, kTile + slab.distances, shared.words);
    __syncthreads();
    for (int k = thread; k < kTile; k += kPairThreads) {
      count_position(task, slab, tile + k, shared.words + shift + k, shared.hot, tail);
    }
  }
  tail.finish();

  __syncthreads();
  for (int k = thread; k < kMostHot * kMostHot; k += kPairThreads) {
    if (shared.hot[k] == 0) continue;
    using Atomic = std::conditional_t<sizeof(Cell) == 4, unsigned, unsigned long long>;
    atomicAdd(reinterpret_cast<Atomic*>(task.heads.cell(task.heads.hot_slots[k / kMostHot],
                                                        task.heads.hot_slots[k % kMostHot])),
              static_cast<Atomic>(shared.hot[k]));
  }
}

}  // namespace probsig::gpu
