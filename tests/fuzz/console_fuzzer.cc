// SPDX-License-Identifier: Apache-2.0
// Any console output, in any pieces, and any file as the kernel's symbols: what
// is kept of them is little, printable, and the same whatever the pieces.
#include "tests/fuzz/fuzzer.h"
#include "vmm/run/console_watch.h"
#include "vmm/run/symbols.h"

namespace {

using vmm::ConsoleWatch;

void CheckLine(const std::string& line) {
  FUZZ_CHECK(line.size() <= ConsoleWatch::kLineLength);
  FUZZ_CHECK_TEXT(fuzz::IsPrintable(line, false), line);
}

void Watch(const std::string& text, size_t piece, bool allows) {
  std::vector<std::string> allowed;
  if (allows) allowed.emplace_back("allowed");
  ConsoleWatch in_pieces(allowed);
  ConsoleWatch at_once(allowed);
  for (size_t at = 0; at < text.size(); at += piece) {
    in_pieces.Add(absl::string_view(text).substr(at, piece));
  }
  at_once.Add(text);
  in_pieces.End();
  at_once.End();
  FUZZ_CHECK(in_pieces.LastLines() == at_once.LastLines());
  FUZZ_CHECK(at_once.LastLines().size() <= ConsoleWatch::kLines);
  for (const std::string& line : at_once.LastLines()) CheckLine(line);
  CheckLine(at_once.panic());
  CheckLine(at_once.splat());
  FUZZ_CHECK(in_pieces.panic() == at_once.panic());
  FUZZ_CHECK(in_pieces.splat() == at_once.splat());
  FUZZ_CHECK(in_pieces.halted() == at_once.halted());
  FUZZ_CHECK(in_pieces.panic_ended() == at_once.panic_ended());
  FUZZ_CHECK(!at_once.panic_ended() || !at_once.panic().empty());
  at_once.ForgetPanic();
  FUZZ_CHECK(at_once.panic().empty() && !at_once.panic_ended());
}

void ReadSymbols(absl::Span<const uint8_t> bytes) {
  const vmm::Content file(std::vector<uint8_t>(bytes.begin(), bytes.end()));
  const auto symbols = vmm::Symbols::Read("the/file", file);
  if (!symbols.ok()) {
    FUZZ_CHECK(symbols.status().code() == absl::StatusCode::kInvalidArgument);
    FUZZ_CHECK(fuzz::IsPrintable(symbols.status().message(), false));
    return;
  }
  for (const uint64_t pc :
       {uint64_t{0}, uint64_t{0x1000}, uint64_t{0xffff800080010004}, ~0ul}) {
    for (const uint64_t vectors : {uint64_t{0}, uint64_t{0x10800}, ~0xffful}) {
      const std::string name = symbols->NameOf(pc, vectors);
      FUZZ_CHECK(name.size() < 600);
      FUZZ_CHECK_TEXT(fuzz::IsPrintable(name, false), name);
    }
  }
}

}  // namespace

FUZZ_TARGET(console) {
  const auto how = input.Take<uint8_t>();
  const auto bytes = input.TakeRest();
  if ((how & 1) != 0) return ReadSymbols(bytes);
  Watch({bytes.begin(), bytes.end()}, 1 + how / 4, (how & 2) != 0);
}
