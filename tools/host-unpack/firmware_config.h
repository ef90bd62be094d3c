// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TOOLS_HOST_UNPACK_FIRMWARE_CONFIG_H_
#define PARKVMM_TOOLS_HOST_UNPACK_FIRMWARE_CONFIG_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tools/host-unpack/archive.h"

namespace host_unpack {

// Reads QEMU's fw_cfg files opt/parkvmm/*, one after the other in the order of
// their names, by fw_cfg's DMA: QEMU copies, not the emulated CPU. The kernel's
// own driver reads byte by byte. See docs/specs/fw_cfg of QEMU.
//
// Needs /dev/mem and /proc/self/pagemap, that is root. It ends the program if
// the device does not do what it is asked.
class FirmwareConfig : public Source {
 public:
  FirmwareConfig();
  ~FirmwareConfig() override;
  FirmwareConfig(const FirmwareConfig&) = delete;
  FirmwareConfig& operator=(const FirmwareConfig&) = delete;

  std::span<const char> Next(size_t most) override;

 private:
  class Buffer;

  struct File {
    std::string name;
    uint32_t key = 0;
    uint32_t size = 0;
  };

  void ReadDirectory();
  void Transfer(uint32_t control, size_t offset, size_t length);
  // Fills the buffer's first bytes, from the item `key` on if it is given.
  void Read(size_t length);
  void Select(uint32_t key);

  std::unique_ptr<Buffer> buffer_;
  void* page_ = nullptr;  // That the device's registers are in.
  size_t page_offset_ = 0;
  std::vector<File> files_;  // What is left of them.
  uint32_t read_ = 0;        // Bytes of the first.
};

}  // namespace host_unpack

#endif  // PARKVMM_TOOLS_HOST_UNPACK_FIRMWARE_CONFIG_H_
