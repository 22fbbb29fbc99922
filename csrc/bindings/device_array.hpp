// `Array`: a 1-D array of numbers on a device, for Python.
#pragma once

#include <pybind11/numpy.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "arrays.hpp"
#include "cuda/device.hpp"
#include "cuda/narrow.hpp"
#include "cuda/take.hpp"
#include "dlpack.hpp"

namespace probsig::gpu {

enum class Element { kInt8, kUint8, kInt16, kUint16, kInt32, kUint32, kInt64, kUint64, kFloat64 };

template <class T>
constexpr Element element_of() {
  if constexpr (std::is_same_v<T, double>) return Element::kFloat64;
  constexpr int width = sizeof(T) == 1 ? 0 : sizeof(T) == 2 ? 2 : sizeof(T) == 4 ? 4 : 6;
  return static_cast<Element>(width + std::is_unsigned_v<T>);
}

// Calls body(T{}) with the type of an element.
template <class Body>
auto with_type(Element element, const Body& body) {
  switch (element) {
    case Element::kInt8: return body(std::int8_t{});
    case Element::kUint8: return body(std::uint8_t{});
    case Element::kInt16: return body(std::int16_t{});
    case Element::kUint16: return body(std::uint16_t{});
    case Element::kInt32: return body(std::int32_t{});
    case Element::kUint32: return body(std::uint32_t{});
    case Element::kInt64: return body(std::int64_t{});
    case Element::kUint64: return body(std::uint64_t{});
    case Element::kFloat64: break;
  }
  return body(double{});
}

// Whose memory it is, `owner` knows: ours, or a tensor's.
struct Array {
  std::shared_ptr<const void> owner;
  const void* data = nullptr;
  std::int64_t size = 0;
  Element element = Element::kUint16;
  int device = 0;

  template <class T>
  static Array of(DeviceArray<T>&& array) {
    Array result;
    result.size = array.size();
    result.element = element_of<T>();
    result.device = current_device();
    auto memory = std::make_shared<DeviceMemory>(std::move(array).release());
    result.data = memory->data();
    result.owner = std::move(memory);
    return result;
  }

  template <class T>
  Span<T> span(const char* name) const {
    if (element != element_of<T>()) {
      throw py::type_error(std::string(name) + ": expected a device array of " +
                           std::string(py::str(py::dtype::of<T>())) + ", got " +
                           std::string(py::str(dtype())));
    }
    return {static_cast<const T*>(data), size};
  }

  py::dtype dtype() const {
    return with_type(element, [](auto type) { return py::dtype::of<decltype(type)>(); });
  }
  std::int64_t itemsize() const {
    return with_type(element, [](auto type) { return static_cast<std::int64_t>(sizeof(type)); });
  }
  std::int64_t nbytes() const { return size * itemsize(); }
};

inline py::array to_host(const Array& array) {
  py::array result(array.dtype(), static_cast<py::ssize_t>(array.size));
  void* host = result.mutable_data();
  {
    py::gil_scoped_release release;
    const DeviceGuard guard(array.device);
    copy_to_host(host, array.data, static_cast<std::size_t>(array.nbytes()));
  }
  return result;
}

inline Array from_host(const py::array& host, int device) {
  const DeviceGuard guard(device);
  const auto upload = [&](auto type) {
    using T = decltype(type);
    const auto span = as_span<T>(host, "array");
    py::gil_scoped_release release;
    auto array = DeviceArray<T>::from_host(span);
    synchronize();
    return Array::of(std::move(array));
  };
  const py::dtype dtype = host.dtype();
  for (int i = 0; i <= static_cast<int>(Element::kFloat64); ++i) {
    Array like;
    like.element = static_cast<Element>(i);
    if (dtype.equal(like.dtype())) return with_type(like.element, upload);
  }
  throw py::type_error("array: expected integers or float64, got " + std::string(py::str(dtype)));
}

// Elements [begin, end), over the same memory.
inline Array slice_of(const Array& array, std::int64_t begin, std::int64_t end) {
  Array part = array;
  part.data = static_cast<const char*>(array.data) + begin * array.itemsize();
  part.size = end - begin;
  return part;
}

// The elements at `positions`, on the host.
inline py::array taken(const Array& array, const py::array& positions) {
  const auto places = as_span<std::int64_t>(positions, "positions");
  for (std::int64_t i = 0; i < places.size; ++i) {
    if (places[i] < 0 || places[i] >= array.size) {
      throw py::index_error("positions: expected from 0 to " + std::to_string(array.size - 1) +
                            ", got " + std::to_string(places[i]));
    }
  }
  return with_type(array.element, [&](auto type) -> py::array {
    using T = decltype(type);
    py::array_t<T> result(places.size);
    T* out = result.mutable_data();
    {
      py::gil_scoped_release release;
      const DeviceGuard guard(array.device);
      const auto there = DeviceArray<std::int64_t>::from_host(places);
      DeviceArray<T> found(places.size);
      take(static_cast<const T*>(array.data), there.span(), found.data());
      found.to_host(out);
    }
    return result;
  });
}

// As NumPy: a slice is a view, an index a number, an int64 array a copy on the host.
inline py::object item(const Array& array, const py::object& key) {
  if (py::isinstance<py::slice>(key)) {
    py::ssize_t begin = 0, end = 0, step = 0, length = 0;
    if (!key.cast<py::slice>().compute(array.size, &begin, &end, &step, &length)) {
      throw py::error_already_set();
    }
    if (step != 1) throw py::index_error("expected a slice of step 1");
    return py::cast(slice_of(array, begin, begin + length));
  }
  if (py::isinstance<py::int_>(key)) {
    py::array_t<std::int64_t> position(1);
    *position.mutable_data() = key.cast<std::int64_t>();
    return taken(array, position)[py::int_(0)];
  }
  return taken(array, key.cast<py::array>());
}

// By which other libraries read it where it lies; its work is done, so no stream is named.
inline py::dict cuda_array_interface(const Array& array) {
  return py::dict(py::arg("shape") = py::make_tuple(array.size),
                  py::arg("typestr") = array.dtype().attr("str"),
                  py::arg("data") = py::make_tuple(reinterpret_cast<std::uintptr_t>(array.data),
                                                   true),
                  py::arg("version") = 3);
}

// As kernels take tokens: uint16 or uint32, by the rules of sources/token_dtype.py; the same memory
// where the bits allow.
inline Array narrowed(const Array& array) {
  Array result = array;
  switch (array.element) {
    case Element::kUint16:
    case Element::kUint32: return result;
    case Element::kInt32: result.element = Element::kUint32; return result;
    case Element::kFloat64: throw py::type_error("tokens: expected integers, got float64");
    default: break;
  }
  py::gil_scoped_release release;
  const DeviceGuard guard(array.device);
  return with_type(array.element, [&](auto type) -> Array {
    using From = decltype(type);
    using To = std::conditional_t<std::is_same_v<From, std::uint8_t>, std::uint16_t, std::uint32_t>;
    if constexpr (std::is_same_v<From, double>) {
      throw DeviceError("tokens: expected integers");
    } else {
      DeviceArray<To> to(array.size);
      narrow(Span<From>{static_cast<const From*>(array.data), array.size}, to.data());
      synchronize();
      return Array::of(std::move(to));
    }
  });
}

// uint16 ids as uint32, the only change of type that kernels need.
inline Array as_type(const Array& array, const py::object& type) {
  const py::dtype wanted = py::dtype::from_args(type);
  if (wanted.equal(array.dtype())) return array;
  if (!wanted.equal(py::dtype::of<std::uint32_t>())) {
    throw py::type_error("type: expected uint32, got " + std::string(py::str(wanted)));
  }
  const auto ids = array.span<std::uint16_t>("ids");
  py::gil_scoped_release release;
  const DeviceGuard guard(array.device);
  DeviceArray<std::uint32_t> to(array.size);
  narrow(ids, to.data());
  synchronize();
  return Array::of(std::move(to));
}

inline Element element_of(dlpack::DataType dtype) {
  if (dtype.lanes == 1 && (dtype.code == dlpack::kInt || dtype.code == dlpack::kUint)) {
    switch (dtype.bits) {
      case 8: return dtype.code == dlpack::kInt ? Element::kInt8 : Element::kUint8;
      case 16: return dtype.code == dlpack::kInt ? Element::kInt16 : Element::kUint16;
      case 32: return dtype.code == dlpack::kInt ? Element::kInt32 : Element::kUint32;
      case 64: return dtype.code == dlpack::kInt ? Element::kInt64 : Element::kUint64;
      default: break;
    }
  }
  throw py::type_error("expected integers, got elements of DLPack type " +
                       std::to_string(dtype.code) + " and " + std::to_string(dtype.bits) + " bits");
}

inline bool is_contiguous(const dlpack::Tensor& tensor) {
  std::int64_t step = 1;
  for (int axis = tensor.ndim - 1; axis >= 0; --axis) {
    if (tensor.strides != nullptr && tensor.shape[axis] != 1 && tensor.strides[axis] != step) {
      return false;
    }
    step *= tensor.shape[axis];
  }
  return true;
}

// A tensor's elements, one after the other, and its shape; it lives as long as they do. The capsule
// is what the tensor's __dlpack__ gave.
inline std::pair<Array, py::tuple> from_dlpack(py::capsule capsule) {
  if (std::string(capsule.name() == nullptr ? "" : capsule.name()) != "dltensor") {
    throw py::type_error("expected a capsule 'dltensor' that nobody has taken yet");
  }
  auto* managed = capsule.get_pointer<dlpack::ManagedTensor>();
  const dlpack::Tensor& tensor = managed->tensor;
  Array array;
  array.element = element_of(tensor.dtype);
  if (!is_contiguous(tensor)) throw py::value_error("expected contiguous memory, got strides");
  array.device = tensor.device.id;
  array.data = static_cast<const char*>(tensor.data) + tensor.byte_offset;
  array.size = 1;
  py::tuple shape(static_cast<std::size_t>(tensor.ndim));
  for (int axis = 0; axis < tensor.ndim; ++axis) {
    array.size *= tensor.shape[axis];
    shape[static_cast<std::size_t>(axis)] = tensor.shape[axis];
  }
  capsule.set_name("used_dltensor");  // from now on the tensor is ours to let go
  array.owner = std::shared_ptr<const void>(array.data, [managed](const void*) {
    if (managed->deleter != nullptr) managed->deleter(managed);
  });
  return {std::move(array), std::move(shape)};
}

}  // namespace probsig::gpu
