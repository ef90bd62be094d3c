// SPDX-License-Identifier: Apache-2.0
#ifndef PARKVMM_GUEST_STUB_REPORT_H_
#define PARKVMM_GUEST_STUB_REPORT_H_

#include <cstdint>

#include "guest-stub/console.h"

namespace stub {

// What a payload file defines, by way of STUB_PAYLOAD.
extern const char* const kPayloadName;
// On the boot CPU. To return is to pass.
void Payload();

// As Linux's user space does it: marks, so that a kexec into us ends here, and
// the next one begins.
void MarkUp(uint64_t cpus);
void MarkKexec(uint64_t cpus);

// "[stub] PASS name", for a payload whose end is not a verdict.
void AnnouncePass();
// Any CPU: the line, then the verdict.
[[noreturn]] void Pass();
// The first CPU to fail is the one that is heard.
void BeginFailure(const char* file, int line);
[[noreturn]] void EndFailure(int line);

// Fail(FILE, LINE, "CPU ", 3, " is late").
[[noreturn]] void Fail(const char* file, int line, auto... parts) {
  BeginFailure(file, line);
  (Put(parts), ...);
  EndFailure(line);
}

void ExpectEqual(const char* file, int line, const char* what, auto actual,
                 auto expected) {
  const auto is = static_cast<uint64_t>(actual);
  const auto should_be = static_cast<uint64_t>(expected);
  if (is == should_be) return;
  Fail(file, line, what, " is ", Hex{is}, ", not ", Hex{should_be});
}

}  // namespace stub

#define STUB_PAYLOAD(name)                      \
  const char* const stub::kPayloadName = #name; \
  void stub::Payload()

#define EXPECT(condition)       \
  (static_cast<bool>(condition) \
       ? static_cast<void>(0)   \
       : ::stub::Fail(__FILE_NAME__, __LINE__, "not " #condition))
#define EXPECT_EQ(actual, expected) \
  ::stub::ExpectEqual(__FILE_NAME__, __LINE__, #actual, actual, expected)
#define FAIL(...) ::stub::Fail(__FILE_NAME__, __LINE__, __VA_ARGS__)

#endif  // PARKVMM_GUEST_STUB_REPORT_H_
