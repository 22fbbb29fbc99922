// The Python module `_cpu`: each function checks its arguments, releases the GIL and calls a kernel
// that knows no Python. The release is safe: kernels touch only the memory of arrays that the
// caller's frame keeps alive, and allocate nothing that belongs to Python.

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <limits>
#include <tuple>
#include <utility>
#include <vector>

#include "core/free_pages.hpp"
#include "cpu_arrays.hpp"
#include "cpu/gram.hpp"
#include "cpu/block_sums.hpp"
#include "cpu/merge.hpp"
#include "cpu/pairs.hpp"
#include "cpu/product.hpp"
#include "cpu/scan.hpp"
#include "cpu/sets.hpp"
#include "cpu/spans.hpp"

namespace probsig {
namespace {

template <class Token>
py::tuple bind_scan(const py::array& tokens, std::int64_t core, std::int64_t vocab_size,
                    const py::array& cutting) {
  const auto all = as_span<Token>(tokens, "tokens");
  const auto ids = as_span<Token>(cutting, "cutting");
  if (core < 0 || core > all.size) throw py::value_error("core: expected within the tokens");
  if (vocab_size < 1) throw py::value_error("vocab_size: expected at least 1");
  auto result = [&] {
    py::gil_scoped_release release;
    return scan(all, core, vocab_size, ids);
  }();
  return py::make_tuple(to_numpy(std::move(result.histogram)),
                        to_numpy(std::move(result.cuts)), result.invalid);
}

template <class Token>
py::tuple bind_next_pairs(const py::array& tokens, std::int64_t core, const py::array& run_starts,
                          const py::array& run_ends, const py::array& histogram,
                          const py::array& cancel) {
  const auto chunk = as_chunk<Token>(tokens, core, run_starts, run_ends, histogram);
  const auto flag = as_flag(cancel);
  auto block = [&] {
    py::gil_scoped_release release;
    return next_pairs(chunk, flag);
  }();
  return std::visit([](auto& counts) { return to_tuple(std::move(counts)); }, block);
}

template <class Token>
py::tuple bind_window_pairs(const py::array& tokens, std::int64_t core,
                            const py::array& run_starts, const py::array& run_ends,
                            const py::array& histogram, const py::array& weights,
                            std::int64_t row_begin, std::int64_t row_end,
                            const py::array& cancel) {
  const auto chunk = as_chunk<Token>(tokens, core, run_starts, run_ends, histogram);
  const auto each = as_span<std::int64_t>(weights, "weights");
  if (row_begin < 0 || row_end < row_begin || row_end > chunk.histogram.size) {
    throw py::value_error("row_begin, row_end: expected within the vocabulary");
  }
  const IdRange rows{static_cast<std::uint32_t>(row_begin), static_cast<std::uint32_t>(row_end)};
  const auto flag = as_flag(cancel);
  auto block = [&] {
    py::gil_scoped_release release;
    return window_pairs(chunk, each, rows, flag);
  }();
  return std::visit([](auto& counts) { return to_tuple(std::move(counts)); }, block);
}

template <class Token>
py::tuple bind_prefix_spans(const py::array& tokens, std::int64_t core, const py::array& run_starts,
                            const py::array& run_ends, const py::array& histogram,
                            std::int64_t length, const py::array& cancel) {
  const auto chunk = as_chunk<Token>(tokens, core, run_starts, run_ends, histogram);
  if (length < 1) throw py::value_error("length: expected at least 1");
  const auto flag = as_flag(cancel);
  auto spans = [&] {
    py::gil_scoped_release release;
    return prefix_spans(chunk, length, flag);
  }();
  return to_tuple(std::move(spans));
}

template <class Token>
py::tuple bind_sequence_sets(const py::array& tokens, const py::array& run_starts,
                             const py::array& run_ends, std::int64_t vocab_size, bool multiplicity,
                             const py::array& cancel) {
  const auto all = as_span<Token>(tokens, "tokens");
  const auto starts = as_span<std::int64_t>(run_starts, "run_starts");
  const auto ends = as_span<std::int64_t>(run_ends, "run_ends");
  if (vocab_size < 1) throw py::value_error("vocab_size: expected at least 1");
  check_runs(starts, ends, all.size);
  const auto flag = as_flag(cancel);
  auto sets = [&] {
    py::gil_scoped_release release;
    return sequence_sets(all, starts, ends, vocab_size, multiplicity, flag);
  }();
  return py::make_tuple(to_numpy(std::move(sets.indptr)), to_numpy(std::move(sets.ids)),
                        to_numpy(std::move(sets.multiplicity)));
}

template <class Id>
py::tuple bind_group_spans(const py::array& rows, const py::array& bounds, std::int64_t n_rows) {
  const auto ids = as_span<Id>(rows, "rows");
  const auto spans = as_bounds(bounds);
  if (n_rows < 0) throw py::value_error("n_rows: expected at least 0");
  if (spans.size != ids.size) throw py::value_error("rows, bounds: expected as many of both");
  auto grouped = [&] {
    py::gil_scoped_release release;
    return group_spans(ids, spans, n_rows);
  }();
  return to_tuple(std::move(grouped));
}

template <class Id>
void check_sets(Span<std::int64_t> indptr, Span<Id> ids, std::int64_t vocab_size) {
  if (vocab_size < 1) throw py::value_error("vocab_size: expected at least 1");
  check_rows(indptr, ids.size, ids.size);
  if (indptr.size > std::numeric_limits<std::uint32_t>::max() ||
      ids.size > std::numeric_limits<std::uint32_t>::max()) {
    throw py::value_error("ids: expected fewer than 2^32, and of sets");
  }
}

template <class Id>
py::tuple bind_set_totals(const py::array& indptr, const py::array& ids, std::int64_t vocab_size) {
  const auto rows = as_span<std::int64_t>(indptr, "indptr");
  const auto all = as_span<Id>(ids, "ids");
  check_sets(rows, all, vocab_size);
  auto totals = [&] {
    py::gil_scoped_release release;
    return set_totals(rows, all, vocab_size);
  }();
  return py::make_tuple(to_numpy(std::move(totals.frequency)), to_numpy(std::move(totals.row_sums)),
                        to_numpy(std::move(totals.column_sums)));
}

template <class Number, class Id>
py::tuple index_of(Span<std::int64_t> indptr, Span<Id> ids, Span<std::int64_t> frequency,
                   Span<Id> heads, Span<std::uint8_t> lined) {
  auto index = [&] {
    py::gil_scoped_release release;
    return set_index<Id, Number>(indptr, ids, frequency, heads, lined);
  }();
  return py::make_tuple(to_numpy(std::move(index.indptr)),
                        to_numpy_as<Number>(std::move(index.members)),
                        to_numpy(std::move(index.tails)), to_numpy(std::move(index.tail_ends)),
                        to_numpy_as<std::uint64_t>(std::move(index.lines)));
}

template <class Id>
py::tuple bind_set_index(const py::array& indptr, const py::array& ids, const py::array& frequency,
                         const py::array& head_ids, const py::array& lined, bool narrow) {
  const auto rows = as_span<std::int64_t>(indptr, "indptr");
  const auto all = as_span<Id>(ids, "ids");
  const auto heads = as_span<Id>(head_ids, "head_ids");
  const auto flags = as_span<std::uint8_t>(lined, "lined");
  const auto sizes = as_span<std::int64_t>(frequency, "frequency");
  check_sets(rows, all, flags.size);
  if (sizes.size != flags.size) {
    throw py::value_error("frequency, lined: expected as many of both");
  }
  return narrow ? index_of<std::uint16_t>(rows, all, sizes, heads, flags)
                : index_of<std::uint32_t>(rows, all, sizes, heads, flags);
}

using SetIndexArrays = std::tuple<py::array, py::array, py::array, py::array, py::array, py::array,
                                  py::array>;

template <class Number, class Id>
void sum_sets(const std::vector<SetIndexArrays>& arrays, Span<Id> heads, Span<std::uint8_t> lined,
              Span<std::int64_t> additions, std::int64_t row_begin, std::int64_t row_end,
              CancelFlag cancel, NarrowBlockBuilder& block) {
  std::vector<SetIndexView<Id, Number>> parts;
  std::int64_t sets = 0;
  for (const auto& [set_indptr, ids, indptr, members, tails, tail_ends, lines] : arrays) {
    parts.push_back(as_set_index<Id, Number>(additions.size, heads.size, set_indptr, ids, indptr,
                                             members, tails, tail_ends, lines));
    sets += parts.back().sets();
  }
  if (sets > std::numeric_limits<std::int32_t>::max()) {
    throw py::value_error("parts: expected fewer than 2^31 sets");
  }
  py::gil_scoped_release release;
  set_sums(parts, heads, lined, additions, row_begin, row_end, cancel, block);
}

template <class Id>
py::tuple bind_set_sums(const std::vector<SetIndexArrays>& arrays, const py::array& head_ids,
                        const py::array& lined, const py::array& additions,
                        std::int64_t row_begin, std::int64_t row_end, const py::array& cancel,
                        py::array indices_room, py::array data_room) {
  const auto heads = as_span<Id>(head_ids, "head_ids");
  const auto flags = as_span<std::uint8_t>(lined, "lined");
  const auto sums = as_span<std::int64_t>(additions, "additions");
  if (row_begin < 0 || row_end < row_begin || row_end > sums.size || flags.size != sums.size) {
    throw py::value_error("row_begin, row_end, lined: expected those of the rows");
  }
  const auto flag = as_flag(cancel);
  NarrowBlockBuilder block(row_end - row_begin);
  block.indices.borrow(as_room<std::int32_t>(indices_room, "indices_room"), indices_room.size());
  block.data.borrow(as_room<std::int32_t>(data_room, "data_room"), data_room.size());
  const bool narrow = !arrays.empty() && std::get<3>(arrays[0]).itemsize() == 2;
  const auto sum = narrow ? &sum_sets<std::uint16_t, Id> : &sum_sets<std::uint32_t, Id>;
  sum(arrays, heads, flags, sums, row_begin, row_end, flag, block);
  return to_tuple_or_room(std::move(block), indices_room, data_room);
}

using SpansArrays = std::tuple<py::array, py::array, py::array, py::array, py::array>;

template <class Id>
py::tuple bind_span_sums(const std::vector<SpansArrays>& arrays, std::int64_t columns,
                         std::int64_t row_begin, std::int64_t row_end, const py::array& cancel,
                         py::array indices_room, py::array data_room) {
  std::vector<SpansView<Id>> parts;
  for (const auto& [ids, id_weights, indptr, bounds, span_weights] : arrays) {
    parts.push_back(
        as_spans<Id>(row_begin, row_end, ids, id_weights, indptr, bounds, span_weights));
  }
  if (parts.empty()) throw py::value_error("parts: expected at least one");
  if (columns < 1) throw py::value_error("columns: expected at least 1");
  const auto flag = as_flag(cancel);
  BlockBuilder block(row_end - row_begin);
  block.indices.borrow(as_room<std::int32_t>(indices_room, "indices_room"), indices_room.size());
  block.data.borrow(as_room<std::int64_t>(data_room, "data_room"), data_room.size());
  {
    py::gil_scoped_release release;
    span_sums(parts, columns, row_begin, row_end, flag, block);
  }
  return to_tuple_or_room(std::move(block), indices_room, data_room);
}

using Arrays = std::vector<std::tuple<py::array, py::array, py::array>>;

py::tuple bind_merge(const Arrays& arrays, std::int64_t columns) {
  if (arrays.empty()) throw py::value_error("blocks: expected at least one");
  if (columns < 1) throw py::value_error("columns: expected at least 1");
  std::vector<BlockView> blocks;
  for (const auto& [indptr, indices, data] : arrays) {
    blocks.push_back(as_block(indptr, indices, data));
    if (blocks.back().indptr.size != blocks.front().indptr.size) {
      throw py::value_error("blocks: expected as many rows in all");
    }
  }
  auto block = [&] {
    py::gil_scoped_release release;
    return merge(blocks, columns);
  }();
  return to_tuple(std::move(block));
}

py::tuple bind_block_sums(const py::array& indptr, const py::array& indices, const py::array& data,
                         std::int64_t columns) {
  const auto block = as_block(indptr, indices, data);
  if (columns < 1) throw py::value_error("columns: expected at least 1");
  py::array_t<std::int64_t> row_sums(block.indptr.size - 1), column_sums(columns);
  std::int64_t* const rows = row_sums.mutable_data();
  std::int64_t* const sums = column_sums.mutable_data();
  {
    py::gil_scoped_release release;
    std::fill_n(sums, columns, 0);
    block_sums(block, columns, rows, sums);
  }
  return py::make_tuple(row_sums, column_sums);
}

using Rows = std::tuple<py::array, py::array, py::array>;

void check_gram(const RowsView& rows, const RowsView& columns) {
  check_indices(rows, 0, rows.rows(), columns.rows());
  check_indices(columns, 0, columns.rows(), rows.rows());
}

py::array_t<double> bind_gram_squares(const Rows& rows, const Rows& columns, double shift,
                                      std::int64_t row_begin, std::int64_t row_end,
                                      const py::array& cancel) {
  const auto by_row = std::apply(as_rows, rows);
  const auto by_column = std::apply(as_rows, columns);
  if (row_begin < 0 || row_end < row_begin || row_end > by_row.rows()) {
    throw py::value_error("row_begin, row_end: expected within the rows");
  }
  const auto flag = as_flag(cancel);
  py::array_t<double> result(by_row.rows());
  double* shares = result.mutable_data();
  {
    py::gil_scoped_release release;
    check_gram(by_row, by_column);
    std::fill_n(shares, by_row.rows(), 0.0);
    gram_squares(by_row, by_column, shift, row_begin, row_end, flag, shares);
  }
  return result;
}

py::array_t<double> bind_gram_row_squares(const Rows& rows, const Rows& columns, double shift,
                                          const py::array& chosen, const py::array& cancel) {
  const auto by_row = std::apply(as_rows, rows);
  const auto by_column = std::apply(as_rows, columns);
  const auto ids = as_span<std::int64_t>(chosen, "chosen");
  const auto flag = as_flag(cancel);
  py::array_t<double> result(ids.size);
  double* out = result.mutable_data();
  {
    py::gil_scoped_release release;
    check_gram(by_row, by_column);
    for (std::int64_t k = 0; k < ids.size; ++k) {
      if (ids[k] < 0 || ids[k] >= by_row.rows()) {
        throw py::index_error("chosen: expected rows from 0 to " +
                              std::to_string(by_row.rows() - 1) + ", got " +
                              std::to_string(ids[k]));
      }
    }
    gram_row_squares(by_row, by_column, shift, ids, flag, out);
  }
  return result;
}

py::tuple bind_product_squares(const Rows& columns, const py::array& dense, std::int64_t begin,
                               std::int64_t end, bool shares, const py::array& cancel) {
  const auto by_column = std::apply(as_rows, columns);
  const auto flag = as_flag(cancel);
  const auto view = as_dense(dense);
  if (begin < 0 || end < begin || end > by_column.rows()) {
    throw py::value_error("begin, end: expected within the columns");
  }
  py::array_t<double> result(shares ? dense.shape(0) : 0);
  double* const out = shares ? result.mutable_data() : nullptr;
  double norm = 0.0;
  {
    py::gil_scoped_release release;
    check_indices(by_column, begin, end, view.rows());
    std::fill_n(out, shares ? view.rows() : 0, 0.0);
    norm = product_squares(by_column, view, begin, end, flag, out);
  }
  return py::make_tuple(norm, result);
}

}  // namespace
}  // namespace probsig

PYBIND11_MODULE(_cpu, m) {
  using namespace probsig;
  m.doc() = "Native CPU kernels of probsig_fast; contract.py says what each one does.";
  m.def("version", [] { return PROBSIG_VERSION; }, "Version of the package this was built for.");
  m.def("keep_memory", [](std::int64_t most) {
    if (most < 0) throw py::value_error("most: expected at least 0");
    FreePages::shared().keep(static_cast<std::size_t>(most));
  });
  m.def("scan_uint16", &bind_scan<std::uint16_t>);
  m.def("scan_uint32", &bind_scan<std::uint32_t>);
  m.def("next_pairs_uint16", &bind_next_pairs<std::uint16_t>);
  m.def("next_pairs_uint32", &bind_next_pairs<std::uint32_t>);
  m.def("window_pairs_uint16", &bind_window_pairs<std::uint16_t>);
  m.def("window_pairs_uint32", &bind_window_pairs<std::uint32_t>);
  m.def("prefix_spans_uint16", &bind_prefix_spans<std::uint16_t>);
  m.def("prefix_spans_uint32", &bind_prefix_spans<std::uint32_t>);
  m.def("sequence_sets_uint16", &bind_sequence_sets<std::uint16_t>);
  m.def("sequence_sets_uint32", &bind_sequence_sets<std::uint32_t>);
  m.def("set_totals_uint16", &bind_set_totals<std::uint16_t>);
  m.def("set_totals_uint32", &bind_set_totals<std::uint32_t>);
  m.def("set_index_uint16", &bind_set_index<std::uint16_t>);
  m.def("set_index_uint32", &bind_set_index<std::uint32_t>);
  m.def("set_sums_uint16", &bind_set_sums<std::uint16_t>);
  m.def("set_sums_uint32", &bind_set_sums<std::uint32_t>);
  m.def("group_spans_uint16", &bind_group_spans<std::uint16_t>);
  m.def("group_spans_uint32", &bind_group_spans<std::uint32_t>);
  m.def("span_sums_uint16", &bind_span_sums<std::uint16_t>);
  m.def("span_sums_uint32", &bind_span_sums<std::uint32_t>);
  m.def("merge", &bind_merge);
  m.def("block_sums", &bind_block_sums);
  m.def("gram_squares", &bind_gram_squares);
  m.def("gram_row_squares", &bind_gram_row_squares);
  m.def("product_squares", &bind_product_squares);
}
