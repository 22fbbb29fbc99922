#include "merge.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace probsig {
namespace {

// One row's entries, somewhere.
struct Entries {
  const std::int32_t* indices = nullptr;
  const std::int64_t* data = nullptr;
  std::int64_t size = 0;
};

[[noreturn]] void throw_outside(std::int64_t columns, std::int64_t index) {
  throw std::out_of_range("counts: expected column ids from 0 to " + std::to_string(columns - 1) +
                          ", got " + std::to_string(index) + ": damaged");
}

// Indices and counts may come from a damaged file.
void check(const Entries& entries, std::int64_t columns) {
  bool fits = true;
  for (std::int64_t i = 0; i < entries.size; ++i) {
    fits &= entries.indices[i] >= 0 && entries.indices[i] < columns && entries.data[i] > 0;
  }
  for (std::int64_t i = 0; !fits && i < entries.size; ++i) {
    const std::int64_t index = entries.indices[i];
    if (index < 0 || index >= columns) throw_outside(columns, index);
    if (entries.data[i] < 1) {
      throw std::invalid_argument("counts: expected counts above 0, got " +
                                  std::to_string(entries.data[i]) + ": damaged");
    }
  }
}

// Adds two rows; there is room for all entries of both. Returns how many there are.
std::int64_t add(const Entries& a, const Entries& b, std::int32_t* indices, std::int64_t* data) {
  std::int64_t i = 0, j = 0, k = 0;
  std::int64_t signs = 0;
  // Which row comes next is hard to foresee, so there is no branch on it.
  while (i < a.size && j < b.size) {
    const std::int32_t left = a.indices[i], right = b.indices[j];
    const bool takes_left = left <= right, takes_right = right <= left;
    const auto sum = (static_cast<std::uint64_t>(a.data[i]) & (takes_left ? ~0ULL : 0ULL)) +
                     (static_cast<std::uint64_t>(b.data[j]) & (takes_right ? ~0ULL : 0ULL));
    indices[k] = takes_left ? left : right;
    data[k] = static_cast<std::int64_t>(sum);
    signs |= data[k];  // two numbers below 2^63 whose sum passes it: its top bit is set
    ++k;
    i += takes_left;
    j += takes_right;
  }
  if (signs < 0) throw std::overflow_error("a sum of counts passed 2^63 - 1");
  const Entries& rest = i < a.size ? a : b;
  const std::int64_t begin = i < a.size ? i : j;
  std::copy(rest.indices + begin, rest.indices + rest.size, indices + k);
  std::copy(rest.data + begin, rest.data + rest.size, data + k);
  return k + rest.size - begin;
}

// Sums that wait to be added to others.
struct Scratch {
  std::vector<std::int32_t> indices;
  std::vector<std::int64_t> data;
};

class Merger {
 public:
  explicit Merger(BlockBuilder& block) : block_(block) {}

  // Appends the sum of one row's parts; takes them apart.
  void append(std::vector<Entries>& parts) {
    used_ = 0;
    while (parts.size() > 2) add_smallest(parts);
    if (parts.size() == 1) parts.emplace_back();
    if (parts.empty()) return;
    const std::int64_t room = parts[0].size + parts[1].size;
    std::int32_t* indices = block_.indices.reserve_more(room);
    std::int64_t* data = block_.data.reserve_more(room);
    block_.extend(add(parts[0], parts[1], indices, data));
  }

 private:
  // Small ones first: so an entry is copied about as often as the logarithm of their number says.
  void add_smallest(std::vector<Entries>& parts) {
    std::partial_sort(parts.begin(), parts.begin() + 2, parts.end(),
                      [](const Entries& a, const Entries& b) { return a.size < b.size; });
    if (used_ == scratch_.size()) scratch_.emplace_back();
    Scratch& sum = scratch_[used_++];
    const auto room = static_cast<std::size_t>(parts[0].size + parts[1].size);
    if (sum.indices.size() < room) {
      sum.indices.resize(room);
      sum.data.resize(room);
    }
    const std::int64_t size = add(parts[0], parts[1], sum.indices.data(), sum.data.data());
    parts[0] = {sum.indices.data(), sum.data.data(), size};
    parts.erase(parts.begin() + 1);
  }

  BlockBuilder& block_;
  std::vector<Scratch> scratch_;
  std::size_t used_ = 0;
};

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
  const std::int64_t rows = blocks.front().indptr.size - 1;
  BlockBuilder block(rows);
  Merger merger(block);
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
    merger.append(parts);
    block.end_row();
  }
  return block;
}

}  // namespace probsig
