// SPDX-License-Identifier: Apache-2.0
// The instructions that C++ has no word for.
#ifndef PARKVMM_GUEST_STUB_ARCH_H_
#define PARKVMM_GUEST_STUB_ARCH_H_

#include <atomic>
#include <cstdint>

// By name, or as S<op0>_<op1>_C<n>_C<m>_<op2> where the assembler knows none.
#define READ_SYSREG(name)                              \
  ({                                                   \
    uint64_t read_value;                               \
    asm volatile("mrs %0, " #name : "=r"(read_value)); \
    read_value;                                        \
  })
#define WRITE_SYSREG(name, value)                                             \
  asm volatile("msr " #name ", %0\n\tisb" ::"r"(static_cast<uint64_t>(value)) \
               : "memory")

namespace stub {

inline void DataBarrier() { asm volatile("dsb sy" ::: "memory"); }
inline void WaitForInterrupt() { asm volatile("dsb sy\n\twfi" ::: "memory"); }
inline void UnmaskIrqs() { asm volatile("msr daifclr, #2" ::: "memory"); }
inline void MaskIrqs() { asm volatile("msr daifset, #2" ::: "memory"); }

// Devices, one instruction each: only loads and stores of one register without
// writeback reach the VMM with address, size and data.
inline uint8_t ReadMmio8(uint64_t address) {
  uint32_t value;
  asm volatile("ldrb %w0, [%1]" : "=r"(value) : "r"(address) : "memory");
  return static_cast<uint8_t>(value);
}
inline uint16_t ReadMmio16(uint64_t address) {
  uint32_t value;
  asm volatile("ldrh %w0, [%1]" : "=r"(value) : "r"(address) : "memory");
  return static_cast<uint16_t>(value);
}
inline uint32_t ReadMmio32(uint64_t address) {
  uint32_t value;
  asm volatile("ldr %w0, [%1]" : "=r"(value) : "r"(address) : "memory");
  return value;
}
inline uint64_t ReadMmio64(uint64_t address) {
  uint64_t value;
  asm volatile("ldr %0, [%1]" : "=r"(value) : "r"(address) : "memory");
  return value;
}
inline void WriteMmio8(uint64_t address, uint8_t value) {
  asm volatile("strb %w0, [%1]" ::"r"(value), "r"(address) : "memory");
}
inline void WriteMmio16(uint64_t address, uint16_t value) {
  asm volatile("strh %w0, [%1]" ::"r"(value), "r"(address) : "memory");
}
inline void WriteMmio32(uint64_t address, uint32_t value) {
  asm volatile("str %w0, [%1]" ::"r"(value), "r"(address) : "memory");
}
inline void WriteMmio64(uint64_t address, uint64_t value) {
  asm volatile("str %0, [%1]" ::"r"(value), "r"(address) : "memory");
}

// Waits until `word` is not `old`. The exclusive load makes the store that
// changes it end the WFE; and a KVM whose CPUs are overcommitted takes the WFE
// as a hint to let somebody else run.
inline uint32_t AwaitChange(const std::atomic<uint32_t>& word, uint32_t old) {
  uint32_t value;
  asm volatile(
      "   sevl\n"
      "1: wfe\n"
      "   ldaxr %w0, [%1]\n"
      "   cmp %w0, %w2\n"
      "   b.eq 1b"
      : "=&r"(value)
      : "r"(&word), "r"(old)
      : "memory", "cc");
  return value;
}

// Waits until `word` is `wanted`.
inline void Await(const std::atomic<uint32_t>& word, uint32_t wanted) {
  for (uint32_t value = word.load(); value != wanted;) {
    value = AwaitChange(word, value);
  }
}

}  // namespace stub

#endif  // PARKVMM_GUEST_STUB_ARCH_H_
