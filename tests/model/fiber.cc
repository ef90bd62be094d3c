// SPDX-License-Identifier: Apache-2.0
#include "tests/model/fiber.h"

#include <cstdint>
#include <utility>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

namespace model {
namespace {

// Tells AddressSanitizer that the stack is about to be another one. `save`:
// where the stack that is left keeps its own; nullptr: it ends.
void StartSwitch([[maybe_unused]] void** save,
                 [[maybe_unused]] const void* stack,
                 [[maybe_unused]] size_t bytes) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_start_switch_fiber(save, stack, bytes);
#endif
}

// Tells AddressSanitizer that it is.
void FinishSwitch([[maybe_unused]] void* saved,
                  [[maybe_unused]] const void** from,
                  [[maybe_unused]] size_t* from_bytes) {
#ifdef __SANITIZE_ADDRESS__
  __sanitizer_finish_switch_fiber(saved, from, from_bytes);
#endif
}

void SwitchTsan([[maybe_unused]] void* to) {
#ifdef __SANITIZE_THREAD__
  __tsan_switch_to_fiber(to, 0);
#endif
}

}  // namespace

Fiber::Fiber(std::function<void()> body)
    : body_(std::move(body)),
      stack_(std::make_unique_for_overwrite<std::byte[]>(kStackBytes)) {
#ifdef __SANITIZE_THREAD__
  self_tsan_ = __tsan_create_fiber(0);
  resumer_tsan_ = __tsan_get_current_fiber();
#endif
  getcontext(&self_);
  self_.uc_stack.ss_sp = stack_.get();
  self_.uc_stack.ss_size = kStackBytes;
  self_.uc_link = nullptr;
  // makecontext passes ints.
  const auto self = reinterpret_cast<uintptr_t>(this);
  makecontext(&self_, reinterpret_cast<void (*)()>(&Enter), 2,
              static_cast<unsigned>(uint64_t{self} >> 32),
              static_cast<unsigned>(self));
}

Fiber::~Fiber() {
#ifdef __SANITIZE_THREAD__
  __tsan_destroy_fiber(self_tsan_);
#endif
}

void Fiber::Enter(unsigned high, unsigned low) {
  auto* const self = reinterpret_cast<Fiber*>(
      static_cast<uintptr_t>(uint64_t{high} << 32 | low));
  FinishSwitch(nullptr, &self->resumer_stack_, &self->resumer_stack_bytes_);
  self->body_();
  std::terminate();
}

void Fiber::Resume() {
  StartSwitch(&resumer_fake_stack_, stack_.get(), kStackBytes);
  SwitchTsan(self_tsan_);
  swapcontext(&resumer_, &self_);
  FinishSwitch(resumer_fake_stack_, nullptr, nullptr);
}

void Fiber::Yield() {
  StartSwitch(&self_fake_stack_, resumer_stack_, resumer_stack_bytes_);
  SwitchTsan(resumer_tsan_);
  swapcontext(&self_, &resumer_);
  FinishSwitch(self_fake_stack_, &resumer_stack_, &resumer_stack_bytes_);
}

}  // namespace model
