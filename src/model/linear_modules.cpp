#include "model/linear_modules.h"

#include <algorithm>
#include <array>

namespace malina::model {

namespace {

constexpr std::string_view kOursBegin = "blk.{}.";
constexpr std::string_view kLayerHole = "{}.";

struct Known {
  std::string_view ours;
  std::array<Projection, 3> parts;
  std::size_t count;
};
constexpr std::array kKnown{
    Known{"attn_q", {Projection::query}, 1},
    Known{"attn_k", {Projection::key}, 1},
    Known{"attn_v", {Projection::value}, 1},
    Known{"attn_qkv", {Projection::query, Projection::key, Projection::value}, 3},
    Known{"attn_output", {Projection::output}, 1},
    Known{"ffn_gate", {Projection::gate}, 1},
    Known{"ffn_down", {Projection::down}, 1},
};

bool has_gate_rule(const Architecture& architecture) {
  return std::ranges::any_of(architecture.hugging_face.tensors,
                             [](const TensorRule& rule) { return rule.ours == "blk.{}.ffn_gate"; });
}

}  // namespace

std::vector<LinearModule> linear_modules(const Architecture& architecture) {
  std::vector<LinearModule> modules;
  for (const TensorRule& rule : architecture.hugging_face.tensors) {
    if (!rule.ours.starts_with(kOursBegin)) continue;
    const std::string_view name = rule.ours.substr(kOursBegin.size());
    LinearModule module{rule.theirs, rule.ours, rule.rows, {}};
    if (name == "ffn_up") {
      // Without a matrix for the gate, it is the first half of this one.
      if (architecture.feed_forward.gated && !has_gate_rule(architecture))
        module.parts.push_back(Projection::gate);
      module.parts.push_back(Projection::up);
    }
    for (const Known& known : kKnown)
      if (known.ours == name)
        module.parts.assign(known.parts.begin(),
                            known.parts.begin() + static_cast<std::ptrdiff_t>(known.count));
    if (!module.parts.empty()) modules.push_back(std::move(module));
  }
  return modules;
}

std::string_view within_layer(const LinearModule& module) {
  return module.theirs.substr(module.theirs.find(kLayerHole) + kLayerHole.size());
}

std::string_view last_name(const LinearModule& module) {
  return module.theirs.substr(module.theirs.rfind('.') + 1);
}

std::vector<std::size_t> their_row_order(const LinearModule& module, const Sizes& sizes,
                                         std::size_t rows) {
  if (module.rows == TensorRule::Rows::as_they_are) return {};
  const std::size_t heads =
      module.rows == TensorRule::Rows::pairs_of_queries ? sizes.heads : sizes.kv_heads;
  const std::size_t head_rows = rows / heads, half = head_rows / 2;
  std::vector<std::size_t> order(rows);
  for (std::size_t row = 0; row < rows; ++row) {
    const std::size_t place = row % head_rows;
    order[row] = row - place + place % half * 2 + place / half;
  }
  return order;
}

}  // namespace malina::model
