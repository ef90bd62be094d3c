// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/log.h"

#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "vmm/base/file.h"
#include "vmm/base/mutex.h"
#include "vmm/base/text.h"

namespace vmm {
namespace {

struct Stderr {
  Mutex mutex;
  absl::Status status ABSL_GUARDED_BY(mutex);
};
Stderr& TheStderr() {
  static Stderr& only = *new Stderr;  // Threads may outlive main().
  return only;
}

// Once it took no more, nothing is tried again: a reader that stands still is
// waited for once.
void Write(absl::string_view line) {
  Stderr& out = TheStderr();
  const MutexLock lock(out.mutex);
  if (out.status.ok()) out.status = WriteTo(STDERR_FILENO, "stderr", line);
}

}  // namespace

void LogInfo(absl::string_view line) {
  Write(absl::StrCat("vmm: ", Printable(line), "\n"));
}
void LogWarning(absl::string_view line) {
  LogInfo(absl::StrCat("warning: ", line));
}
void LogError(absl::string_view line) {
  LogInfo(absl::StrCat("error: ", line));
}

void LogPlain(absl::string_view text) {
  const auto add = [](std::string* out, absl::string_view line) {
    out->append(Printable(line));
  };
  Write(
      absl::StrCat(absl::StrJoin(absl::StrSplit(text, '\n'), "\n", add), "\n"));
}

absl::Status LogStatus() {
  Stderr& out = TheStderr();
  const MutexLock lock(out.mutex);
  return out.status;
}

}  // namespace vmm
