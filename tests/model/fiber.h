// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_TESTS_MODEL_FIBER_H_
#define PARKVMM_TESTS_MODEL_FIBER_H_

#include <ucontext.h>

#include <cstddef>
#include <functional>
#include <memory>

namespace model {

// A stack of its own on which a body runs until it yields. One host thread
// resumes it and is resumed by it; AddressSanitizer and ThreadSanitizer are
// told of every switch.
class Fiber {
 public:
  // `body` never returns; it may be suspended for good.
  explicit Fiber(std::function<void()> body);
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;
  ~Fiber();

  // Runs the body from where it is until it yields.
  void Resume();
  // Called by the body: returns from Resume().
  void Yield();

 private:
  static constexpr size_t kStackBytes = 128 * 1024;

  static void Enter(unsigned high, unsigned low);

  const std::function<void()> body_;
  const std::unique_ptr<std::byte[]> stack_;
  ucontext_t self_;
  ucontext_t resumer_;
  // What the sanitizers know of both sides.
  void* self_fake_stack_ = nullptr;
  void* resumer_fake_stack_ = nullptr;
  const void* resumer_stack_ = nullptr;
  size_t resumer_stack_bytes_ = 0;
  void* self_tsan_ = nullptr;
  void* resumer_tsan_ = nullptr;
};

}  // namespace model

#endif  // PARKVMM_TESTS_MODEL_FIBER_H_
