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
#include "absl/strings/string_view.h"
#include "vmm/boot/image_headers.h"

namespace vmm {
namespace {

constexpr uint64_t kFirstRoom = 64 << 10;

enum class Step { kMoreRoom, kEnd, kEndsEarly, kDamaged, kGarbage };
// Unpacks into `room` and says how much of it was needed.
using Decoder =
    absl::FunctionRef<Step(absl::Span<uint8_t> room, size_t& written)>;

absl::string_view Complaint(Step step) {
  switch (step) {
    case Step::kEndsEarly:
      return "ends early";
    case Step::kGarbage:
      return "is followed by something else";
    default:
      return "is damaged";
  }
}

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
        "its %s stream unpacks to more than %d bytes; it is no kernel, or "
        "needs more --memory",
        format, limit));
  }
  if (step != Step::kEnd) {
    return absl::DataLossError(
        absl::StrFormat("its %s stream %s; copy or download the file again",
                        format, Complaint(step)));
  }
  out.resize(used);
  return out;
}

constexpr absl::string_view kGzipMagic = "\x1f\x8b";

bool BeginsGzip(absl::Span<const uint8_t> bytes) {
  return HasMagic(bytes, 0, kGzipMagic);
}

// A frame of data, or one of those that decoders skip.
bool BeginsZstd(absl::Span<const uint8_t> bytes) {
  constexpr uint32_t kData = 0xfd2fb528;
  constexpr uint32_t kSkippable = 0x184d2a50;
  constexpr uint32_t kSkippableMask = 0xfffffff0;
  const uint32_t magic = HeaderAt<uint32_t>(bytes, 0).value_or(0);
  return magic == kData || (magic & kSkippableMask) == kSkippable;
}

bool IsPadding(absl::Span<const uint8_t> bytes) {
  return std::all_of(bytes.begin(), bytes.end(),
                     [](uint8_t byte) { return byte == 0; });
}

struct FreeZstd {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

}  // namespace

absl::StatusOr<std::vector<uint8_t>> Gunzip(absl::Span<const uint8_t> packed,
                                            uint64_t limit, Tail tail) {
  constexpr int kGzipOnly = 15 + 16;  // The largest window, a gzip header.
  z_stream stream = {};
  stream.next_in = packed.data();
  stream.avail_in = static_cast<uInt>(
      std::min<uint64_t>(packed.size(), std::numeric_limits<uInt>::max()));
  if (inflateInit2(&stream, kGzipOnly) != Z_OK) {
    return absl::ResourceExhaustedError("no memory to unpack gzip");
  }
  const auto end = absl::MakeCleanup([&] { inflateEnd(&stream); });
  const auto step = [&] {
    for (;;) {
      const int result = inflate(&stream, Z_NO_FLUSH);
      if (result == Z_OK && stream.avail_out == 0) return Step::kMoreRoom;
      if (result == Z_OK || result == Z_BUF_ERROR) return Step::kEndsEarly;
      if (result != Z_STREAM_END) return Step::kDamaged;
      const absl::Span<const uint8_t> rest(stream.next_in, stream.avail_in);
      if (!BeginsGzip(rest)) {
        return tail == Tail::kIgnored || IsPadding(rest) ? Step::kEnd
                                                         : Step::kGarbage;
      }
      inflateReset(&stream);
    }
  };
  return Drain("gzip", limit, [&](absl::Span<uint8_t> room, size_t& written) {
    stream.next_out = room.data();
    stream.avail_out = static_cast<uInt>(room.size());
    const Step last = step();
    written = room.size() - stream.avail_out;
    return last;
  });
}

absl::StatusOr<std::vector<uint8_t>> Unzstd(absl::Span<const uint8_t> packed,
                                            uint64_t limit, Tail tail) {
  const std::unique_ptr<ZSTD_DCtx, FreeZstd> context(ZSTD_createDCtx());
  if (context == nullptr) {
    return absl::ResourceExhaustedError("no memory to unpack zstd");
  }
  ZSTD_inBuffer in = {packed.data(), packed.size(), 0};
  const auto step = [&](ZSTD_outBuffer& out) {
    for (;;) {
      const size_t hint = ZSTD_decompressStream(context.get(), &out, &in);
      if (ZSTD_isError(hint)) return Step::kDamaged;
      if (hint != 0) {
        return out.pos < out.size ? Step::kEndsEarly : Step::kMoreRoom;
      }
      if (in.pos == in.size) return Step::kEnd;
      if (!BeginsZstd(packed.subspan(in.pos))) {
        return tail == Tail::kIgnored ? Step::kEnd : Step::kGarbage;
      }
    }
  };
  return Drain("zstd", limit, [&](absl::Span<uint8_t> room, size_t& written) {
    ZSTD_outBuffer out = {room.data(), room.size(), 0};
    const Step last = step(out);
    written = out.pos;
    return last;
  });
}

}  // namespace vmm
