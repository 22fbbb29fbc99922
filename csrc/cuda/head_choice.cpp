#include "head_choice.hpp"

#include <algorithm>

#include "head_product.hpp"

namespace probsig::gpu {
namespace {

// Assumed for an H100, none of them measured by us. The product's rate is what others measured for
// AND + popcount on tensor cores, each bit of a set counted as two operations.
constexpr double kAdditionsPerSecond = 1e11;
constexpr double kBitOperationsPerSecond = 2e15;
constexpr double kBytesPerSecond = 3e12;
constexpr double kSecondsAnyway = 2e-4;  // launches, and heads told from tails

constexpr std::int64_t kStep = 128;  // the product pads heads to a multiple of it
// A sum is set to 0, added to, and read.
constexpr double kBytesPerSum = 12;

// Half of heads x heads x sets multiplied, and as many added; all padded.
double product_seconds(std::int64_t rows, std::int64_t stride) {
  const double sums = static_cast<double>(rows) * static_cast<double>(rows) / 2;
  const double sets = 8 * static_cast<double>(stride);
  return sums * 2 * sets / kBitOperationsPerSecond + sums * kBytesPerSum / kBytesPerSecond;
}

}  // namespace

std::int64_t choose_heads(Span<std::uint32_t> frequencies, std::int64_t sets, std::int64_t bytes) {
  const std::int64_t most = std::min(frequencies.size, kMostHeads);
  std::int64_t best = 0, heads = 0;
  double best_gain = 0, held = 0;  // how often the heads stand in sets
  while (heads < most) {
    const std::int64_t end = std::min(heads + kStep, most);
    for (; heads < end; ++heads) held += frequencies[heads];
    const std::int64_t rows = padded(heads), stride = padded((sets + 7) / 8);
    if (rows * stride > bytes || 4 * rows * rows > bytes) break;
    // Were all sets to hold equally many; as they do not, there are more pairs.
    const double additions = held * held / (2.0 * static_cast<double>(sets));
    const double gain =
        additions / kAdditionsPerSecond - product_seconds(rows, stride) - kSecondsAnyway;
    if (gain > best_gain) {
      best_gain = gain;
      best = heads;
    }
  }
  return best;
}

}  // namespace probsig::gpu
