// SPDX-License-Identifier: Apache-2.0
#include "tools/guest/init/next_tree.h"

#include <libfdt.h>

#include <algorithm>

namespace guest_init {
namespace {

constexpr size_t kCellPairBytes = sizeof(uint64_t);
constexpr size_t kRegionBytes = 2 * kCellPairBytes;
// Names and headers of the few properties that may be new.
constexpr size_t kHeadroom = 1024;

uint64_t BigEndian(std::span<const uint8_t> bytes) {
  uint64_t value = 0;
  for (const uint8_t byte : bytes) value = value << 8 | byte;
  return value;
}

uint64_t NumberIn(const void* tree, int node, const char* name) {
  int size = 0;
  const auto* value =
      static_cast<const uint8_t*>(fdt_getprop(tree, node, name, &size));
  return value == nullptr ? 0 : BigEndian({value, static_cast<size_t>(size)});
}

// Of the version that Linux writes: of older ones libfdt 1.6.1 finds right what
// it cannot read, and reads at address 0.
bool IsTree(std::span<const uint8_t> tree) {
  constexpr uint32_t kVersion = 17;
  return tree.size() >= sizeof(fdt_header) &&
         fdt_version(tree.data()) >= kVersion &&
         fdt_check_full(tree.data(), tree.size()) == 0;
}

void AppendRegions(std::span<const uint8_t> reg, std::vector<Range>& ranges) {
  while (const auto range = DecodeReg(reg)) {
    ranges.push_back(*range);
    reg = reg.subspan(kRegionBytes);
  }
}

// IsTree() has seen all entries: none of them fails.
void AppendEntries(const void* tree, std::vector<Range>& ranges) {
  const int count = fdt_num_mem_rsv(tree);
  for (int i = 0; i < count; ++i) {
    uint64_t address = 0, size = 0;
    fdt_get_mem_rsv(tree, i, &address, &size);
    ranges.push_back({address, address + std::min(size, UINT64_MAX - address)});
  }
}

void AppendReservedMemory(const void* tree, std::vector<Range>& ranges) {
  const int parent = fdt_path_offset(tree, "/reserved-memory");
  if (parent < 0) return;
  int node = 0;
  fdt_for_each_subnode(node, tree, parent) {
    int size = 0;
    const auto* reg =
        static_cast<const uint8_t*>(fdt_getprop(tree, node, "reg", &size));
    if (reg) AppendRegions({reg, static_cast<size_t>(size)}, ranges);
  }
}

int ChosenNode(void* tree) {
  const int node = fdt_path_offset(tree, "/chosen");
  return node == -FDT_ERR_NOTFOUND ? fdt_add_subnode(tree, 0, "chosen") : node;
}

bool Set(void* tree, int node, const char* name,
         std::span<const uint8_t> value) {
  return fdt_setprop(tree, node, name, value.data(),
                     static_cast<int>(value.size())) == 0;
}

bool SetBootargs(void* tree, int node, const std::string& line) {
  const auto* text = reinterpret_cast<const uint8_t*>(line.c_str());
  return Set(tree, node, "bootargs", {text, line.size() + 1});
}

bool SetRngSeed(void* tree, int node, const std::vector<uint8_t>& seed) {
  if (!seed.empty()) return Set(tree, node, "rng-seed", seed);
  const int deleted = fdt_delprop(tree, node, "rng-seed");
  return deleted == 0 || deleted == -FDT_ERR_NOTFOUND;
}

bool SetNumber(void* tree, int node, const char* name, uint64_t value) {
  return fdt_setprop_u64(tree, node, name, value) == 0;
}

// libfdt's own: the first append makes the property.
bool SetUsable(void* tree, int node, const Range& usable) {
  constexpr char kName[] = "linux,usable-memory-range";
  if (usable.begin == usable.end) return true;
  fdt_delprop(tree, node, kName);
  return fdt_appendprop_u64(tree, node, kName, usable.begin) == 0 &&
         fdt_appendprop_u64(tree, node, kName, usable.end - usable.begin) == 0;
}

// libfdt finds no property of a node that is not there.
std::optional<Range> InitrdIn(const void* tree) {
  const int node = fdt_path_offset(tree, "/chosen");
  const Range initrd = {NumberIn(tree, node, "linux,initrd-start"),
                        NumberIn(tree, node, "linux,initrd-end")};
  if (initrd.begin == 0 || initrd.begin >= initrd.end) return std::nullopt;
  return initrd;
}

// Linux's kexec_file_load reserves the initrd in the tree it makes. Inherited,
// each kexec would leave the next kernel less memory.
void DropReservedInitrd(void* tree) {
  const auto initrd = InitrdIn(tree);
  if (!initrd) return;
  for (int i = fdt_num_mem_rsv(tree); i-- > 0;) {
    uint64_t address = 0, size = 0;
    fdt_get_mem_rsv(tree, i, &address, &size);
    if (address == initrd->begin) fdt_del_mem_rsv(tree, i);
  }
}

bool SetChosen(void* tree, const Chosen& chosen) {
  const int node = ChosenNode(tree);
  return node >= 0 && SetBootargs(tree, node, chosen.bootargs) &&
         SetNumber(tree, node, "linux,initrd-start", chosen.initrd.begin) &&
         SetNumber(tree, node, "linux,initrd-end", chosen.initrd.end) &&
         SetNumber(tree, node, "kaslr-seed", chosen.kaslr_seed) &&
         SetUsable(tree, node, chosen.usable) &&
         SetRngSeed(tree, node, chosen.rng_seed);
}

// --- the order of the cpu nodes ----------------------------------------------

struct Property {
  std::string name;
  std::vector<uint8_t> value;
};

struct Node {
  std::string name;
  std::vector<Property> properties;
};

std::vector<Property> PropertiesOf(const void* tree, int node) {
  std::vector<Property> properties;
  int property = 0;
  fdt_for_each_property_offset(property, tree, node) {
    const char* name = nullptr;
    int size = 0;
    const auto* value = static_cast<const uint8_t*>(
        fdt_getprop_by_offset(tree, property, &name, &size));
    if (value) properties.push_back({name, {value, value + size}});
  }
  return properties;
}

// Nodes of CPUs have no children.
std::vector<Node> CpuNodes(const void* tree, int cpus) {
  std::vector<Node> nodes;
  int node = 0;
  fdt_for_each_subnode(node, tree, cpus) {
    const std::string name = fdt_get_name(tree, node, nullptr);
    if (name.starts_with("cpu@")) {
      nodes.push_back({name, PropertiesOf(tree, node)});
    }
  }
  return nodes;
}

// libfdt puts a new node before its siblings, and its properties likewise.
bool Prepend(void* tree, const Node& node) {
  const int cpus = fdt_path_offset(tree, "/cpus");
  const int added = fdt_add_subnode(tree, cpus, node.name.c_str());
  return added >= 0 &&
         std::all_of(node.properties.rbegin(), node.properties.rend(),
                     [&](const Property& property) {
                       return Set(tree, added, property.name.c_str(),
                                  property.value);
                     });
}

bool ReverseCpus(void* tree) {
  const int cpus = fdt_path_offset(tree, "/cpus");
  if (cpus < 0) return false;
  const std::vector<Node> nodes = CpuNodes(tree, cpus);
  for (const Node& node : nodes) {
    const int old = fdt_subnode_offset(tree, fdt_path_offset(tree, "/cpus"),
                                       node.name.c_str());
    if (fdt_del_node(tree, old) != 0 || !Prepend(tree, node)) return false;
  }
  return true;
}

}  // namespace

std::optional<std::vector<Range>> ReservedRanges(
    std::span<const uint8_t> tree) {
  if (!IsTree(tree)) return std::nullopt;
  std::vector<Range> ranges;
  AppendEntries(tree.data(), ranges);
  AppendReservedMemory(tree.data(), ranges);
  return ranges;
}

std::optional<Range> InitrdIn(std::span<const uint8_t> tree) {
  return IsTree(tree) ? InitrdIn(tree.data()) : std::nullopt;
}

std::optional<std::vector<uint8_t>> MakeNextTree(std::span<const uint8_t> tree,
                                                 const Chosen& chosen,
                                                 CpuOrder order) {
  if (!IsTree(tree)) return std::nullopt;
  std::vector<uint8_t> next(tree.size() + chosen.bootargs.size() +
                            chosen.rng_seed.size() + kHeadroom);
  const int size = static_cast<int>(next.size());
  if (fdt_open_into(tree.data(), next.data(), size) != 0) return std::nullopt;
  DropReservedInitrd(next.data());
  if (!SetChosen(next.data(), chosen) ||
      (order == CpuOrder::kReversed && !ReverseCpus(next.data())) ||
      fdt_pack(next.data()) != 0) {
    return std::nullopt;
  }
  next.resize(fdt_totalsize(next.data()));
  return next;
}

std::optional<Range> DecodeReg(std::span<const uint8_t> reg) {
  if (reg.size() < kRegionBytes) return std::nullopt;
  const uint64_t begin = BigEndian(reg.first(kCellPairBytes));
  const uint64_t size = BigEndian(reg.subspan(kCellPairBytes, kCellPairBytes));
  if (size > UINT64_MAX - begin) return std::nullopt;
  return Range{begin, begin + size};
}

}  // namespace guest_init
