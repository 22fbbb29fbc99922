// A row x of the triangle is the sum of the sets that hold x. Of their heads 512 are added at once,
// as lines of bits; their tails one by one.

#include <algorithm>
#include <limits>
#include <vector>

#include "core/prefetch.hpp"
#include "core/row_accumulator.hpp"
#include "sets.hpp"

namespace probsig {
namespace {

// Planes of a tile of rows, in lines: 2 MB. A tile goes through the lines of one block of heads and
// one part after the other, a quarter of a megabyte each, which so stay in the cache for all its rows.
constexpr std::int64_t kTileLines = std::int64_t{1} << 15;
// Members whose tails are asked for ahead of time.
constexpr std::int64_t kAhead = 8;

template <class Id>
class SetSummer {
 public:
  SetSummer(const std::vector<SetIndexView<Id>>& parts, Span<Id> heads,
            Span<std::int64_t> additions, CancelFlag cancel)
      : parts_(parts),
        heads_(heads),
        additions_(additions),
        cancel_(cancel),
        blocks_(line_blocks(heads.size)),
        sums_(additions.size) {}

  void run(std::int64_t row, std::int64_t row_end, NarrowBlockBuilder& block) {
    reserve(block, row, row_end);
    while (row < row_end && !cancel_.set()) {
      const std::int64_t begin = row;
      row = plan_tile(begin, row_end);
      count_heads();
      for (const TileRow& each : tile_) {
        if (cancel_.set()) return;
        emit(each, block);
        block.end_row();
      }
    }
  }

 private:
  struct TileRow {
    std::int64_t row;
    std::int64_t first_head;  // the first that is not below the row
    int n_planes;
    std::int64_t planes;  // where those of the block of its first head begin
  };

  std::int64_t columns() const { return additions_.size; }

  // Room for all entries that there can be: what is not used takes no memory.
  void reserve(NarrowBlockBuilder& block, std::int64_t row, std::int64_t row_end) const {
    std::int64_t most = kTakeSlack;
    for (; row < row_end; ++row) most += std::min(additions_[row], columns() - row);
    block.reserve(most);
  }

  // Rows from `row` on; returns the first that is left for the next tile.
  std::int64_t plan_tile(std::int64_t row, std::int64_t row_end) {
    tile_.clear();
    std::int64_t lines = 0;
    for (; row < row_end && lines < kTileLines; ++row) {
      std::uint64_t sets = 0;
      for (const auto& part : parts_) {
        sets += static_cast<std::uint64_t>(part.indptr[row + 1] - part.indptr[row]);
      }
      const Id* const end = heads_.data + heads_.size;
      const std::int64_t head = std::lower_bound(heads_.data, end, row) - heads_.data;
      tile_.push_back({row, head, planes_for(sets), lines});
      if (sets > 0) lines += (blocks_ - head / kLineBits) * tile_.back().n_planes;
    }
    planes_.assign(static_cast<std::size_t>(lines), Line{});
    return row;
  }

  void count_heads() {
    for (std::int64_t block = 0; block < blocks_; ++block) {
      for (const auto& part : parts_) {
        if (cancel_.set()) return;
        for (const TileRow& each : tile_) {
          if (each.first_head / kLineBits <= block) add_part(part, block, each);
        }
      }
    }
  }

  void add_part(const SetIndexView<Id>& part, std::int64_t block, const TileRow& to) {
    const std::int64_t begin = part.indptr[to.row], size = part.indptr[to.row + 1] - begin;
    if (size == 0) return;
    add_lines(part.slab(block), static_cast<std::uint32_t>(part.sets()), part.members.data + begin,
              size, planes(to, block), to.n_planes);
  }

  Line* planes(const TileRow& of, std::int64_t block) {
    const std::int64_t blocks = block - of.first_head / kLineBits;
    return planes_.data() + of.planes + blocks * of.n_planes;
  }

  void emit(const TileRow& each, NarrowBlockBuilder& block) {
    const std::int64_t additions = additions_[each.row];
    if (additions == 0) return;
    if (additions > dense_from(columns() - each.row)) {
      const auto add = [this](Id id, std::uint32_t sets) { sums_.add_dense(id, sets); };
      take_heads(each, add);
      add_tails(each.row, add);
      sums_.emit_dense(block, additions, each.row);
    } else {
      const auto add = [this](Id id, std::uint32_t sets) { sums_.add(id, sets); };
      take_heads(each, add);
      add_tails(each.row, add);
      sums_.emit(block);
    }
  }

  template <class Add>
  void take_heads(const TileRow& each, Add add) {
    std::uint16_t lanes[kLineBits + kCountSlack];
    std::uint32_t counts[kLineBits + kCountSlack];
    std::int64_t first = each.first_head % kLineBits;
    for (std::int64_t block = each.first_head / kLineBits; block < blocks_; ++block, first = 0) {
      const std::int64_t n = take_counts(planes(each, block), each.n_planes, first, lanes, counts);
      const Id* const ids = heads_.data + block * kLineBits;
      for (std::int64_t i = 0; i < n; ++i) add(ids[lanes[i]], counts[i]);
    }
  }

  template <class Add>
  void add_tails(std::int64_t row, Add add) const {
    for (const auto& part : parts_) {
      const std::int64_t end = part.indptr[row + 1];
      for (std::int64_t k = part.indptr[row]; k < end; ++k) {
        if (k + kAhead < end) prefetch_read(part.tails.data + part.members[k + kAhead].other);
        const Member member = part.members[k];
        const Id* const last = part.tails.data + part.tail_ends[member.line];
        for (const Id* id = part.tails.data + member.other; id < last; ++id) add(*id, 1);
      }
    }
  }

  const std::vector<SetIndexView<Id>>& parts_;
  Span<Id> heads_;
  Span<std::int64_t> additions_;
  CancelFlag cancel_;
  std::int64_t blocks_;
  RowAccumulator<std::uint32_t> sums_;
  std::vector<TileRow> tile_;
  std::vector<Line> planes_;
};

}  // namespace

template <class Id>
void set_sums(const std::vector<SetIndexView<Id>>& parts, Span<Id> heads,
              Span<std::int64_t> additions, std::int64_t row_begin, std::int64_t row_end,
              CancelFlag cancel, NarrowBlockBuilder& block) {
  SetSummer<Id>(parts, heads, additions, cancel).run(row_begin, row_end, block);
}

#define PROBSIG_INSTANTIATE(Id)                                                          \
  template void set_sums(const std::vector<SetIndexView<Id>>&, Span<Id>,                 \
                         Span<std::int64_t>, std::int64_t, std::int64_t, CancelFlag,     \
                         NarrowBlockBuilder&);
PROBSIG_INSTANTIATE(std::uint16_t)
PROBSIG_INSTANTIATE(std::uint32_t)
#undef PROBSIG_INSTANTIATE

}  // namespace probsig
