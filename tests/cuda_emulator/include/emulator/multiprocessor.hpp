// Runs the blocks of a launch one after the other, and the threads of a block as fibers.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "emulator/fiber.hpp"
#include "emulator/order.hpp"
#include "emulator/shared_memory.hpp"
#include "emulator/types.hpp"

namespace emulator {

constexpr unsigned kMostThreads = 1024;

// A call that waits for other threads, as written in the kernel.
struct Call {
  const char* name;
  const char* file;
  int line;
  int detail = 0;  // what else must be the same in all lanes
};

class Multiprocessor {
 public:
  static Multiprocessor& here() {
    thread_local Multiprocessor own;
    return own;
  }
  static Multiprocessor& in_kernel(const char* name) {
    Multiprocessor& own = here();
    if (!own.running_) fail("%s outside of a kernel", name);
    return own;
  }

  void run(dim3 grid, dim3 block, std::size_t shared_bytes, void (*kernel)(void*), void* context) {
    if (running_) fail("a kernel may not launch another");
    running_ = true;
    order_ = Order::from_environment();
    gridDim = grid;
    blockDim = block;
    size_ = block.x * block.y * block.z;
    kernel_ = kernel;
    context_ = context;
    shared_.resize(shared_bytes);
    blocks_ = Sequence(order_, std::uint64_t{grid.x} * grid.y * grid.z);
    begin_block();
    fiber_ = &main_;
    leave();
    running_ = false;
  }

  void* shared_memory() const { return shared_.data(); }

  // Waits for all threads of the block that have not ended; how many of them say yes.
  struct Votes {
    unsigned yes, all;
  };
  Votes block_barrier(const Call& call, bool yes) {
    if (at_barrier_ == 0) {
      barrier_call_ = call;
      barrier_yes_ = 0;
    } else if (call.line != barrier_call_.line || std::strcmp(call.file, barrier_call_.file) != 0 ||
               std::strcmp(call.name, barrier_call_.name) != 0) {
      fail("%s is at %s (%s:%d) while others of its block wait at %s (%s:%d)", name().text,
           call.name, call.file, call.line, barrier_call_.name, barrier_call_.file,
           barrier_call_.line);
    }
    ++at_barrier_;
    barrier_yes_ += yes;
    threads_[thread_].call = call;
    threads_[thread_].mask = 0;
    if (at_barrier_ == alive_) release_block();
    leave();
    return votes_;  // the next barrier is not complete before this thread is there too
  }

  // Waits for all lanes of the mask. The last one to come calls finish(records, mask), where
  // records[lane] is what that lane brought: all of them are still there, to be read and written.
  using Finish = void (*)(void* const* records, unsigned mask);
  void warp_barrier(const Call& call, unsigned mask, void* record, Finish finish) {
    const unsigned lane = thread_ % 32, warp = thread_ / 32;
    if ((mask >> lane & 1u) == 0) {
      fail("%s calls %s (%s:%d) with mask 0x%08x, which leaves out its own lane %u", name().text,
           call.name, call.file, call.line, mask, lane);
    }
    if ((mask & ended_[warp]) != 0) {
      fail("%s calls %s (%s:%d) with mask 0x%08x, but lanes 0x%08x of it have ended or never were",
           name().text, call.name, call.file, call.line, mask, mask & ended_[warp]);
    }
    Thread& self = threads_[thread_];
    self.call = call;
    self.mask = mask;
    self.record = record;
    waiting_[warp] |= 1u << lane;
    if ((waiting_[warp] & mask) == mask) finish_warp(warp, mask, finish);
    leave();
  }

  struct Name {
    char text[96];
  };
  Name name() const { return name(thread_); }

 private:
  struct Thread {
    Fiber* fiber;
    Call call;      // where it waits
    unsigned mask;  // the lanes that it waits for; 0: for the block
    void* record;
  };

  // ---- what runs next ---------------------------------------------------------------------
  void begin_block() {
    const std::uint64_t block = blocks_.take();
    blockIdx.x = static_cast<unsigned>(block % gridDim.x);
    blockIdx.y = static_cast<unsigned>(block / gridDim.x % gridDim.y);
    blockIdx.z = static_cast<unsigned>(block / gridDim.x / gridDim.y);
    shared_.fill();
    unstarted_ = Sequence(order_, size_);
    alive_ = size_;
    at_barrier_ = 0;
    const unsigned warps = (size_ + 31) / 32;
    std::fill_n(waiting_, warps, 0u);
    std::fill_n(ended_, warps, 0u);
    if (size_ % 32 != 0) ended_[warps - 1] = ~0u << size_ % 32;
  }

  bool may_start() const { return !unstarted_.ended() || (alive_ == 0 && !blocks_.ended()); }

  void set_thread(unsigned thread) {
    thread_ = thread;
    threadIdx = index(thread);
  }
  uint3 index(unsigned thread) const {
    if (blockDim.x == size_) return uint3{thread, 0, 0};
    return uint3{thread % blockDim.x, thread / blockDim.x % blockDim.y,
                 thread / blockDim.x / blockDim.y};
  }

  // Those that can go on go before those that did not start, so few fibers are in use.
  bool prefer_ready() {
    if (ready_.empty() || !may_start()) return !ready_.empty();
    return order_.kind() != Order::Kind::random || (order_.random() & 1) != 0;
  }

  // A fiber runs one thread after the other for as long as none has to wait.
  static void work() { here().work_here(); }
  [[noreturn]] void work_here() noexcept {
    fiber_->arrived();
    for (;;) {
      while (may_start() && !prefer_ready()) {
        if (unstarted_.ended()) begin_block();
        set_thread(static_cast<unsigned>(unstarted_.take()));
        threads_[thread_].fiber = fiber_;
        kernel_(context_);
        end_thread();
      }
      idle_.push_back(fiber_);
      leave();
    }
  }

  void leave() {
    Fiber* self = fiber_;
    fiber_ = choose();
    if (fiber_ != self) self->switch_to(*fiber_);
  }
  Fiber* choose() {
    if (prefer_ready()) {
      set_thread(ready_.take(order_));
      return threads_[thread_].fiber;
    }
    if (may_start()) return take_idle();
    if (alive_ == 0) return &main_;
    fail_deadlock();
  }
  Fiber* take_idle() {
    if (idle_.empty()) {
      fibers_.push_back(std::make_unique<Fiber>(work));
      idle_.push_back(fibers_.back().get());
    }
    Fiber* fiber = idle_.back();
    idle_.pop_back();
    return fiber;
  }

  // ---- barriers ---------------------------------------------------------------------------
  bool ended(unsigned thread) const { return (ended_[thread / 32] >> thread % 32 & 1u) != 0; }

  void release_block() {
    votes_ = Votes{barrier_yes_, at_barrier_};
    at_barrier_ = 0;
    ready_.add(order_, 0, size_, [&](unsigned i) { return !ended(i); });
  }

  void finish_warp(unsigned warp, unsigned mask, Finish finish) {
    Thread* lanes = &threads_[warp * 32];
    const Thread& self = threads_[thread_];
    void* records[32] = {};
    for (unsigned lane = 0; lane < 32; ++lane) {
      if ((mask >> lane & 1u) == 0) continue;
      const Thread& other = lanes[lane];
      if (other.mask != mask) return;  // it waits for others: this call is not yet complete
      if (other.call.detail != self.call.detail ||
          (other.call.name != self.call.name &&
           std::strcmp(other.call.name, self.call.name) != 0)) {
        fail("%s calls %s (%s:%d), but lane %u of its mask 0x%08x calls %s (%s:%d)%s", name().text,
             self.call.name, self.call.file, self.call.line, lane, mask, other.call.name,
             other.call.file, other.call.line,
             other.call.detail != self.call.detail ? " with another width or type" : "");
      }
      records[lane] = other.record;
    }
    finish(records, mask);
    waiting_[warp] &= ~mask;
    const unsigned begin = warp * 32;
    ready_.add(order_, begin, begin + 32, [&](unsigned i) { return (mask >> i % 32 & 1u) != 0; });
  }

  void end_thread() {
    const unsigned lane = thread_ % 32, warp = thread_ / 32;
    ended_[warp] |= 1u << lane;
    --alive_;
    for (unsigned waiting = waiting_[warp]; waiting != 0; waiting &= waiting - 1) {
      const auto other = static_cast<unsigned>(__builtin_ctz(waiting)) + warp * 32;
      const Thread& at = threads_[other];
      if ((at.mask >> lane & 1u) == 0) continue;
      fail("%s has ended, but lane %u waits for it at %s (%s:%d) with mask 0x%08x", name().text,
           other % 32, at.call.name, at.call.file, at.call.line, at.mask);
    }
    if (at_barrier_ > 0 && at_barrier_ == alive_) release_block();
  }

  // ---- messages ---------------------------------------------------------------------------
  Name name(unsigned thread) const {
    Name name;
    const uint3 at = index(thread);
    std::snprintf(name.text, sizeof(name.text), "block (%u,%u,%u) thread (%u,%u,%u)", blockIdx.x,
                  blockIdx.y, blockIdx.z, at.x, at.y, at.z);
    return name;
  }
  [[noreturn]] void fail_deadlock() const {
    std::fputs("emulator: deadlock: these threads wait for ever\n", stderr);
    constexpr int kMostShown = 64;
    int shown = 0;
    for (unsigned i = 0; i < size_ && shown < kMostShown; ++i) {
      if (ended(i)) continue;
      const Thread& at = threads_[i];
      std::fprintf(stderr, "  %s at %s (%s:%d)", name(i).text, at.call.name, at.call.file,
                   at.call.line);
      if (at.mask != 0) std::fprintf(stderr, " with mask 0x%08x", at.mask);
      std::fputc('\n', stderr);
      ++shown;
    }
    fail("deadlock: %u of the %u threads of a block wait, and no other is left to come", alive_,
         size_);
  }

  bool running_ = false;
  Order order_ = Order::from_environment();
  unsigned size_ = 0;
  void (*kernel_)(void*) = nullptr;
  void* context_ = nullptr;
  SharedMemory shared_;

  Sequence blocks_, unstarted_;
  unsigned alive_ = 0;   // threads of the block that did not end
  unsigned thread_ = 0;  // the one that runs
  std::vector<Thread> threads_{kMostThreads};
  Ready ready_;
  unsigned waiting_[kMostThreads / 32];  // lanes that wait for lanes
  unsigned ended_[kMostThreads / 32];    // lanes that ended, or that the block does not have

  unsigned at_barrier_ = 0, barrier_yes_ = 0;
  Call barrier_call_{};
  Votes votes_{};

  Fiber main_;
  Fiber* fiber_ = nullptr;  // the one that runs
  std::vector<std::unique_ptr<Fiber>> fibers_;
  std::vector<Fiber*> idle_;
};

inline void* dynamic_shared_memory() {
  return Multiprocessor::in_kernel("dynamic shared memory").shared_memory();
}

}  // namespace emulator
