// SPDX-License-Identifier: Apache-2.0
#include "guest-stub/devicetree.h"

#include <cstddef>

#include "guest-stub/report.h"
#include "psci-emul/park_abi.h"

namespace stub {
namespace {

// Devicetree Specification 0.4, chapter 5.
constexpr uint32_t kMagic = 0xd00dfeed;
constexpr uint32_t kMaxSize = 2 << 20;
constexpr uint32_t kBeginNode = 1;
constexpr uint32_t kEndNode = 2;
constexpr uint32_t kProperty = 3;
constexpr uint32_t kNop = 4;
constexpr uint32_t kEnd = 9;

constinit Machine machine;

bool StartsWith(const char* text, const char* prefix) {
  for (; *prefix != '\0'; ++text, ++prefix) {
    if (*text != *prefix) return false;
  }
  return true;
}

bool Same(const char* a, const char* b) {
  for (; *a == *b; ++a, ++b) {
    if (*a == '\0') return true;
  }
  return false;
}

// Big-endian numbers, never past the end of the blob.
class Blob {
 public:
  explicit Blob(const void* blob) : bytes_(static_cast<const char*>(blob)) {
    size_ = 8;
    EXPECT_EQ(U32(0), kMagic);
    size_ = U32(4);
    EXPECT(size_ <= kMaxSize);
  }
  uint32_t U32(uint32_t offset) const {
    uint32_t value = 0;
    for (uint32_t i = 0; i < 4; ++i) {
      value = value << 8 | static_cast<uint8_t>(*At(offset + i));
    }
    return value;
  }
  uint64_t U64(uint32_t offset) const {
    return uint64_t{U32(offset)} << 32 | U32(offset + 4);
  }
  // A string that ends before the blob does.
  const char* Text(uint32_t offset) const {
    uint32_t end = offset;
    while (*At(end) != '\0') ++end;
    return At(offset);
  }

 private:
  const char* At(uint32_t offset) const {
    EXPECT(offset < size_);
    return bytes_ + offset;
  }
  const char* bytes_;
  uint32_t size_ = 0;
};

struct Property {
  const char* node;
  const char* name;
  uint32_t value;  // Offset.
  uint32_t size;
};

uint64_t Number(const Blob& blob, const Property& property) {
  return property.size == 8 ? blob.U64(property.value)
                            : blob.U32(property.value);
}

void TakeChosen(const Blob& blob, const Property& property) {
  if (Same(property.name, "linux,initrd-start")) {
    machine.initrd = Number(blob, property);
  } else if (Same(property.name, "linux,initrd-end")) {
    machine.initrd_end = Number(blob, property);
  } else if (Same(property.name, "bootargs")) {
    const char* text = blob.Text(property.value);
    for (size_t i = 0; i + 1 < sizeof(machine.bootargs) && text[i] != '\0';
         ++i) {
      machine.bootargs[i] = text[i];
    }
  }
}

void Take(const Blob& blob, const Property& property) {
  const char* const node = property.node;
  if (StartsWith(node, "cpu@") && Same(property.name, "reg")) {
    EXPECT(machine.cpus < board::kMaxCpus);
    machine.mpidrs[machine.cpus++] = Number(blob, property);
  } else if (StartsWith(node, "intc@") && Same(property.name, "compatible")) {
    machine.gic_v3 = Same(blob.Text(property.value), "arm,gic-v3");
  } else if (StartsWith(node, "memory@") && Same(property.name, "reg")) {
    machine.ram_size = blob.U64(property.value + 8);
  } else if (Same(node, "chosen")) {
    TakeChosen(blob, property);
  } else if (Same(property.name, "compatible") && property.size > 0 &&
             Same(blob.Text(property.value), PARK_DEVICE_COMPATIBLE)) {
    machine.park_device = true;
  }
}

// The value of `name` or `name=` in the boot arguments; nullptr if absent.
const char* FindWord(const char* name) {
  size_t length = 0;
  while (name[length] != '\0') ++length;
  const char* text = machine.bootargs;
  while (*text != '\0') {
    if (StartsWith(text, name)) {
      const char* const end = text + length;
      if (*end == '=') return end + 1;
      if (*end == ' ' || *end == '\0') return end;
    }
    while (*text != ' ' && *text != '\0') ++text;
    while (*text == ' ') ++text;
  }
  return nullptr;
}

// 16 for what is none.
uint64_t Digit(char text) {
  if (text >= '0' && text <= '9') return static_cast<uint64_t>(text - '0');
  if (text >= 'a' && text <= 'f') return static_cast<uint64_t>(text - 'a' + 10);
  return 16;
}

}  // namespace

void ReadDevicetree(const void* blob_start) {
  const Blob blob(blob_start);
  machine.devicetree = blob_start;
  const uint32_t strings = blob.U32(12);
  const char* node = "";
  for (uint32_t at = blob.U32(8);;) {
    const uint32_t token = blob.U32(at);
    at += 4;
    if (token == kBeginNode) {
      node = blob.Text(at);
      while (*blob.Text(at) != '\0') ++at;
      at = (at + 4) & ~3u;
    } else if (token == kProperty) {
      const uint32_t size = blob.U32(at);
      EXPECT(size <= kMaxSize);
      Take(blob, {node, blob.Text(strings + blob.U32(at + 4)), at + 8, size});
      at = (at + 8 + size + 3) & ~3u;
    } else if (token == kEnd) {
      break;
    } else {
      EXPECT(token == kEndNode || token == kNop);
    }
  }
  EXPECT(machine.cpus > 0);
}

const Machine& ThisMachine() { return machine; }

uint64_t Argument(const char* name, uint64_t otherwise) {
  const char* text = FindWord(name);
  if (text == nullptr) return otherwise;
  const uint64_t base = StartsWith(text, "0x") ? 16 : 10;
  if (base == 16) text += 2;
  uint64_t value = 0;
  for (uint64_t digit = Digit(*text); digit < base; digit = Digit(*++text)) {
    value = value * base + digit;
  }
  return value;
}

bool HasArgument(const char* word) { return FindWord(word) != nullptr; }

}  // namespace stub
