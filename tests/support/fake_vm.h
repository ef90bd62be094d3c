// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TESTS_SUPPORT_FAKE_VM_H_
#define PARKVMM_TESTS_SUPPORT_FAKE_VM_H_

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "tests/support/fake_vcpu.h"
#include "vmm/kvm/vm.h"

namespace vmm {

// A VM of fake vCPUs, whose MPIDRs are KVM's: 16 CPUs per Aff0, RES1 set.
class FakeVm : public Vm {
 public:
  // `affinity` is a part of each MPIDR.
  explicit FakeVm(const VmSpec& spec, uint64_t affinity = 0) : spec_(spec) {
    for (uint64_t i = 0; i < spec.vcpus; ++i) {
      owned_.push_back(std::make_unique<FakeVcpu>(uint64_t{1} << 31 | affinity |
                                                  (i >> 4) << 8 | (i & 0xf)));
      vcpus.push_back(owned_.back().get());
    }
  }
  const VmSpec& spec() const { return spec_; }
  GicVersion gic() const override { return gic_version; }
  absl::Status AddRam(GuestRange range, void* memory) override {
    ram = static_cast<uint8_t*>(memory);
    ram_base = range.base().value();
    return add_ram;
  }
  absl::StatusOr<std::vector<std::unique_ptr<Vcpu>>> CreateVcpus() override {
    std::vector<std::unique_ptr<Vcpu>> result;
    for (auto& vcpu : owned_) result.push_back(std::move(vcpu));
    if (!create_vcpus.ok()) return create_vcpus;
    return result;
  }
  absl::Status SetSpi(unsigned spi, bool level) override {
    const std::lock_guard lock(spi_mutex_);
    spi_levels.emplace_back(spi, level);
    return set_spi;
  }

  std::vector<FakeVcpu*> vcpus;  // Live as long as the machine.
  GicVersion gic_version = GicVersion::kV3;
  // What KVM says to these calls.
  absl::Status add_ram;
  absl::Status create_vcpus;
  absl::Status set_spi;
  uint8_t* ram = nullptr;
  uint64_t ram_base = 0;
  // In the order in which they were set; read it after the machine's end.
  std::vector<std::pair<unsigned, bool>> spi_levels;

 private:
  std::mutex spi_mutex_;
  const VmSpec spec_;
  std::vector<std::unique_ptr<FakeVcpu>> owned_;
};

}  // namespace vmm

#endif  // PARKVMM_TESTS_SUPPORT_FAKE_VM_H_
