// One look at the tokens counts ids and cuts; where there are cuts, a second collects them.
//
// Bytes moved: 2 or 4 a token, so 0.1 ms for 2^27 tokens of 16 bits at 3 TB/s. Ids of BPE
// vocabularies fall in frequency, so nearly all tokens are counted in shared memory: 57 k counters
// where a block may have 227 KB.
#include "scan.hpp"

#include <algorithm>

#include "device.hpp"
#include "launch.cuh"
#include "primitives.cuh"
#include "search.cuh"
#include "token_vectors.cuh"

namespace probsig::gpu {
namespace {

using Count = unsigned long long;

constexpr int kThreads = 1024;
// Tokens of one launch: positions and a block's counters fit into 32 bits.
constexpr std::int64_t kPiece = std::int64_t{1} << 31;
// Tokens whose cuts are collected together, 8 bytes each at worst.
constexpr std::int64_t kCutPiece = std::int64_t{1} << 26;
// Tokens that make up for setting up a block's counters.
constexpr std::int64_t kTokensABlock = std::int64_t{1} << 16;
constexpr std::uint32_t kNowhere = 0xFFFFFFFFu;

// Ids that cut. A few are compared with one by one; more are searched.
template <class Token>
struct Cutting {
  static constexpr int kFew = 4;

  const Token* sorted;  // on the device
  std::int64_t size;
  Token few[kFew];

  __device__ bool has(std::uint32_t id) const {
    if (size == 0) return false;
    if (size > kFew) return search(id);
    bool found = false;
#pragma unroll
    for (int k = 0; k < kFew; ++k) found |= few[k] == id;
    return found;
  }
  __device__ bool search(std::uint32_t id) const {
    const std::int64_t place = first_not_below(sorted, size, id);
    return place < size && sorted[place] == id;
  }
};

template <class Token>
Cutting<Token> cutting_of(Span<Token> ids, const DeviceArray<Token>& there) {
  Cutting<Token> cutting{there.data(), ids.size, {}};
  if (ids.size == 0) return cutting;
  for (std::int64_t k = 0; k < Cutting<Token>::kFew; ++k) {
    cutting.few[k] = ids[std::min(k, ids.size - 1)];  // the last one again, where there are fewer
  }
  return cutting;
}

struct Totals {
  Count cuts;
  Count invalid;
};

// Counts ids below `counted`, those below `near` in shared memory.
template <class Token>
__global__ __launch_bounds__(kThreads, 1) void scan_kernel(
    const Token* tokens, std::int64_t size, std::int64_t offset, std::uint32_t vocab_size,
    std::uint32_t counted, std::uint32_t near, Cutting<Token> cutting, Count* histogram,
    Totals* totals) {
  auto* counters = dynamic_shared<std::uint32_t>();
  for (std::uint32_t id = threadIdx.x; id < near; id += kThreads) counters[id] = 0;
  __syncthreads();

  std::uint32_t cuts = 0, invalid = kNowhere;
  visit_tokens(tokens, size, [&](std::uint32_t id, std::int64_t position) {
    if (id < near) {
      atomicAdd(&counters[id], 1u);
    } else if (id < counted) {
      atomicAdd(&histogram[id], Count{1});
    }
    if (cutting.has(id)) {
      ++cuts;
    } else if (id >= vocab_size) {
      invalid = min(invalid, static_cast<std::uint32_t>(position));
    }
  });

  cuts = __reduce_add_sync(kAllLanes, cuts);
  invalid = __reduce_min_sync(kAllLanes, invalid);
  if (threadIdx.x % kWarp == 0) {
    if (cuts > 0) atomicAdd(&totals->cuts, Count{cuts});
    if (invalid != kNowhere) atomicMin(&totals->invalid, static_cast<Count>(offset + invalid));
  }
  __syncthreads();
  for (std::uint32_t id = threadIdx.x; id < near; id += kThreads) {
    if (counters[id] > 0) atomicAdd(&histogram[id], Count{counters[id]});
  }
}

// Positions of cuts, in no order. Cuts are hundreds of tokens apart: one atomic each.
template <class Token>
__global__ void cuts_kernel(const Token* tokens, std::int64_t size, Cutting<Token> cutting,
                            std::uint32_t* positions, unsigned* number) {
  visit_tokens(tokens, size, [&](std::uint32_t id, std::int64_t position) {
    if (cutting.has(id)) positions[atomicAdd(number, 1u)] = static_cast<std::uint32_t>(position);
  });
}

template <class Token>
class Scanner {
 public:
  Scanner(Span<Token> tokens, std::int64_t vocab_size, Span<Token> cutting)
      : tokens_(tokens),
        vocab_size_(vocab_size),
        cutting_ids_(DeviceArray<Token>::from_host(cutting)),
        cutting_(cutting_of(cutting, cutting_ids_)),
        limits_(device_limits()),
        histogram_(DeviceArray<Count>::zeros(vocab_size)) {
    const Totals none{0, ~Count{0}};
    totals_ = DeviceArray<Totals>::from_host(&none, 1);
  }

  Scan run(std::int64_t core) {
    look(0, core, true);
    look(core, tokens_.size, false);
    const Totals totals = totals_.at(0);
    Scan result;
    if (totals.invalid != ~Count{0}) {
      result.invalid = static_cast<std::int64_t>(totals.invalid);
      return result;
    }
    result.histogram.resize(static_cast<std::size_t>(vocab_size_));
    copy_to_host(result.histogram.data(), histogram_.data(),
                 result.histogram.size() * sizeof(std::int64_t));
    if (totals.cuts > 0) collect_cuts(static_cast<std::int64_t>(totals.cuts), result.cuts);
    return result;
  }

 private:
  std::int64_t blocks(std::int64_t size) const {
    return std::min<std::int64_t>((size + kTokensABlock - 1) / kTokensABlock,
                                  limits_.multiprocessors);
  }

  void look(std::int64_t begin, std::int64_t end, bool is_core) {
    const auto room = static_cast<std::int64_t>(limits_.shared_memory / sizeof(std::uint32_t));
    const std::int64_t counted = is_core ? vocab_size_ : 0;
    const std::int64_t near = std::min(counted, room);
    for (; begin < end; begin += kPiece) {
      const std::int64_t size = std::min(kPiece, end - begin);
      const Grid grid{blocks(size), kThreads,
                      static_cast<std::size_t>(near) * sizeof(std::uint32_t)};
      launch("scanning tokens", grid, scan_kernel<Token>, tokens_.data + begin, size, begin,
             static_cast<std::uint32_t>(vocab_size_), static_cast<std::uint32_t>(counted),
             static_cast<std::uint32_t>(near), cutting_, histogram_.data(), totals_.data());
    }
  }

  void collect_cuts(std::int64_t number, std::vector<std::int64_t>& cuts) {
    cuts.reserve(static_cast<std::size_t>(number));
    std::vector<std::uint32_t> here;
    for (std::int64_t begin = 0; begin < tokens_.size; begin += kCutPiece) {
      const std::int64_t size = std::min(kCutPiece, tokens_.size - begin);
      DeviceArray<std::uint32_t> positions(std::min(size, number));
      auto found = DeviceArray<unsigned>::zeros(1);
      launch("collecting cuts", {blocks(size), kThreads}, cuts_kernel<Token>,
             tokens_.data + begin, size, cutting_, positions.data(), found.data());
      positions.truncate(found.at(0));
      if (positions.size() == 0) continue;
      sort_keys(positions, bits_below(static_cast<std::uint64_t>(size)));
      here.resize(static_cast<std::size_t>(positions.size()));
      positions.to_host(here.data());
      for (const std::uint32_t position : here) cuts.push_back(begin + position);
    }
  }

  Span<Token> tokens_;
  std::int64_t vocab_size_;
  DeviceArray<Token> cutting_ids_;
  Cutting<Token> cutting_;
  DeviceLimits limits_;
  DeviceArray<Count> histogram_;
  DeviceArray<Totals> totals_;
};

}  // namespace

template <class Token>
Scan scan(Span<Token> tokens, std::int64_t core, std::int64_t vocab_size, Span<Token> cutting) {
  return Scanner<Token>(tokens, vocab_size, cutting).run(core);
}

template Scan scan(Span<std::uint16_t>, std::int64_t, std::int64_t, Span<std::uint16_t>);
template Scan scan(Span<std::uint32_t>, std::int64_t, std::int64_t, Span<std::uint32_t>);

}  // namespace probsig::gpu
