// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TOOLS_GUEST_INIT_REGISTERS_H_
#define PARKVMM_TOOLS_GUEST_INIT_REGISTERS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace guest_init {

// Registers of a device of the VMM's that no driver of the kernel's has, mapped
// for as long as this program runs.
class Registers {
 public:
  // Maps those of the device at the devicetree's root that is called `name` and
  // is `compatible`. Nothing, and errno, if not: ENODEV if there is no such
  // device, else why the kernel does not let us.
  static std::optional<Registers> Map(const std::string& name,
                                      const std::string& compatible);

  // Single loads and stores of one register.
  uint32_t Load32(size_t offset) const;
  uint64_t Load64(size_t offset) const;
  void Store64(size_t offset, uint64_t value) const;
  void Store32(size_t offset, uint32_t value) const;
  void Store8(size_t offset, uint8_t value) const;

 private:
  explicit Registers(uint8_t* mapped) : mapped_(mapped) {}

  uint8_t* mapped_;
};

}  // namespace guest_init

#endif  // PARKVMM_TOOLS_GUEST_INIT_REGISTERS_H_
