#include "pair_plan.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <stdexcept>
#include <string>

namespace probsig::gpu {
namespace {

// Slots of heads have 24 bits, of which the last number means none.
constexpr std::int64_t kMostHeads = (std::int64_t{1} << 24) - 1;
// CUB counts items in an int.
constexpr std::int64_t kMostSums = (std::int64_t{1} << 31) - 1;
// More pairs sorted at once would save nothing.
constexpr std::int64_t kMostTail = std::int64_t{1} << 28;
// Below, launches would count a handful of pairs each.
constexpr std::int64_t kLeastTail = 4096;
constexpr std::int64_t kLeastRest = std::int64_t{1} << 20;
// A table is zeroed, and read twice at its end: 12 bytes a cell of 32 bits, where a pair that is
// sorted moves about a hundred.
constexpr double kCellsAPair = 1.25;

std::int64_t square_root(double value) {
  auto root = static_cast<std::int64_t>(std::sqrt(value));
  while (static_cast<double>(root) * static_cast<double>(root) > value) --root;
  return root;
}

[[noreturn]] void throw_budget(std::int64_t vocab_size, std::int64_t needed, std::int64_t budget) {
  throw std::invalid_argument("budget: expected at least " + std::to_string(needed) +
                              " bytes to count pairs of " + std::to_string(vocab_size) +
                              " ids, got " + std::to_string(budget));
}

// Shares of what remains of the budget after a sixteenth, which is left to CUB's work memory, and
// what each id needs: 4 bytes for its slot, 8 for its row in a block taken.
//   all ids heads: three quarters at most for the table, the rest for sums;
//   else: half at most for the table, a sixth at most for the tail, the rest, a third at least, for
//   sums.
// A sum takes its entry twice while it is merged, and its column when it is taken. A pair of the
// tail takes no more: its key twice while it is sorted, its key and its sum twice while equal ones
// are added up. A third of the rest holds twice as many sums as a sixth has pairs, as PairSums
// expects.
struct Shares {
  std::int64_t key_bytes;
  std::int64_t cell_bytes;
  std::int64_t rest;

  std::int64_t entry_bytes() const { return 2 * (key_bytes + 8) + 4; }
  std::int64_t table_bytes(std::int64_t heads) const {  // rows are padded to 16 bytes
    return heads * ((heads * cell_bytes + 15) / 16 * 16);
  }
};

}  // namespace

Weights::Weights(Span<std::int64_t> given) {
  std::int64_t divisor = 0;
  for (std::int64_t i = 0; i < given.size; ++i) divisor = std::gcd(divisor, given[i]);
  factor = std::max<std::int64_t>(divisor, 1);
  for (std::int64_t i = 0; i < given.size; ++i) {
    reduced.push_back(given[i] / factor);
    differ |= reduced.back() > 1;
    steps += reduced.back() != 0;
  }
}

std::vector<Slab> Weights::slabs(int span) const {
  std::vector<Slab> result;
  for (std::size_t i = 0; i < reduced.size(); ++i) {
    if (reduced[i] == 0) continue;
    const auto distance = static_cast<std::int64_t>(i) + 1;
    if (result.empty() || distance >= result.back().first + span) {
      result.push_back({});
      result.back().first = distance;
    }
    Slab& slab = result.back();
    slab.distances = static_cast<int>(distance - slab.first) + 1;
    slab.weights[slab.distances - 1] = reduced[i];
  }
  return result;
}

std::int64_t Slab::weight_sum() const {
  return std::accumulate(weights, weights + distances, std::int64_t{0});
}

int pair_bits(std::int64_t vocab_size) {
  const auto size = static_cast<std::uint64_t>(vocab_size);
  int bits = 0;
  while ((size * size - 1) >> bits != 0) ++bits;  // at most 62
  return bits;
}

PairPlan plan_pairs(std::int64_t vocab_size, Span<std::int64_t> weights, std::int64_t total,
                    std::int64_t budget) {
  const Weights each(weights);
  PairPlan plan;
  plan.wide_cells = each.differ;
  if (each.differ) {
    // For the distance within a slab; slabs are shorter where keys have no more bits left.
    int bits = 0;
    while ((1 << bits) < std::min<std::int64_t>(kSpan, weights.size)) ++bits;
    plan.weight_bits = std::min(bits, 64 - pair_bits(vocab_size));
  }
  plan.wide_keys = pair_bits(vocab_size) + plan.weight_bits > 32;

  const std::int64_t fixed = 12 * vocab_size + 64;
  const Shares shares{plan.wide_keys ? 8 : 4, plan.wide_cells ? 8 : 4,
                      budget - budget / 16 - fixed};
  if (shares.rest < kLeastRest) {
    throw_budget(vocab_size, (fixed + kLeastRest) / 15 * 16 + 16, budget);
  }

  // 2^50 pairs pay for more heads than there may be.
  const double pairs = std::min(static_cast<double>(std::max<std::int64_t>(total, 0)) *
                                    static_cast<double>(each.steps),
                                std::ldexp(1.0, 50));
  const std::int64_t paying = std::min(square_root(kCellsAPair * pairs), kMostHeads);
  if (paying >= vocab_size && shares.table_bytes(vocab_size) <= shares.rest / 4 * 3) {
    plan.heads = vocab_size;
  } else {
    const auto held = square_root(static_cast<double>(shares.rest / 2 / shares.cell_bytes));
    plan.heads = std::min({paying, held, vocab_size}) / 4 * 4;  // rows need no padding
    plan.tail_capacity = std::clamp(static_cast<std::int64_t>(pairs), kLeastTail,
                                    std::min(shares.rest / 6 / shares.entry_bytes(), kMostTail));
  }
  const std::int64_t left = shares.rest - shares.table_bytes(plan.heads) -
                            plan.tail_capacity * shares.entry_bytes();
  plan.most_sums = std::min(left / shares.entry_bytes(), kMostSums);
  return plan;
}

}  // namespace probsig::gpu
