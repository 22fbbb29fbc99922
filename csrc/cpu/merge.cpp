#include "merge.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "core/row_accumulator.hpp"

namespace probsig {
namespace {

struct Entries {
  const std::int32_t* indices;
  const std::int64_t* data;
  std::int64_t size;
};

// Indices and counts may come from a damaged file: nothing is written at an index unchecked.
void check(const Entries& entries, std::int64_t columns) {
  for (std::int64_t i = 0; i < entries.size; ++i) {
    if (entries.indices[i] < 0 || entries.indices[i] >= columns) {
      throw std::out_of_range("counts: expected column ids from 0 to " +
                              std::to_string(columns - 1) + ", got " +
                              std::to_string(entries.indices[i]) + ": damaged");
    }
    if (entries.data[i] < 1) {
      throw std::invalid_argument("counts: expected counts above 0, got " +
                                  std::to_string(entries.data[i]) + ": damaged");
    }
  }
}

void copy_row(const Entries& entries, BlockBuilder& block) {
  std::copy_n(entries.indices, entries.size, block.indices.reserve_more(entries.size));
  std::copy_n(entries.data, entries.size, block.data.reserve_more(entries.size));
  block.extend(entries.size);
}

void add_rows(const std::vector<Entries>& parts, RowAccumulator<std::uint64_t>& row,
              BlockBuilder& block) {
  bool overflow = false;
  for (const Entries& part : parts) {
    for (std::int64_t i = 0; i < part.size; ++i) {
      overflow |= row.add_checked(static_cast<std::uint32_t>(part.indices[i]),
                                  static_cast<std::uint64_t>(part.data[i]));
    }
  }
  if (overflow) throw std::overflow_error("a sum of counts passed 2^63 - 1");
  row.emit(block);
}

}  // namespace

BlockBuilder merge(const std::vector<BlockView>& blocks, std::int64_t columns) {
  const std::int64_t rows = blocks.front().indptr.size - 1;
  BlockBuilder block(rows);
  RowAccumulator<std::uint64_t> row(columns);
  std::vector<Entries> parts;
  for (std::int64_t id = 0; id < rows; ++id) {
    parts.clear();
    for (const BlockView& view : blocks) {
      const std::int64_t begin = view.indptr[id];
      const Entries entries{view.indices.data + begin, view.data.data + begin,
                            view.indptr[id + 1] - begin};
      if (entries.size > 0) {
        check(entries, columns);
        parts.push_back(entries);
      }
    }
    if (parts.size() == 1) {
      copy_row(parts.front(), block);
    } else if (!parts.empty()) {
      add_rows(parts, row, block);
    }
    block.end_row();
  }
  return block;
}

}  // namespace probsig
