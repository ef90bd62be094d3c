// SPDX-License-Identifier: Apache-2.0
// Explores every state that a model can reach, breadth first, so that what it
// finds wrong comes with a shortest way there.
#ifndef PARKVMM_TESTS_MODEL_EXPLORE_H_
#define PARKVMM_TESTS_MODEL_EXPLORE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace model {

// A whole state of a model, packed: equal states, equal keys. Never ~0.
using Key = uint64_t;

// One atomic step of one actor.
struct Step {
  Key to = 0;
  uint8_t actor = 0;
  uint8_t target = 0;
  const char* what = "";
  // Steps that must happen once nobody decides anything new. The others are
  // decisions (the guest's, the user's) and may never be taken.
  bool must = true;
  const char* wrong = nullptr;  // What property the step itself breaks.
};

struct Report {
  size_t states = 0;
  size_t transitions = 0;
  size_t quiescent = 0;   // States in which only decisions are left.
  size_t settles_in = 0;  // The longest way to one, without new decisions.
  std::string wrong;      // Empty: every property holds.
  std::vector<std::string> trace;  // The shortest way to `wrong`.
};

// The states found so far, and where each was found from. Indices are in the
// order of discovery, hence of distance.
class StateSet {
 public:
  static constexpr uint32_t kNone = ~uint32_t{0};

  StateSet() : buckets_(size_t{1} << 16, kNone) {}

  size_t size() const { return keys_.size(); }
  Key key(uint32_t i) const { return keys_[i]; }
  uint32_t parent(uint32_t i) const { return parents_[i]; }

  uint32_t Insert(Key key, uint32_t parent) {
    size_t bucket = BucketOf(key);
    for (; buckets_[bucket] != kNone; bucket = Next(bucket)) {
      if (keys_[buckets_[bucket]] == key) return buckets_[bucket];
    }
    const auto index = static_cast<uint32_t>(keys_.size());
    buckets_[bucket] = index;
    keys_.push_back(key);
    parents_.push_back(parent);
    if (keys_.size() * 2 > buckets_.size()) Grow();
    return index;
  }

 private:
  size_t BucketOf(Key key) const {
    key ^= key >> 32;
    key *= 0x9e3779b97f4a7c15;
    return (key ^ key >> 29) & (buckets_.size() - 1);
  }
  size_t Next(size_t bucket) const {
    return (bucket + 1) & (buckets_.size() - 1);
  }
  void Grow() {
    buckets_.assign(buckets_.size() * 4, kNone);
    for (uint32_t i = 0; i < keys_.size(); ++i) {
      size_t bucket = BucketOf(keys_[i]);
      while (buckets_[bucket] != kNone) bucket = Next(bucket);
      buckets_[bucket] = i;
    }
  }

  std::vector<Key> keys_;
  std::vector<uint32_t> parents_;
  std::vector<uint32_t> buckets_;
};

// Model has
//   Key Initial() const;
//   void Steps(Key, std::vector<Step>&) const;       // Appends.
//   const char* WrongIn(Key) const;                  // Of every state.
//   const char* WrongAtRest(Key) const;              // Of quiescent ones.
//   std::string Describe(const Step&) const;
//   std::string Describe(Key) const;
//
// Checked beside these: steps that must happen lead to rest. That is, they
// form no cycle, so a thread that has something to do gets done with it
// whatever the scheduler does, if only it is fair.
template <typename Model>
class Explorer {
 public:
  explicit Explorer(const Model& model) : model_(model) {}

  Report Run() {
    states_.Insert(model_.Initial(), StateSet::kNone);
    std::vector<Step> steps;
    for (uint32_t from = 0; from < states_.size(); ++from) {
      first_edge_.push_back(edges_.size());
      const Key key = states_.key(from);
      if (const char* wrong = model_.WrongIn(key)) return Fail(from, wrong);
      steps.clear();
      model_.Steps(key, steps);
      bool at_rest = true;
      for (const Step& step : steps) {
        ++report_.transitions;
        if (step.wrong != nullptr) {
          Report report = Fail(from, step.wrong);
          report.trace.push_back(model_.Describe(step));
          return report;
        }
        const uint32_t to = states_.Insert(step.to, from);
        if (!step.must) continue;
        at_rest = false;
        edges_.push_back(to);
      }
      if (!at_rest) continue;
      ++report_.quiescent;
      if (const char* wrong = model_.WrongAtRest(key)) return Fail(from, wrong);
    }
    first_edge_.push_back(edges_.size());
    return CheckThatAllSettles();
  }

 private:
  // Takes away states that nothing leads to until none is left, and counts
  // the longest way meanwhile.
  Report CheckThatAllSettles() {
    const size_t count = states_.size();
    std::vector<uint16_t> incoming(count, 0);
    std::vector<uint16_t> longest(count, 0);
    for (const uint32_t to : edges_) ++incoming[to];
    std::vector<uint32_t> ready;
    for (uint32_t i = 0; i < count; ++i) {
      if (incoming[i] == 0) ready.push_back(i);
    }
    size_t taken = 0;
    while (!ready.empty()) {
      const uint32_t from = ready.back();
      ready.pop_back();
      ++taken;
      report_.settles_in = std::max<size_t>(report_.settles_in, longest[from]);
      for (size_t e = first_edge_[from]; e < first_edge_[from + 1]; ++e) {
        const uint32_t to = edges_[e];
        longest[to] =
            std::max(longest[to], static_cast<uint16_t>(longest[from] + 1));
        if (--incoming[to] == 0) ready.push_back(to);
      }
    }
    if (taken != count) {
      const auto on_cycle =
          std::find_if(incoming.begin(), incoming.end(),
                       [](uint16_t left) { return left != 0; });
      return Fail(static_cast<uint32_t>(on_cycle - incoming.begin()),
                  "threads go round in circles from here");
    }
    report_.states = count;
    return report_;
  }

  Report Fail(uint32_t at, const char* wrong) {
    report_.states = states_.size();
    report_.wrong = wrong;
    std::vector<uint32_t> path;
    for (uint32_t i = at; i != StateSet::kNone; i = states_.parent(i)) {
      path.push_back(i);
    }
    std::reverse(path.begin(), path.end());
    std::vector<Step> steps;
    for (size_t i = 0; i + 1 < path.size(); ++i) {
      steps.clear();
      model_.Steps(states_.key(path[i]), steps);
      const auto taken =
          std::find_if(steps.begin(), steps.end(), [&](const Step& step) {
            return step.to == states_.key(path[i + 1]);
          });
      report_.trace.push_back(model_.Describe(*taken));
    }
    return report_;
  }

  const Model& model_;
  StateSet states_;
  // The steps that must happen: edges_[first_edge_[i]] to first_edge_[i + 1].
  std::vector<size_t> first_edge_;
  std::vector<uint32_t> edges_;
  Report report_;
};

}  // namespace model

#endif  // PARKVMM_TESTS_MODEL_EXPLORE_H_
