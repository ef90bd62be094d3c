// SPDX-License-Identifier: Apache-2.0
#include "vmm/boot/decompress.h"

#define ZLIB_CONST
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <memory>

#include "absl/cleanup/cleanup.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/str_format.h"

namespace vmm {
namespace {

constexpr uint64_t kFirstRoom = 64 << 10;

enum class Step { kMoreRoom, kEnd, kEndsEarly, kDamaged };
// Unpacks into `room` and says how much of it was needed.
using Decoder =
    absl::FunctionRef<Step(absl::Span<uint8_t> room, size_t& written)>;

absl::StatusOr<std::vector<uint8_t>> Drain(absl::string_view format,
                                           uint64_t limit, Decoder decode) {
  std::vector<uint8_t> out;
  size_t used = 0;
  Step step = Step::kMoreRoom;
  while (step == Step::kMoreRoom && used <= limit) {
    // One byte beyond the limit tells "as much" from "more".
    out.resize(std::min(std::max(2 * used, kFirstRoom), limit + 1));
    size_t written = 0;
    step = decode(absl::MakeSpan(out).subspan(used), written);
    used += written;
  }
  if (used > limit) {
    return absl::ResourceExhaustedError(absl::StrFormat(
        "its %s stream unpacks to more than %d bytes; it cannot be a kernel",
        format, limit));
  }
  if (step != Step::kEnd) {
    return absl::DataLossError(absl::StrFormat(
        "its %s stream %s; copy or download the file again", format,
        step == Step::kEndsEarly ? "ends early" : "is damaged"));
  }
  out.resize(used);
  return out;
}

Step StepOf(int zlib_result, bool room_left) {
  switch (zlib_result) {
    case Z_STREAM_END:
      return Step::kEnd;
    case Z_OK:
      return room_left ? Step::kEndsEarly : Step::kMoreRoom;
    case Z_BUF_ERROR:
      return Step::kEndsEarly;
    default:
      return Step::kDamaged;
  }
}

struct FreeZstd {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

}  // namespace

absl::StatusOr<std::vector<uint8_t>> Gunzip(absl::Span<const uint8_t> packed,
                                            uint64_t limit) {
  constexpr int kGzipOnly = 15 + 16;  // The largest window, a gzip header.
  z_stream stream = {};
  stream.next_in = packed.data();
  stream.avail_in = static_cast<uInt>(
      std::min<uint64_t>(packed.size(), std::numeric_limits<uInt>::max()));
  if (inflateInit2(&stream, kGzipOnly) != Z_OK) {
    return absl::ResourceExhaustedError("no memory to unpack gzip");
  }
  const auto end = absl::MakeCleanup([&] { inflateEnd(&stream); });
  return Drain("gzip", limit, [&](absl::Span<uint8_t> room, size_t& written) {
    stream.next_out = room.data();
    stream.avail_out = static_cast<uInt>(room.size());
    const int result = inflate(&stream, Z_NO_FLUSH);
    written = room.size() - stream.avail_out;
    return StepOf(result, stream.avail_out != 0);
  });
}

absl::StatusOr<std::vector<uint8_t>> Unzstd(absl::Span<const uint8_t> packed,
                                            uint64_t limit) {
  const std::unique_ptr<ZSTD_DCtx, FreeZstd> context(ZSTD_createDCtx());
  if (context == nullptr) {
    return absl::ResourceExhaustedError("no memory to unpack zstd");
  }
  ZSTD_inBuffer in = {packed.data(), packed.size(), 0};
  return Drain("zstd", limit, [&](absl::Span<uint8_t> room, size_t& written) {
    ZSTD_outBuffer out = {room.data(), room.size(), 0};
    const size_t hint = ZSTD_decompressStream(context.get(), &out, &in);
    written = out.pos;
    if (ZSTD_isError(hint)) return Step::kDamaged;
    if (hint == 0) return Step::kEnd;
    return out.pos < out.size ? Step::kEndsEarly : Step::kMoreRoom;
  });
}

}  // namespace vmm
