// Arguments and results of the CPU's kernels as NumPy arrays.
#pragma once

#include <string>
#include <utility>

#include "arrays.hpp"
#include "cpu/gram.hpp"
#include "cpu/product.hpp"
#include "cpu/sets.hpp"
#include "cpu/spans.hpp"

namespace probsig {

// Counts of 32 or 64 bits. Indices are left to the kernel to check.
inline BlockView as_block(const py::array& indptr, const py::array& indices,
                          const py::array& data) {
  BlockView block{as_span<std::int64_t>(indptr, "indptr"),
                  as_span<std::int32_t>(indices, "indices"), {}, {}};
  if (py::isinstance<py::array_t<std::int32_t>>(data)) {
    block.narrow_data = as_span<std::int32_t>(data, "data");
  } else {
    block.data = as_span<std::int64_t>(data, "data");
  }
  check_rows(block.indptr, block.indices.size, block.data.size + block.narrow_data.size);
  return block;
}

// As as_block, of floats.
inline RowsView as_rows(const py::array& indptr, const py::array& indices,
                        const py::array& values) {
  RowsView rows{as_span<std::int64_t>(indptr, "indptr"),
                as_span<std::int32_t>(indices, "indices"), as_span<double>(values, "values")};
  check_rows(rows.indptr, rows.indices.size, rows.values.size);
  return rows;
}

// Those of the rows [begin, end). Needs no GIL: O(entries), and kernels that are called for many
// row ranges do it each time.
inline void check_indices(const RowsView& rows, std::int64_t begin, std::int64_t end,
                          std::int64_t columns) {
  bool outside = false;
  for (std::int64_t k = rows.indptr[begin]; k < rows.indptr[end]; ++k) {
    outside |= static_cast<std::uint32_t>(rows.indices[k]) >= static_cast<std::uint32_t>(columns);
  }
  if (outside) {
    throw py::index_error("indices: expected from 0 to " + std::to_string(columns - 1) +
                          ", got one outside");
  }
}

// A C-contiguous 2-D array.
inline DenseView as_dense(const py::array& array) {
  if (!py::isinstance<py::array_t<double, py::array::c_style>>(array) || array.ndim() != 2 ||
      !is_aligned(array)) {
    throw py::type_error("dense: expected a contiguous 2-D array of float64");
  }
  return {{static_cast<const double*>(array.data()), static_cast<std::int64_t>(array.size())},
          static_cast<std::int64_t>(array.shape(0)),
          static_cast<std::int64_t>(array.shape(1))};
}

// Structures as their numbers one after the other; they go out as they came in.
template <class Structure, class Number>
Span<Structure> as_structures(const py::array& numbers, const char* name) {
  const auto span = as_span<Number>(numbers, name);
  constexpr auto kEach = static_cast<std::int64_t>(sizeof(Structure) / sizeof(Number));
  if (span.size % kEach != 0) {
    throw py::value_error(std::string(name) + ": expected a multiple of " + std::to_string(kEach));
  }
  return {reinterpret_cast<const Structure*>(span.data), span.size / kEach};
}

inline Span<Bounds> as_bounds(const py::array& numbers) {
  return as_structures<Bounds, std::uint32_t>(numbers, "bounds");
}

inline py::tuple to_tuple(GroupedSpans&& spans) {
  auto memory = to_numpy(std::move(spans.indptr));
  return py::make_tuple(std::move(memory), to_numpy_as<std::uint32_t>(std::move(spans.bounds)));
}

// Row pointers are checked for the rows asked for: a sum is made of many row ranges. Ids are the
// caller's to keep below the columns.
template <class Id>
SpansView<Id> as_spans(std::int64_t row_begin, std::int64_t row_end, const py::array& ids,
                       const py::array& id_weights, const py::array& indptr,
                       const py::array& bounds, const py::array& span_weights) {
  SpansView<Id> spans{as_span<Id>(ids, "ids"), as_span<std::int64_t>(id_weights, "id_weights"),
                      as_span<std::int64_t>(indptr, "indptr"), as_bounds(bounds),
                      as_span<std::int64_t>(span_weights, "span_weights")};
  if (row_begin < 0 || row_end < row_begin || row_end >= spans.indptr.size) {
    throw py::value_error("row_begin, row_end: expected within the rows of every part");
  }
  check_rows({spans.indptr.data + row_begin, row_end - row_begin + 1}, spans.bounds.size,
             spans.bounds.size);
  if ((spans.id_weights.size != 0 && spans.id_weights.size != spans.ids.size) ||
      (spans.span_weights.size != 0 && spans.span_weights.size != spans.bounds.size)) {
    throw py::value_error("id_weights, span_weights: expected one for each, or none");
  }
  return spans;
}

// That members lie within the sets is the caller's to keep, who has them from `set_index`.
template <class Id, class Number>
SetIndexView<Id, Number> as_set_index(std::int64_t rows, std::int64_t heads,
                                      const py::array& set_indptr, const py::array& ids,
                                      const py::array& indptr, const py::array& members,
                                      const py::array& tails, const py::array& tail_ends,
                                      const py::array& lines) {
  SetIndexView<Id, Number> index{as_span<std::int64_t>(set_indptr, "set_indptr"),
                                 as_span<Id>(ids, "ids"),
                                 as_span<std::int64_t>(indptr, "indptr"),
                                 as_structures<Member<Number>, Number>(members, "members"),
                                 as_span<Id>(tails, "tails"),
                                 as_span<std::uint32_t>(tail_ends, "tail_ends"),
                                 as_structures<Line, std::uint64_t>(lines, "lines")};
  if (index.indptr.size != rows + 1 || index.sets() < 0 ||
      index.tail_ends.size != index.sets() + 1 ||
      index.lines.size != line_blocks(heads) * (index.sets() + 1)) {
    throw py::value_error("indptr, ids, lines: expected those of as many rows, sets and heads");
  }
  return index;
}

}  // namespace probsig
