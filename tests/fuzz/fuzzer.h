// SPDX-License-Identifier: Apache-2.0
// What all fuzzers share. Each is one file, NAME_fuzzer.cc:
//
//   FUZZ_TARGET(name) { ... reads `input`, a fuzz::Input ... }
//
// With PARKVMM_FUZZ it is libFuzzer's entry point, one program for each target.
// Without it, it is a function that fuzz_corpus_test calls with each file of
// tests/fuzz/corpus/NAME.
#ifndef PARKVMM_TESTS_FUZZ_FUZZER_H_
#define PARKVMM_TESTS_FUZZ_FUZZER_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <type_traits>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace fuzz {

// What a fuzzer is given, read from its front. What is not there any more reads
// as zero and as empty, so that every input means something.
class Input {
 public:
  explicit Input(absl::Span<const uint8_t> bytes) : bytes_(bytes) {}

  bool empty() const { return bytes_.empty(); }
  size_t size() const { return bytes_.size(); }

  template <typename T>
  T Take() {
    static_assert(std::is_integral_v<T>);
    T value = 0;
    const size_t size = std::min(sizeof(T), bytes_.size());
    if (size != 0) std::memcpy(&value, bytes_.data(), size);
    bytes_.remove_prefix(size);
    return value;
  }
  bool TakeBool() { return (Take<uint8_t>() & 1) != 0; }
  // Returns a number below `end`, which is not 0.
  uint32_t TakeBelow(uint32_t end) {
    return end <= 256 ? Take<uint8_t>() % end : Take<uint32_t>() % end;
  }
  absl::Span<const uint8_t> TakeBytes(size_t most) {
    const auto taken = bytes_.first(std::min(most, bytes_.size()));
    bytes_.remove_prefix(taken.size());
    return taken;
  }
  absl::Span<const uint8_t> TakeRest() { return TakeBytes(bytes_.size()); }
  std::string TakeText(size_t most) {
    const auto taken = TakeBytes(most);
    return {taken.begin(), taken.end()};
  }
  // A length in one byte, and so much text.
  std::string TakeShortText() { return TakeText(Take<uint8_t>()); }

 private:
  absl::Span<const uint8_t> bytes_;
};

// Says in one line what is wrong, and aborts.
[[noreturn]] void Violation(const char* file, int line, absl::string_view what);

// Whether `text` is UTF-8 without control characters, but for newlines if
// `lines` is true. Written apart from vmm/base/text.cc, which it checks.
bool IsPrintable(absl::string_view text, bool lines);

// Keeps what is written to stdout and stderr from when it is made.
class Captured {
 public:
  Captured();
  Captured(const Captured&) = delete;
  Captured& operator=(const Captured&) = delete;
  ~Captured() { Stop(); }

  // Ends it.
  void Stop();
  // After Stop().
  const std::string& output() const { return output_; }
  const std::string& errors() const { return errors_; }

 private:
  bool running_ = true;
  std::string output_;
  std::string errors_;
};

// Returns a path under which `bytes` can be opened and read, until the next
// call. `which`: several may be there at once.
std::string FileOf(absl::Span<const uint8_t> bytes, unsigned which = 0);

// All targets of this program, by name.
using Target = void (*)(Input input);
std::map<std::string, Target>& Targets();
struct Registration {
  Registration(const char* name, Target target) { Targets()[name] = target; }
};

}  // namespace fuzz

#define FUZZ_CHECK(condition)                               \
  do {                                                      \
    if (!(condition)) {                                     \
      ::fuzz::Violation(__FILE__, __LINE__, "" #condition); \
    }                                                       \
  } while (false)
// The same with the text that is wrong.
#define FUZZ_CHECK_TEXT(condition, text)                                   \
  do {                                                                     \
    if (!(condition)) {                                                    \
      ::fuzz::Violation(__FILE__, __LINE__,                                \
                        std::string(#condition ": ") + std::string(text)); \
    }                                                                      \
  } while (false)

#ifdef PARKVMM_FUZZ
#define FUZZ_ENTRY_POINT(name)                                              \
  extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);  \
  extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) { \
    Fuzz_##name(::fuzz::Input({data, size}));                               \
    return 0;                                                               \
  }
#else
#define FUZZ_ENTRY_POINT(name) \
  static const ::fuzz::Registration registration(#name, &Fuzz_##name);
#endif

#define FUZZ_TARGET(name)                       \
  static void Fuzz_##name(::fuzz::Input input); \
  FUZZ_ENTRY_POINT(name)                        \
  static void Fuzz_##name(::fuzz::Input input)

#endif  // PARKVMM_TESTS_FUZZ_FUZZER_H_
