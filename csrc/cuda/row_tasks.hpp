// What blocks do when rows are summed: who takes which row, in which order.
#pragma once

#include <cstdint>
#include <vector>

#include "core/views.hpp"

namespace probsig::gpu {

// A row, or one of the pieces of a heavy one. Of the row's spans, in groups of as many as a block
// takes at once, it is every `pieces`-th.
struct RowTask {
  std::uint32_t row;
  std::uint32_t lane_bits;  // 2^lane_bits threads take a span together
  std::uint32_t piece;
  std::uint32_t pieces;
  std::uint32_t split_row;  // if there are several pieces: which of `split_rows` the row is
};

// What there is to do for each row.
struct RowWork {
  Span<std::int64_t> additions;
  Span<std::int64_t> spans;
  Span<std::int64_t> entries;  // the most there can be; without any the row needs no task
};

struct BlockLimits {
  std::int64_t blocks;
  std::int64_t threads;
  std::int64_t columns;
  std::int64_t split_rows;  // the most that there is room for
};

struct RowTasks {
  std::vector<RowTask> tasks;        // the heaviest first
  std::vector<std::int64_t> cuts;    // tasks [cuts[i], cuts[i + 1]) are launched together
  std::vector<std::uint32_t> split_rows;  // those that have several pieces
};

RowTasks row_tasks(const RowWork& work, const BlockLimits& limits);

}  // namespace probsig::gpu
