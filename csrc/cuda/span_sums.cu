// Rows are summed one by one, each over all spans of all parts, so that none is ever summed twice
// and merged. Blocks take rows as they come, the heaviest first; each row is listed where it surely
// fits, and moved to its place in the end. So the block does not depend on who was when where.

#include "span_sums.hpp"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "count_rows.cuh"
#include "head_sums.cuh"
#include "launch.cuh"
#include "primitives.cuh"
#include "row_tasks.hpp"
#include "spans.hpp"

namespace probsig::gpu {
namespace {

// Of the memory, one of so many parts: for counters in global memory, for rows in pieces, and for
// what heads add.
constexpr std::int64_t kShare = 8;

std::int64_t share_of_memory() { return memory_budget(current_device()) / kShare; }

// What there is to do for each row, on the host.
struct Work {
  std::vector<std::int64_t> additions;
  std::vector<std::int64_t> spans;
  std::vector<std::int64_t> entries;  // at most

  RowWork of(std::int64_t begin, std::int64_t end) const {
    return {{additions.data() + begin, end - begin},
            {spans.data() + begin, end - begin},
            {entries.data() + begin, end - begin}};
  }
};

void add_numbers_of_spans(const std::int64_t* indptr, std::int64_t rows, std::int64_t* spans) {
  for_each("counting spans", rows, [=] __device__(std::int64_t row) {
    spans[row] += indptr[row + 1] - indptr[row];
  });
}

template <class Id>
Work measured(const std::vector<SpansView<Id>>& parts, std::int64_t columns,
              std::int64_t row_begin, std::int64_t row_end) {
  const std::int64_t rows = row_end - row_begin;
  auto additions = DeviceArray<std::int64_t>::zeros(rows);
  auto spans = DeviceArray<std::int64_t>::zeros(rows);
  auto outside = DeviceArray<std::uint32_t>::zeros(1);
  for (const auto& part : parts) {
    const std::int64_t* indptr = part.indptr.data + row_begin;
    add_additions({indptr, rows + 1}, part.bounds, part.ids.size, additions.data(),
                  outside.data());
    add_numbers_of_spans(indptr, rows, spans.data());
  }
  if (outside.at(0) != 0) throw std::out_of_range("bounds: expected spans within the ids");
  const auto size = static_cast<std::size_t>(rows);
  Work work{std::vector<std::int64_t>(size), std::vector<std::int64_t>(size), {}};
  additions.to_host(work.additions.data());
  spans.to_host(work.spans.data());
  work.entries = work.additions;
  for (const auto& part : parts) {
    const HeadRange range = heads_among(part.head_ids, row_begin, row_end);
    for (std::int64_t head = range.begin; head < range.end; ++head) {
      work.entries[static_cast<std::size_t>(part.head_ids[head] - row_begin)] +=
          part.head_ids.size - head;
    }
  }
  for (std::int64_t& each : work.entries) each = std::min(each, columns);
  return work;
}

// Whether 32 bits hold every sum: a row's additions, and the sets of each part for a pair of heads.
template <class Id>
bool fits_32_bits(const std::vector<SpansView<Id>>& parts, const Work& work) {
  std::int64_t most = 0;
  for (const std::int64_t each : work.additions) most = std::max(most, each);
  for (const auto& part : parts) {
    if (part.id_weights.size > 0 || part.span_weights.size > 0) return false;
    most += 8 * part.head_stride;
  }
  return most <= std::numeric_limits<std::uint32_t>::max();
}

// The end of as many rows from `begin` on as have sums of heads that fit together; at least one
// row.
template <class Id>
std::int64_t end_of_range(const std::vector<SpansView<Id>>& parts, std::int64_t begin,
                          std::int64_t end) {
  const std::int64_t most = share_of_memory() / static_cast<std::int64_t>(sizeof(std::int32_t));
  const auto fits = [&](std::int64_t range_end) {
    std::int64_t sums = 0;
    for (const auto& part : parts) sums += heads_among(part.head_ids, begin, range_end).sums();
    return sums <= most;
  };
  std::int64_t fitting = begin + 1, past = end + 1;  // past: the first that does not fit, or later
  while (past - fitting > 1) {
    const std::int64_t middle = fitting + (past - fitting) / 2;
    (fits(middle) ? fitting : past) = middle;
  }
  return fitting;
}

// How blocks share a multiprocessor: several smaller ones, where their counters leave room, as some
// then count while others list.
struct Shape {
  std::int64_t blocks;
  int threads;
  std::uint32_t near_columns;
  std::size_t shared_bytes;
};

template <class Count>
Shape shape_for(std::int64_t columns) {
  constexpr std::size_t kReserved = 1024;  // of each block, by the system
  constexpr int kMostBlocksEach = 4;
  const DeviceLimits limits = device_limits();
  const std::size_t near = std::min(static_cast<std::size_t>(columns),
                                    (limits.shared_memory - kBlockStateBytes) / sizeof(Count));
  const std::size_t bytes = kBlockStateBytes + near * sizeof(Count);
  std::size_t each = kMostBlocksEach;
  while (each > 1 && each * (bytes + kReserved) > limits.shared_memory + kReserved) each /= 2;
  std::int64_t blocks = static_cast<std::int64_t>(each) * limits.multiprocessors;
  const std::int64_t far_bytes =
      (columns - static_cast<std::int64_t>(near)) * static_cast<std::int64_t>(sizeof(Count));
  if (far_bytes > 0) {
    blocks = std::clamp<std::int64_t>(share_of_memory() / far_bytes, 1, blocks);
  }
  return {blocks, kMostThreads / static_cast<int>(each), static_cast<std::uint32_t>(near), bytes};
}

// Rows on their way: listed where there is room for the most that they can have.
template <class Count>
struct ListedRows {
  std::vector<std::int64_t> places;
  DeviceArray<std::int64_t> places_there;
  DeviceArray<std::int32_t> indices;
  DeviceArray<Count> values;
  DeviceArray<std::int64_t> lengths;

  explicit ListedRows(const std::vector<std::int64_t>& entries) {
    std::int64_t sum = 0;
    for (const std::int64_t each : entries) {
      places.push_back(sum);
      sum += each;
    }
    const auto rows = static_cast<std::int64_t>(places.size());
    places_there = DeviceArray<std::int64_t>::from_host(places.data(), rows);
    indices = DeviceArray<std::int32_t>(sum);
    values = DeviceArray<Count>(sum);
    lengths = DeviceArray<std::int64_t>::zeros(rows + 1);
  }

  // From the row-th on.
  RowLists<Count> from(std::int64_t row, std::int64_t columns) {
    return {places_there.data() + row, indices.data(), values.data(), lengths.data() + row,
            static_cast<std::uint32_t>(columns)};
  }
};

template <class Count>
__global__ void gather_rows(const std::int64_t* places, const std::int32_t* indices,
                            const Count* values, const std::int64_t* indptr, std::int64_t rows,
                            std::int32_t* to_indices, std::int64_t* to_values) {
  for (std::int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const std::int64_t begin = indptr[row], length = indptr[row + 1] - begin;
    for (std::int64_t i = threadIdx.x; i < length; i += blockDim.x) {
      to_indices[begin + i] = indices[places[row] + i];
      to_values[begin + i] = static_cast<std::int64_t>(values[places[row] + i]);
    }
  }
}

// The rows one after the other. Moves 20 bytes an entry (24 of 64-bit sums): an H100's 3 TB/s bound
// it at some 130 G entries/s.
template <class Count>
DeviceBlock gathered(ListedRows<Count>&& listed) {
  const std::int64_t rows = listed.lengths.size() - 1;
  DeviceBlock block;
  block.indptr = std::move(listed.lengths);
  exclusive_sum(block.indptr.data(), block.indptr.data(), rows + 1);
  const std::int64_t entries = block.indptr.at(rows);
  block.indices = DeviceArray<std::int32_t>(entries);
  block.data = DeviceArray<std::int64_t>(entries);
  constexpr std::int64_t kMostBlocks = std::int64_t{1} << 20;
  launch("gathering rows", {std::min(rows, kMostBlocks), 128}, gather_rows<Count>,
         listed.places_there.data(), listed.indices.data(), listed.values.data(),
         block.indptr.data(), rows, block.indices.data(), block.data.data());
  return block;
}

template <class Id, class Count>
class SpanSummer {
 public:
  SpanSummer(const std::vector<SpansView<Id>>& parts, std::int64_t columns, const Work& work,
             CancelFlag cancel)
      : parts_(parts),
        columns_(columns),
        work_(work),
        cancel_(cancel),
        shape_(shape_for<Count>(columns)),
        far_(DeviceArray<Count>::zeros(shape_.blocks * (columns - shape_.near_columns))),
        listed_(work.entries) {}

  DeviceBlock run(std::int64_t row_begin, std::int64_t row_end) {
    for (std::int64_t row = row_begin; row < row_end && !cancel_.set();) {
      const std::int64_t end = end_of_range(parts_, row, row_end);
      sum(row, end, row - row_begin);
      row = end;
    }
    if (cancel_.set()) return {DeviceArray<std::int64_t>::zeros(row_end - row_begin + 1), {}, {}};
    return gathered(std::move(listed_));
  }

 private:
  // Rows [begin, end), of which the first is the offset-th of all.
  void sum(std::int64_t begin, std::int64_t end, std::int64_t offset) {
    std::vector<HeadSums<Id>> heads;
    std::vector<PartView<Id>> views;
    for (const auto& part : parts_) {
      heads.push_back(head_sums(part, begin, end));
      views.push_back({part.ids.data, part.id_weights.size > 0 ? part.id_weights.data : nullptr,
                       part.indptr.data + begin, part.bounds.data,
                       part.span_weights.size > 0 ? part.span_weights.data : nullptr,
                       heads.back().view()});
    }
    const auto parts = DeviceArray<PartView<Id>>::from_host(
        views.data(), static_cast<std::int64_t>(views.size()));
    RowSums<Id, Count> in{};
    in.parts = parts.data();
    in.n_parts = static_cast<std::int32_t>(parts.size());
    in.near_columns = shape_.near_columns;
    in.far_counters = far_.data();
    in.out = listed_.from(offset, columns_);
    launch_tasks(in, row_tasks(work_.of(offset, offset + end - begin), limits()));
  }

  void launch_tasks(RowSums<Id, Count> in, const RowTasks& planned) const {
    const auto tasks = DeviceArray<RowTask>::from_host(
        planned.tasks.data(), static_cast<std::int64_t>(planned.tasks.size()));
    const auto rows = static_cast<std::int64_t>(planned.split_rows.size());
    auto split_rows = DeviceArray<Count>::zeros(rows * columns_);
    in.tasks = tasks.data();
    in.split_rows = split_rows.data();
    for (std::size_t cut = 0; cut + 1 < planned.cuts.size() && !cancel_.set(); ++cut) {
      const std::int64_t begin = planned.cuts[cut];
      in.tasks_end = planned.cuts[cut + 1];
      const auto first = static_cast<unsigned long long>(begin);
      const auto next = DeviceArray<unsigned long long>::from_host(&first, 1);
      in.next_task = const_cast<unsigned long long*>(next.data());
      const Grid grid{std::min(shape_.blocks, in.tasks_end - begin), shape_.threads,
                      shape_.shared_bytes};
      launch("summing rows", grid,
             far_.size() > 0 ? sum_rows<Id, Count, true> : sum_rows<Id, Count, false>, in);
      synchronize();  // or the flag would be looked at before the rows are summed
    }
    const auto which = DeviceArray<std::uint32_t>::from_host(planned.split_rows.data(), rows);
    launch("listing rows", {rows, kMostThreads}, list_split_rows<Count>, in.out, which.data(),
           split_rows.data());
  }

  BlockLimits limits() const {
    const std::int64_t row_bytes = columns_ * static_cast<std::int64_t>(sizeof(Count));
    return {shape_.blocks, shape_.threads, columns_, share_of_memory() / row_bytes};
  }

  const std::vector<SpansView<Id>>& parts_;
  std::int64_t columns_;
  const Work& work_;
  CancelFlag cancel_;
  Shape shape_;
  DeviceArray<Count> far_;
  ListedRows<Count> listed_;
};

}  // namespace

template <class Id>
DeviceBlock span_sums(const std::vector<SpansView<Id>>& parts, std::int64_t columns,
                      std::int64_t row_begin, std::int64_t row_end, CancelFlag cancel) {
  const Work work = measured(parts, columns, row_begin, row_end);
  if (fits_32_bits(parts, work)) {
    return SpanSummer<Id, unsigned>(parts, columns, work, cancel).run(row_begin, row_end);
  }
  return SpanSummer<Id, unsigned long long>(parts, columns, work, cancel).run(row_begin, row_end);
}

template DeviceBlock span_sums(const std::vector<SpansView<std::uint16_t>>&, std::int64_t,
                               std::int64_t, std::int64_t, CancelFlag);
template DeviceBlock span_sums(const std::vector<SpansView<std::uint32_t>>&, std::int64_t,
                               std::int64_t, std::int64_t, CancelFlag);

}  // namespace probsig::gpu
