// Fibers: stacks of their own that one operating-system thread switches between.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <vector>

#if defined(__SANITIZE_ADDRESS__)
#define PROBSIG_EMULATOR_ASAN 1
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if !defined(__x86_64__) && !defined(PROBSIG_EMULATOR_UCONTEXT)
#define PROBSIG_EMULATOR_UCONTEXT 1  // the slow way, for any processor
#endif
#ifdef PROBSIG_EMULATOR_UCONTEXT
#include <ucontext.h>
#endif

namespace emulator {

[[noreturn]] __attribute__((format(printf, 1, 2))) inline void fail(const char* format, ...) {
  std::va_list arguments;
  va_start(arguments, format);
  std::fputs("emulator: ", stderr);
  std::vfprintf(stderr, format, arguments);
  std::fputc('\n', stderr);
  std::fflush(stderr);
  std::abort();
}

#ifndef PROBSIG_EMULATOR_UCONTEXT
// Saves the registers that a call preserves and the stack pointer, and takes on those of another
// stack. (swapcontext would also save the signal mask, with a system call each time.)
extern "C" void probsig_emulator_switch(void** save, void* next);
asm(R"(
    .pushsection .text.probsig_emulator_switch,"axG",@progbits,probsig_emulator_switch,comdat
    .weak probsig_emulator_switch
    .hidden probsig_emulator_switch
    .type probsig_emulator_switch, @function
probsig_emulator_switch:
    pushq %rbp
    pushq %rbx
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, (%rdi)
    movq %rsi, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbx
    popq %rbp
    ret
    .size probsig_emulator_switch, .-probsig_emulator_switch
    .popsection
)");
#endif

// Stacks that no fiber uses are kept for the next one, of any thread: each thread of each count
// would otherwise map and unmap a thousand.
class Stacks {
 public:
#ifdef PROBSIG_EMULATOR_ASAN
  static constexpr std::size_t kBytes = std::size_t{256} << 10;  // red zones around variables
#else
  static constexpr std::size_t kBytes = std::size_t{64} << 10;
#endif

  static Stacks& get() {
    static auto* stacks = new Stacks;  // outlives every thread
    return *stacks;
  }

  void* take() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (free_.empty()) return mapped();
    void* bottom = free_.back();
    free_.pop_back();
#ifdef PROBSIG_EMULATOR_ASAN
    __asan_unpoison_memory_region(bottom, kBytes);  // of frames that never returned
#endif
    return bottom;
  }
  void give(void* bottom) {
    const std::lock_guard<std::mutex> lock(mutex_);
    free_.push_back(bottom);
  }

 private:
  static void* mapped() {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    // The lowest page stays out of bounds: overflows are met there.
    void* memory =
        mmap(nullptr, kBytes + page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void* bottom = memory == MAP_FAILED ? nullptr : static_cast<char*>(memory) + page;
    if (bottom == nullptr || mprotect(bottom, kBytes, PROT_READ | PROT_WRITE) != 0) {
      fail("no memory for the stack of a thread");
    }
    return bottom;
  }

  std::mutex mutex_;
  std::vector<void*> free_;
};

class Fiber {
 public:
  // The stack that this thread already runs on.
  Fiber() = default;
  // A stack of its own, where `entry` starts; it must call `arrived` first, and never return.
  explicit Fiber(void (*entry)()) {
    bottom_ = Stacks::get().take();
    size_ = Stacks::kBytes;
    is_own_ = true;
    start_at(entry);
  }
  ~Fiber() {
    if (is_own_) Stacks::get().give(bottom_);
  }
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  // Called on this fiber; returns when something switches back to it.
  void switch_to(Fiber& next) {
    next.previous_ = this;
#ifdef PROBSIG_EMULATOR_ASAN
    __sanitizer_start_switch_fiber(&fake_stack_, next.bottom_, next.size_);
#endif
#ifndef PROBSIG_EMULATOR_UCONTEXT
    probsig_emulator_switch(&stack_pointer_, next.stack_pointer_);
#else
    swapcontext(&context_, &next.context_);
#endif
    arrived();
  }

  void arrived() {
#ifdef PROBSIG_EMULATOR_ASAN
    const void* bottom = nullptr;
    __sanitizer_finish_switch_fiber(fake_stack_, &bottom, &previous_->size_);
    previous_->bottom_ = const_cast<void*>(bottom);
#endif
  }

 private:
#ifndef PROBSIG_EMULATOR_UCONTEXT
  void start_at(void (*entry)()) {
    // Six registers, then where `ret` goes, then the end of the chain of return addresses.
    auto* top = reinterpret_cast<std::uintptr_t*>(static_cast<char*>(bottom_) + size_);
    top[-1] = 0;
    top[-2] = reinterpret_cast<std::uintptr_t>(entry);
    for (int i = 3; i <= 8; ++i) top[-i] = 0;
    stack_pointer_ = top - 8;
  }
  void* stack_pointer_ = nullptr;
#else
  void start_at(void (*entry)()) {
    getcontext(&context_);
    context_.uc_stack.ss_sp = bottom_;
    context_.uc_stack.ss_size = size_;
    context_.uc_link = nullptr;
    makecontext(&context_, entry, 0);
  }
  ucontext_t context_{};
#endif

  bool is_own_ = false;
  void* bottom_ = nullptr;
  std::size_t size_ = 0;
  void* fake_stack_ = nullptr;
  Fiber* previous_ = nullptr;
};

}  // namespace emulator
