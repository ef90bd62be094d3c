// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_VMM_RUN_SYMBOLS_H_
#define PARKVMM_VMM_RUN_SYMBOLS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "vmm/base/content.h"

namespace vmm {

// The names of a kernel's functions. A value; any thread.
class Symbols {
 public:
  // Reads System.map, or the symbol table of an AArch64 vmlinux.
  // kInvalidArgument if `file` is neither: one line with `name`, what is wrong
  // and what to do. Errors as Content::ReadAt()'s, too.
  static absl::StatusOr<Symbols> Read(absl::string_view name,
                                      const Content& file);

  // Returns where `pc` is, such as "cpu_do_idle+0x10"; empty if that is not in
  // the kernel. The kernel may run elsewhere than it was linked for (KASLR):
  // `vectors` is where its exception vectors are, by VBAR_EL1.
  std::string NameOf(uint64_t pc, uint64_t vectors) const;

 private:
  struct Symbol {
    uint64_t address;
    std::string name;
  };

  static absl::StatusOr<Symbols> OfMap(absl::string_view name,
                                       const Content& file);
  static absl::StatusOr<Symbols> OfElf(absl::string_view name,
                                       const Content& file);
  void Index();

  std::vector<Symbol> symbols_;  // By address.
  uint64_t vectors_ = 0;         // Where they were linked; 0: not known.
  uint64_t end_ = UINT64_MAX;    // Of the text.
};

}  // namespace vmm

#endif  // PARKVMM_VMM_RUN_SYMBOLS_H_
