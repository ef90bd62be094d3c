// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/text.h"

#include <gtest/gtest.h>

#include <utility>

namespace vmm {
namespace {

TEST(TextTest, WhatIsPrintableStaysAsItIs) {
  for (const char* text :
       {"", "an Image", "a\\b", "caf\u00e9", "\u00a0", "\u4e2d", "\U0001f427",
        "\u0800", "\ud7ff", "\ue000", "\U0010ffff"}) {
    EXPECT_EQ(Printable(text), text);
  }
}

TEST(TextTest, AControlCharacterIsShownByItsBytes) {
  constexpr std::pair<const char*, const char*> kCases[] = {
      {"\x1b[2J", "\\x1b[2J"},
      {"a\nb\tc\r", "a\\x0ab\\x09c\\x0d"},
      {"\x7f", "\\x7f"},
      {"\u009b1m", "\\xc2\\x9b1m"},   // C1's way to begin an escape sequence.
      {"\ufffe", "\\xef\\xbf\\xbe"},  // XML and YAML have none.
      {"\uffff", "\\xef\\xbf\\xbf"},  //
  };
  for (const auto& [text, shown] : kCases) EXPECT_EQ(Printable(text), shown);
  EXPECT_EQ(Printable(absl::string_view("\0", 1)), "\\x00");
}

TEST(TextTest, AByteThatIsNoUtf8IsShownAsSuch) {
  constexpr std::pair<const char*, const char*> kCases[] = {
      {"\xff", "\\xff"},
      {"\x9b", "\\x9b"},
      {"\xc3", "\\xc3"},                             // Cut short.
      {"\xc3(", "\\xc3("},                           // No second byte.
      {"\xc0\xaf", "\\xc0\\xaf"},                    // Too long a form.
      {"\xe0\x80\xaf", "\\xe0\\x80\\xaf"},           //
      {"\xf0\x80\x80\xaf", "\\xf0\\x80\\x80\\xaf"},  //
      {"\xed\xa0\x80", "\\xed\\xa0\\x80"},           // A surrogate.
      {"\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"},  // Beyond U+10FFFF.
      {"\xf5\x80\x80\x80", "\\xf5\\x80\\x80\\x80"},
      // No lead byte, though the bits that one would have make a character.
      {"\xf9\x80\x80\x80", "\\xf9\\x80\\x80\\x80"},
      {"\x81\x80\x80\x80", "\\x81\\x80\\x80\\x80"},
      {"\xe4\xb8", "\\xe4\\xb8"},
  };
  for (const auto& [text, shown] : kCases) EXPECT_EQ(Printable(text), shown);
}

}  // namespace
}  // namespace vmm
