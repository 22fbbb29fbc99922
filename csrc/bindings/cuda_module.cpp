// The Python module `_cuda`: as `_cpu`, over arrays on a device. Each function works on its arrays'
// device, on its thread's stream, and waits for that before it returns.

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <mutex>
#include <tuple>
#include <utility>
#include <vector>

#include "cuda/availability.hpp"
#include "cuda/gram.hpp"
#include "cuda/head_choice.hpp"
#include "cuda/head_product.hpp"
#include "cuda/pairs.hpp"
#include "cuda/scan.hpp"
#include "cuda/sets.hpp"
#include "cuda/span_sums.hpp"
#include "cuda/spans.hpp"
#include "cuda/take.hpp"
#include "cuda_arrays.hpp"

namespace probsig::gpu {
namespace {

// Runs `work` on a device without the GIL, and waits for what it asked of it.
template <class Work>
auto on_device(int device, const Work& work) {
  py::gil_scoped_release release;
  const DeviceGuard guard(device);
  auto result = work();
  synchronize();
  return result;
}

// Calls body(T{}) with the type of token or id that an array holds.
template <class Body>
auto with_id_type(const Array& array, const char* name, const Body& body) {
  if (array.element == Element::kUint16) return body(std::uint16_t{});
  array.span<std::uint32_t>(name);  // throws for any other
  return body(std::uint32_t{});
}

template <class T>
py::array_t<T> to_numpy(const std::vector<T>& values) {
  return py::array_t<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

py::tuple bind_scan(const Array& tokens, std::int64_t core, std::int64_t vocab_size,
                    const py::array& cutting) {
  return with_id_type(tokens, "tokens", [&](auto type) {
    using Token = decltype(type);
    const auto all = tokens.span<Token>("tokens");
    const auto ids = as_span<Token>(cutting, "cutting");
    if (core < 0 || core > all.size) throw py::value_error("core: expected within the tokens");
    if (vocab_size < 1) throw py::value_error("vocab_size: expected at least 1");
    const Scan result =
        on_device(tokens.device, [&] { return scan(all, core, vocab_size, ids); });
    return py::make_tuple(to_numpy(result.histogram), to_numpy(result.cuts), result.invalid);
  });
}

// A running sum that several threads add to: one at a time, while others copy and scan.
class RunningPairs {
 public:
  RunningPairs(int device, std::int64_t vocab_size, const py::array& weights, std::int64_t total,
               std::int64_t budget)
      : device_(device) {
    const auto each = as_span<std::int64_t>(weights, "weights");
    const DeviceGuard guard(device);
    sums_ = std::make_unique<PairSums>(
        vocab_size, std::vector<std::int64_t>(each.data, each.data + each.size), total, budget);
  }
  ~RunningPairs() {
    const DeviceGuard guard(device_);
    sums_.reset();
  }
  RunningPairs(const RunningPairs&) = delete;
  RunningPairs& operator=(const RunningPairs&) = delete;

  // Adds a chunk; the blocks that had to be given away.
  py::list add(const Array& tokens, std::int64_t core, const py::array& run_starts,
               const py::array& run_ends, const py::array& histogram, const py::array& cancel) {
    const auto flag = as_flag(cancel);
    return with_id_type(tokens, "tokens", [&](auto type) {
      using Token = decltype(type);
      const auto chunk = as_device_chunk<Token>(tokens, core, run_starts, run_ends, histogram);
      return blocks([&](const BlockSink& sink) { sums_->add(chunk, flag, sink); });
    });
  }

  // The blocks that are left.
  py::list take() {
    return blocks([&](const BlockSink& sink) { sums_->take(sink); });
  }

 private:
  // What `work` gives to its sink, on the host.
  template <class Work>
  py::list blocks(const Work& work) {
    std::vector<BlockBuilder> given;
    on_device(device_, [&] {
      const std::lock_guard<std::mutex> lock(mutex_);
      work([&](DeviceBlock&& block) { given.push_back(host_block(block)); });
      synchronize();  // before another thread adds
      return 0;
    });
    py::list result;
    for (BlockBuilder& block : given) result.append(to_tuple(std::move(block)));
    return result;
  }

  static BlockBuilder host_block(const DeviceBlock& block) {
    BlockBuilder host(block.indptr.size() - 1);
    host.indptr.extend(block.indptr.size() - 1);  // beyond the 0 that it begins with
    host.reserve(block.indices.size());
    host.extend(block.indices.size());
    block.indptr.to_host(host.indptr.data());
    block.indices.to_host(host.indices.data());
    block.data.to_host(host.data.data());
    return host;
  }

  int device_;
  std::mutex mutex_;
  std::unique_ptr<PairSums> sums_;
};

py::tuple bind_prefix_spans(const Array& tokens, std::int64_t core, const py::array& run_starts,
                            const py::array& run_ends, const py::array& histogram,
                            std::int64_t length, const py::array& cancel) {
  if (length < 1) throw py::value_error("length: expected at least 1");
  const auto flag = as_flag(cancel);
  return with_id_type(tokens, "tokens", [&](auto type) {
    using Token = decltype(type);
    const auto chunk = as_device_chunk<Token>(tokens, core, run_starts, run_ends, histogram);
    auto spans =
        on_device(tokens.device, [&] { return prefix_spans(chunk, length, flag); });
    return to_arrays(std::move(spans), tokens.device);
  });
}

py::tuple bind_sequence_sets(const Array& tokens, const py::array& run_starts,
                             const py::array& run_ends, std::int64_t vocab_size, bool multiplicity,
                             const py::array& cancel) {
  const auto starts = as_span<std::int64_t>(run_starts, "run_starts");
  const auto ends = as_span<std::int64_t>(run_ends, "run_ends");
  if (vocab_size < 1) throw py::value_error("vocab_size: expected at least 1");
  check_runs(starts, ends, tokens.size);
  const auto flag = as_flag(cancel);
  return with_id_type(tokens, "tokens", [&](auto type) {
    using Token = decltype(type);
    const auto all = tokens.span<Token>("tokens");
    auto sets = on_device(tokens.device, [&] {
      return sequence_sets(all, starts, ends, vocab_size, multiplicity, flag);
    });
    const DeviceGuard guard(tokens.device);
    return py::make_tuple(Array::of(std::move(sets.indptr)), Array::of(std::move(sets.ids)),
                          Array::of(std::move(sets.multiplicity)));
  });
}

py::tuple bind_set_spans(const Array& indptr, const Array& ids, std::int64_t vocab_size,
                         std::int64_t heads) {
  const auto rows = indptr.span<std::int64_t>("indptr");
  if (heads < kFittingHeads) throw py::value_error("heads: expected at least 0, or none");
  if (vocab_size < 1) throw py::value_error("vocab_size: expected at least 1");
  return with_id_type(ids, "ids", [&](auto type) -> py::tuple {
    using Id = decltype(type);
    const auto all = ids.span<Id>("ids");
    auto sets = on_device(ids.device, [&] { return set_spans(rows, all, vocab_size, heads); });
    const auto head_ids = to_numpy(sets.head_ids);
    auto spans = to_arrays(std::move(sets.spans), ids.device);
    const DeviceGuard guard(ids.device);
    return py::make_tuple(Array::of(std::move(sets.ids)), std::move(spans), head_ids,
                          Array::of(std::move(sets.head_matrix)));
  });
}

py::tuple bind_group_spans(const Array& rows, const Array& bounds, std::int64_t n_rows) {
  const auto spans = as_device_bounds(bounds);
  if (n_rows < 0) throw py::value_error("n_rows: expected at least 0");
  if (spans.size != rows.size) throw py::value_error("rows, bounds: expected as many of both");
  return with_id_type(rows, "rows", [&](auto type) {
    using Id = decltype(type);
    const auto ids = rows.span<Id>("rows");
    auto grouped = on_device(rows.device, [&] { return group_spans(ids, spans, n_rows); });
    return to_arrays(std::move(grouped), rows.device);
  });
}

py::array_t<std::int64_t> bind_additions(const Array& indptr, const Array& bounds) {
  const auto rows = indptr.span<std::int64_t>("indptr");
  const auto spans = as_device_bounds(bounds);
  return to_numpy(on_device(indptr.device, [&] { return additions(rows, spans); }));
}

py::tuple bind_span_sums(const std::vector<SpansArrays>& arrays, std::int64_t columns,
                         std::int64_t row_begin, std::int64_t row_end, const py::array& cancel,
                         const py::array& indices_room, const py::array& data_room) {
  if (arrays.empty()) throw py::value_error("parts: expected at least one");
  if (columns < 1) throw py::value_error("columns: expected at least 1");
  const auto flag = as_flag(cancel);
  const Array& ids = std::get<0>(arrays.front());
  return with_id_type(ids, "ids", [&](auto type) {
    using Id = decltype(type);
    std::vector<SpansView<Id>> parts;
    for (const SpansArrays& each : arrays) {
      parts.push_back(as_device_spans<Id>(each));
      if (row_begin < 0 || row_end < row_begin || row_end >= parts.back().indptr.size) {
        throw py::value_error("row_begin, row_end: expected within the rows of every part");
      }
    }
    const DeviceBlock block = on_device(
        ids.device, [&] { return span_sums(parts, columns, row_begin, row_end, flag); });
    return to_numpy(block, ids.device, indices_room, data_room);
  });
}

py::array bind_gram_squares(const RowsArrays& rows, const RowsArrays& columns, double shift,
                            std::int64_t row_begin, std::int64_t row_end,
                            const py::array& cancel) {
  const RowsView by_row = as_device_rows(rows), by_column = as_device_rows(columns);
  if (row_begin < 0 || row_end < row_begin || row_end > by_row.indptr.size - 1) {
    throw py::value_error("row_begin, row_end: expected within the rows");
  }
  const auto flag = as_flag(cancel);
  const int device = std::get<0>(rows).device;
  auto sums = on_device(device, [&] {
    return gram_squares(by_row, by_column, shift, row_begin, row_end, flag);
  });
  const DeviceGuard guard(device);
  return to_host(Array::of(std::move(sums)));
}

// For the benchmark: C of a matrix with itself, int32 [rows x rows], its upper triangle.
Array bind_head_product(const Array& matrix, std::int64_t rows) {
  const auto bytes = matrix.span<std::uint8_t>("matrix");
  if (rows < 1 || rows != padded(rows) || bytes.size % rows != 0 ||
      bytes.size / rows != padded(bytes.size / rows)) {
    throw py::value_error("matrix: expected rows, and bytes a row, that are multiples of 128");
  }
  auto product = on_device(matrix.device, [&] {
    auto c = DeviceArray<std::int32_t>::zeros(rows * rows);
    head_product(bytes.data, rows, bytes.data, rows, bytes.size / rows, c.data(), rows, 0);
    return c;
  });
  const DeviceGuard guard(matrix.device);
  return Array::of(std::move(product));
}

// How the budgets are spent, for tests: these touch no device.
py::dict bind_plan_pairs(std::int64_t vocab_size, const py::array& weights, std::int64_t total,
                         std::int64_t budget) {
  const PairPlan plan =
      plan_pairs(vocab_size, as_span<std::int64_t>(weights, "weights"), total, budget);
  return py::dict(py::arg("heads") = plan.heads, py::arg("wide_cells") = plan.wide_cells,
                  py::arg("wide_keys") = plan.wide_keys,
                  py::arg("weight_bits") = plan.weight_bits,
                  py::arg("tail_capacity") = plan.tail_capacity,
                  py::arg("most_sums") = plan.most_sums);
}

std::int64_t bind_choose_heads(const py::array& frequencies, std::int64_t sets,
                               std::int64_t bytes) {
  return choose_heads(as_span<std::uint32_t>(frequencies, "frequencies"), sets, bytes);
}

// A stream for a tensor's producer to order its work before ours.
std::uintptr_t bind_import_stream(int device) {
  const DeviceGuard guard(device);
  cudaStream_t made = nullptr;
  check(cudaStreamCreateWithFlags(&made, cudaStreamNonBlocking), "making a stream");
  return reinterpret_cast<std::uintptr_t>(made);
}

void bind_finish_stream(std::uintptr_t handle) {
  const auto made = reinterpret_cast<cudaStream_t>(handle);
  py::gil_scoped_release release;
  const cudaError_t status = cudaStreamSynchronize(made);
  check(cudaStreamDestroy(made), "letting a stream go");
  check(status, "waiting for the tensor");
}

// C++'s errors as the package's own.
void translate(std::exception_ptr raised) {
  const auto raise = [](const char* type, const std::exception& error) {
    py::set_error(py::module_::import("probsig_fast.errors").attr(type), error.what());
  };
  try {
    if (raised) std::rethrow_exception(raised);
  } catch (const DeviceMemoryError& error) {
    raise("DeviceMemoryError", error);
  } catch (const DeviceError& error) {
    raise("DeviceError", error);
  }
}

}  // namespace
}  // namespace probsig::gpu

PYBIND11_MODULE(_cuda, m) {
  using namespace probsig;
  using namespace probsig::gpu;
  m.doc() = "CUDA kernels of probsig_fast; contract.py says what each one does.";
  py::register_local_exception_translator(&translate);
  m.def("version", [] { return PROBSIG_VERSION; }, "Version of the package this was built for.");

  py::class_<Array>(m, "Array", "A 1-D array on a device.")
      .def_property_readonly("dtype", &Array::dtype)
      .def_property_readonly("nbytes", &Array::nbytes)
      .def_readonly("size", &Array::size)
      .def_readonly("device", &Array::device)
      .def("__len__", [](const Array& array) { return array.size; })
      .def("__getitem__", &item)
      .def("__array__", [](const Array& array, const py::object&, const py::object&) {
        return to_host(array);
      }, py::arg("dtype") = py::none(), py::arg("copy") = py::none())
      .def("to_host", &to_host)
      .def_property_readonly("__cuda_array_interface__", &cuda_array_interface)
      .def("astype", &as_type)
      .def("narrowed", &narrowed);
  m.def("from_host", &from_host);
  m.def("from_dlpack", &from_dlpack);
  m.def("import_stream", &bind_import_stream);
  m.def("finish_stream", &bind_finish_stream);

  m.def("fault", [](int device) {
    py::gil_scoped_release release;
    return fault(device);
  });
  m.def("current_device", &current_device);
  m.def("device_info", [](int device) {
    const DeviceInfo info = device_info(device);
    return py::make_tuple(info.name, info.major, info.minor, info.total_memory, info.free_memory);
  });
  m.def("set_memory_budget", &set_memory_budget);
  m.def("memory_budget", &memory_budget);
  m.def("memory_in_use", &memory_in_use);
  m.def("release_memory", &release_memory);

  m.def("scan", &bind_scan);
  py::class_<RunningPairs>(m, "RunningPairs")
      .def(py::init<int, std::int64_t, const py::array&, std::int64_t, std::int64_t>())
      .def("add", &RunningPairs::add)
      .def("take", &RunningPairs::take);
  m.def("prefix_spans", &bind_prefix_spans);
  m.def("sequence_sets", &bind_sequence_sets);
  m.def("set_spans", &bind_set_spans, py::arg("indptr"), py::arg("ids"), py::arg("vocab_size"),
        py::arg("heads") = kFittingHeads);
  m.def("group_spans", &bind_group_spans);
  m.def("additions", &bind_additions);
  m.def("span_sums", &bind_span_sums);
  m.def("gram_squares", &bind_gram_squares);
  m.def("head_product", &bind_head_product);
  m.def("plan_pairs", &bind_plan_pairs);
  m.def("choose_heads", &bind_choose_heads);
}
