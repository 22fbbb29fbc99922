// Memory that was freed and waits for the next who wants some: pages that are there already.
//
// A new page costs a fault, and its clearing; in a virtual machine that gives free pages back to its
// host, which must find one first, more than whatever is then written to it. Counts free and ask for
// the same sizes over and over.
#pragma once

#include <cstddef>
#include <mutex>
#include <vector>

namespace probsig {

class FreePages {
 public:
  struct Mapping {
    void* data = nullptr;
    std::size_t bytes = 0;
  };

  static FreePages& shared();

  // How many bytes may wait: none at first. What is above is given back to the system.
  void keep(std::size_t most);
  // Whether a mapping of the caller's was taken: it is no longer his then.
  bool give(Mapping mapping);
  // The largest mapping of up to twice so many bytes, for the caller to bring to size; one of no data
  // where there is none.
  Mapping take(std::size_t bytes);

 private:
  // Nobody ever waits for it: a child that was forked while it was held could do so for ever.
  std::mutex mutex_;
  std::size_t most_ = 0;
  std::size_t waiting_ = 0;
  std::vector<Mapping> mappings_;
};

}  // namespace probsig
