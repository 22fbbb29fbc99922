#include "scan.hpp"

#include <algorithm>
#include <vector>

#include "core/dispatch.hpp"

namespace probsig {
namespace {

// Tokens looked at together: they stay in the first-level cache for all passes.
constexpr std::int64_t kBlock = 4096;
// Tokens compared at once when cuts are looked for.
constexpr std::int64_t kStrip = 64;

PROBSIG_MULTIVERSION
std::uint32_t largest(const std::uint16_t* tokens, std::int64_t size) {
  std::uint16_t result = 0;
  for (std::int64_t i = 0; i < size; ++i) result = std::max(result, tokens[i]);
  return result;
}

PROBSIG_MULTIVERSION
std::uint32_t largest(const std::uint32_t* tokens, std::int64_t size) {
  std::uint32_t result = 0;
  for (std::int64_t i = 0; i < size; ++i) result = std::max(result, tokens[i]);
  return result;
}

// One bit a strip: whether it holds `id`.
PROBSIG_MULTIVERSION
std::uint64_t strips_with(const std::uint16_t* tokens, std::int64_t strips, std::uint16_t id) {
  std::uint64_t result = 0;
  for (std::int64_t s = 0; s < strips; ++s) {
    std::uint16_t found = 0;
    for (std::int64_t i = 0; i < kStrip; ++i) {
      found |= static_cast<std::uint16_t>(tokens[s * kStrip + i] == id);
    }
    result |= static_cast<std::uint64_t>(found) << s;
  }
  return result;
}

PROBSIG_MULTIVERSION
std::uint64_t strips_with(const std::uint32_t* tokens, std::int64_t strips, std::uint32_t id) {
  std::uint64_t result = 0;
  for (std::int64_t s = 0; s < strips; ++s) {
    std::uint32_t found = 0;
    for (std::int64_t i = 0; i < kStrip; ++i) {
      found |= static_cast<std::uint32_t>(tokens[s * kStrip + i] == id);
    }
    result |= static_cast<std::uint64_t>(found) << s;
  }
  return result;
}

static_assert(kBlock / kStrip <= 64, "strips_with returns one bit a strip");

template <class Token>
class Scanner {
 public:
  Scanner(Span<Token> tokens, std::int64_t core, std::int64_t vocab_size, Span<Token> cutting)
      : tokens_(tokens), core_(core), vocab_size_(vocab_size), cutting_(cutting) {}

  Scan run() {
    Scan result;
    // Two tables, so that a token that follows itself does not wait for its own last increment.
    even_.assign(static_cast<std::size_t>(vocab_size_), 0);
    odd_.assign(static_cast<std::size_t>(vocab_size_), 0);
    for (std::int64_t begin = 0; begin < tokens_.size; begin += kBlock) {
      const std::int64_t end = std::min(begin + kBlock, tokens_.size);
      const bool plain = largest(tokens_.data + begin, end - begin) < vocab_size_;
      if (!plain) {
        result.invalid = first_invalid(begin, end);
        if (result.invalid >= 0) return result;
      }
      add_histogram(begin, std::min(end, core_), plain);
      find_cuts(begin, end, result.cuts);
    }
    std::int64_t* sums = result.histogram.reserve_more(vocab_size_);
    for (std::size_t id = 0; id < even_.size(); ++id) {
      sums[id] = static_cast<std::int64_t>(even_[id]) + static_cast<std::int64_t>(odd_[id]);
    }
    result.histogram.extend(vocab_size_);
    return result;
  }

 private:
  bool is_cutting(Token id) const {
    return std::binary_search(cutting_.data, cutting_.data + cutting_.size, id);
  }

  std::int64_t first_invalid(std::int64_t begin, std::int64_t end) const {
    for (std::int64_t i = begin; i < end; ++i) {
      if (tokens_[i] >= vocab_size_ && !is_cutting(tokens_[i])) return i;
    }
    return -1;
  }

  void add_histogram(std::int64_t begin, std::int64_t end, bool plain) {
    std::int64_t i = begin;
    if (plain) {
      for (; i + 1 < end; i += 2) {
        ++even_[tokens_[i]];
        ++odd_[tokens_[i + 1]];
      }
    }
    for (; i < end; ++i) {
      if (tokens_[i] < vocab_size_) ++even_[tokens_[i]];
    }
  }

  void find_cuts(std::int64_t begin, std::int64_t end, PodVector<std::int64_t>& cuts) const {
    if (cutting_.size == 0) return;
    const std::int64_t strips = (end - begin) / kStrip;
    // A few ids are compared with whole strips; many, or the last odd tokens, one by one.
    constexpr std::int64_t kFew = 4;
    std::uint64_t hits = ~std::uint64_t{0};
    if (cutting_.size <= kFew) {
      hits = 0;
      for (std::int64_t k = 0; k < cutting_.size; ++k) {
        hits |= strips_with(tokens_.data + begin, strips, cutting_[k]);
      }
    }
    for (std::int64_t strip = 0; strip < strips; ++strip) {
      if (hits >> strip & 1) cuts_one_by_one(begin + strip * kStrip, kStrip, cuts);
    }
    cuts_one_by_one(begin + strips * kStrip, end - begin - strips * kStrip, cuts);
  }

  void cuts_one_by_one(std::int64_t begin, std::int64_t size, PodVector<std::int64_t>& cuts) const {
    for (std::int64_t i = begin; i < begin + size; ++i) {
      if (is_cutting(tokens_[i])) cuts.push_back(i);
    }
  }

  Span<Token> tokens_;
  std::int64_t core_;
  std::int64_t vocab_size_;
  Span<Token> cutting_;
  std::vector<std::uint32_t> even_;
  std::vector<std::uint32_t> odd_;
};

}  // namespace

template <class Token>
Scan scan(Span<Token> tokens, std::int64_t core, std::int64_t vocab_size, Span<Token> cutting) {
  return Scanner<Token>(tokens, core, vocab_size, cutting).run();
}

template Scan scan(Span<std::uint16_t>, std::int64_t, std::int64_t, Span<std::uint16_t>);
template Scan scan(Span<std::uint32_t>, std::int64_t, std::int64_t, Span<std::uint32_t>);

}  // namespace probsig
