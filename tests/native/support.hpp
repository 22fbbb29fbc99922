// Random inputs, and what results are compared with: maps from cells to counts.
#pragma once

#include <cstdint>
#include <exception>
#include <map>
#include <mutex>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/block.hpp"
#include "core/views.hpp"

namespace harness {

using namespace probsig;

using Cells = std::map<std::pair<std::int64_t, std::int64_t>, std::int64_t>;

// A random choice; the same ones for a seed.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : engine_(seed) {}

  // From low to high, both included.
  std::int64_t between(std::int64_t low, std::int64_t high) {
    const auto width = static_cast<std::uint64_t>(high - low) + 1;
    return low + static_cast<std::int64_t>(engine_() % width);
  }
  bool chance(int percent) { return between(1, 100) <= percent; }
  template <class T>
  T one_of(std::initializer_list<T> choices) {
    return choices.begin()[between(0, static_cast<std::int64_t>(choices.size()) - 1)];
  }

 private:
  std::mt19937_64 engine_;
};

inline void check(bool holds, const std::string& what) {
  if (!holds) throw std::logic_error(what);
}

// Runs body(0) ... body(threads - 1) at once, as a pool of Python threads does; the first failure is
// thrown. New threads each time, so that what a thread keeps (WorkArray) has no room to spare.
template <class Body>
void together(int threads, const Body& body) {
  std::mutex mutex;
  std::exception_ptr failure;
  std::vector<std::thread> running;
  for (int thread = 0; thread < threads; ++thread) {
    running.emplace_back([&, thread] {
      try {
        body(thread);
      } catch (...) {
        const std::lock_guard<std::mutex> guard(mutex);
        if (!failure) failure = std::current_exception();
      }
    });
  }
  for (std::thread& each : running) each.join();
  if (failure) std::rethrow_exception(failure);
}

template <class T>
Span<T> span(const std::vector<T>& values) {
  return {values.data(), static_cast<std::int64_t>(values.size())};
}

template <class T>
std::vector<T> to_vector(PodVector<T>& values) {
  return std::vector<T>(values.data(), values.data() + values.size());
}

// The cells of a block, whose rows rise, with counts above 0.
template <class Value>
Cells cells_of(BlockOf<Value>& block, std::int64_t first_row = 0) {
  Cells cells;
  check(block.indptr.size() >= 1 && block.indptr.data()[0] == 0, "row pointers begin with 0");
  for (std::int64_t row = 0; row + 1 < block.indptr.size(); ++row) {
    std::int64_t before = -1;
    for (auto k = block.indptr.data()[row]; k < block.indptr.data()[row + 1]; ++k) {
      const std::int64_t column = block.indices.data()[k], value = block.data.data()[k];
      check(column > before, "columns rise within a row");
      check(value > 0, "counts are above 0");
      cells[{row + first_row, column}] = value;
      before = column;
    }
  }
  const std::int64_t entries = block.indptr.data()[block.indptr.size() - 1];
  check(entries == block.indices.size() && entries == block.data.size(), "as many of all");
  return cells;
}

inline Cells rows_of(const Cells& cells, std::int64_t begin, std::int64_t end) {
  return Cells(cells.lower_bound({begin, 0}), cells.lower_bound({end, 0}));
}

// Cells as the arrays of a block, with counts of 32 or 64 bits.
struct Block {
  std::vector<std::int64_t> indptr;
  std::vector<std::int32_t> indices;
  std::vector<std::int64_t> data;
  std::vector<std::int32_t> narrow_data;

  // Rows [begin, end), of which `pointers` will be the row pointers.
  BlockView rows(std::int64_t begin, std::int64_t end, std::vector<std::int64_t>& pointers) const {
    const std::int64_t low = indptr[static_cast<std::size_t>(begin)];
    const std::int64_t size = indptr[static_cast<std::size_t>(end)] - low;
    pointers.clear();
    for (auto row = begin; row <= end; ++row) {
      pointers.push_back(indptr[static_cast<std::size_t>(row)] - low);
    }
    BlockView view{span(pointers), {indices.data() + low, size}, {}, {}};
    if (narrow_data.empty()) {
      view.data = {data.data() + low, size};
    } else {
      view.narrow_data = {narrow_data.data() + low, size};
    }
    return view;
  }
  BlockView view() const { return {span(indptr), span(indices), span(data), {}}; }

  // Counts in 32 bits, all of which fit.
  void narrow() {
    narrow_data.assign(data.begin(), data.end());
    data.clear();
  }

  static Block of(const Cells& cells, std::int64_t rows) {
    Block block;
    block.indptr.assign(static_cast<std::size_t>(rows) + 1, 0);
    for (const auto& [cell, value] : cells) {
      ++block.indptr[static_cast<std::size_t>(cell.first) + 1];
      block.indices.push_back(static_cast<std::int32_t>(cell.second));
      block.data.push_back(value);
    }
    for (std::size_t row = 1; row < block.indptr.size(); ++row) {
      block.indptr[row] += block.indptr[row - 1];
    }
    return block;
  }
};

// A chunk that owns its memory.
template <class Token>
struct OwnedChunk {
  std::vector<Token> tokens;
  std::int64_t core = 0;
  std::vector<std::int64_t> starts, ends, histogram;

  Chunk<Token> view() const { return {span(tokens), core, span(starts), span(ends), span(histogram)}; }
  std::int64_t vocab_size() const { return static_cast<std::int64_t>(histogram.size()); }
};

// Skewed, flat, constant or edge tokens; runs with and without gaps, some empty.
template <class Token>
OwnedChunk<Token> random_chunk(Draw& draw, std::int64_t most) {
  OwnedChunk<Token> chunk;
  const std::int64_t vocab_size = draw.one_of<std::int64_t>({1, 2, 9, 64, 65, 300, 5000, 65536});
  const std::int64_t size = draw.between(0, draw.one_of<std::int64_t>({3, 70, most}));
  const int kind = static_cast<int>(draw.between(0, 3));
  for (std::int64_t i = 0; i < size; ++i) {
    std::int64_t token = draw.between(0, vocab_size - 1);
    if (kind == 1) token = draw.between(0, token);
    if (kind == 2) token = draw.chance(90) ? vocab_size / 2 : token;
    if (kind == 3) token = draw.chance(50) ? 0 : vocab_size - 1;
    chunk.tokens.push_back(static_cast<Token>(token));
  }
  chunk.core = draw.chance(40) ? size : draw.between(0, size);
  const std::int64_t longest = draw.one_of<std::int64_t>({1, 5, 60, size + 1});
  for (std::int64_t i = 0; i < size;) {
    const std::int64_t end = std::min(size, i + draw.between(0, longest));
    chunk.starts.push_back(i);
    chunk.ends.push_back(end);
    i = end + draw.one_of<std::int64_t>({0, 0, 0, 1, 7}) + (end == i ? 1 : 0);
  }
  const std::int64_t slack = draw.one_of<std::int64_t>({0, 0, 2});
  chunk.histogram.assign(static_cast<std::size_t>(vocab_size), slack);
  for (std::size_t run = 0; run < chunk.starts.size(); ++run) {
    for (auto i = chunk.starts[run]; i < std::min(chunk.ends[run], chunk.core); ++i) {
      ++chunk.histogram[chunk.tokens[static_cast<std::size_t>(i)]];
    }
  }
  return chunk;
}

}  // namespace harness
