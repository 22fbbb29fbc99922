#pragma once

#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "emulator/memory.hpp"

namespace emulator {

// The dynamic shared memory of a block.
class SharedMemory {
 public:
  void resize(std::size_t bytes) {
    if (bytes == bytes_) return;
    // To the byte, so that a sanitizer sees what is beyond.
    void* memory = nullptr;
    if (bytes > 0 && posix_memalign(&memory, 16, bytes) != 0) fail("no shared memory");
    memory_.reset(memory);
    bytes_ = bytes;
  }
  void fill() {
    if (bytes_ > 0) std::memset(memory_.get(), kGarbage, bytes_);
  }
  void* data() const { return memory_.get(); }

 private:
  struct Free {
    void operator()(void* memory) const { std::free(memory); }
  };
  std::unique_ptr<void, Free> memory_;
  std::size_t bytes_ = 0;
};

}  // namespace emulator
