#include "merge.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "core/row_accumulator.hpp"

namespace probsig {
namespace {

[[noreturn]] void throw_outside(std::int64_t columns, std::int64_t index) {
  throw std::out_of_range("counts: expected column ids from 0 to " + std::to_string(columns - 1) +
                          ", got " + std::to_string(index) + ": damaged");
}

// Indices and counts may come from a damaged file.
void check(const BlockView& block, std::int64_t columns) {
  bool fits = true;
  for (std::int64_t i = 0; i < block.indices.size; ++i) {
    fits &= block.indices[i] >= 0 && block.indices[i] < columns && block.data[i] > 0;
  }
  for (std::int64_t i = 0; !fits && i < block.indices.size; ++i) {
    const std::int64_t index = block.indices[i];
    if (index < 0 || index >= columns) throw_outside(columns, index);
    if (block.data[i] < 1) {
      throw std::invalid_argument("counts: expected counts above 0, got " +
                                  std::to_string(block.data[i]) + ": damaged");
    }
  }
}

// One row of a block.
struct Row {
  const std::int32_t* indices;
  const std::int64_t* data;
  std::int64_t size;
};

void copy_row(const Row& row, BlockBuilder& block) {
  std::copy_n(row.indices, row.size, block.indices.reserve_more(row.size));
  std::copy_n(row.data, row.size, block.data.reserve_more(row.size));
  block.extend(row.size);
}

void add_rows(const std::vector<Row>& rows, RowAccumulator<std::uint64_t>& sum,
              BlockBuilder& block) {
  bool overflow = false;
  for (const Row& row : rows) {
    for (std::int64_t i = 0; i < row.size; ++i) {
      overflow |= sum.add_checked(static_cast<std::uint32_t>(row.indices[i]),
                                  static_cast<std::uint64_t>(row.data[i]));
    }
  }
  if (overflow) throw std::overflow_error("a sum of counts passed 2^63 - 1");
  sum.emit(block);
}

}  // namespace

void column_sums(Span<std::int32_t> indices, Span<std::int64_t> data, std::int64_t columns,
                 std::int64_t* sums) {
  for (std::int64_t i = 0; i < indices.size; ++i) {
    const std::int64_t index = indices[i];
    if (index < 0 || index >= columns) throw_outside(columns, index);
    sums[index] += data[i];
  }
}

BlockBuilder merge(const std::vector<BlockView>& blocks, std::int64_t columns) {
  for (const BlockView& block : blocks) check(block, columns);
  const std::int64_t n_rows = blocks.front().indptr.size - 1;
  BlockBuilder block(n_rows);
  RowAccumulator<std::uint64_t> sum(columns);
  std::vector<Row> rows;
  for (std::int64_t id = 0; id < n_rows; ++id) {
    rows.clear();
    for (const BlockView& view : blocks) {
      const std::int64_t begin = view.indptr[id];
      const std::int64_t size = view.indptr[id + 1] - begin;
      if (size > 0) rows.push_back({view.indices.data + begin, view.data.data + begin, size});
    }
    if (rows.size() == 1) {
      copy_row(rows.front(), block);
    } else {
      add_rows(rows, sum, block);
    }
    block.end_row();
  }
  return block;
}

}  // namespace probsig
