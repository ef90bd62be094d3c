// SPDX-License-Identifier: Apache-2.0
// The section table of a file that is an EFI application.
#ifndef PARKVMM_VMM_BOOT_PE_SECTIONS_H_
#define PARKVMM_VMM_BOOT_PE_SECTIONS_H_

#include <cstdint>
#include <optional>

#include "absl/types/span.h"
#include "vmm/boot/image_headers.h"

namespace vmm {

// Returns where the last section ends in an EFI application whose PE header is
// at `pe_offset`; the end of the section table if that is not all in `head`; 0
// for another file. `head` is what the file begins with. Any thread.
uint64_t EndOfSections(absl::Span<const uint8_t> head, uint64_t pe_offset);

// Returns the section of a systemd unified kernel image that holds its kernel;
// nullopt for another file, a kernel that is an EFI application among them.
// What the section says of itself is not checked. Any thread.
std::optional<PeSection> LinuxSectionOfUki(absl::Span<const uint8_t> head);

}  // namespace vmm

#endif  // PARKVMM_VMM_BOOT_PE_SECTIONS_H_
