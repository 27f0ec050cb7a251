#include "model/peft_layout.h"

#include <algorithm>
#include <cmath>

#include "model/hugging_face_tensors.h"

namespace malina::model {

namespace {

constexpr std::string_view kBody = "model.";

std::size_t rows_of(const Model& model, std::size_t layer, Projection projection) {
  return weight_of(model.layers()[layer], projection).rows;
}

// B with row i from row order[i]; an empty order changes nothing.
std::vector<float> reordered(const std::vector<float>& b, std::size_t rank,
                             const std::vector<std::size_t>& order) {
  if (order.empty()) return b;
  std::vector<float> result(b.size());
  for (std::size_t row = 0; row < order.size(); ++row)
    std::copy_n(b.begin() + static_cast<std::ptrdiff_t>(order[row] * rank), rank,
                result.begin() + static_cast<std::ptrdiff_t>(row * rank));
  return result;
}

std::vector<std::size_t> inverse(const std::vector<std::size_t>& order) {
  std::vector<std::size_t> back(order.size());
  for (std::size_t i = 0; i < order.size(); ++i) back[order[i]] = i;
  return back;
}

// The parts that are adapted, and where their rows begin.
struct Part {
  const LowRankMatrix* matrix;
  std::size_t first_row;
};

bool have_one_a(const std::vector<Part>& parts) {
  return std::ranges::all_of(parts, [&](const Part& part) {
    const LowRankMatrix& first = *parts.front().matrix;
    return part.matrix->rank == first.rank && part.matrix->scale() == first.scale() &&
           part.matrix->a == first.a;
  });
}

// Blocks of B at the rows and ranks of their parts; A's below each other.
LowRankMatrix in_blocks(const std::vector<Part>& parts, std::size_t rows) {
  const LowRankMatrix& first = *parts.front().matrix;
  LowRankMatrix whole{.inputs = first.inputs, .outputs = rows, .a = {}, .b = {}};
  whole.rank_stabilised = first.rank_stabilised;
  for (const Part& part : parts) whole.rank += part.matrix->rank;
  const double own = static_cast<double>(first.rank), all = static_cast<double>(whole.rank);
  whole.alpha = first.alpha * (whole.rank_stabilised ? std::sqrt(all / own) : all / own);
  whole.b.assign(rows * whole.rank, 0.0F);
  std::size_t column = 0;
  for (const Part& part : parts) {
    const LowRankMatrix& matrix = *part.matrix;
    // One scale is of all; what a part's own differs by goes into its B.
    const float factor = matrix.scale() == first.scale() ? 1.0F : matrix.scale() / whole.scale();
    whole.a.insert(whole.a.end(), matrix.a.begin(), matrix.a.end());
    for (std::size_t row = 0; row < matrix.outputs; ++row)
      for (std::size_t r = 0; r < matrix.rank; ++r)
        whole.b[(part.first_row + row) * whole.rank + column + r] =
            factor * matrix.b[row * matrix.rank + r];
    column += matrix.rank;
  }
  return whole;
}

LowRankMatrix below_each_other(const std::vector<Part>& parts, std::size_t rows) {
  LowRankMatrix whole = *parts.front().matrix;
  whole.outputs = rows;
  whole.b.assign(rows * whole.rank, 0.0F);
  for (const Part& part : parts)
    std::ranges::copy(part.matrix->b,
                      whole.b.begin() + static_cast<std::ptrdiff_t>(part.first_row * whole.rank));
  return whole;
}

// A range of rows and of ranks of a whole matrix.
LowRankMatrix cut(const LowRankMatrix& whole, std::size_t first_row, std::size_t rows,
                  std::size_t first_rank, std::size_t ranks) {
  LowRankMatrix part{.rank = ranks, .inputs = whole.inputs, .outputs = rows, .a = {}, .b = {}};
  part.rank_stabilised = whole.rank_stabilised;
  const double own = static_cast<double>(ranks), all = static_cast<double>(whole.rank);
  part.alpha = ranks == whole.rank
                   ? whole.alpha
                   : whole.alpha * (whole.rank_stabilised ? std::sqrt(own / all) : own / all);
  const auto a = whole.a.begin() + static_cast<std::ptrdiff_t>(first_rank * whole.inputs);
  part.a.assign(a, a + static_cast<std::ptrdiff_t>(ranks * whole.inputs));
  for (std::size_t row = 0; row < rows; ++row) {
    const auto b =
        whole.b.begin() + static_cast<std::ptrdiff_t>((first_row + row) * whole.rank + first_rank);
    part.b.insert(part.b.end(), b, b + static_cast<std::ptrdiff_t>(ranks));
  }
  return part;
}

bool is_zero(const LowRankMatrix& matrix) {
  return std::ranges::all_of(matrix.b, [](float value) { return value == 0; });
}

// Whether B is zero outside of as many equal blocks as there are parts, and in none of them.
bool is_in_blocks(const LowRankMatrix& whole, const std::vector<std::size_t>& rows) {
  const std::size_t ranks = whole.rank / rows.size();
  if (ranks * rows.size() != whole.rank) return false;
  std::size_t first_row = 0;
  for (std::size_t part = 0; part < rows.size(); ++part) {
    for (std::size_t other = 0; other < rows.size(); ++other) {
      const bool zero = is_zero(cut(whole, first_row, rows[part], other * ranks, ranks));
      if (zero == (part == other)) return false;
    }
    first_row += rows[part];
  }
  return true;
}

}  // namespace

std::string module_name(const LinearModule& module, std::string_view body, std::size_t layer) {
  return std::string(body) + filled(module.theirs.substr(kBody.size()), layer);
}

LowRankMatrix fused(const AdapterTensors& tensors, std::size_t layer, const LinearModule& module,
                    const Model& model, RowOrder order) {
  std::vector<Part> parts;
  std::size_t rows = 0;
  for (const Projection projection : module.parts) {
    const LowRankMatrix& matrix = tensors.matrix(layer, projection);
    if (matrix) parts.push_back({&matrix, rows});
    rows += rows_of(model, layer, projection);
  }
  if (parts.empty()) return {};
  LowRankMatrix whole = have_one_a(parts) ? below_each_other(parts, rows) : in_blocks(parts, rows);
  if (order == RowOrder::of_the_directory)
    whole.b = reordered(whole.b, whole.rank, their_row_order(module, model.sizes(), rows));
  return whole;
}

void take_apart(const LowRankMatrix& matrix, std::size_t layer, const LinearModule& module,
                const Model& model, AdapterTensors& tensors, RowOrder order) {
  LowRankMatrix whole = matrix;
  if (order == RowOrder::of_the_directory)
    whole.b = reordered(matrix.b, matrix.rank,
                        inverse(their_row_order(module, model.sizes(), matrix.outputs)));
  std::vector<std::size_t> rows;
  for (const Projection projection : module.parts)
    rows.push_back(rows_of(model, layer, projection));
  if (rows.size() == 1) {
    tensors.matrix(layer, module.parts.front()) = std::move(whole);
    return;
  }
  const bool blocks = is_in_blocks(whole, rows);
  const std::size_t ranks = blocks ? whole.rank / rows.size() : whole.rank;
  const bool all_zero = is_zero(whole);
  std::size_t first_row = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    LowRankMatrix part = cut(whole, first_row, rows[i], blocks ? i * ranks : 0, ranks);
    first_row += rows[i];
    if (all_zero || !is_zero(part)) tensors.matrix(layer, module.parts[i]) = std::move(part);
  }
}

}  // namespace malina::model
