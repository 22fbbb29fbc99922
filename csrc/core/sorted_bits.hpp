// A set of small numbers that is read out in order: a sort would branch unpredictably.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace probsig {

// Two levels of bits, so that reading costs by what is in it, hardly by what could be.
class SortedBits {
 public:
  explicit SortedBits(std::int64_t size)
      : words_(static_cast<std::size_t>(size + 63) / 64, 0),
        used_words_(static_cast<std::size_t>(size + 4095) / 4096, 0) {}

  void mark(std::uint32_t number) {
    words_[number / 64] |= std::uint64_t{1} << (number % 64);
    used_words_[number / 4096] |= std::uint64_t{1} << (number / 64 % 64);
  }

  // Likewise, many numbers: then to look for used words in the end is less than to note each.
  template <class Number>
  void mark_all(const Number* numbers, const Number* end) {
    if (end - numbers < static_cast<std::ptrdiff_t>(words_.size())) {
      for (; numbers < end; ++numbers) mark(*numbers);
      return;
    }
    for (; numbers < end; ++numbers) words_[*numbers / 64] |= std::uint64_t{1} << (*numbers % 64);
    for (std::size_t word = 0; word < words_.size(); ++word) {
      used_words_[word / 64] |= std::uint64_t{words_[word] != 0} << (word % 64);
    }
  }

  // visit(number) for each that is marked, ascending; none is afterwards.
  template <class Visit>
  void take(Visit visit) {
    for (std::size_t top = 0; top < used_words_.size(); ++top) {
      take_bits(used_words_[top], top, [&](std::size_t word) {
        take_bits(words_[word], word, visit);
      });
    }
  }

 private:
  // visit(64 * index + bit) for each bit of `bits`, ascending; clears them.
  template <class Visit>
  static void take_bits(std::uint64_t& bits, std::size_t index, Visit visit) {
    for (; bits != 0; bits &= bits - 1) visit(index * 64 + lowest_bit(bits));
  }

  static std::size_t lowest_bit(std::uint64_t bits) {
#if defined(__GNUC__) || defined(__clang__)
    return static_cast<std::size_t>(__builtin_ctzll(bits));
#else
    std::size_t bit = 0;
    while ((bits >> bit & 1) == 0) ++bit;
    return bit;
#endif
  }

  std::vector<std::uint64_t> words_;       // a bit a number
  std::vector<std::uint64_t> used_words_;  // a bit a word of words_
};

}  // namespace probsig
