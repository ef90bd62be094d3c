// SPDX-License-Identifier: Apache-2.0
#include <elf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libfdt.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "fdt/machine_tree.h"
#include "tests/support/tree_view.h"
#include "tools/guest/init/command_file.h"
#include "tools/guest/init/command_line.h"
#include "tools/guest/init/cpu_list.h"
#include "tools/guest/init/kcore.h"
#include "tools/guest/init/next_tree.h"
#include "tools/guest/init/plan.h"
#include "tools/guest/init/segments.h"
#include "tools/guest/init/steps.h"
#include "tools/guest/init/text.h"

namespace guest_init {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Optional;

constexpr uint64_t kMiB = uint64_t{1} << 20;
constexpr uint64_t kGiB = uint64_t{1} << 30;

// --- CPU lists ---------------------------------------------------------------

TEST(CpuList, ReadsWhatLinuxPrints) {
  EXPECT_THAT(ParseCpuList("0\n"), Optional(ElementsAre(0)));
  EXPECT_THAT(ParseCpuList("0-3\n"), Optional(ElementsAre(0, 1, 2, 3)));
  EXPECT_THAT(ParseCpuList("0,2-3,511"), Optional(ElementsAre(0, 2, 3, 511)));
  EXPECT_THAT(ParseCpuList("\n"), Optional(IsEmpty()));
  EXPECT_THAT(ParseCpuList("65535-65536"), Optional(ElementsAre(65535, 65536)));
}

TEST(CpuList, RefusesEverythingElse) {
  for (const char* text :
       {"-", "0-", "-3", "3-0", "0,", ",0", "0,,1", "x", "0x1", "0 1", "0-a",
        "0-65537", "65537", "0-99999999999", "18446744073709551616"}) {
    EXPECT_FALSE(ParseCpuList(text)) << text;
  }
}

// --- Commands ----------------------------------------------------------------

std::string Strings(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += text + '\0';
  return all;
}

TEST(CommandFile, HoldsWordsAndEnvironment) {
  const auto command = ParseCommandFile(
      Strings({"parkvmm-command-1", "terminal", "2", "sh", "", "A=b c", "B="}));
  ASSERT_TRUE(command);
  EXPECT_TRUE(command->terminal);
  EXPECT_THAT(command->words, ElementsAre("sh", ""));
  EXPECT_THAT(command->environment, ElementsAre("A=b c", "B="));
}

TEST(CommandFile, IsRefusedIfItIsDamaged) {
  const std::string whole =
      Strings({"parkvmm-command-1", "pipes", "1", "true"});
  ASSERT_TRUE(ParseCommandFile(whole));
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(ParseCommandFile(whole.substr(0, size))) << size;
  }
  EXPECT_FALSE(ParseCommandFile(whole + "x"));
  for (const char* count : {"0", "-1", "x", "2", "99999999999999999999"}) {
    EXPECT_FALSE(ParseCommandFile(
        Strings({"parkvmm-command-1", "pipes", count, "true"})))
        << count;
  }
  EXPECT_FALSE(
      ParseCommandFile(Strings({"parkvmm-command-2", "pipes", "1", "true"})));
}

TEST(Frames, AreTakenOutOfPiecesOfAnySize) {
  const std::string long_one(4096, 'x');
  const std::string sent =
      MakeFrame('I', "input") + MakeFrame('Z', "") + MakeFrame('I', long_one);
  for (const size_t piece : {1u, 2u, 3u, 7u, 5000u}) {
    FrameReader reader;
    std::vector<std::string> got;
    for (size_t at = 0; at < sent.size(); at += piece) {
      reader.Add(std::string_view(sent).substr(at, piece));
      while (const auto frame = reader.Take()) {
        got.push_back(frame->type + frame->payload);
      }
    }
    EXPECT_THAT(got, ElementsAre("Iinput", "Z", "I" + long_one));
  }
  EXPECT_EQ(MakeFrame('C', uint16_t{0x0102}), std::string("C\2\0\2\1", 5));
}

TEST(Runnable, IsTheNumberBeforeTheSlash) {
  EXPECT_THAT(ParseRunnable("0.20 0.18 0.12 12/80 11206\n"), Optional(12));
  for (const char* text :
       {"", "0.20 0.18 0.12", "0.20 /80", "1.5/80", "12", "0.20 0.18 12"}) {
    EXPECT_FALSE(ParseRunnable(text)) << text;
  }
}

// --- the command line --------------------------------------------------------

TEST(CommandLine, FindsTheLastValueBeforeInitsOwnWords) {
  constexpr std::string_view kLine =
      "console=ttyAMA0 park.cycle=1 park.shell park.cycle=2 -- park.cycle=3\n";
  EXPECT_THAT(FindKey(kLine, "park.cycle"), Optional(std::string_view("2")));
  EXPECT_THAT(FindKey(kLine, "park.shell"), Optional(std::string_view()));
  EXPECT_EQ(FindKey(kLine, "park.cycles"), std::nullopt);
}

TEST(CommandLine, QuotesKeepWordsTogether) {
  constexpr std::string_view kLine = R"(dyndbg="file a.c +p" x="1 park.end=2")";
  EXPECT_THAT(FindKey(kLine, "dyndbg"),
              Optional(std::string_view("file a.c +p")));
  EXPECT_EQ(FindKey(kLine, "park.end"), std::nullopt);
}

TEST(CommandLine, QuotesAreNoPartOfAValueThatTheyEnclose) {
  const auto value = [](std::string_view line) { return FindKey(line, "x"); };
  EXPECT_THAT(value(R"(x="")"), Optional(std::string_view()));
  EXPECT_THAT(value(R"(x="a")"), Optional(std::string_view("a")));
  for (const std::string_view kept :
       {R"(")", R"("a"b)", R"(a"b")", "a", "ab"}) {
    EXPECT_THAT(value("x=" + std::string(kept)), Optional(kept));
  }
}

TEST(CommandLine, AQuoteMayBeginAWord) {
  std::string_view line = "  \"a b\" c\n";
  EXPECT_EQ(TakeWord(line), "\"a b\"");
  EXPECT_EQ(TakeWord(line), "c");
  EXPECT_EQ(TakeWord(line), "");
}

TEST(CommandLine, ReplacesAKeyAndNothingElse) {
  EXPECT_EQ(WithKey("", "park.cycle", "1"), "park.cycle=1");
  EXPECT_EQ(WithKey("a=1 park.cycle=1 nokaslr", "park.cycle", "2"),
            "a=1 nokaslr park.cycle=2");
  EXPECT_EQ(WithKey(R"(x="b  c" -- init words)", "park.cycle", "1"),
            R"(x="b  c" park.cycle=1 -- init words)");
  EXPECT_EQ(WithKey("park.cycles=9 park.cycle park.cycle=7", "park.cycle", "8"),
            "park.cycles=9 park.cycle=8");
}

TEST(CommandLine, LosesAKey) {
  EXPECT_EQ(
      WithoutKey("a=1 crashkernel=256M b crashkernel -- c", "crashkernel"),
      "a=1 b -- c");
}

// --- steps of CPU hotplug ----------------------------------------------------

TEST(Steps, AreWhatSysfsLists) {
  const auto steps =
      ParseSteps("  0: offline\n 44: sched:active\nx\n70000: y\n");
  ASSERT_EQ(steps.size(), 2u);
  EXPECT_EQ(steps[1].number, 44);
  EXPECT_EQ(steps[1].name, "sched:active");
}

TEST(Steps, AreLinesOfANumberAndAName) {
  const auto steps = ParseSteps("65535: a\n65536: b\n7\n    8: 9: c\n10: d");
  ASSERT_EQ(steps.size(), 3u);
  EXPECT_EQ(steps[0].number, 65535);
  EXPECT_EQ(steps[0].name, "a");
  EXPECT_EQ(steps[1].number, 8);
  EXPECT_EQ(steps[1].name, "9: c");
  EXPECT_EQ(steps[2].number, 10);
  EXPECT_EQ(steps[2].name, "d");
}

TEST(Steps, FourCharactersGoIntoAMark) {
  EXPECT_EQ(PackStepName(44, "sched:active"), 0x6568'6373'002cu);
  EXPECT_EQ(PackStepName(1, "ab"), 0x6261'0001u);
}

// --- plans -------------------------------------------------------------------

constexpr std::string_view kPlan = "/boot/a x=1 y\n\n  /boot/b\n";

TEST(Plan, TakesItsStepsInTurn) {
  for (const uint64_t round : {0u, 1u, 7u}) {
    const auto first = StepOf(kPlan, 2 * round);
    const auto second = StepOf(kPlan, 2 * round + 1);
    EXPECT_EQ(std::get<Step>(first).kernel, "/boot/a");
    EXPECT_EQ(std::get<Step>(first).words, " x=1 y");
    EXPECT_EQ(std::get<Step>(second).kernel, "/boot/b");
    EXPECT_EQ(std::get<Step>(second).words, "");
  }
}

TEST(Plan, MayHaveAStepInEachLine) {
  constexpr std::string_view kDense = "/boot/a\n/boot/b";
  EXPECT_EQ(std::get<Step>(StepOf(kDense, 0)).kernel, "/boot/a");
  EXPECT_EQ(std::get<Step>(StepOf(kDense, 1)).kernel, "/boot/b");
}

TEST(Plan, SaysWhatIsWrongWithIt) {
  EXPECT_THAT(std::get<std::string>(StepOf("\n \n", 0)),
              HasSubstr("has no steps"));
  EXPECT_THAT(std::get<std::string>(StepOf("x=1 /boot/a\n", 0)),
              HasSubstr("x=1, which is no path"));
}

TEST(Plan, AStepsWordsAreGoneAfterIt) {
  const std::string first = LineForStep("quiet a=1", {"/boot/a", " x=1 y"});
  EXPECT_EQ(first, "quiet a=1 park.step x=1 y");
  EXPECT_EQ(LineForStep(WithKey(first, "park.cycle", "1"), {"/boot/b", ""}),
            "quiet a=1 park.step");
  EXPECT_TRUE(std::holds_alternative<Options>(ParseOptions(first)));
}

TEST(CommandLine, DoesNotGrowWithTheCycles) {
  std::string line = WithKey("console=ttyAMA0", "park.cycle", "1");
  const size_t size = line.size();
  for (int cycle = 2; cycle < 10; ++cycle) {
    line = WithKey(line, "park.cycle", std::to_string(cycle));
    EXPECT_EQ(line.size(), size);
  }
}

TEST(Options, AreTheDefaultsWithoutKeys) {
  const auto parsed = ParseOptions("console=ttyAMA0 -- park.end=hang");
  const auto& options = std::get<Options>(parsed);
  EXPECT_EQ(options.cycles, 0u);
  EXPECT_EQ(options.cycle, 0u);
  EXPECT_EQ(options.kexec, KexecCall::kAuto);
  EXPECT_EQ(options.end, End::kPowerOff);
  EXPECT_FALSE(options.offline_all);
  EXPECT_FALSE(options.shell);
  EXPECT_THAT(options.program, IsEmpty());
  EXPECT_THAT(options.check, IsEmpty());
  EXPECT_THAT(options.load, IsEmpty());
}

TEST(Options, AreWhatTheKeysSay) {
  const auto parsed = ParseOptions(
      "park.cycles=3 park.cycle=2 park.kexec=file park.end=panic "
      "park.offline=all park.shell park.exec=/bin/test "
      "park.module=/lib/test.ko park.check=\"/bin/sh  /check -a\" "
      "park.load=\"/bin/load --cpu 0\"");
  const auto& options = std::get<Options>(parsed);
  EXPECT_EQ(options.cycles, 3u);
  EXPECT_EQ(options.cycle, 2u);
  EXPECT_EQ(options.kexec, KexecCall::kFile);
  EXPECT_EQ(options.end, End::kPanic);
  EXPECT_TRUE(options.offline_all);
  EXPECT_TRUE(options.shell);
  EXPECT_THAT(options.program, ElementsAre("/bin/test"));
  EXPECT_THAT(options.check, ElementsAre("/bin/sh", "/check", "-a"));
  EXPECT_THAT(options.load, ElementsAre("/bin/load", "--cpu", "0"));
  EXPECT_EQ(options.module, "/lib/test.ko");
}

TEST(Options, AskForAPlanACrashAndMarks) {
  const auto none = std::get<Options>(ParseOptions("quiet"));
  EXPECT_EQ(none.plan, "");
  EXPECT_FALSE(none.crash);
  EXPECT_FALSE(none.permute);
  EXPECT_TRUE(none.marks);
  EXPECT_FALSE(std::get<Options>(ParseOptions("park.marks=off")).marks);
  EXPECT_FALSE(none.steps);
  const auto plan = std::get<Options>(ParseOptions("park.plan=/boot/plan"));
  EXPECT_EQ(plan.plan, "/boot/plan");
  const auto crash = std::get<Options>(ParseOptions("park.crash"));
  EXPECT_TRUE(crash.crash);
  EXPECT_FALSE(crash.permute);
  EXPECT_FALSE(crash.steps);
  const auto permute = std::get<Options>(ParseOptions("park.permute"));
  EXPECT_FALSE(permute.crash);
  EXPECT_TRUE(permute.permute);
  EXPECT_FALSE(permute.steps);
  const auto steps = std::get<Options>(ParseOptions("park.steps"));
  EXPECT_FALSE(steps.crash);
  EXPECT_FALSE(steps.permute);
  EXPECT_TRUE(steps.steps);
}

TEST(Options, RefuseATypoByItsWord) {
  for (const char* word :
       {"park.cycels=3", "park.cycles=three", "park.cycles=1a",
        "park.cycles=", "park.plan=plan", "park.crash=1", "park.permute=no",
        "park.marks=on", "park.steps=2", "park.step=1", "park.end=never",
        "park.kexec=", "park.offline=1", "park.shell=yes", "park.exec=test",
        "park.module=", "park.check=", "park.check=sh", "park.load"}) {
    const auto parsed = ParseOptions(std::string("quiet ") + word);
    ASSERT_TRUE(std::holds_alternative<std::string>(parsed)) << word;
    EXPECT_THAT(std::get<std::string>(parsed), HasSubstr(word));
  }
}

// --- the Image header --------------------------------------------------------

std::vector<uint8_t> Image(uint64_t text_offset, uint64_t image_size,
                           uint64_t flags = 0xa) {
  std::vector<uint8_t> image(4096);
  std::memcpy(&image[8], &text_offset, 8);
  std::memcpy(&image[16], &image_size, 8);
  std::memcpy(&image[24], &flags, 8);
  std::memcpy(&image[56], "ARMd", 4);
  return image;
}

TEST(ImageHeader, IsRead) {
  const auto header = ParseImageHeader(Image(0x80000, 36 * kMiB));
  ASSERT_TRUE(header);
  EXPECT_EQ(header->text_offset, 0x80000u);
  EXPECT_EQ(header->image_size, 36 * kMiB);
}

TEST(ImageHeader, MayBeAllOfAFile) {
  std::vector<uint8_t> image = Image(0, 64);
  image[60] = 0x40;  // An EFI application has an offset behind the magic.
  image.resize(64);
  EXPECT_TRUE(ParseImageHeader(image)) << "a file of its image's size";
  image.resize(63);
  EXPECT_FALSE(ParseImageHeader(image));
  EXPECT_TRUE(ParseImageHeader(Image(0, kGiB)));
  EXPECT_FALSE(ParseImageHeader(Image(0, kGiB + 1)));
  EXPECT_TRUE(ParseImageHeader(Image(2 * kMiB - 1, kMiB)));
}

TEST(ImageHeader, RefusesWhatIsNoPlainImage) {
  std::vector<uint8_t> packed = Image(0, kMiB);
  packed[56] = 0;
  EXPECT_FALSE(ParseImageHeader(packed));
  EXPECT_FALSE(ParseImageHeader({}));
  EXPECT_FALSE(ParseImageHeader(Image(0, 4095))) << "smaller than the file";
  EXPECT_FALSE(ParseImageHeader(Image(0, 2 * kGiB)));
  EXPECT_FALSE(ParseImageHeader(Image(2 * kMiB, kMiB)));
  EXPECT_FALSE(ParseImageHeader(Image(0, kMiB, 0xb))) << "big-endian";
}

// --- where the segments go ---------------------------------------------------

TEST(SystemRam, IsTheTopLevelLinesOnly) {
  EXPECT_THAT(ParseSystemRam("09000000-09000fff : pl011@9000000\n"
                             "40000000-bfffffff : System RAM\n"
                             "  40200000-41a7ffff : Kernel code\n"
                             "  48000000-4a3acfff : reserved\n"
                             "  50000000-50000fff : System RAM\n"
                             "100000000-13fffffff : System RAM"),
              ElementsAre(Range{0x40000000, 0xc0000000},
                          Range{0x100000000, 0x140000000}));
  EXPECT_THAT(ParseSystemRam(""), IsEmpty());
  // A name of the same length, and numbers that are none.
  EXPECT_THAT(ParseSystemRam("40000000-bfffffff : System ROM\n"
                             "x-bfffffff : System RAM\n"
                             "40000000-x : System RAM\n"
                             "40000000 : System RAM\n"),
              IsEmpty());
  // What /proc/iomem shows to those who may not see it.
  EXPECT_THAT(ParseSystemRam("00000000-00000000 : System RAM\n"), IsEmpty());
  EXPECT_THAT(ParseSystemRam("40000000-ffffffffffffffff : System RAM\n"),
              IsEmpty());
}

TEST(CrashKernel, IsTheLargestThatWasReserved) {
  EXPECT_THAT(ParseCrashKernel("40000000-bfffffff : System RAM\n"
                               "  48000000-48ffffff : Crash kernel\n"
                               "  50000000-5fffffff : Crash kernel\n"),
              Optional(Range{0x50000000, 0x60000000}));
  EXPECT_THAT(ParseCrashKernel("  10000000-1fffffff : Crash kernel\n"
                               "  50000000-50ffffff : Crash kernel\n"),
              Optional(Range{0x10000000, 0x20000000}));
  EXPECT_EQ(ParseCrashKernel("40000000-bfffffff : System RAM\n"), std::nullopt);
}

TEST(Without, CutsOutOfEveryRange) {
  const std::vector<Range> ranges = {{0, 10}, {20, 30}};
  EXPECT_THAT(Without(ranges, {5, 25}),
              ElementsAre(Range{0, 5}, Range{25, 30}));
  EXPECT_THAT(Without(ranges, {3, 4}),
              ElementsAre(Range{0, 3}, Range{4, 10}, Range{20, 30}));
  EXPECT_THAT(Without(ranges, {0, 30}), IsEmpty());
  EXPECT_EQ(Without(ranges, {10, 20}), ranges);
}

Sizes DebianSizes() {
  return {.kernel = {.text_offset = 0, .image_size = 0x2240000},
          .initrd = 0x23ac400};
}

TEST(Placement, BeginsWhereRamBegins) {
  EXPECT_THAT(PlaceSegments({{kGiB, 2 * kGiB}}, DebianSizes()),
              Optional(Layout{.kernel = 0x40000000,
                              .trampoline = 0x42240000,
                              .dtb = 0x42400000,
                              .initrd = 0x42600000}));
}

TEST(Placement, KeepsTheTextOffset) {
  Sizes sizes = DebianSizes();
  sizes.kernel.text_offset = 0x80000;
  const auto layout = PlaceSegments({{kGiB + 4096, 2 * kGiB}}, sizes);
  ASSERT_TRUE(layout);
  EXPECT_EQ(layout->kernel, kGiB + 0x80000);
}

TEST(Placement, GoesRoundReservedMemory) {
  // A page in the middle of where the kernel would go, such as a park page.
  const auto free =
      Without({{kGiB, 2 * kGiB}}, {kGiB + kMiB, kGiB + kMiB + 4096});
  const auto layout = PlaceSegments(free, DebianSizes());
  ASSERT_TRUE(layout);
  EXPECT_EQ(layout->kernel, kGiB + 2 * kMiB);
  EXPECT_EQ(layout->trampoline, kGiB);
}

TEST(Placement, TakesRamInAnyOrder) {
  const auto layout =
      PlaceSegments({{4 * kGiB, 5 * kGiB}, {kGiB, 2 * kGiB}}, DebianSizes());
  ASSERT_TRUE(layout);
  EXPECT_EQ(layout->kernel, kGiB);
}

TEST(Placement, NeedsRoomForEverything) {
  const Sizes sizes = DebianSizes();
  const auto fits = [&](uint64_t bytes) {
    return PlaceSegments({{kGiB, kGiB + bytes}}, sizes).has_value();
  };
  // Up to 0x42600000, and then the initrd in whole pages.
  constexpr uint64_t kNeeded = 0x2600000 + 0x23ad000;
  EXPECT_TRUE(fits(kNeeded));
  EXPECT_FALSE(fits(kNeeded - 1));
  EXPECT_FALSE(PlaceSegments({}, sizes));
}

TEST(Placement, KeepsTheInitrdWithinTheKernelsWindow) {
  const std::vector<Range> far = {{kGiB, kGiB + 40 * kMiB},
                                  {40 * kGiB, 41 * kGiB}};
  EXPECT_FALSE(PlaceSegments(far, DebianSizes()));
  const std::vector<Range> near = {{kGiB, kGiB + 40 * kMiB},
                                   {32 * kGiB, 33 * kGiB}};
  EXPECT_TRUE(PlaceSegments(near, DebianSizes()));
}

TEST(Placement, RoundsToThePagesOfTheKernel) {
  Sizes sizes = DebianSizes();
  sizes.page = 65536;
  sizes.kernel.image_size += 4096;
  const auto layout = PlaceSegments({{kGiB, 2 * kGiB}}, sizes);
  ASSERT_TRUE(layout);
  EXPECT_EQ(layout->trampoline, kGiB + 0x2250000);
}

TEST(Placement, GivesEachPartWholePages) {
  Sizes sizes = DebianSizes();
  sizes.page = 65536;
  sizes.kernel.image_size += 4096;
  // The first range ends in the middle of the kernel's last page.
  const uint64_t end = kGiB + sizes.kernel.image_size;
  const auto layout = PlaceSegments({{kGiB, end}, {2 * kGiB, 3 * kGiB}}, sizes);
  ASSERT_TRUE(layout);
  EXPECT_EQ(layout->kernel, 2 * kGiB);
  EXPECT_EQ(layout->dtb, kGiB);
  // One byte more than a page takes two.
  sizes = {.kernel = {.image_size = 2 * kMiB}, .initrd = 4097};
  const auto fits = [&](uint64_t bytes) {
    return PlaceSegments({{kGiB, kGiB + bytes}}, sizes).has_value();
  };
  EXPECT_TRUE(fits(4 * kMiB + 3 * 4096));
  EXPECT_FALSE(fits(4 * kMiB + 2 * 4096));
}

TEST(Placement, NeedsRoomForEachPart) {
  const Sizes sizes = {.kernel = {.image_size = 4 * kMiB}, .initrd = 4096};
  const Range kernel = {kGiB, kGiB + 4 * kMiB};
  const Range dtb = {2 * kGiB, 2 * kGiB + 2 * kMiB};
  const Range pages = {3 * kGiB, 3 * kGiB + 2 * 4096};
  EXPECT_TRUE(PlaceSegments({kernel, dtb, pages}, sizes));
  EXPECT_FALSE(PlaceSegments({dtb, pages}, sizes)) << "no kernel";
  EXPECT_FALSE(PlaceSegments({kernel, pages}, sizes)) << "no devicetree";
  EXPECT_FALSE(
      PlaceSegments({kernel, dtb, {pages.begin, pages.end - 4096}}, sizes))
      << "no initrd";
  EXPECT_FALSE(PlaceSegments({kernel, dtb}, sizes)) << "no trampoline";
}

// The window begins on a multiple of 1 GiB.
TEST(Placement, TheWindowOf32GiBHoldsBothEnds) {
  const Sizes sizes = {.kernel = {.image_size = 4 * kMiB}, .initrd = 4 * 4096};
  const auto fits = [&](const Range& low, const Range& high) {
    return PlaceSegments({low, high}, sizes).has_value();
  };
  // The kernel is last: there is no room for it where the rest is.
  const Range small = {kGiB, kGiB + 3 * kMiB};
  const uint64_t last = 33 * kGiB - 4 * kMiB;
  EXPECT_TRUE(fits(small, {last, last + 4 * kMiB}));
  EXPECT_FALSE(fits(small, {last + 2 * kMiB, last + 6 * kMiB}));
  // The initrd is last.
  const Range large = {kGiB, kGiB + 6 * kMiB + 4096};
  const uint64_t end = 33 * kGiB;
  EXPECT_TRUE(fits(large, {end - 4 * 4096, end}));
  EXPECT_FALSE(fits(large, {end - 3 * 4096, end + 4096}));
}

TEST(Trampoline, LoadsBothAddressesFromItsEnd) {
  const auto code = MakeTrampoline(0x1'4000'0000, 0x2'4240'0000);
  // LDR (literal): imm19 words from the instruction itself.
  const auto target = [&](size_t at) { return at + (code[at] >> 5 & 0x7ffff); };
  const auto word = [&](size_t at) {
    return code[at] | uint64_t{code[at + 1]} << 32;
  };
  EXPECT_EQ(code[0] & 0xff00001f, 0x58000004u) << "ldr x4";
  EXPECT_EQ(word(target(0)), 0x1'4000'0000u);
  EXPECT_EQ(code[1] & 0xff00001f, 0x58000000u) << "ldr x0";
  EXPECT_EQ(word(target(1)), 0x2'4240'0000u);
  EXPECT_EQ(code[2], 0xaa1f03e1u) << "mov x1, xzr";
  EXPECT_EQ(code[3], 0xaa1f03e2u) << "mov x2, xzr";
  EXPECT_EQ(code[4], 0xaa1f03e3u) << "mov x3, xzr";
  EXPECT_EQ(code[5], 0xd61f0080u) << "br x4";
}

// --- /proc/kcore -------------------------------------------------------------

struct Segment {
  uint64_t offset = 0;
  uint64_t address = 0;
  uint64_t size = 0;
  uint32_t type = PT_LOAD;
};

constexpr uint64_t kVirtual = UINT64_MAX;  // Linux's address of vmalloc memory.
constexpr Segment kNotes = {0x4000, 0, 0x1000, PT_NOTE};

std::vector<uint8_t> Kcore(const std::vector<Segment>& segments) {
  Elf64_Ehdr header = {};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  header.e_type = ET_CORE;
  header.e_phoff = sizeof(header);
  header.e_phentsize = sizeof(Elf64_Phdr);
  header.e_phnum = static_cast<uint16_t>(segments.size());
  std::vector<uint8_t> file(sizeof(header) +
                            segments.size() * sizeof(Elf64_Phdr));
  std::memcpy(file.data(), &header, sizeof(header));
  for (size_t i = 0; i < segments.size(); ++i) {
    Elf64_Phdr segment = {};
    segment.p_type = segments[i].type;
    segment.p_offset = segments[i].offset;
    segment.p_paddr = segments[i].address;
    segment.p_filesz = segment.p_memsz = segments[i].size;
    std::memcpy(&file[sizeof(header) + i * sizeof(segment)], &segment,
                sizeof(segment));
  }
  return file;
}

template <typename Field>
std::vector<uint8_t> KcoreWith(Field Elf64_Ehdr::*field, Field value) {
  std::vector<uint8_t> file = Kcore({{0x10000, kGiB, kGiB}});
  Elf64_Ehdr header;
  std::memcpy(&header, file.data(), sizeof(header));
  header.*field = value;
  std::memcpy(file.data(), &header, sizeof(header));
  return file;
}

TEST(Kcore, SaysHowLongItsHeadersAre) {
  const std::vector<uint8_t> file = Kcore({kNotes, {0x10000, kGiB, kGiB}});
  EXPECT_THAT(ProgramHeadersEnd(std::span(file).first(kElfHeaderBytes)),
              Optional(file.size()));
}

TEST(Kcore, IsA64BitLittleEndianCoreFile) {
  std::vector<uint8_t> file = Kcore({{0x10000, kGiB, kGiB}});
  EXPECT_FALSE(ProgramHeadersEnd(std::span(file).first(kElfHeaderBytes - 1)));
  for (const size_t byte : {size_t{0}, size_t{EI_CLASS}, size_t{EI_DATA}}) {
    std::vector<uint8_t> other = file;
    other[byte] ^= 3;
    EXPECT_FALSE(ProgramHeadersEnd(other)) << byte;
  }
  EXPECT_FALSE(ProgramHeadersEnd(
      KcoreWith<uint16_t>(&Elf64_Ehdr::e_type, uint16_t{ET_EXEC})));
  EXPECT_FALSE(ProgramHeadersEnd(
      KcoreWith<uint16_t>(&Elf64_Ehdr::e_phentsize, uint16_t{32})));
  for (const uint64_t offset : {uint64_t{8}, kGiB, UINT64_MAX}) {
    EXPECT_FALSE(
        ProgramHeadersEnd(KcoreWith<uint64_t>(&Elf64_Ehdr::e_phoff, offset)))
        << offset;
  }
}

TEST(Kcore, ShowsRamByItsPhysicalAddress) {
  const std::vector<uint8_t> file = Kcore({kNotes,
                                           {0x7fff80010000, kVirtual, kGiB},
                                           {0x10000, kGiB, kGiB},
                                           {0x80010000, 4 * kGiB, kGiB}});
  EXPECT_THAT(FindMemory(file, {kGiB, kGiB + 1}),
              Optional(ElementsAre(Piece{0x10000, 1})));
  EXPECT_THAT(FindMemory(file, {kGiB + 0x1234, 2 * kGiB}),
              Optional(ElementsAre(Piece{0x11234, kGiB - 0x1234})));
  EXPECT_THAT(FindMemory(file, {4 * kGiB + 5, 4 * kGiB + 9}),
              Optional(ElementsAre(Piece{0x80010005, 4})));
}

TEST(Kcore, MayHaveOneRangeInSeveralSegments) {
  const std::vector<uint8_t> file =
      Kcore({{0x90000, kGiB + 0x2000, 0x1000}, {0x10000, kGiB, 0x2000}});
  EXPECT_THAT(
      FindMemory(file, {kGiB + 0x800, kGiB + 0x2800}),
      Optional(ElementsAre(Piece{0x10800, 0x1800}, Piece{0x90000, 0x800})));
}

TEST(Kcore, LacksWhatIsNoRam) {
  const std::vector<uint8_t> file = Kcore({{0x10000, kGiB, 0x1000},
                                           {0x20000, kGiB + 0x2000, 0x1000},
                                           {0x4000, 2 * kGiB, 0x1000, PT_NOTE},
                                           {0x30000, kVirtual, kGiB}});
  EXPECT_FALSE(FindMemory(file, {kGiB - 1, kGiB + 1}));
  EXPECT_FALSE(FindMemory(file, {kGiB, kGiB + 0x2800})) << "a hole";
  EXPECT_FALSE(FindMemory(file, {kGiB + 0x2000, kGiB + 0x3001}));
  EXPECT_FALSE(FindMemory(file, {2 * kGiB, 2 * kGiB + 1})) << "a note";
  EXPECT_FALSE(FindMemory(file, {0, 0x1000})) << "behind the last address";
}

TEST(Kcore, SurvivesHostileSegments) {
  const std::vector<uint8_t> file = Kcore({
      {UINT64_MAX, kGiB, 0x1000},         // No offset of a file.
      {0x7fffffffffffff00, kGiB, kGiB},   // Its end is none.
      {0x10000, kGiB, 0},                 // Empty.
      {0x10000, UINT64_MAX - 1, 0x1000},  // Wraps.
  });
  EXPECT_FALSE(FindMemory(file, {kGiB, kGiB + 1}));
  EXPECT_THAT(FindMemory(file, {UINT64_MAX - 1, UINT64_MAX}),
              Optional(ElementsAre(Piece{0x10000, 1})));
  EXPECT_FALSE(FindMemory(file, {0, 1}));
}

TEST(Kcore, NeedsAllOfItsHeaders) {
  const std::vector<uint8_t> file = Kcore({kNotes, {0x10000, kGiB, kGiB}});
  EXPECT_FALSE(
      FindMemory(std::span(file).first(file.size() - 1), {kGiB, kGiB + 1}));
  EXPECT_FALSE(FindMemory({}, {kGiB, kGiB + 1}));
}

TEST(Kcore, HasAsManyHeadersAsItSays) {
  std::vector<uint8_t> file =
      Kcore({{0x10000, kGiB, 0x1000}, {0x20000, 2 * kGiB, 0x1000}});
  Elf64_Ehdr header;
  std::memcpy(&header, file.data(), sizeof(header));
  header.e_phnum = 1;
  std::memcpy(file.data(), &header, sizeof(header));
  EXPECT_TRUE(FindMemory(file, {kGiB, kGiB + 1}));
  EXPECT_FALSE(FindMemory(file, {2 * kGiB, 2 * kGiB + 1}));
}

TEST(Kcore, HeadersMayBeginUpTo64KiB) {
  EXPECT_THAT(
      ProgramHeadersEnd(KcoreWith<uint64_t>(&Elf64_Ehdr::e_phoff, 64 << 10)),
      Optional((64 << 10) + sizeof(Elf64_Phdr)));
  EXPECT_FALSE(ProgramHeadersEnd(
      KcoreWith<uint64_t>(&Elf64_Ehdr::e_phoff, (64 << 10) + 1)));
  EXPECT_FALSE(ProgramHeadersEnd(
      KcoreWith<uint64_t>(&Elf64_Ehdr::e_phoff, kElfHeaderBytes - 1)));
}

TEST(Kcore, ASegmentMayEndAtTheLastOffset) {
  constexpr uint64_t kOffset = INT64_MAX - 0x1000;
  EXPECT_THAT(FindMemory(Kcore({{kOffset, kGiB, 0x1000}}), {kGiB, kGiB + 1}),
              Optional(ElementsAre(Piece{kOffset, 1})));
  EXPECT_FALSE(FindMemory(Kcore({{kOffset, kGiB, 0x1001}}), {kGiB, kGiB + 1}));
}

// --- the devicetree ----------------------------------------------------------

std::vector<uint8_t> MachineTree() {
  fdt::MachineDescription machine;
  machine.cpu_affinities = {0, 1};
  machine.memory = {{kGiB, kGiB}};
  machine.bootargs = "console=ttyAMA0";
  machine.initrd = fdt::Region{0x48000000, 0x1000};
  machine.reserved_memory = {{.name = "park", .region = {0x7fff0000, 0x1000}}};
  machine.gic = fdt::GicV3{{0x8000000, 0x10000}, {{0x80a0000, 0x40000}}};
  machine.console = "pl011@9000000";
  return fdt::BuildMachineTree(machine).value();
}

// Returns a machine's tree that `change` has changed.
template <typename Change>
std::vector<uint8_t> ChangedTree(const Change& change) {
  std::vector<uint8_t> tree = MachineTree();
  tree.resize(tree.size() + 1024);
  void* const raw = tree.data();
  EXPECT_EQ(fdt_open_into(raw, raw, static_cast<int>(tree.size())), 0);
  change(raw);
  return tree;
}

std::vector<uint8_t> TreeWithout(const char* path) {
  return ChangedTree([&](void* tree) {
    EXPECT_EQ(fdt_del_node(tree, fdt_path_offset(tree, path)), 0);
  });
}

Chosen SomeChosen() {
  return {.bootargs = "console=ttyAMA0 park.cycle=1",
          .initrd = {0x42600000, 0x449ac400},
          .kaslr_seed = 0x0123456789abcdef,
          .rng_seed = std::vector<uint8_t>(64, 0x5a)};
}

TEST(NextTree, SaysWhatTheNextKernelNeeds) {
  const auto next = MakeNextTree(MachineTree(), SomeChosen());
  ASSERT_TRUE(next);
  const TreeView tree(*next);
  EXPECT_THAT(tree.Strings("/chosen", "bootargs"),
              ElementsAre("console=ttyAMA0 park.cycle=1"));
  EXPECT_THAT(tree.Cells("/chosen", "linux,initrd-start"),
              ElementsAre(0, 0x42600000));
  EXPECT_THAT(tree.Cells("/chosen", "linux,initrd-end"),
              ElementsAre(0, 0x449ac400));
  EXPECT_THAT(tree.Cells("/chosen", "kaslr-seed"),
              ElementsAre(0x01234567, 0x89abcdef));
  EXPECT_EQ(tree.Bytes("/chosen", "rng-seed"), std::vector<uint8_t>(64, 0x5a));
}

TEST(NextTree, KeepsTheRest) {
  const std::vector<uint8_t> before = MachineTree();
  const auto next = MakeNextTree(before, SomeChosen());
  ASSERT_TRUE(next);
  const TreeView old_tree(before);
  const TreeView tree(*next);
  EXPECT_EQ(tree.Children("/"), old_tree.Children("/"));
  EXPECT_EQ(tree.Strings("/chosen", "stdout-path"),
            old_tree.Strings("/chosen", "stdout-path"));
  EXPECT_EQ(ReservedRanges(*next), ReservedRanges(before));
}

TEST(NextTree, DoesNotInheritTheReservationOfAnInitrd) {
  auto first = MakeNextTree(MachineTree(), SomeChosen());
  ASSERT_TRUE(first);
  // As kexec_file_load makes it; the other one is somebody else's.
  first->resize(first->size() + 256);
  void* const tree = first->data();
  ASSERT_EQ(fdt_open_into(tree, tree, static_cast<int>(first->size())), 0);
  const Range initrd = SomeChosen().initrd;
  ASSERT_EQ(fdt_add_mem_rsv(tree, initrd.begin, initrd.size()), 0);
  ASSERT_EQ(fdt_add_mem_rsv(tree, 0x7000000, 0x1000), 0);
  const auto next = MakeNextTree(*first, SomeChosen());
  ASSERT_TRUE(next);
  ASSERT_EQ(fdt_num_mem_rsv(next->data()), 1);
  EXPECT_THAT(ReservedRanges(*next),
              Optional(testing::Not(testing::Contains(initrd))));
}

TEST(NextTree, TellsACrashKernelItsMemory) {
  Chosen chosen = SomeChosen();
  chosen.usable = {0x50000000, 0x60000000};
  const auto next = MakeNextTree(MachineTree(), chosen);
  ASSERT_TRUE(next);
  EXPECT_THAT(TreeView(*next).Cells("/chosen", "linux,usable-memory-range"),
              ElementsAre(0, 0x50000000, 0, 0x10000000));
}

TEST(NextTree, HasTheCpusInReverseOrderIfAsked) {
  const std::vector<uint8_t> before = MachineTree();
  const auto next = MakeNextTree(before, SomeChosen(), CpuOrder::kReversed);
  ASSERT_TRUE(next);
  const TreeView old_tree(before);
  const TreeView tree(*next);
  std::vector<std::string> cpus = old_tree.Children("/cpus");
  ASSERT_GT(cpus.size(), 1u);
  for (const std::string& cpu : cpus) {
    const std::string path = "/cpus/" + cpu;
    EXPECT_EQ(tree.Bytes(path, "reg"), old_tree.Bytes(path, "reg"));
    EXPECT_EQ(tree.Strings(path, "enable-method"),
              old_tree.Strings(path, "enable-method"));
  }
  std::reverse(cpus.begin(), cpus.end());
  EXPECT_EQ(tree.Children("/cpus"), cpus);
  // And once more, as kexecs go on.
  const auto third = MakeNextTree(*next, SomeChosen(), CpuOrder::kReversed);
  ASSERT_TRUE(third);
  EXPECT_EQ(TreeView(*third).Children("/cpus"), old_tree.Children("/cpus"));
}

TEST(NextTree, GoesOnFromItsOwnOutputWithoutGrowing) {
  const auto first = MakeNextTree(MachineTree(), SomeChosen());
  ASSERT_TRUE(first);
  EXPECT_EQ(MakeNextTree(*first, SomeChosen()), first);
}

TEST(NextTree, DropsAnOldRngSeedIfThereIsNoNewOne) {
  Chosen chosen = SomeChosen();
  const auto first = MakeNextTree(MachineTree(), chosen);
  ASSERT_TRUE(first);
  chosen.rng_seed.clear();
  const auto next = MakeNextTree(*first, chosen);
  ASSERT_TRUE(next);
  EXPECT_FALSE(TreeView(*next).Has("/chosen", "rng-seed"));
}

TEST(NextTree, MayHaveNoRngSeedBeforeNorAfter) {
  Chosen chosen = SomeChosen();
  chosen.rng_seed.clear();
  const auto first = MakeNextTree(MachineTree(), chosen);
  ASSERT_TRUE(first);
  const auto next = MakeNextTree(*first, chosen);
  ASSERT_TRUE(next);
  EXPECT_FALSE(TreeView(*next).Has("/chosen", "rng-seed"));
}

TEST(NextTree, HasAChosenNodeWhereThereWasNone) {
  const auto next = MakeNextTree(TreeWithout("/chosen"), SomeChosen());
  ASSERT_TRUE(next);
  EXPECT_THAT(TreeView(*next).Strings("/chosen", "bootargs"),
              ElementsAre("console=ttyAMA0 park.cycle=1"));
}

TEST(NextTree, ReplacesTheMemoryOfAnEarlierCrashKernel) {
  Chosen chosen = SomeChosen();
  chosen.usable = {0x50000000, 0x60000000};
  const auto first = MakeNextTree(MachineTree(), chosen);
  ASSERT_TRUE(first);
  chosen.usable = {0x70000000, 0x74000000};
  const auto next = MakeNextTree(*first, chosen);
  ASSERT_TRUE(next);
  EXPECT_THAT(TreeView(*next).Cells("/chosen", "linux,usable-memory-range"),
              ElementsAre(0, 0x70000000, 0, 0x4000000));
}

// Boards whose firmware waits at the beginning of RAM have one.
TEST(NextTree, KeepsAReservationAtZeroWhereThereIsNoInitrd) {
  const auto tree = ChangedTree([](void* raw) {
    EXPECT_EQ(fdt_add_mem_rsv(raw, 0, 0x1000), 0);
    const int chosen = fdt_path_offset(raw, "/chosen");
    EXPECT_EQ(fdt_delprop(raw, chosen, "linux,initrd-start"), 0);
  });
  const auto next = MakeNextTree(tree, SomeChosen());
  ASSERT_TRUE(next);
  EXPECT_EQ(fdt_num_mem_rsv(next->data()), 1);
}

TEST(NextTree, IsOfNoTreeOfAnOlderVersion) {
  std::vector<uint8_t> tree = MachineTree();
  fdt_set_version(tree.data(), 16);
  EXPECT_FALSE(MakeNextTree(tree, SomeChosen()));
  EXPECT_FALSE(InitrdIn(tree));
}

TEST(NextTree, HasRoomForLongerArguments) {
  Chosen chosen = SomeChosen();
  chosen.bootargs = std::string(4000, 'x');
  chosen.rng_seed = std::vector<uint8_t>(4000, 1);
  const auto next = MakeNextTree(MachineTree(), chosen);
  ASSERT_TRUE(next);
  const TreeView tree(*next);
  EXPECT_THAT(tree.Strings("/chosen", "bootargs"),
              ElementsAre(chosen.bootargs));
  EXPECT_EQ(tree.Bytes("/chosen", "rng-seed"), chosen.rng_seed);
}

TEST(NextTree, CannotReverseCpusThatAreNotThere) {
  const auto tree = TreeWithout("/cpus");
  EXPECT_TRUE(MakeNextTree(tree, SomeChosen()));
  EXPECT_FALSE(MakeNextTree(tree, SomeChosen(), CpuOrder::kReversed));
}

TEST(NextTree, RefusesADamagedTree) {
  std::vector<uint8_t> tree = MachineTree();
  tree.resize(tree.size() / 2);
  EXPECT_FALSE(MakeNextTree(tree, SomeChosen()));
  EXPECT_FALSE(ReservedRanges(tree));
  EXPECT_FALSE(ReservedRanges({}));
}

TEST(Initrd, IsWhereChosenSays) {
  EXPECT_THAT(InitrdIn(MachineTree()), Optional(Range{0x48000000, 0x48001000}));
  const auto next = MakeNextTree(MachineTree(), SomeChosen());
  ASSERT_TRUE(next);
  EXPECT_THAT(InitrdIn(*next), Optional(SomeChosen().initrd));
}

TEST(Initrd, MayHaveAddressesOfOneCell) {
  std::vector<uint8_t> tree = MachineTree();
  tree.resize(tree.size() + 256);
  void* const raw = tree.data();
  ASSERT_EQ(fdt_open_into(raw, raw, static_cast<int>(tree.size())), 0);
  const int chosen = fdt_path_offset(raw, "/chosen");
  ASSERT_EQ(fdt_setprop_u32(raw, chosen, "linux,initrd-start", 0x49000000), 0);
  ASSERT_EQ(fdt_setprop_u32(raw, chosen, "linux,initrd-end", 0x4a000000), 0);
  EXPECT_THAT(InitrdIn(tree), Optional(Range{0x49000000, 0x4a000000}));
}

TEST(Initrd, IsNowhereIfChosenIsWrong) {
  for (const Range& wrong :
       {Range{0, 0x1000}, Range{0x2000, 0x2000}, Range{0x2000, 0x1000}}) {
    Chosen chosen = SomeChosen();
    chosen.initrd = wrong;
    const auto tree = MakeNextTree(MachineTree(), chosen);
    ASSERT_TRUE(tree);
    EXPECT_FALSE(InitrdIn(*tree)) << wrong.begin;
  }
  std::vector<uint8_t> damaged = MachineTree();
  damaged.resize(damaged.size() / 2);
  EXPECT_FALSE(InitrdIn(damaged));
  EXPECT_FALSE(InitrdIn({}));
}

TEST(Initrd, IsNowhereIfChosenDoesNotSay) {
  EXPECT_FALSE(InitrdIn(TreeWithout("/chosen")));
  for (const char* name : {"linux,initrd-start", "linux,initrd-end"}) {
    const auto tree = ChangedTree([&](void* raw) {
      const int chosen = fdt_path_offset(raw, "/chosen");
      EXPECT_EQ(fdt_delprop(raw, chosen, name), 0);
    });
    EXPECT_FALSE(InitrdIn(tree)) << name;
  }
}

TEST(ReservedRanges, EndWhereAddressesDo) {
  std::vector<uint8_t> tree = MachineTree();
  tree.resize(tree.size() + 256);
  ASSERT_EQ(
      fdt_open_into(tree.data(), tree.data(), static_cast<int>(tree.size())),
      0);
  ASSERT_EQ(fdt_add_mem_rsv(tree.data(), UINT64_MAX - 0xfff, 0x2000), 0);
  EXPECT_THAT(
      ReservedRanges(tree),
      Optional(testing::Contains(Range{UINT64_MAX - 0xfff, UINT64_MAX})));
}

TEST(ReservedRanges, AreTheChildrenOfReservedMemory) {
  EXPECT_THAT(ReservedRanges(MachineTree()),
              Optional(ElementsAre(Range{0x7fff0000, 0x7fff1000})));
}

TEST(ReservedRanges, AreEntriesToo) {
  const auto tree = ChangedTree([](void* raw) {
    EXPECT_EQ(fdt_add_mem_rsv(raw, 0x7000000, 0x1000), 0);
    EXPECT_EQ(fdt_add_mem_rsv(raw, 0x9000000, 0x3000), 0);
  });
  EXPECT_THAT(ReservedRanges(tree),
              Optional(ElementsAre(Range{0x7000000, 0x7001000},
                                   Range{0x9000000, 0x9003000},
                                   Range{0x7fff0000, 0x7fff1000})));
}

TEST(ReservedRanges, AreNoneWithoutEntriesAndNode) {
  EXPECT_THAT(ReservedRanges(TreeWithout("/reserved-memory")),
              Optional(IsEmpty()));
}

TEST(Reg, IsTwoAddressAndTwoSizeCells) {
  const std::vector<uint8_t> reg = {0, 0, 0, 1, 0x90, 2, 0,  0,
                                    0, 0, 0, 0, 0,    0, 16, 0};
  EXPECT_THAT(DecodeReg(reg), Optional(Range{0x190020000, 0x190021000}));
  EXPECT_FALSE(DecodeReg(std::span(reg).first(15)));
  // The last byte of all, and an address that is less than the size.
  std::vector<uint8_t> high(16, 0);
  high[15] = 0xff;
  EXPECT_THAT(DecodeReg(high), Optional(Range{0, 0xff}));
  std::fill_n(high.begin(), 7, 0xff);
  EXPECT_THAT(DecodeReg(high), Optional(Range{UINT64_MAX - 0xff, UINT64_MAX}));
  ++high[7];
  EXPECT_FALSE(DecodeReg(high));
  EXPECT_FALSE(DecodeReg(std::vector<uint8_t>(16, 0xff))) << "wraps";
}

}  // namespace
}  // namespace guest_init
