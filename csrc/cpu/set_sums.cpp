// A row x of the triangle is the sum of the sets that hold x. Of their heads 512 are added at once, as
// lines of bits; tails, and all ids of tokens in few sets, one by one.

#include <algorithm>
#include <limits>
#include <vector>

#include "core/prefetch.hpp"
#include "core/row_accumulator.hpp"
#include "sets.hpp"

namespace probsig {
namespace {

// Planes of a tile of rows, in lines: 8 MB. A tile goes through the lines of one block of heads and
// one part after the other, a quarter of a megabyte each, which so stay in the cache for all its rows.
constexpr std::int64_t kTileLines = std::int64_t{1} << 17;
// Members whose tails are asked for ahead of time.
constexpr std::int64_t kAhead = 8;

// `Count` holds the number of all sets.
template <class Id, class Number, class Count>
class SetSummer {
 public:
  SetSummer(const std::vector<SetIndexView<Id, Number>>& parts, Span<Id> heads,
            Span<std::uint8_t> lined, Span<std::int64_t> additions, CancelFlag cancel)
      : parts_(parts),
        heads_(heads),
        lined_(lined),
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
      if (lined_[row]) lines += (blocks_ - head / kLineBits) * tile_.back().n_planes;
    }
    planes_.assign(static_cast<std::size_t>(lines), Line{});
    return row;
  }

  void count_heads() {
    for (std::int64_t block = 0; block < blocks_; ++block) {
      for (const auto& part : parts_) {
        if (cancel_.set()) return;
        for (const TileRow& each : tile_) {
          if (lined_[each.row] && each.first_head / kLineBits <= block) {
            add_part(part, block, each);
          }
        }
      }
    }
  }

  void add_part(const SetIndexView<Id, Number>& part, std::int64_t block, const TileRow& to) {
    const std::int64_t begin = part.indptr[to.row], size = part.indptr[to.row + 1] - begin;
    if (size == 0) return;
    add_lines(part.slab(block), part.members.data + begin, size, planes(to, block), to.n_planes);
  }

  Line* planes(const TileRow& of, std::int64_t block) {
    const std::int64_t blocks = block - of.first_head / kLineBits;
    return planes_.data() + of.planes + blocks * of.n_planes;
  }

  void emit(const TileRow& each, NarrowBlockBuilder& block) {
    const std::int64_t additions = additions_[each.row];
    if (additions == 0) return;
    if (additions > dense_from(columns() - each.row)) {
      add_row<true>(each, [this](Id id, Count sets) { sums_.add_dense(id, sets); });
      sums_.emit_dense(block, additions, each.row);
    } else {
      add_row<false>(each, [this](Id id, Count sets) { sums_.add(id, sets); });
      sums_.emit(block);
    }
  }

  // `below`: whether columns below the row may be added to. Rows rise, and so nobody looks there.
  template <bool below, class Add>
  void add_row(const TileRow& each, Add add) {
    if (lined_[each.row]) take_heads(each, add);
    for (const auto& part : parts_) {
      if (lined_[each.row]) {
        const auto end = [&part](Number set) { return part.tails.data + part.tail_ends[set]; };
        // The gaps hold zeros, which are not below the first row.
        if (below && each.row > 0) {
          add_members(part, each.row, end, [&](const Id* last, const Id* first) {
            for (; last > first; last -= 4) add_four(last - 4, add);
          });
        } else {
          add_members(part, each.row, end, all_of(add));
        }
      } else {
        const auto end = [&part](Number set) { return part.ids.data + part.set_indptr[set + 1]; };
        add_members(part, each.row, end, all_of(add));
      }
    }
  }

  template <class Add>
  static auto all_of(Add add) {
    return [add](const Id* last, const Id* first) {
      for (; last - first >= 4; last -= 4) add_four(last - 4, add);
      while (last > first) add(*--last, 1);
    };
  }

  template <class Add>
  static void add_four(const Id* ids, Add add) {
    add(ids[0], 1);
    add(ids[1], 1);
    add(ids[2], 1);
    add(ids[3], 1);
  }

  template <class Add>
  void take_heads(const TileRow& each, Add add) {
    std::uint16_t lanes[kLineBits + kCountSlack];
    std::uint32_t counts[kLineBits + kCountSlack];
    std::int64_t first = each.first_head % kLineBits;
    for (std::int64_t block = each.first_head / kLineBits; block < blocks_; ++block, first = 0) {
      const std::int64_t n = take_counts(planes(each, block), each.n_planes, first, lanes, counts);
      const Id* const ids = heads_.data + block * kLineBits;
      for (std::int64_t i = 0; i < n; ++i) add(ids[lanes[i]], static_cast<Count>(counts[i]));
    }
  }

  // add_ids(last, first) for each member: so many ids, to where its set ends.
  template <class End, class AddIds>
  static void add_members(const SetIndexView<Id, Number>& part, std::int64_t row, End end_of,
                          AddIds add_ids) {
    const std::int64_t end = part.indptr[row + 1];
    for (std::int64_t k = part.indptr[row]; k < end; ++k) {
      if (k + kAhead < end) prefetch_read(end_of(part.members[k + kAhead].line) - 1);
      const Member<Number> member = part.members[k];
      const Id* const last = end_of(member.line);
      add_ids(last, last - member.other);
    }
  }

  const std::vector<SetIndexView<Id, Number>>& parts_;
  Span<Id> heads_;
  Span<std::uint8_t> lined_;
  Span<std::int64_t> additions_;
  CancelFlag cancel_;
  std::int64_t blocks_;
  RowAccumulator<Count> sums_;
  std::vector<TileRow> tile_;
  std::vector<Line> planes_;
};

}  // namespace

template <class Id, class Number>
void set_sums(const std::vector<SetIndexView<Id, Number>>& parts, Span<Id> heads,
              Span<std::uint8_t> lined, Span<std::int64_t> additions, std::int64_t row_begin,
              std::int64_t row_end, CancelFlag cancel, NarrowBlockBuilder& block) {
  std::int64_t sets = 0;
  for (const auto& part : parts) sets += part.sets();
  if (sets <= std::numeric_limits<std::uint16_t>::max()) {
    SetSummer<Id, Number, std::uint16_t>(parts, heads, lined, additions, cancel)
        .run(row_begin, row_end, block);
  } else {
    SetSummer<Id, Number, std::uint32_t>(parts, heads, lined, additions, cancel)
        .run(row_begin, row_end, block);
  }
}

#define PROBSIG_INSTANTIATE(Id, Number)                                                       \
  template void set_sums(const std::vector<SetIndexView<Id, Number>>&, Span<Id>,              \
                         Span<std::uint8_t>, Span<std::int64_t>, std::int64_t, std::int64_t, \
                         CancelFlag, NarrowBlockBuilder&);
PROBSIG_INSTANTIATE(std::uint16_t, std::uint16_t)
PROBSIG_INSTANTIATE(std::uint16_t, std::uint32_t)
PROBSIG_INSTANTIATE(std::uint32_t, std::uint16_t)
PROBSIG_INSTANTIATE(std::uint32_t, std::uint32_t)
#undef PROBSIG_INSTANTIATE

}  // namespace probsig
