// What csrc/cuda/tensor_core.cuh wraps, after the formulas of the PTX manual.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <deque>
#include <vector>

#include "emulator/sync.hpp"

namespace emulator {

// Copies of one thread of a block. What a copy overwrites is lost at once, and what it brings comes
// only when it is waited for: too early a copy, or too late a wait, shows.
class AsyncCopies {
 public:
  static AsyncCopies& of_this_thread() {
    thread_local std::array<AsyncCopies, kMostThreads> all;
    AsyncCopies& own = all[threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)];
    if (own.block_ != blockIdx.x) own.check_nothing_left();
    own.block_ = blockIdx.x;
    return own;
  }

  void copy(void* shared, const void* global, std::size_t bytes) {
    if (reinterpret_cast<std::uintptr_t>(shared) % bytes != 0 ||
        reinterpret_cast<std::uintptr_t>(global) % bytes != 0) {
      fail("cp.async: an address is not a multiple of %zu", bytes);
    }
    std::memset(shared, kGarbage, bytes);
    open_.push_back({shared, global, bytes});
  }
  void commit() {
    groups_.push_back(std::move(open_));
    open_.clear();
  }
  void wait(std::size_t pending) {
    while (groups_.size() > pending) {
      for (const Copy& copy : groups_.front()) std::memcpy(copy.shared, copy.global, copy.bytes);
      groups_.pop_front();
    }
  }

 private:
  struct Copy {
    void* shared;
    const void* global;
    std::size_t bytes;
  };

  void check_nothing_left() {
    bool nothing = open_.empty();
    for (const auto& group : groups_) nothing = nothing && group.empty();
    if (!nothing) fail("cp.async: a block has ended before its copies");
    groups_.clear();
  }

  unsigned block_ = 0;
  std::vector<Copy> open_;
  std::deque<std::vector<Copy>> groups_;
};

inline void copy_async(void* shared, const void* global) {
  AsyncCopies::of_this_thread().copy(shared, global, 16);
}
inline void commit_copies() { AsyncCopies::of_this_thread().commit(); }
template <int kPending>
void wait_for_copies() {
  AsyncCopies::of_this_thread().wait(kPending);
}

// ldmatrix .m8n8 .x4 .b16: threads 8i to 8i + 7 hold the addresses of the rows of matrix i; thread
// T gets elements 2 (T % 4) and 2 (T % 4) + 1, of 16 bits, of row T / 4 of each.
inline void load_matrices(unsigned (&words)[4], const void* row) {
  const std::size_t lane = threadIdx.x % 32;
  const auto rows = warp_exchange("ldmatrix", row);
  for (std::size_t matrix = 0; matrix < 4; ++matrix) {
    const auto* from = static_cast<const unsigned char*>(rows[8 * matrix + lane / 4]);
    if (reinterpret_cast<std::uintptr_t>(from) % 16 != 0) {
      fail("ldmatrix: an address is not a multiple of 16");
    }
    std::memcpy(&words[matrix], from + 2 * sizeof(std::uint16_t) * (lane % 4), sizeof(unsigned));
  }
  __syncwarp();  // the instruction ends in all lanes at once
}

// mma .m16n8k256 .b1 .and.popc, bit by bit.
struct SharedBits {
  std::array<unsigned, 4> a;
  std::array<unsigned, 2> b;
  std::array<int, 4> c;
};
inline void add_shared_bits(int (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
  SharedBits own{{a[0], a[1], a[2], a[3]}, {b0, b1}, {c[0], c[1], c[2], c[3]}};
  warp_together("mma", own, [](const std::array<SharedBits*, 32>& lanes, unsigned) {
    constexpr unsigned kM = 16, kN = 8, kK = 256;
    thread_local std::array<std::array<unsigned char, kK>, kM> a_rows;
    thread_local std::array<std::array<unsigned char, kK>, kN> b_columns;
    const auto bit = [](const auto& registers, unsigned i) {
      return static_cast<unsigned char>(registers[i / 32] >> i % 32 & 1u);
    };
    for (unsigned lane = 0; lane < 32; ++lane) {
      const unsigned group = lane >> 2, in_group = lane % 4;
      for (unsigned i = 0; i < 128; ++i) {
        const unsigned row = i < 32 || (64 <= i && i < 96) ? group : group + 8;
        const unsigned column = in_group * 32 + (i & 0x1F) + (i < 64 ? 0 : 128);
        a_rows[row][column] = bit(lanes[lane]->a, i);
      }
      for (unsigned i = 0; i < 64; ++i) {
        const unsigned row = in_group * 32 + (i & 0x1F) + (i < 32 ? 0 : 128);
        b_columns[group][row] = bit(lanes[lane]->b, i);
      }
    }
    for (unsigned lane = 0; lane < 32; ++lane) {
      const unsigned group = lane >> 2, in_group = lane % 4;
      for (unsigned i = 0; i < 4; ++i) {
        const unsigned row = i < 2 ? group : group + 8, column = in_group * 2 + (i & 1);
        int sum = 0;
        for (unsigned k = 0; k < kK; ++k) sum += a_rows[row][k] & b_columns[column][k];
        lanes[lane]->c[i] += sum;
      }
    }
  });
  for (std::size_t i = 0; i < 4; ++i) c[i] = own.c[i];
}

}  // namespace emulator
