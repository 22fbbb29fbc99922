// Plain views over memory that somebody else owns: what kernels take.
#pragma once

#include <cstddef>
#include <cstdint>

namespace probsig {

template <class T>
struct Span {
  const T* data = nullptr;
  std::int64_t size = 0;

  const T& operator[](std::int64_t i) const { return data[i]; }
};

// One chunk: kernels count the pairs that the first `core` tokens begin. Runs [starts[i], ends[i])
// are in order, do not overlap, and hold only ids below the vocabulary size.
template <class Token>
struct Chunk {
  Span<Token> tokens;
  std::int64_t core = 0;
  Span<std::int64_t> run_starts;
  Span<std::int64_t> run_ends;
  // histogram[x] >= how often x stands among the core's runs; its size is the vocabulary's.
  Span<std::int64_t> histogram;
};

// A CSR block: indices sorted within a row. Its counts are of one of two widths, and the other
// span is empty.
struct BlockView {
  Span<std::int64_t> indptr;
  Span<std::int32_t> indices;
  Span<std::int64_t> data;
  Span<std::int32_t> narrow_data;
};

// A stretch [begin, end) of an array of ids.
struct Bounds {
  std::uint32_t begin;
  std::uint32_t end;
};

// Set to another value than 0 by the caller's thread; kernels look at it now and then.
class CancelFlag {
 public:
  explicit CancelFlag(const std::uint8_t* flag) : flag_(flag) {}
  bool set() const {
#if defined(__GNUC__) || defined(__clang__)
    return __atomic_load_n(flag_, __ATOMIC_RELAXED) != 0;
#else
    return *static_cast<const volatile std::uint8_t*>(flag_) != 0;
#endif
  }

 private:
  const std::uint8_t* flag_;
};

}  // namespace probsig
