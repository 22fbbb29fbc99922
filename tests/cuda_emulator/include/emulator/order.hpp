// The order in which blocks and threads run, by PROBSIG_EMULATOR_ORDER=forward|reverse|random:SEED.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <utility>
#include <vector>

#include "emulator/fiber.hpp"

namespace emulator {

class Order {
 public:
  enum class Kind { forward, reverse, random };

  static Order from_environment() {
    const char* text = std::getenv("PROBSIG_EMULATOR_ORDER");
    if (text == nullptr || *text == '\0' || std::strcmp(text, "forward") == 0) {
      return Order(Kind::forward, 0);
    }
    if (std::strcmp(text, "reverse") == 0) return Order(Kind::reverse, 0);
    char* end = nullptr;
    if (std::strncmp(text, "random:", 7) == 0) {
      const unsigned long long seed = std::strtoull(text + 7, &end, 10);
      if (end != text + 7 && *end == '\0') return Order(Kind::random, seed);
    }
    fail("PROBSIG_EMULATOR_ORDER: expected forward, reverse or random:SEED, got '%s'", text);
  }

  Kind kind() const { return kind_; }

  // splitmix64
  std::uint64_t random() {
    std::uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }

 private:
  Order(Kind kind, std::uint64_t seed) : kind_(kind), state_(seed) {}

  Kind kind_;
  std::uint64_t state_;
};

// 0 .. size-1 in an order; the random one is an arithmetic progression modulo `size`.
class Sequence {
 public:
  Sequence() = default;
  Sequence(Order& order, std::uint64_t size) : size_(size) {
    if (order.kind() == Order::Kind::reverse) {
      next_ = size - 1;
      step_ = size - 1;
    } else if (order.kind() == Order::Kind::random && size > 1) {
      next_ = order.random() % size;
      step_ = 1 + order.random() % (size - 1);
      while (std::gcd(step_, size) != 1) step_ = 1 + step_ % (size - 1);
    }
  }
  bool ended() const { return taken_ == size_; }
  std::uint64_t take() {
    const std::uint64_t item = next_;
    ++taken_;
    next_ = next_ >= size_ - step_ ? next_ - (size_ - step_) : next_ + step_;
    return item;
  }

 private:
  std::uint64_t size_ = 0, taken_ = 0, next_ = 0, step_ = 1;
};

// Threads that can go on.
class Ready {
 public:
  bool empty() const { return threads_.empty(); }
  // Those of [begin, end) that `chosen` chooses.
  template <class Chosen>
  void add(const Order& order, unsigned begin, unsigned end, const Chosen& chosen) {
    const bool reverse = order.kind() == Order::Kind::reverse;
    for (unsigned i = 0; i < end - begin; ++i) {
      const unsigned thread = reverse ? begin + i : end - 1 - i;
      if (chosen(thread)) threads_.push_back(thread);  // the last is the first to be taken
    }
  }
  unsigned take(Order& order) {
    if (order.kind() == Order::Kind::random) {
      std::swap(threads_[order.random() % threads_.size()], threads_.back());
    }
    const unsigned thread = threads_.back();
    threads_.pop_back();
    return thread;
  }

 private:
  std::vector<unsigned> threads_;
};

}  // namespace emulator
