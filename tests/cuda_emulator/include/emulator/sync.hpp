// Barriers, shuffles, ballots and what else the threads of a block or a warp do together.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "emulator/multiprocessor.hpp"

namespace emulator {

constexpr unsigned kAllLanes = 0xFFFFFFFFu;

// Where the kernel calls: these defaults are filled in at the call.
struct Site {
  const char* file;
  int line;
};
inline Call call_at(const char* name, Site site, int detail = 0) {
  return Call{name, site.file, site.line, detail};
}

template <class Body>
void each_lane(unsigned mask, const Body& body) {
  for (; mask != 0; mask &= mask - 1) body(static_cast<unsigned>(__builtin_ctz(mask)));
}

// All lanes of the mask meet; the last to come calls finish(lanes, mask) once for all, where
// *lanes[i] is the record of lane i (nullptr: not in the mask), to be read and written.
template <class Record, class Finish>
void warp_together(const char* name, Record& record, const Finish& finish,
                   unsigned mask = kAllLanes, Site site = {__builtin_FILE(), __builtin_LINE()},
                   int detail = 0) {
  struct Brought {
    Record* record;
    const Finish* finish;
  } brought{&record, &finish};
  Multiprocessor::in_kernel(name).warp_barrier(
      call_at(name, site, detail), mask, &brought, [](void* const* records, unsigned present) {
        std::array<Record*, 32> lanes{};
        const Finish* any = nullptr;
        each_lane(present, [&](unsigned i) {
          const auto* lane = static_cast<const Brought*>(records[i]);
          lanes[i] = lane->record;
          any = lane->finish;
        });
        (*any)(lanes, present);
      });
}

// What each lane of the mask brought, in all of them; zeros for lanes outside of it.
template <class T>
std::array<T, 32> warp_exchange(const char* name, const T& value, unsigned mask = kAllLanes,
                                Site site = {__builtin_FILE(), __builtin_LINE()}, int detail = 0) {
  struct Record {
    T value;
    std::array<T, 32> all;
  } record{value, {}};
  warp_together(
      name, record,
      [](const std::array<Record*, 32>& lanes, unsigned present) {
        each_lane(present, [&](unsigned to) {
          each_lane(present, [&](unsigned from) { lanes[to]->all[from] = lanes[from]->value; });
        });
      },
      mask, site, detail);
  return record.all;
}

// of(values, mask, lane) in each lane of the mask, where values(i) is what lane i brought.
template <class Result, class T, class Of>
Result warp_result(const char* name, unsigned mask, T value, const Of& of, Site site) {
  struct Record {
    T value;
    Result result;
  } record{value, {}};
  warp_together(
      name, record,
      [&of](const std::array<Record*, 32>& lanes, unsigned present) {
        const auto values = [&](unsigned i) { return lanes[i]->value; };
        each_lane(present, [&](unsigned lane) { lanes[lane]->result = of(values, present, lane); });
      },
      mask, site);
  return record.result;
}

enum class Shuffle { index, up, down, exclusive_or };

template <Shuffle kind, class T>
T shuffle(const char* name, unsigned mask, T value, unsigned operand, int width, Site site) {
  static_assert(std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8));
  if (width < 1 || width > 32 || (width & (width - 1)) != 0) {
    fail("%s (%s:%d): the width %d is no power of two up to 32", name, site.file, site.line, width);
  }
  struct Record {
    T value, result;
    unsigned operand, width;
    const char* name;
    Site site;
  } record{value, value, operand, static_cast<unsigned>(width), name, site};
  warp_together(
      name, record,
      [](const std::array<Record*, 32>& lanes, unsigned present) {
        each_lane(present, [&](unsigned lane) {
          Record& own = *lanes[lane];
          const unsigned begin = lane & ~(own.width - 1), end = begin + own.width;
          const unsigned by = own.operand & 31u;
          unsigned from = lane;
          if (kind == Shuffle::index) from = begin + (own.operand & (own.width - 1));
          if (kind == Shuffle::up && lane >= begin + by) from = lane - by;
          if (kind == Shuffle::down && lane + by < end) from = lane + by;
          if (kind == Shuffle::exclusive_or && (lane ^ by) < end) from = lane ^ by;
          if ((present >> from & 1u) == 0) {
            fail("%s (%s:%d): lane %u reads lane %u, which is not in the mask 0x%08x", own.name,
                 own.site.file, own.site.line, lane, from, present);
          }
          own.result = lanes[from]->value;
        });
      },
      mask, site, width + 64 * static_cast<int>(sizeof(T)));
  return record.result;
}

template <class T>
bool same_bits(T a, T b) {
  return std::memcmp(&a, &b, sizeof(T)) == 0;
}

}  // namespace emulator

#define PROBSIG_EMULATOR_SITE                                                       \
  const char *file = __builtin_FILE(), int line = __builtin_LINE()

// ---- the block ----------------------------------------------------------------------------
inline void __syncthreads(PROBSIG_EMULATOR_SITE) {
  emulator::Multiprocessor::in_kernel("__syncthreads")
      .block_barrier({"__syncthreads", file, line}, false);
}
inline int __syncthreads_count(int predicate, PROBSIG_EMULATOR_SITE) {
  const auto votes = emulator::Multiprocessor::in_kernel("__syncthreads_count")
                         .block_barrier({"__syncthreads_count", file, line}, predicate != 0);
  return static_cast<int>(votes.yes);
}
inline int __syncthreads_or(int predicate, PROBSIG_EMULATOR_SITE) {
  const auto votes = emulator::Multiprocessor::in_kernel("__syncthreads_or")
                         .block_barrier({"__syncthreads_or", file, line}, predicate != 0);
  return votes.yes > 0;
}
inline int __syncthreads_and(int predicate, PROBSIG_EMULATOR_SITE) {
  const auto votes = emulator::Multiprocessor::in_kernel("__syncthreads_and")
                         .block_barrier({"__syncthreads_and", file, line}, predicate != 0);
  return votes.yes == votes.all;
}

// ---- the warp -----------------------------------------------------------------------------
inline void __syncwarp(unsigned mask = emulator::kAllLanes, PROBSIG_EMULATOR_SITE) {
  char nothing = 0;
  emulator::warp_together(
      "__syncwarp", nothing, [](const std::array<char*, 32>&, unsigned) {}, mask, {file, line});
}

#define PROBSIG_EMULATOR_SHUFFLE(name, kind, type)                                               \
  template <class T>                                                                             \
  T name(unsigned mask, T value, type operand, int width = 32, PROBSIG_EMULATOR_SITE) {          \
    return emulator::shuffle<emulator::Shuffle::kind>(                                           \
        #name, mask, value, static_cast<unsigned>(operand), width, {file, line});                \
  }
PROBSIG_EMULATOR_SHUFFLE(__shfl_sync, index, int)
PROBSIG_EMULATOR_SHUFFLE(__shfl_up_sync, up, unsigned)
PROBSIG_EMULATOR_SHUFFLE(__shfl_down_sync, down, unsigned)
PROBSIG_EMULATOR_SHUFFLE(__shfl_xor_sync, exclusive_or, int)
#undef PROBSIG_EMULATOR_SHUFFLE

inline unsigned __ballot_sync(unsigned mask, int predicate, PROBSIG_EMULATOR_SITE) {
  return emulator::warp_result<unsigned>(
      "__ballot_sync", mask, predicate,
      [](const auto& values, unsigned present, unsigned) {
        unsigned yes = 0;
        emulator::each_lane(present, [&](unsigned i) { yes |= (values(i) != 0 ? 1u : 0u) << i; });
        return yes;
      },
      {file, line});
}
inline int __any_sync(unsigned mask, int predicate, PROBSIG_EMULATOR_SITE) {
  return emulator::warp_result<int>(
      "__any_sync", mask, predicate,
      [](const auto& values, unsigned present, unsigned) {
        int any = 0;
        emulator::each_lane(present, [&](unsigned i) { any |= values(i) != 0; });
        return any;
      },
      {file, line});
}
inline int __all_sync(unsigned mask, int predicate, PROBSIG_EMULATOR_SITE) {
  return emulator::warp_result<int>(
      "__all_sync", mask, predicate,
      [](const auto& values, unsigned present, unsigned) {
        int all = 1;
        emulator::each_lane(present, [&](unsigned i) { all &= values(i) != 0; });
        return all;
      },
      {file, line});
}

// Lanes that run together with this one: hardware promises no more than the lane itself.
inline unsigned __activemask() {
  const uint3 at = threadIdx;
  return 1u << (at.x + blockDim.x * (at.y + blockDim.y * at.z)) % 32;
}

template <class T>
unsigned __match_any_sync(unsigned mask, T value, PROBSIG_EMULATOR_SITE) {
  static_assert(std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8));
  return emulator::warp_result<unsigned>(
      "__match_any_sync", mask, value,
      [](const auto& values, unsigned present, unsigned lane) {
        unsigned same = 0;
        emulator::each_lane(present, [&](unsigned i) {
          same |= (emulator::same_bits(values(i), values(lane)) ? 1u : 0u) << i;
        });
        return same;
      },
      {file, line});
}

#define PROBSIG_EMULATOR_REDUCE(name, type, expression)                                          \
  inline type name(unsigned mask, type value, PROBSIG_EMULATOR_SITE) {                           \
    return emulator::warp_result<type>(                                                          \
        #name, mask, value,                                                                      \
        [](const auto& values, unsigned present, unsigned lane) {                                \
          type a = values(lane);                                                                 \
          emulator::each_lane(present & ~(1u << lane), [&](unsigned i) {                         \
            const type b = values(i);                                                            \
            a = (expression);                                                                    \
          });                                                                                    \
          return a;                                                                              \
        },                                                                                       \
        {file, line});                                                                           \
  }
PROBSIG_EMULATOR_REDUCE(__reduce_add_sync, unsigned, a + b)
PROBSIG_EMULATOR_REDUCE(__reduce_min_sync, unsigned, a < b ? a : b)
PROBSIG_EMULATOR_REDUCE(__reduce_max_sync, unsigned, a > b ? a : b)
PROBSIG_EMULATOR_REDUCE(__reduce_and_sync, unsigned, a & b)
PROBSIG_EMULATOR_REDUCE(__reduce_or_sync, unsigned, a | b)
PROBSIG_EMULATOR_REDUCE(__reduce_xor_sync, unsigned, a ^ b)
// Two's complement, as on the device.
PROBSIG_EMULATOR_REDUCE(__reduce_add_sync, int,
                        static_cast<int>(static_cast<unsigned>(a) + static_cast<unsigned>(b)))
PROBSIG_EMULATOR_REDUCE(__reduce_min_sync, int, a < b ? a : b)
PROBSIG_EMULATOR_REDUCE(__reduce_max_sync, int, a > b ? a : b)
#undef PROBSIG_EMULATOR_REDUCE
#undef PROBSIG_EMULATOR_SITE
