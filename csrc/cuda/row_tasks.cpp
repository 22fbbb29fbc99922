// Blocks take one task after the other, so a launch lasts at most as long as a fair share of the
// additions and the heaviest task together. With kPiecesEach pieces of a fair share, that is half
// as much again at the worst.

#include "row_tasks.hpp"

#include <algorithm>
#include <array>

namespace probsig::gpu {
namespace {

constexpr std::int64_t kPiecesEach = 2;
// A piece adds its sums to the row's in the end: columns times so many additions make up for that.
constexpr std::int64_t kAdditionsPerColumn = 8;
// The host looks at the cancel flag between launches: each a fraction of a second.
constexpr std::int64_t kAdditionsPerLaunch = std::int64_t{1} << 34;
constexpr std::uint32_t kWarpBits = 5;

std::int64_t divided(std::int64_t a, std::int64_t b) { return (a + b - 1) / b; }

// Additions from which on a row is split: no more rows can have them than there is room for.
std::int64_t piece_size(const RowWork& work, const BlockLimits& limits) {
  std::int64_t total = 0, most = 1;
  for (std::int64_t row = 0; row < work.additions.size; ++row) {
    total += work.additions[row];
    most = std::max(most, work.additions[row]);
  }
  if (limits.split_rows == 0) return most;
  return std::max({divided(total, limits.blocks * kPiecesEach), divided(total, limits.split_rows),
                   limits.columns * kAdditionsPerColumn});
}

// As many lanes as a span has ids; where spans are fewer than a block can take at once, more, so
// that all of its threads have work.
std::uint32_t lane_bits_for(std::int64_t additions, std::int64_t spans, std::int64_t pieces,
                            std::int64_t threads) {
  const std::int64_t length = additions / std::max<std::int64_t>(spans, 1);
  std::uint32_t bits = 0;
  while (bits < kWarpBits && length >> (bits + 1) != 0) ++bits;
  const auto idle = [&] { return (threads >> bits) * pieces > spans; };
  while (threads >> bits > 1 && length >> (bits + 2) != 0 && idle()) ++bits;
  return bits;
}

// Numbers of as many bits are close enough to be in any order.
std::size_t bits_of(std::int64_t number) {
  std::size_t bits = 0;
  for (; number > 0; number >>= 1) ++bits;
  return bits;
}

}  // namespace

RowTasks row_tasks(const RowWork& work, const BlockLimits& limits) {
  RowTasks result;
  const std::int64_t size = piece_size(work, limits);
  std::array<std::vector<RowTask>, 65> by_bits;
  for (std::int64_t row = 0; row < work.additions.size; ++row) {
    if (work.entries[row] == 0) continue;
    const std::int64_t additions = work.additions[row];
    const std::int64_t pieces = std::max<std::int64_t>(divided(additions, size), 1);
    RowTask task{static_cast<std::uint32_t>(row),
                 lane_bits_for(additions, work.spans[row], pieces, limits.threads), 0,
                 static_cast<std::uint32_t>(pieces),
                 static_cast<std::uint32_t>(result.split_rows.size())};
    if (pieces > 1) result.split_rows.push_back(task.row);
    auto& tasks = by_bits[bits_of(additions / pieces)];
    for (; task.piece < task.pieces; ++task.piece) tasks.push_back(task);
  }
  std::int64_t added = 0;
  result.cuts.push_back(0);
  for (auto tasks = by_bits.rbegin(); tasks != by_bits.rend(); ++tasks) {
    for (const RowTask& task : *tasks) {
      result.tasks.push_back(task);
      added += work.additions[task.row] / task.pieces;
      if (added < kAdditionsPerLaunch) continue;
      result.cuts.push_back(static_cast<std::int64_t>(result.tasks.size()));
      added = 0;
    }
  }
  result.cuts.push_back(static_cast<std::int64_t>(result.tasks.size()));
  return result;
}

}  // namespace probsig::gpu
