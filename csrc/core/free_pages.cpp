#include "free_pages.hpp"

#include <algorithm>
#include <cstdint>

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace probsig {
namespace {

void unmap(FreePages::Mapping mapping) {
#if defined(__linux__)
  munmap(mapping.data, mapping.bytes);
#else
  (void)mapping;  // nothing is mapped elsewhere
#endif
}

}  // namespace

FreePages& FreePages::shared() {
  static FreePages pages;
  return pages;
}

void FreePages::keep(std::size_t most) {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return;
  most_ = most;
  while (waiting_ > most_) {
    waiting_ -= mappings_.back().bytes;
    unmap(mappings_.back());
    mappings_.pop_back();
  }
}

bool FreePages::give(Mapping mapping) {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock() || mapping.bytes > most_ - std::min(most_, waiting_)) return false;
  mappings_.push_back(mapping);
  waiting_ += mapping.bytes;
  return true;
}

FreePages::Mapping FreePages::take(std::size_t bytes) {
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return {};
  // One that is much too large would lose most of its pages to the system when it is cut.
  auto best = mappings_.end();
  for (auto each = mappings_.begin(); each < mappings_.end(); ++each) {
    if (each->bytes / 2 > bytes) continue;
    if (best == mappings_.end() || each->bytes > best->bytes) best = each;
  }
  if (best == mappings_.end()) return {};
  const Mapping found = *best;
  mappings_.erase(best);
  waiting_ -= found.bytes;
  return found;
}

}  // namespace probsig
