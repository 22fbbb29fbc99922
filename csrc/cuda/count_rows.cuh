// The kernel that sums rows: a block counts one row at a time, a counter for each column, then
// lists the counters that are not 0.
//
// What bounds it is the counting: an atomic addition for each id of each span, in shared memory
// where the columns fit, beside sizeof(Id) bytes read from the ids (coalesced; 3 TB/s are 1.5 T
// ids/s of 2 bytes) and 8 bytes for each span. Estimated, not measured, for an H100: a warp's 32
// random counters meet in some bank 3 to 4 times, so 132 multiprocessors at 1.7 GHz add at most 0.5
// to 1 T/s, and half to a tenth of it in the second-level cache. A row costs two looks at each
// counter besides: 2 us for 50 k columns, so 1 ms for as many rows.
#pragma once

#include <cstdint>
#include <type_traits>

#include "head_sums.cuh"
#include "launch.cuh"
#include "row_tasks.hpp"

namespace probsig::gpu {

constexpr int kMostThreads = 1024;

template <class Id>
struct PartView {
  const Id* ids;
  const std::int64_t* id_weights;  // null: all 1
  const std::int64_t* indptr;      // of the range's rows
  const Bounds* bounds;
  const std::int64_t* span_weights;  // null: all 1
  HeadSumsView<Id> heads;
};

// What comes out: row r's entries from places[r] on, lengths[r] of them.
template <class Count>
struct RowLists {
  const std::int64_t* places;
  std::int32_t* indices;
  Count* values;
  std::int64_t* lengths;
  std::uint32_t columns;
};

// Count is unsigned where no sum passes 2^32 and there are no weights, else unsigned long long:
// then a row's sum is below 2^63. (In shared memory, 64-bit additions are loops of compare and
// swap.)
template <class Id, class Count>
struct RowSums {
  const PartView<Id>* parts;
  std::int32_t n_parts;
  const RowTask* tasks;
  std::int64_t tasks_end;
  unsigned long long* next_task;
  std::uint32_t near_columns;  // their counters are in shared memory: low ids tend to be frequent
  Count* far_counters;         // for each block: of all other columns
  Count* split_rows;           // where the pieces of a row are added up
  RowLists<Count> out;
};

// What a block's threads share; the counters follow in shared memory.
struct BlockState {
  std::uint32_t warp_entries[kMostThreads / kWarp];
  std::int64_t task;
};
constexpr std::size_t kBlockStateBytes = (sizeof(BlockState) + 15) / 16 * 16;

// `far` counts only where kFar: without it, an addition is a single instruction and no branch.
template <class Count, bool kFar>
struct Counters {
  Count* near;
  Count* far;
  std::uint32_t near_columns;

  // Two branches, not one pointer: additions in shared memory are other instructions.
  __device__ void add(std::uint32_t column, Count value) const {
    if (is_near(column)) {
      atomicAdd(near + column, value);
    } else {
      atomicAdd(far + (column - near_columns), value);
    }
  }
  __device__ Count get(std::uint32_t column) const {
    return is_near(column) ? near[column] : far[column - near_columns];
  }
  __device__ Count take(std::uint32_t column) const {
    const Count value = get(column);
    if (value == 0) return value;
    if (is_near(column)) {
      near[column] = 0;
    } else {
      far[column - near_columns] = 0;
    }
    return value;
  }

 private:
  __device__ bool is_near(std::uint32_t column) const { return !kFar || column < near_columns; }
};

constexpr std::uint32_t kAtOnce = 4;  // ids that a thread waits for together, at least

// Adds every `lanes`-th id, `count` of them: all kAtOnce or, if not kFull, fewer.
template <bool kFull, class Id, class Count, bool kFar>
__device__ void add_ids(const Id* ids, const std::int64_t* weights, std::uint32_t lanes,
                        std::uint32_t count, Count weight, Counters<Count, kFar> counters) {
  Id found[kAtOnce];
#pragma unroll
  for (std::uint32_t k = 0; k < kAtOnce; ++k) {
    if (kFull || k < count) found[k] = __ldg(ids + k * lanes);
  }
#pragma unroll
  for (std::uint32_t k = 0; k < kAtOnce; ++k) {
    if (!kFull && k >= count) continue;
    Count value = weight;
    if constexpr (sizeof(Count) == 8) {
      if (weights != nullptr) value *= static_cast<Count>(weights[k * lanes]);
    }
    counters.add(found[k], value);
  }
}

// The lane's share of a span.
template <class Id, class Count, bool kFar>
__device__ void add_span(const PartView<Id>& part, std::int64_t span, Bounds bounds,
                         std::uint32_t lane, std::uint32_t lane_bits,
                         Counters<Count, kFar> counters) {
  const std::uint32_t lanes = 1u << lane_bits;
  const std::uint32_t length = bounds.end - bounds.begin;
  if (lane >= length) return;
  Count weight = 1;
  if constexpr (sizeof(Count) == 8) {
    if (part.span_weights != nullptr) weight = static_cast<Count>(part.span_weights[span]);
  }
  const std::int64_t first = std::int64_t{bounds.begin} + lane;
  const Id* ids = part.ids + first;
  const std::int64_t* weights = part.id_weights != nullptr ? part.id_weights + first : nullptr;
  std::uint32_t count = ((length - lane - 1) >> lane_bits) + 1;
  for (; count >= kAtOnce; count -= kAtOnce) {
    add_ids<true>(ids, weights, lanes, count, weight, counters);
    ids += kAtOnce * lanes;
    if (weights != nullptr) weights += kAtOnce * lanes;
  }
  add_ids<false>(ids, weights, lanes, count, weight, counters);
}

// The task's spans, one for 2^lane_bits threads at a time, counted through all parts: so all
// threads have work though each part has few.
template <class Id, class Count, bool kFar>
__device__ void add_spans(const RowSums<Id, Count>& in, const RowTask& task,
                          Counters<Count, kFar> counters) {
  const std::uint32_t groups = blockDim.x >> task.lane_bits;
  const std::int64_t step = static_cast<std::int64_t>(groups) * task.pieces;
  const std::uint32_t lane = threadIdx.x & ((1u << task.lane_bits) - 1);
  // The group's next span, from the part's first on.
  std::int64_t next =
      static_cast<std::int64_t>(task.piece) * groups + (threadIdx.x >> task.lane_bits);
  for (int first = 0; first < in.n_parts; first += kWarp) {
    // Each lane asks where the spans of another part lie.
    const int own = first + static_cast<int>(threadIdx.x) % kWarp;
    const std::int64_t* rows = own < in.n_parts ? in.parts[own].indptr + task.row : nullptr;
    const std::int64_t own_begin = rows != nullptr ? rows[0] : 0;
    const std::int64_t own_end = rows != nullptr ? rows[1] : 0;
    for (int p = 0; p < min(kWarp, in.n_parts - first); ++p) {
      const std::int64_t begin = __shfl_sync(kAllLanes, own_begin, p);
      const std::int64_t end = __shfl_sync(kAllLanes, own_end, p);
      std::int64_t span = begin + next;
      if (span < end) {
        const PartView<Id> part = in.parts[first + p];
        Bounds ahead = part.bounds[span];
        for (; span < end; span += step) {
          const Bounds bounds = ahead;
          if (span + step < end) ahead = part.bounds[span + step];
          add_span(part, span, bounds, lane, task.lane_bits, counters);
        }
      }
      next = span - end;
    }
  }
}

template <class Id, class Count, bool kFar>
__device__ void add_heads(const RowSums<Id, Count>& in, std::uint32_t row,
                          Counters<Count, kFar> counters) {
  for (int first = 0; first < in.n_parts; first += kWarp) {
    const int own = first + static_cast<int>(threadIdx.x) % kWarp;
    const std::int32_t* numbers = own < in.n_parts ? in.parts[own].heads.head_of_row : nullptr;
    const std::int32_t own_head = numbers != nullptr ? numbers[row] : -1;
    for (int p = 0; p < min(kWarp, in.n_parts - first); ++p) {
      const std::int64_t head = __shfl_sync(kAllLanes, own_head, p);
      if (head < 0) continue;
      const HeadSumsView<Id> heads = in.parts[first + p].heads;
      const std::int32_t* sums = heads.sums + head * heads.columns;
      for (std::int64_t other = head + threadIdx.x; other < heads.columns; other += blockDim.x) {
        if (sums[other] != 0) counters.add(heads.ids[other], static_cast<Count>(sums[other]));
      }
    }
  }
}

// Adds a piece's counters to the row that its pieces share, and sets them to 0. Who comes last is
// not asked for: with a fence in the kernel, each addition in global memory would wait for an
// answer.
template <class Count, bool kFar>
__device__ void add_piece(Counters<Count, kFar> counters, std::uint32_t columns, Count* row) {
  for (std::uint32_t column = threadIdx.x; column < columns; column += blockDim.x) {
    const Count value = counters.take(column);
    if (value != 0) atomicAdd(row + column, value);
  }
}

// Lists what is not 0, and sets it to 0. A stretch of columns for each warp: how much stands in it,
// then, once that is known of all warps, what. There are fewer than 2^31 columns.
template <class Count, bool kFar>
__device__ void list_row(const RowLists<Count>& out, std::uint32_t row,
                         Counters<Count, kFar> counters, BlockState& state) {
  const std::uint32_t lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const std::uint32_t warps = blockDim.x / kWarp;
  const std::uint32_t columns = out.columns;
  const std::uint32_t stretch = (columns + warps * kWarp - 1) / (warps * kWarp) * kWarp;
  const std::uint32_t begin = min(warp * stretch, columns), end = min(begin + stretch, columns);
  std::uint32_t entries = 0;
  for (std::uint32_t column = begin + lane; column < end; column += kWarp) {
    entries += counters.get(column) != 0;
  }
  entries = __reduce_add_sync(kAllLanes, entries);
  if (lane == 0) state.warp_entries[warp] = entries;
  __syncthreads();
  std::uint32_t place =
      __reduce_add_sync(kAllLanes, lane < warp ? state.warp_entries[lane] : 0u);
  if (threadIdx.x == blockDim.x - 1) out.lengths[row] = place + entries;
  std::int32_t* indices = out.indices + out.places[row];
  Count* values = out.values + out.places[row];
  for (std::uint32_t first = begin; first < end; first += kWarp) {
    const std::uint32_t column = first + lane;
    const Count value = column < end ? counters.take(column) : 0;
    const std::uint32_t found = __ballot_sync(kAllLanes, value != 0);
    if (value != 0) {
      const std::uint32_t at = place + __popc(found & ((1u << lane) - 1));
      indices[at] = static_cast<std::int32_t>(column);
      values[at] = value;
    }
    place += __popc(found);
  }
}

template <class Id, class Count, bool kFar>
__global__ void __launch_bounds__(kMostThreads, 1) sum_rows(RowSums<Id, Count> in) {
  auto* memory = dynamic_shared<unsigned char>();
  BlockState& state = *reinterpret_cast<BlockState*>(memory);
  const std::int64_t far_columns = in.out.columns - in.near_columns;
  const Counters<Count, kFar> counters{reinterpret_cast<Count*>(memory + kBlockStateBytes),
                                 in.far_counters + blockIdx.x * far_columns, in.near_columns};
  for (std::uint32_t column = threadIdx.x; column < in.near_columns; column += blockDim.x) {
    counters.near[column] = 0;
  }
  for (;;) {
    if (threadIdx.x == 0) state.task = static_cast<std::int64_t>(atomicAdd(in.next_task, 1ull));
    __syncthreads();  // all counters are 0 again, too
    if (state.task >= in.tasks_end) return;
    const RowTask task = in.tasks[state.task];
    add_spans(in, task, counters);
    if (task.piece == 0) add_heads(in, task.row, counters);
    __syncthreads();
    if (task.pieces > 1) {
      const std::uint32_t columns = in.out.columns;
      add_piece(counters, columns, in.split_rows + std::int64_t{task.split_row} * columns);
    } else {
      list_row(in.out, task.row, counters, state);
    }
  }
}

// Lists the rows whose pieces were added up; a block each.
template <class Count>
__global__ void __launch_bounds__(kMostThreads) list_split_rows(RowLists<Count> out,
                                                                const std::uint32_t* rows,
                                                                Count* split_rows) {
  __shared__ BlockState state;
  Count* row = split_rows + std::int64_t{blockIdx.x} * out.columns;
  list_row(out, rows[blockIdx.x], Counters<Count, false>{row, nullptr, 0}, state);
}

}  // namespace probsig::gpu
