// How the parts of a running sum work together: the table of heads, the tail, and the sorted sums.
//
// A launch counts the pairs of one slab of distances that a batch of positions begins. Batches are
// so small that no counter of 32 bits overflows, and that the tail holds their pairs even if none
// has a cell.
#include <algorithm>
#include <utility>

#include "head_table.cuh"
#include "pair_kernel.cuh"
#include "pair_plan.hpp"
#include "pairs.hpp"
#include "run_mask.cuh"
#include "sorted_sums.cuh"

namespace probsig::gpu {

class PairCounter {
 public:
  virtual ~PairCounter() = default;
  virtual void add(const Chunk<std::uint16_t>& chunk, CancelFlag cancel, const BlockSink& sink) = 0;
  virtual void add(const Chunk<std::uint32_t>& chunk, CancelFlag cancel, const BlockSink& sink) = 0;
  virtual void take(const BlockSink& sink) = 0;
};

namespace {

// Pairs of one launch: it takes some hundredths of a second, and then the caller may cancel.
constexpr std::int64_t kMostPairs = std::int64_t{1} << 28;
constexpr std::int64_t kMostCount = (std::int64_t{1} << 32) - 1;
constexpr std::int64_t kMostTotal = INT64_MAX;
// When counts of 32 bits could overflow, the table gives away those of this much or more: a small
// part of the cells, since each stands for so many pairs.
constexpr std::uint32_t kSweep = 1u << 16;

// Blocks that run at the same time: each starts with counters of its own to clear, and ends with
// them to add up, so that there should be no more.
std::int64_t resident_blocks(std::size_t shared_bytes) {
  constexpr std::size_t kReserved = 1024;  // of each block, by the system
  const DeviceLimits limits = device_limits();
  const std::size_t held = (limits.shared_memory + kReserved) / (shared_bytes + kReserved);
  return std::clamp<std::int64_t>(static_cast<std::int64_t>(held), 1, kPairBlocks) *
         limits.multiprocessors;
}

std::int64_t longest_run(Span<std::int64_t> starts, Span<std::int64_t> ends) {
  std::int64_t longest = 0;
  for (std::int64_t run = 0; run < starts.size; ++run) {
    longest = std::max(longest, ends[run] - starts[run]);
  }
  return longest;
}

// Pairs that wait to be sorted.
template <class Key>
class Tail {
 public:
  explicit Tail(std::int64_t capacity) : capacity_(capacity) {}

  std::int64_t capacity() const { return capacity_; }
  std::int64_t size() const { return size_; }
  std::int64_t room() const { return capacity_ - size_; }

  TailView<Key> view(int weight_bits) {
    if (capacity_ == 0) return {nullptr, nullptr, 0};
    if (keys_.size() == 0) {
      keys_ = DeviceArray<Key>(capacity_);
      used_ = DeviceArray<unsigned long long>::zeros(1);
    }
    return {keys_.data(), used_.data(), weight_bits};
  }
  // After a launch.
  void update() {
    if (capacity_ > 0) size_ = static_cast<std::int64_t>(used_.at(0));
  }
  DeviceArray<Key> take() {
    keys_.truncate(size_);
    size_ = 0;
    DeviceArray<Key> taken;
    taken.swap(keys_);
    return taken;
  }

 private:
  std::int64_t capacity_;
  std::int64_t size_ = 0;
  DeviceArray<Key> keys_;  // none until it is needed
  DeviceArray<unsigned long long> used_;
};

template <class Key, class Cell>
class Counter final : public PairCounter {
 public:
  Counter(const PairPlan& plan, const Weights& weights, Span<std::int64_t> histogram)
      : plan_(plan),
        weights_(weights),
        slabs_(weights.slabs(weights.differ ? 1 << plan.weight_bits : kSpan)),
        key_bits_(pair_bits(histogram.size) + plan.weight_bits),
        vocab_size_(histogram.size),
        blocks_(resident_blocks(sizeof(PairShared<Key>))),
        table_(histogram, plan.heads),
        tail_(plan.tail_capacity) {}

  void add(const Chunk<std::uint16_t>& chunk, CancelFlag cancel, const BlockSink& sink) override {
    add_chunk(chunk, cancel, sink);
  }
  void add(const Chunk<std::uint32_t>& chunk, CancelFlag cancel, const BlockSink& sink) override {
    add_chunk(chunk, cancel, sink);
  }

  void take(const BlockSink& sink) override {
    flush_tail();
    do {
      bool all = true;
      SumList<Key> list = sums_.take();
      if (most_in_cell_ > 0) {
        auto cells = table_.template collect<Key>(1, plan_.most_sums - list.keys.size(), all);
        list = added(std::move(list), std::move(cells));
      }
      if (all) most_in_cell_ = 0;
      if (list.keys.size() > 0) sink(to_block(std::move(list), vocab_size_, weights_.factor));
    } while (most_in_cell_ > 0);
    total_ = 0;
  }

 private:
  template <class Token>
  void add_chunk(const Chunk<Token>& chunk, CancelFlag cancel, const BlockSink& sink) {
    const auto mask = run_mask(chunk.run_starts, chunk.run_ends, chunk.core);
    const std::int64_t longest = longest_run(chunk.run_starts, chunk.run_ends);
    for (const Slab& slab : slabs_) {
      if (slab.first >= longest) break;
      begin_slab(slab);
      for (std::int64_t begin = 0; begin < chunk.core && !cancel.set();) {
        make_room(slab, sink);
        const std::int64_t end = std::min(chunk.core, begin + most_positions(slab));
        note_weight((end - begin) * slab.weight_sum(), sink);
        count(chunk, mask, slab, begin, end);
        begin = end;
      }
    }
  }

  // Keys hold distances within one slab: those of another must be gone.
  void begin_slab(const Slab& slab) {
    if (plan_.weight_bits > 0 && slabs_.size() > 1) flush_tail();
    slab_ = &slab;
  }

  // Whether a block's own counters of the hottest pairs can hold a tile's.
  bool has_hot(const Slab& slab) const { return slab.weight_sum() <= kMostCount / kTile; }

  std::int64_t most_positions(const Slab& slab) const {
    std::int64_t most = kMostPairs / slab.distances;
    if (plan_.tail_capacity > 0) most = std::min(most, tail_.room() / slab.distances);
    if (has_hot(slab)) {  // a block takes every blocks_-th tile
      most = std::min(most, kMostCount / (kTile * slab.weight_sum()) * kTile * blocks_);
    }
    if (sizeof(Cell) == 4) most = std::min(most, (kMostCount - most_in_cell_) / slab.distances);
    return most;
  }

  // Afterwards there is room for a launch, and the tail can be flushed.
  void make_room(const Slab& slab, const BlockSink& sink) {
    const std::int64_t capacity = tail_.capacity();
    if (capacity > 0 && tail_.room() < std::max<std::int64_t>(capacity / 4, slab.distances)) {
      flush_tail();
    }
    if (sums_.size() > plan_.most_sums - capacity) {
      sums_.merge();
      // Above half, there would be a merge for every few more sums.
      if (sums_.size() > plan_.most_sums / 2) take(sink);
    }
    if (sizeof(Cell) == 4 && most_in_cell_ > kMostCount / 2) sweep(sink);
  }

  // No sum passes the weight of all pairs counted. The caller's bound on a chunk's keeps `weight`
  // times the factor below 2^63.
  void note_weight(std::int64_t weight, const BlockSink& sink) {
    if (total_ > kMostTotal / weights_.factor - weight) take(sink);
    total_ += weight;
    most_in_cell_ += weight;
  }

  void sweep(const BlockSink& sink) {
    bool all = true;
    const std::int64_t room = plan_.most_sums - tail_.capacity() - sums_.size();
    sums_.push(table_.template collect<Key>(kSweep, room, all));
    most_in_cell_ = kSweep - 1;
    if (!all) take(sink);
  }

  // The caller has seen to it that sums have room for the whole tail.
  void flush_tail() {
    if (tail_.size() == 0) return;
    sums_.push(sums_of_keys(tail_.take(), key_bits_, plan_.weight_bits,
                            {slab_->weights, slab_->distances}));
  }

  template <class Token>
  void count(const Chunk<Token>& chunk, const DeviceArray<MaskWord>& mask, const Slab& slab,
             std::int64_t begin, std::int64_t end) {
    PairTask<Token, Key, Cell> task{chunk.tokens, mask.data(), begin, end, table_.view(),
                                    tail_.view(plan_.weight_bits)};
    if (!has_hot(slab)) task.heads.hot = 0;
    const std::int64_t tiles = (end - begin + kTile - 1) / kTile;
    launch("counting pairs",
           {std::min(tiles, blocks_), kPairThreads, sizeof(PairShared<Key>)},
           pair_kernel<Token, Key, Cell>, task, slab);
    tail_.update();
  }

  PairPlan plan_;
  Weights weights_;
  std::vector<Slab> slabs_;
  int key_bits_;
  std::int64_t vocab_size_;
  std::int64_t blocks_;
  HeadTable<Cell> table_;
  Tail<Key> tail_;
  SortedSums<Key> sums_;
  const Slab* slab_ = nullptr;     // of the pairs in the tail
  std::int64_t most_in_cell_ = 0;  // at most so much is in a cell
  std::int64_t total_ = 0;         // as much has been counted since all was taken
};

template <class Cell>
std::unique_ptr<PairCounter> counter_of(const PairPlan& plan, const Weights& weights,
                                        Span<std::int64_t> histogram) {
  if (plan.wide_keys) {
    return std::make_unique<Counter<std::uint64_t, Cell>>(plan, weights, histogram);
  }
  return std::make_unique<Counter<std::uint32_t, Cell>>(plan, weights, histogram);
}

}  // namespace

PairSums::PairSums(std::int64_t vocab_size, std::vector<std::int64_t> weights, std::int64_t total,
                   std::int64_t budget)
    : vocab_size_(vocab_size), weights_(std::move(weights)), total_(total), budget_(budget) {}
PairSums::~PairSums() = default;

template <class Token>
void PairSums::add(const Chunk<Token>& chunk, CancelFlag cancel, const BlockSink& sink) {
  if (chunk.core == 0) return;
  if (!counter_) {
    const Span<std::int64_t> each{weights_.data(), static_cast<std::int64_t>(weights_.size())};
    const auto plan =
        plan_pairs(vocab_size_, each, total_ < 0 ? chunk.core : total_, budget_);
    counter_ = plan.wide_cells ? counter_of<std::uint64_t>(plan, Weights(each), chunk.histogram)
                               : counter_of<std::uint32_t>(plan, Weights(each), chunk.histogram);
  }
  counter_->add(chunk, cancel, sink);
}

void PairSums::take(const BlockSink& sink) {
  if (counter_) counter_->take(sink);
}

template void PairSums::add(const Chunk<std::uint16_t>&, CancelFlag, const BlockSink&);
template void PairSums::add(const Chunk<std::uint32_t>&, CancelFlag, const BlockSink&);

}  // namespace probsig::gpu
