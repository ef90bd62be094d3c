// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/option_definer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "vmm/cli/run_options.h"

namespace vmm {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::SizeIs;

// Returns the options of `vmm run` that are defined for words.
std::vector<std::string> Defined(const std::vector<const char*>& words) {
  CLI::App app;
  RunOptions options;
  DefineRunOptions(app, options, words);
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    if (option != app.get_help_ptr()) names.push_back(option->get_name());
  }
  return names;
}

TEST(OptionDefinerTest, OnlyWhatAWordSaysIsDefined) {
  EXPECT_THAT(Defined({"Image"}), ElementsAre("kernel"));
  EXPECT_THAT(Defined({"Image", "--cpus", "4", "--seed=7"}),
              ElementsAre("kernel", "--cpus", "--seed"));
  EXPECT_THAT(Defined({"--append=quiet", "--smp", "4"}),
              ElementsAre("kernel", "--params", "--cpus"));
  EXPECT_THAT(Defined({"-c4", "-vi", "initrd"}),
              ElementsAre("kernel", "--initrd", "--cpus", "--verbose"));
  // What is no option may look like one.
  EXPECT_THAT(Defined({"v", "i-c", "a--cpus"}), ElementsAre("kernel"));
  EXPECT_THAT(Defined({"--vic", "-"}), ElementsAre("kernel"));
}

TEST(OptionDefinerTest, HelpAndAConfigurationNameAllOfThem) {
  const std::vector<std::string> all = Defined({});
  EXPECT_THAT(all, SizeIs(testing::Gt(30u)));
  EXPECT_THAT(all, Contains("--config"));
  for (const char* word : {"--help", "-h", "-vh", "--config", "--config=f"}) {
    EXPECT_EQ(Defined({"Image", word}), all) << word;
  }
}

TEST(OptionDefinerTest, WhatIsLeftOutTakesWhatAnOptionTakes) {
  CLI::App app;
  const std::vector<const char*> words = {"-o"};
  OptionDefiner definer(app, words);
  std::string value;
  bool flag = false;
  const auto refuse = [](std::string&) { return std::string("no"); };
  definer.add_option("--value", value, "text")
      .type_name("NAME")
      .default_str("x")
      .allow_extra_args(false)
      .take_all()
      .check(refuse)
      .transform(refuse)
      .one_of("a|b");
  definer.add_flag("--flag", flag, "text");
  EXPECT_THAT(app.get_options(), ElementsAre(app.get_help_ptr()));
}

TEST(OptionDefinerTest, AnOptionHasWhatItIsGiven) {
  CLI::App app;
  OptionDefiner definer(app, {});
  std::string word, other, changed = "default";
  std::vector<std::string> all;
  definer.add_option("--word", word, "a word").type_name("A|B").one_of("a|b");
  definer.add_option("--other", other, "another").check([](std::string& text) {
    return text == "x" ? std::string() : text + " is not x";
  });
  definer.add_option("--changed", changed, "one")
      .transform([](std::string& text) {
        text += "!";
        return std::string();
      });
  definer.add_option("--all", all, "all of them")
      .default_str("none")
      .allow_extra_args(false)
      .take_all();
  app.parse("--word b --other x --changed y --all 1 --all 2");
  EXPECT_EQ(word, "b");
  EXPECT_EQ(other, "x");
  EXPECT_EQ(changed, "y!");
  EXPECT_THAT(all, ElementsAre("1", "2"));
  EXPECT_EQ(app.get_option("--word")->get_type_name(), "A|B");
  EXPECT_EQ(app.get_option("--all")->get_default_str(), "none");
  EXPECT_EQ(app.get_option("--changed")->get_default_str(), "default");
  EXPECT_THROW(app.parse("--word c"), CLI::ValidationError);
  EXPECT_THROW(app.parse("--other y"), CLI::ValidationError);
  EXPECT_THROW(app.parse("--all 1 2"), CLI::ExtrasError);
}

}  // namespace
}  // namespace vmm
