// A block multiplies 128 rows of A by 256 of B, 64 bytes of each row at a time: 24 KB, of which
// four stages lie in shared memory, so that three are on their way while one is multiplied (96 KB:
// devices of compute capability 8.6 have them too). A warp's share is 64 x 64: its sums take 128
// registers a thread, what it multiplies now and next another 64.
//
// Estimates, not measurements, for an H100 (132 multiprocessors of 128 bytes of shared memory a
// clock), where others report 0.54 of these mma a clock and multiprocessor, 17,700 pairs of bits:
//   shared memory: a warp reads 4 KB for 32 mma, a block writes 12 KB for 256: 1.4 clocks for each
//     mma, which allows 0.73 of them a clock;
//   second-level cache: 12 KB for 256 mma, so 25 bytes a clock and multiprocessor, of about 39;
//   memory: blocks that run at the same time form a square of 16 x 8 tiles, so 4,096 rows are read
//     for 132 tiles: 0.5 TB/s.
#include "head_product.hpp"

#include <algorithm>
#include <stdexcept>

#include "device.hpp"
#include "launch.cuh"
#include "tensor_core.cuh"

namespace probsig::gpu {
namespace {

constexpr int kRowsA = 128;  // of a block
constexpr int kRowsB = 256;
constexpr int kWarpRows = 64;  // of A and of B, of a warp
constexpr int kThreads = kRowsA / kWarpRows * (kRowsB / kWarpRows) * kWarp;

constexpr int kPiece = 16;     // bytes that a thread copies at once
constexpr int kRowBytes = 64;  // of each row in a stage
constexpr int kPieces = kRowBytes / kPiece;
constexpr int kStageBytes = (kRowsA + kRowsB) * kRowBytes;
constexpr int kStages = 4;

constexpr int kStepBytes = 32;  // of each row in one mma
constexpr int kSteps = kRowBytes / kStepBytes;
static_assert(kSteps % 2 == 0, "fragments take turns");

// Tiles of A in a group, whose tiles run one column of B after the other.
constexpr int kGroup = 16;

// Rows are cut into slices, for blocks of their own, until each multiprocessor has about so many
// blocks (in the last round some have none), or a slice is so short that adding to C would show.
constexpr std::int64_t kRounds = 8;
constexpr std::int64_t kLeastSlice = 8192;

struct Product {
  const std::uint8_t* a;
  std::int64_t rows_a;
  const std::uint8_t* b;
  std::int64_t rows_b;
  std::int64_t stride;
  std::int32_t* c;
  std::int64_t ldc;
  std::int64_t diagonal;
  std::int64_t tiles_a;
  std::int64_t tiles_b;
  std::int64_t slice;  // bytes of each row that a block multiplies; a multiple of kRowBytes
};

// What one block multiplies: rows from row_a of A and row_b of B on, their bytes [begin, end).
struct Work {
  std::int64_t row_a;
  std::int64_t row_b;
  std::int64_t begin;
  std::int64_t end;
};

// Slice by slice, group by group.
__device__ Work work_of(const Product& p, std::int64_t block) {
  const std::int64_t slice = block / (p.tiles_a * p.tiles_b);
  const std::int64_t tile = block % (p.tiles_a * p.tiles_b);
  const std::int64_t first = tile / (kGroup * p.tiles_b) * kGroup;
  const std::int64_t height = min(static_cast<std::int64_t>(kGroup), p.tiles_a - first);
  const std::int64_t inside = tile - first * p.tiles_b;
  const std::int64_t begin = slice * p.slice;
  return {(first + inside % height) * kRowsA, inside / height * kRowsB, begin,
          min(begin + p.slice, p.stride)};
}

// Where a piece lies in a stage. The pieces of a row are permuted such that the eight rows that
// ldmatrix reads at once, and the eight pieces that are filled at once, lie in different banks.
__device__ int place(int row, int piece) {
  return row * kRowBytes + ((piece ^ ((row >> 1) & (kPieces - 1))) * kPiece);
}

// Fills stages, from the tile's first byte on; a thread has the same piece of every 64th row.
class Filler {
 public:
  // Rows past the end are the last one again: what comes of them is not added to C.
  __device__ Filler(const Product& p, const Work& work) {
    const int row = static_cast<int>(threadIdx.x) / kPieces;
    const int piece = static_cast<int>(threadIdx.x) % kPieces;
    place_ = place(row, piece);
#pragma unroll
    for (int i = 0; i < kCopies; ++i) {
      const int at = row + i * kRowsAtOnce;
      const bool of_a = i < kRowsA / kRowsAtOnce;
      const std::int64_t from = of_a ? min(work.row_a + at, p.rows_a - 1)
                                     : min(work.row_b + at - kRowsA, p.rows_b - 1);
      from_[i] = (of_a ? p.a : p.b) + from * p.stride + work.begin + piece * kPiece;
    }
  }

  __device__ void fill(unsigned char* stage) {
#pragma unroll
    for (int i = 0; i < kCopies; ++i) {
      copy_async(stage + place_ + i * kRowsAtOnce * kRowBytes, from_[i]);
      from_[i] += kRowBytes;
    }
  }

 private:
  static constexpr int kRowsAtOnce = kThreads / kPieces;
  static constexpr int kCopies = (kRowsA + kRowsB) / kRowsAtOnce;
  static_assert(kRowsA % kRowsAtOnce == 0 && kRowsAtOnce % (2 * kPieces) == 0,
                "place_ serves all rows of a thread");

  int place_;
  const std::uint8_t* from_[kCopies];
};

// What a warp multiplies in one step: 4 fragments of A, 4 pairs of fragments of B.
struct Fragments {
  static constexpr int kA = kWarpRows / 16;
  static constexpr int kPairsB = kWarpRows / 16;
  unsigned a[kA][4];
  unsigned b[kPairsB][4];
};

class Multiplier {
 public:
  __device__ Multiplier() {
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    const int warp = static_cast<int>(threadIdx.x) / kWarp;
    row_a_ = warp / (kRowsB / kWarpRows) * kWarpRows;
    row_b_ = warp % (kRowsB / kWarpRows) * kWarpRows;
    // Matrices in the order of a fragment of A: rows 0 to 7, rows 8 to 15, the same 16 bytes on;
    // of two fragments of B: rows 0 to 7, the same 16 bytes on, then rows 8 to 15.
    place_a_ = place(row_a_ + lane % 16, lane / 16);
    place_b_ = place(kRowsA + row_b_ + lane / 16 * 8 + lane % 8, lane / 8 % 2);
  }

  __device__ void load(int turn, const unsigned char* stage, int step) {
    Fragments& next = fragments_[turn];
    // A step is two pieces, so it changes one bit of a permuted piece.
#pragma unroll
    for (int i = 0; i < Fragments::kA; ++i) {
      load_matrices(next.a[i], stage + (place_a_ ^ (step * kStepBytes)) + i * 16 * kRowBytes);
    }
#pragma unroll
    for (int j = 0; j < Fragments::kPairsB; ++j) {
      load_matrices(next.b[j], stage + (place_b_ ^ (step * kStepBytes)) + j * 16 * kRowBytes);
    }
  }

  __device__ void multiply(int turn) {
    const Fragments& now = fragments_[turn];
#pragma unroll
    for (int i = 0; i < Fragments::kA; ++i) {
#pragma unroll
      for (int j = 0; j < 2 * Fragments::kPairsB; ++j) {
        const unsigned(&pair)[4] = now.b[j / 2];
        add_shared_bits(sums_[i][j], now.a[i], pair[j % 2 * 2], pair[j % 2 * 2 + 1]);
      }
    }
  }

  // Atomically, as blocks of other slices may add to the same entries.
  __device__ void add_to(const Product& p, const Work& work) const {
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    const std::int64_t n = work.row_b + row_b_ + lane % 4 * 2;
    const auto columns = static_cast<int>(min(p.rows_b - n, static_cast<std::int64_t>(kWarpRows)));
#pragma unroll
    for (int i = 0; i < 2 * Fragments::kA; ++i) {
      const std::int64_t m = work.row_a + row_a_ + i * 8 + lane / 4;
      if (m >= p.rows_a) return;
      std::int32_t* const row = p.c + m * p.ldc + n;
#pragma unroll
      for (int j = 0; j < 2 * Fragments::kPairsB; ++j) {
        if (j * 8 < columns) atomicAdd(row + j * 8, sums_[i / 2][j][i % 2 * 2]);
        if (j * 8 + 1 < columns) atomicAdd(row + j * 8 + 1, sums_[i / 2][j][i % 2 * 2 + 1]);
      }
    }
  }

 private:
  int row_a_;
  int row_b_;
  int place_a_;
  int place_b_;
  Fragments fragments_[2];
  int sums_[Fragments::kA][2 * Fragments::kPairsB][4] = {};
};

__global__ void __launch_bounds__(kThreads, 1) product_kernel(Product p) {
  const Work work = work_of(p, blockIdx.x);
  if (work.row_b + kRowsB <= work.row_a + p.diagonal) return;  // wholly below the diagonal
  unsigned char* const stages = dynamic_shared<unsigned char>();
  const auto tiles = static_cast<int>((work.end - work.begin) / kRowBytes);  // stride < 2^37
  Filler filler(p, work);
  Multiplier multiplier;

#pragma unroll
  for (int tile = 0; tile < kStages - 1; ++tile) {
    if (tile < tiles) filler.fill(stages + tile * kStageBytes);
    commit_copies();
  }
  wait_for_copies<kStages - 2>();
  __syncthreads();
  multiplier.load(0, stages, 0);

  int stage = 0;              // of the tile that is multiplied
  int emptied = kStages - 1;  // of the tile before
#pragma unroll 1
  for (int tile = 0; tile < tiles; ++tile) {
    const int next = stage + 1 < kStages ? stage + 1 : 0;
#pragma unroll
    for (int step = 0; step < kSteps; ++step) {
      const bool last = step == kSteps - 1;
      if (last) {  // the next tile has come, and all warps have loaded the last of this one
        wait_for_copies<kStages - 2>();
        __syncthreads();
      }
      multiplier.load((step + 1) % 2, stages + (last ? next : stage) * kStageBytes,
                      (step + 1) % kSteps);
      if (step == 0) {
        if (tile + kStages - 1 < tiles) filler.fill(stages + emptied * kStageBytes);
        commit_copies();  // empty at the end, so that the wait's count stays right
      }
      multiplier.multiply(step % 2);
    }
    emptied = stage;
    stage = next;
  }
  multiplier.add_to(p, work);
}

// Tiles that are not wholly below the diagonal.
std::int64_t tiles_above(const Product& p) {
  std::int64_t tiles = 0;
  for (std::int64_t i = 0; i < p.tiles_a; ++i) {
    const std::int64_t below = (i * kRowsA + p.diagonal) / kRowsB;
    tiles += p.tiles_b - std::clamp<std::int64_t>(below, 0, p.tiles_b);
  }
  return tiles;
}

std::int64_t slice_bytes(const Product& p) {
  const std::int64_t blocks = kRounds * device_limits().multiprocessors;
  const std::int64_t wanted = blocks / std::max<std::int64_t>(tiles_above(p), 1) + 1;
  const std::int64_t slices = std::clamp<std::int64_t>(p.stride / kLeastSlice, 1, wanted);
  return (p.stride / kRowBytes + slices - 1) / slices * kRowBytes;
}

}  // namespace

void head_product(const std::uint8_t* a, std::int64_t rows_a, const std::uint8_t* b,
                  std::int64_t rows_b, std::int64_t stride, std::int32_t* c, std::int64_t ldc,
                  std::int64_t diagonal) {
  if (stride % 128 != 0) throw std::invalid_argument("head_product: stride not a multiple of 128");
  if (rows_a == 0 || rows_b == 0 || stride == 0) return;
  Product p{a, rows_a, b, rows_b, stride, c, ldc, diagonal, 0, 0, 0};
  p.tiles_a = (rows_a + kRowsA - 1) / kRowsA;
  p.tiles_b = (rows_b + kRowsB - 1) / kRowsB;
  p.slice = slice_bytes(p);
  // Below 2^31: C, which has a number for each of a tile's 2^15, lies in the device's memory.
  const std::int64_t blocks = p.tiles_a * p.tiles_b * ((stride + p.slice - 1) / p.slice);
  launch("multiplying heads", {blocks, kThreads, std::size_t{kStages} * kStageBytes},
         product_kernel, p);
}

}  // namespace probsig::gpu
