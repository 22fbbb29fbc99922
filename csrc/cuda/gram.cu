// A warp adds up one slice of one row of PP' in shared memory: for each entry (c, v) of the row, v
// times that part of column c which lies in the slice. So no two threads add to the same sum at
// once, additions keep the order of the row's entries, and nobody waits for anybody.
//
// 12 bytes are read for each product. Work goes slice by slice, so that all warps that run at the
// same time read the entries of the same 1,536 rows of P: 12 MB a million of them, which the
// second-level cache holds.
#include "gram.hpp"

#include <algorithm>

#include "launch.cuh"
#include "search.cuh"

namespace probsig::gpu {
namespace {

constexpr int kThreads = 128;
constexpr int kSlice = 1536;  // sums of a warp; a block's 48 KB need no opt-in
constexpr int kAtOnce = 4;    // products of a lane whose loads are under way together

// Rows times slices of one launch; its end is waited for, to look at the flag.
constexpr std::int64_t kUnits = 1 << 18;

using Ticket = unsigned long long;

struct Matrix {
  explicit Matrix(const RowsView& view)
      : indptr(view.indptr.data), indices(view.indices.data), values(view.values.data) {}

  const std::int64_t* indptr;
  const std::int32_t* indices;
  const double* values;
};

struct Gram {
  Matrix rows;
  Matrix columns;
  std::int64_t size;    // rows of P
  std::int64_t slices;  // of each row of PP'
  // At c * (slices + 1) + s: how many entries of column c lie in the slices before s; below 2^31,
  // as indices are.
  const std::uint32_t* splits;
  double shift;
};

// The entries of a column below `limit`.
__device__ std::uint32_t entries_below(const Matrix& columns, std::int64_t column,
                                       std::int64_t limit) {
  const std::int32_t* const indices = columns.indices + columns.indptr[column];
  const std::int64_t size = columns.indptr[column + 1] - columns.indptr[column];
  return static_cast<std::uint32_t>(first_not_below(indices, size, limit));
}

// That part of a column which a warp adds, times `value`.
struct Part {
  std::int64_t begin = 0;
  int size = 0;
  double value = 0.0;
};

__device__ Part part_of(const Gram& gram, std::int64_t entry, std::int64_t slice) {
  const std::int64_t column = gram.rows.indices[entry];
  const std::uint32_t* const split = gram.splits + column * (gram.slices + 1) + slice;
  return {gram.columns.indptr[column] + split[0], static_cast<int>(split[1] - split[0]),
          gram.rows.values[entry]};
}

// sums[j - begin] += what the part holds for j. No j is twice in it: all loads may come before the
// first store.
__device__ void add_part(const Matrix& columns, const Part& part, int begin, int lane,
                         double* sums) {
  const std::int32_t* const rows = columns.indices + part.begin;
  const double* const values = columns.values + part.begin;
  for (int first = lane; first < part.size; first += kAtOnce * kWarp) {
    double* at[kAtOnce];
    double product[kAtOnce];
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      const int l = first + k * kWarp;
      if (l < part.size) {
        at[k] = sums + (rows[l] - begin);
        product[k] = part.value * values[l];
      }
    }
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      if (first + k * kWarp < part.size) product[k] += *at[k];
    }
#pragma unroll
    for (int k = 0; k < kAtOnce; ++k) {
      if (first + k * kWarp < part.size) *at[k] = product[k];
    }
  }
}

// Adds p_row . p_j for the j of the slice to the cleared sums. Each lane looks at one entry, then
// the warp adds them one after another.
__device__ void add_row(const Gram& gram, std::int64_t row, std::int64_t slice, int lane,
                        double* sums) {
  const int begin = static_cast<int>(slice * kSlice);  // a row of P, so below 2^31
  const std::int64_t end = gram.rows.indptr[row + 1];
  for (std::int64_t first = gram.rows.indptr[row]; first < end; first += kWarp) {
    Part own;
    if (first + lane < end) own = part_of(gram, first + lane, slice);
    for (unsigned left = __ballot_sync(kAllLanes, own.size > 0); left != 0; left &= left - 1) {
      const int source = __ffs(static_cast<int>(left)) - 1;
      const Part part{__shfl_sync(kAllLanes, own.begin, source),
                      __shfl_sync(kAllLanes, own.size, source),
                      __shfl_sync(kAllLanes, own.value, source)};
      add_part(gram.columns, part, begin, lane, sums);
      __syncwarp();
    }
  }
}

// sum over the slice's j != row of (sums[j] - shift)^2, in lane 0; clears them. In an order that
// depends on nothing but the size.
__device__ double take_squares(const Gram& gram, std::int64_t row, std::int64_t slice, int lane,
                               double* sums) {
  const std::int64_t begin = slice * kSlice;
  const std::int64_t end = min(begin + kSlice, gram.size);
  double total = 0.0;
  for (std::int64_t j = begin + lane; j < end; j += kWarp) {
    const double difference = sums[j - begin] - gram.shift;
    if (j != row) total += difference * difference;
    sums[j - begin] = 0.0;
  }
  for (int distance = kWarp / 2; distance > 0; distance /= 2) {
    total += __shfl_down_sync(kAllLanes, total, distance);
  }
  return total;
}

__device__ std::int64_t next_unit(Ticket* ticket, int lane) {
  Ticket unit = 0;
  if (lane == 0) unit = atomicAdd(ticket, Ticket{1});
  return static_cast<std::int64_t>(__shfl_sync(kAllLanes, unit, 0));
}

// squares[s * rows + r] = slice s of row row_begin + r.
__global__ void __launch_bounds__(kThreads)
    squares_kernel(Gram gram, std::int64_t row_begin, std::int64_t rows, Ticket* ticket,
                   double* squares) {
  __shared__ double memory[kThreads / kWarp * kSlice];
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  double* const sums = memory + static_cast<int>(threadIdx.x) / kWarp * kSlice;
  for (int j = lane; j < kSlice; j += kWarp) sums[j] = 0.0;
  __syncwarp();
  for (;;) {
    const std::int64_t unit = next_unit(ticket, lane);
    if (unit >= rows * gram.slices) return;
    const std::int64_t row = row_begin + unit % rows;
    const std::int64_t slice = unit / rows;
    add_row(gram, row, slice, lane, sums);
    const double total = take_squares(gram, row, slice, lane, sums);
    if (lane == 0) squares[unit] = total;
    __syncwarp();
  }
}

DeviceArray<std::uint32_t> split_columns(const Matrix& columns, std::int64_t size,
                                         std::int64_t slices) {
  DeviceArray<std::uint32_t> splits(size * (slices + 1));
  std::uint32_t* const out = splits.data();
  for_each("splitting columns", splits.size(), [=] __device__(std::int64_t i) {
    out[i] = entries_below(columns, i / (slices + 1), i % (slices + 1) * kSlice);
  });
  return splits;
}

// out[r] = the sum of row r's slices, in order.
void add_slices(const double* squares, std::int64_t rows, std::int64_t slices, double* out) {
  for_each("adding slices", rows, [=] __device__(std::int64_t r) {
    double total = 0.0;
    for (std::int64_t s = 0; s < slices; ++s) total += squares[s * rows + r];
    out[r] = total;
  });
}

}  // namespace

DeviceArray<double> gram_squares(const RowsView& rows, const RowsView& columns, double shift,
                                 std::int64_t row_begin, std::int64_t row_end, CancelFlag cancel) {
  DeviceArray<double> out(row_end - row_begin);
  const std::int64_t slices = (rows.rows() + kSlice - 1) / kSlice;
  if (out.size() == 0) return out;
  const auto splits = split_columns(Matrix(columns), columns.rows(), slices);
  const Gram gram{Matrix(rows), Matrix(columns), rows.rows(), slices, splits.data(), shift};

  const std::int64_t rows_at_once = std::max<std::int64_t>(kUnits / slices, 1);
  DeviceArray<double> squares(rows_at_once * slices);
  DeviceArray<Ticket> ticket(1);
  const std::int64_t most_blocks = std::int64_t{device_limits().multiprocessors} * 4;  // as fit
  for (std::int64_t begin = row_begin; begin < row_end && !cancel.set(); begin += rows_at_once) {
    const std::int64_t n = std::min(rows_at_once, row_end - begin);
    fill(ticket.data(), 0, sizeof(Ticket));
    const std::int64_t wanted = (n * slices * kWarp + kThreads - 1) / kThreads;
    launch("adding squares", {std::min(wanted, most_blocks), kThreads}, squares_kernel, gram, begin,
           n, ticket.data(), squares.data());
    add_slices(squares.data(), n, slices, out.data() + (begin - row_begin));
    synchronize();
  }
  return out;
}

}  // namespace probsig::gpu
