// Kernels over blocks, spans and matrices, each beside its definition.
#pragma once

#include <algorithm>
#include <vector>

#include "cpu/gram.hpp"
#include "cpu/block_sums.hpp"
#include "cpu/merge.hpp"
#include "cpu/product.hpp"
#include "cpu/spans.hpp"
#include "support.hpp"
#include "token_kernels.hpp"

namespace harness {

inline Cells random_cells(Draw& draw, std::int64_t rows, std::int64_t columns, std::int64_t most,
                          std::int64_t largest) {
  Cells cells;
  for (auto n = draw.between(0, most); n > 0; --n) {
    const std::int64_t row = draw.chance(50) ? draw.between(0, rows - 1) : rows / 2;
    cells[{row, draw.between(0, columns - 1)}] = draw.between(1, largest);
  }
  return cells;
}

inline void try_merge(Draw& draw, int threads, std::int64_t most) {
  const std::int64_t rows = draw.one_of<std::int64_t>({1, 2, 40, 3000});
  const std::int64_t columns = draw.one_of<std::int64_t>({1, 5, 64, 70000});
  const std::int64_t n_blocks = draw.between(1, 9);
  const bool too_large = draw.chance(10);
  const std::int64_t largest = draw.one_of<std::int64_t>({1, 1 << 20, INT64_MAX / 9});
  std::vector<Block> blocks;
  Cells sum;
  for (std::int64_t n = 0; n < n_blocks; ++n) {
    Cells cells = random_cells(draw, rows, columns, most, largest);
    if (too_large) cells[{0, 0}] = n < 2 ? INT64_MAX - 1 : 1;
    for (const auto& [cell, value] : cells) {
      if (!too_large) sum[cell] += value;
    }
    blocks.push_back(Block::of(cells, rows));
    if (!too_large && largest <= INT32_MAX && draw.chance(50)) blocks.back().narrow();
  }
  together(threads, [&](int thread) {
    // Rows of all blocks, over memory that all threads read.
    const std::int64_t begin = rows * thread / threads, end = rows * (thread + 1) / threads;
    std::vector<std::vector<std::int64_t>> pointers;
    std::vector<BlockView> views;
    pointers.resize(blocks.size());
    for (std::size_t n = 0; n < blocks.size(); ++n) {
      views.push_back(blocks[n].rows(begin, end, pointers[n]));
    }
    const bool overflows = too_large && begin == 0 && end > 0 && n_blocks > 1;
    try {
      BlockBuilder block = merge(views, columns);
      check(!overflows, "merge: a sum past 2^63 - 1");
      if (!too_large) check(cells_of(block, begin) == rows_of(sum, begin, end), "merge");
    } catch (const std::overflow_error&) {
      check(overflows, "merge: no sum past 2^63 - 1");
    }
  });
}

// Entries of a damaged file: an error, and nothing outside is touched.
inline void try_damaged(Draw& draw, int threads, std::int64_t most) {
  const std::int64_t rows = draw.between(1, 30), columns = draw.between(1, 100);
  Block block = Block::of(random_cells(draw, rows, columns, most, 9), rows);
  if (block.indices.empty()) return;
  const auto place = static_cast<std::size_t>(
      draw.between(0, static_cast<std::int64_t>(block.indices.size()) - 1));
  const bool column = draw.chance(50);
  if (column) {
    const auto beyond = static_cast<std::int32_t>(columns);
    block.indices[place] = draw.one_of<std::int32_t>({-1, beyond, INT32_MAX, INT32_MIN});
  } else {
    block.data[place] = draw.one_of<std::int64_t>({0, -1, INT64_MIN});
  }
  const BlockView view = block.view();
  together(threads, [&](int) {
    try {
      merge({view, view}, columns);
      check(false, "merge: no error for a damaged block");
    } catch (const std::out_of_range&) {
      check(column, "merge: another error");
    } catch (const std::invalid_argument&) {
      check(!column, "merge: another error");
    }
    std::vector<std::int64_t> row_sums(static_cast<std::size_t>(rows));
    std::vector<std::int64_t> sums(static_cast<std::size_t>(columns), 0);
    try {
      block_sums(view, columns, row_sums.data(), sums.data());
      check(false, "block_sums: no error for a damaged block");
    } catch (const std::out_of_range&) {
      check(column, "block_sums: another error");
    } catch (const std::invalid_argument&) {
      check(!column, "block_sums: another error");
    }
  });
}

// Parts with and without weights, summed by row ranges.
template <class Id>
void try_span_sums(Draw& draw, int threads, std::int64_t most) {
  struct Part {
    std::vector<Id> ids;
    std::vector<std::int64_t> id_weights, indptr{0}, span_weights;
    std::vector<Bounds> bounds;
  };
  const std::int64_t rows = draw.between(1, 60);
  const std::int64_t columns = draw.one_of<std::int64_t>({1, 9, 64, 300, 60000});
  std::vector<Part> parts(static_cast<std::size_t>(draw.between(1, 4)));
  std::vector<SpansView<Id>> views;
  Cells cells;
  for (Part& part : parts) {
    const auto n = draw.between(0, std::min<std::int64_t>(most, 400));
    for (auto i = n; i > 0; --i) part.ids.push_back(static_cast<Id>(draw.between(0, columns - 1)));
    if (draw.chance(40)) {
      for (auto i = n; i > 0; --i) part.id_weights.push_back(draw.one_of<std::int64_t>({0, 1, 77}));
    }
    for (std::int64_t row = 0; row < rows; ++row) {
      for (auto k = draw.between(0, 4); k > 0; --k) {
        const auto begin = draw.between(0, n);
        const auto end = draw.between(begin, n);
        part.bounds.push_back(
            {static_cast<std::uint32_t>(begin), static_cast<std::uint32_t>(end)});
      }
      part.indptr.push_back(static_cast<std::int64_t>(part.bounds.size()));
    }
    if (draw.chance(40)) {
      for (std::size_t k = 0; k < part.bounds.size(); ++k) {
        part.span_weights.push_back(draw.one_of<std::int64_t>({0, 1, std::int64_t{1} << 40}));
      }
    }
    for (std::int64_t row = 0; row < rows; ++row) {
      for (auto k = part.indptr[static_cast<std::size_t>(row)];
           k < part.indptr[static_cast<std::size_t>(row) + 1]; ++k) {
        const auto each = static_cast<std::size_t>(k);
        for (auto i = part.bounds[each].begin; i < part.bounds[each].end; ++i) {
          const auto value = (part.id_weights.empty() ? 1 : part.id_weights[i]) *
                             (part.span_weights.empty() ? 1 : part.span_weights[each]);
          if (value != 0) cells[{row, part.ids[i]}] += value;
        }
      }
    }
    views.push_back({span(part.ids), span(part.id_weights), span(part.indptr), span(part.bounds),
                     span(part.span_weights)});
  }
  const std::int64_t room = draw.one_of<std::int64_t>({0, 5, 100000});
  together(threads, [&](int thread) {
    const std::int64_t begin = rows * thread / threads, end = rows * (thread + 1) / threads;
    std::vector<std::int32_t> indices(static_cast<std::size_t>(room));
    std::vector<std::int64_t> data(static_cast<std::size_t>(room));
    BlockBuilder block(end - begin);
    block.indices.borrow(indices.data(), room);
    block.data.borrow(data.data(), room);
    span_sums(views, columns, begin, end, CancelFlag(&kRunning), block);
    check(cells_of(block, begin) == rows_of(cells, begin, end), "span_sums");
  });
}

// Whole numbers, of which all sums are exact.
inline void try_gram(Draw& draw, int threads, std::int64_t most) {
  const std::int64_t n = draw.between(1, 60), m = draw.between(1, 40), width = draw.between(1, 70);
  const Cells cells = random_cells(draw, n, m, std::min<std::int64_t>(most, 900), 9);
  Cells transposed;
  for (const auto& [cell, value] : cells) transposed[{cell.second, cell.first}] = value;
  const Block by_row = Block::of(cells, n), by_column = Block::of(transposed, m);
  const std::vector<double> row_values(by_row.data.begin(), by_row.data.end());
  const std::vector<double> column_values(by_column.data.begin(), by_column.data.end());
  const RowsView rows{span(by_row.indptr), span(by_row.indices), span(row_values)};
  const RowsView columns{span(by_column.indptr), span(by_column.indices), span(column_values)};
  std::vector<double> dense(static_cast<std::size_t>(n * width));
  for (double& each : dense) each = static_cast<double>(draw.between(-9, 9));
  const double shift = static_cast<double>(draw.between(-3, 3));
  const auto at = [](const Cells& of, std::int64_t i, std::int64_t j) {
    const auto found = of.find({i, j});
    return found == of.end() ? 0.0 : static_cast<double>(found->second);
  };
  std::vector<double> squares(static_cast<std::size_t>(n), 0.0);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < n; ++j) {
      if (i == j) continue;
      double dot = -shift;
      for (std::int64_t c = 0; c < m; ++c) dot += at(cells, i, c) * at(cells, j, c);
      squares[static_cast<std::size_t>(i)] += dot * dot;
    }
  }
  double norm = 0.0;
  for (std::int64_t c = 0; c < m; ++c) {
    for (std::int64_t k = 0; k < width; ++k) {
      double sum = 0.0;
      for (std::int64_t i = 0; i < n; ++i) {
        sum += at(cells, i, c) * dense[static_cast<std::size_t>(i * width + k)];
      }
      norm += sum * sum;
    }
  }
  std::vector<std::vector<double>> shares(static_cast<std::size_t>(threads));
  std::vector<double> norms(shares.size());
  together(threads, [&](int thread) {
    const CancelFlag flag(&kRunning);
    const auto own = static_cast<std::size_t>(thread);
    shares[own].assign(static_cast<std::size_t>(n), 0.0);
    gram_squares(rows, columns, shift, n * thread / threads, n * (thread + 1) / threads, flag,
                 shares[own].data());
    std::vector<std::int64_t> chosen{n - 1, 0, n / 2};
    std::vector<double> out(chosen.size());
    gram_row_squares(rows, columns, shift, span(chosen), flag, out.data());
    for (std::size_t k = 0; k < chosen.size(); ++k) {
      check(out[k] == squares[static_cast<std::size_t>(chosen[k])], "gram_row_squares");
    }
    std::vector<double> each(static_cast<std::size_t>(n), 0.0);
    const DenseView view{span(dense), n, width};
    norms[own] = product_squares(columns, view, m * thread / threads, m * (thread + 1) / threads,
                                 flag, thread % 2 ? each.data() : nullptr);
  });
  std::vector<double> sum(squares.size(), 0.0);
  double total = 0.0;
  for (std::size_t thread = 0; thread < shares.size(); ++thread) {
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += shares[thread][i];
    total += norms[thread];
  }
  check(sum == squares, "gram_squares");
  check(total == norm, "product_squares");
}

}  // namespace harness
