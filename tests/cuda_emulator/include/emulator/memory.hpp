// The memory of the emulated device: plain memory of which the emulator keeps a list.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include "emulator/fiber.hpp"

namespace emulator {

constexpr unsigned kGarbage = 0xA5;

// Pages that nothing can touch but while they are open, at addresses never used before or after.
class GuardedPages {
 public:
  // So that the last byte is followed by a page out of bounds, as far as the alignment lets it.
  void* allocate(std::size_t bytes, std::size_t alignment) {
    if (begin_ == nullptr) reserve();
    const std::size_t size = rounded(bytes, page_);
    if (size + page_ > kReserved - used_) fail("PROBSIG_EMULATOR_PROTECT: no addresses are left");
    char* pages = begin_ + used_;
    used_ += size + page_;
    set(pages, size, PROT_READ | PROT_WRITE);
    return pages + size - rounded(bytes, alignment);
  }
  void open(void* memory, std::size_t bytes, bool yes) {
    char* pages = first_page(memory);
    set(pages, rounded(static_cast<std::size_t>(static_cast<char*>(memory) - pages) + bytes, page_),
        yes ? PROT_READ | PROT_WRITE : PROT_NONE);
  }
  void release(void* memory, std::size_t bytes) {
    open(memory, bytes, false);
    char* pages = first_page(memory);
    madvise(pages, static_cast<std::size_t>(static_cast<char*>(memory) - pages) + bytes,
            MADV_DONTNEED);
  }

 private:
  static constexpr std::size_t kReserved = std::size_t{1} << 40;

  static std::size_t rounded(std::size_t bytes, std::size_t unit) {
    return (bytes + unit - 1) / unit * unit;
  }
  char* first_page(void* memory) const {
    const auto offset = static_cast<std::size_t>(static_cast<char*>(memory) - begin_);
    return begin_ + offset / page_ * page_;
  }
  void reserve() {
    void* pages = mmap(nullptr, kReserved, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                       -1, 0);
    if (pages == MAP_FAILED) fail("PROBSIG_EMULATOR_PROTECT: no addresses to reserve");
    begin_ = static_cast<char*>(pages);
  }
  static void set(void* pages, std::size_t bytes, int protection) {
    if (mprotect(pages, bytes, protection) != 0) fail("PROBSIG_EMULATOR_PROTECT: mprotect failed");
  }

  const std::size_t page_ = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  char* begin_ = nullptr;
  std::size_t used_ = 0;
};

class Memory {
 public:
  enum class Kind { device, pinned, registered };
  struct Piece {
    std::uintptr_t begin = 0;
    std::size_t bytes = 0;
    Kind kind = Kind::device;
    int device = 0;
    bool guarded = false;

    void* data() const { return reinterpret_cast<void*>(begin); }
  };

  static Memory& all() {
    static auto* memory = new Memory;  // outlives whoever frees something at the end
    return *memory;
  }

  // Bytes that the device has.
  static std::size_t capacity() {
    const char* text = std::getenv("PROBSIG_EMULATOR_MEMORY");
    if (text == nullptr || *text == '\0') return std::size_t{1} << 30;
    char* end = nullptr;
    const unsigned long long bytes = std::strtoull(text, &end, 10);
    if (*end != '\0') fail("PROBSIG_EMULATOR_MEMORY: expected a number of bytes, got '%s'", text);
    return bytes;
  }
  std::size_t used() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return used_;
  }

  // nullptr: there is no more. Filled with garbage, so that what is read too early shows.
  void* allocate(std::size_t bytes, Kind kind, int device) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const std::size_t most = capacity();
    if (kind == Kind::device && (used_ > most || bytes > most - used_)) return nullptr;
    const bool guarded = kind == Kind::device && wants_guard();
    void* memory = nullptr;
    if (guarded) {
      memory = pages_.allocate(bytes, kAlignment);
    } else if (posix_memalign(&memory, kAlignment, bytes) != 0) {
      return nullptr;
    }
    std::memset(memory, kGarbage, bytes);
    if (guarded && users_ == 0) pages_.open(memory, bytes, false);
    if (kind == Kind::device) used_ += bytes;
    const auto begin = reinterpret_cast<std::uintptr_t>(memory);
    pieces_[begin] = Piece{begin, bytes, kind, device, guarded};
    return memory;
  }

  // false: no such memory.
  bool release(void* pointer, Kind kind) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const auto found = pieces_.find(reinterpret_cast<std::uintptr_t>(pointer));
    if (found == pieces_.end() || found->second.kind != kind) return false;
    const Piece piece = found->second;
    pieces_.erase(found);
    if (kind == Kind::device) used_ -= piece.bytes;
    if (piece.guarded) {
      pages_.release(pointer, piece.bytes);
    } else if (kind != Kind::registered) {
      std::free(pointer);
    }
    return true;
  }

  void add_registered(const void* pointer, std::size_t bytes) {
    const auto begin = reinterpret_cast<std::uintptr_t>(pointer);
    const std::lock_guard<std::mutex> lock(mutex_);
    pieces_[begin] = Piece{begin, bytes, Kind::registered, 0, false};
  }

  // The piece that holds the address, or one of no bytes.
  Piece find(const void* pointer) {
    const auto address = reinterpret_cast<std::uintptr_t>(pointer);
    const std::lock_guard<std::mutex> lock(mutex_);
    auto found = pieces_.upper_bound(address);
    if (found == pieces_.begin()) return {};
    const Piece piece = (--found)->second;
    return address - piece.begin < piece.bytes ? piece : Piece{};
  }

  // Whether `bytes` from the pointer on stay within a piece, where it points into one.
  bool in_bounds(const void* pointer, std::size_t bytes) {
    const Piece piece = find(pointer);
    return piece.bytes == 0 ||
           bytes <= piece.bytes - (reinterpret_cast<std::uintptr_t>(pointer) - piece.begin);
  }

  // While one lives, the memory of the device can be touched.
  class Access {
   public:
    Access() { all().use(1); }
    ~Access() { all().use(-1); }
    Access(const Access&) = delete;
    Access& operator=(const Access&) = delete;
  };

 private:
  static constexpr std::size_t kAlignment = 256;

  static bool wants_guard() {
    const char* text = std::getenv("PROBSIG_EMULATOR_PROTECT");
    return text != nullptr && std::strcmp(text, "1") == 0;
  }

  void use(int more) {
    const std::lock_guard<std::mutex> lock(mutex_);
    const bool changes = users_ == 0 || users_ + more == 0;
    users_ += more;
    if (!changes) return;
    for (const auto& item : pieces_) {
      const Piece& piece = item.second;
      if (piece.guarded) pages_.open(piece.data(), piece.bytes, users_ > 0);
    }
  }

  std::mutex mutex_;
  std::map<std::uintptr_t, Piece> pieces_;
  GuardedPages pages_;
  std::size_t used_ = 0;
  int users_ = 0;
};

}  // namespace emulator
