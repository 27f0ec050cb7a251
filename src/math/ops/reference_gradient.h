// Plain loops of the backward pass, templated on the number type. Tests hold them against numerical
// slopes in double precision, and every kernel against them; nothing else uses them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

namespace malina::math::reference {

template <class Number>
using Row = std::vector<Number>;
template <class Number>
using Rows = std::vector<std::vector<Number>>;

template <class Number>
Row<Number> rms_norm_gradient(const Row<Number>& x, const Row<Number>& weight, Number epsilon,
                              const Row<Number>& dy) {
  const auto n = static_cast<Number>(x.size());
  Number squares = 0, products = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    squares += x[i] * x[i];
    products += x[i] * weight[i] * dy[i];
  }
  const Number factor = 1 / std::sqrt(squares / n + epsilon);
  Row<Number> dx;
  for (std::size_t i = 0; i < x.size(); ++i)
    dx.push_back(factor * weight[i] * dy[i] - x[i] * factor * factor * factor * products / n);
  return dx;
}

template <class Number>
Row<Number> layer_norm_gradient(const Row<Number>& x, const Row<Number>& weight, Number epsilon,
                                const Row<Number>& dy) {
  const auto n = static_cast<Number>(x.size());
  Number mean = 0, variance = 0, level = 0, products = 0;
  for (const Number value : x) mean += value / n;
  for (const Number value : x) variance += (value - mean) * (value - mean) / n;
  const Number factor = 1 / std::sqrt(variance + epsilon);
  for (std::size_t i = 0; i < x.size(); ++i) {
    level += weight[i] * dy[i] / n;
    products += (x[i] - mean) * factor * weight[i] * dy[i] / n;
  }
  Row<Number> dx;
  for (std::size_t i = 0; i < x.size(); ++i)
    dx.push_back(factor * (weight[i] * dy[i] - level - (x[i] - mean) * factor * products));
  return dx;
}

// Of the weights of both norms: the row normalised times dy.
template <class Number>
Row<Number> rms_norm_weight_gradient(const Row<Number>& x, Number epsilon, const Row<Number>& dy) {
  Number squares = 0;
  for (const Number value : x) squares += value * value;
  const Number factor = 1 / std::sqrt(squares / static_cast<Number>(x.size()) + epsilon);
  Row<Number> gradient;
  for (std::size_t i = 0; i < x.size(); ++i) gradient.push_back(x[i] * factor * dy[i]);
  return gradient;
}

template <class Number>
Row<Number> layer_norm_weight_gradient(const Row<Number>& x, Number epsilon,
                                       const Row<Number>& dy) {
  const auto n = static_cast<Number>(x.size());
  Number mean = 0, variance = 0;
  for (const Number value : x) mean += value / n;
  for (const Number value : x) variance += (value - mean) * (value - mean) / n;
  const Number factor = 1 / std::sqrt(variance + epsilon);
  Row<Number> gradient;
  for (std::size_t i = 0; i < x.size(); ++i) gradient.push_back((x[i] - mean) * factor * dy[i]);
  return gradient;
}

// Of y = x W^T with W [dy.front().size()][x.front().size()]: dy^T x.
template <class Number>
Rows<Number> linear_weight_gradient(const Rows<Number>& x, const Rows<Number>& dy) {
  Rows<Number> gradient(dy.front().size(), Row<Number>(x.front().size(), 0));
  for (std::size_t i = 0; i < x.size(); ++i)
    for (std::size_t n = 0; n < gradient.size(); ++n)
      for (std::size_t k = 0; k < x[i].size(); ++k) gradient[n][k] += dy[i][n] * x[i][k];
  return gradient;
}

template <class Number>
Number silu_slope(Number x) {
  const Number s = 1 / (1 + std::exp(-x));
  return s * (1 + x * (1 - s));
}

template <class Number>
Number gelu_tanh_slope(Number x) {
  const Number root = std::sqrt(2 / Number{3.14159265358979323846});
  const Number t = std::tanh(root * (x + Number{0.044715} * x * x * x));
  return (1 + t) / 2 + x / 2 * (1 - t * t) * root * (1 + 3 * Number{0.044715} * x * x);
}

// log(sum(exp)) - logits[target], differentiated.
template <class Number>
Row<Number> cross_entropy_gradient(const Row<Number>& logits, std::size_t target) {
  const Number top = *std::max_element(logits.begin(), logits.end());
  Number sum = 0;
  for (const Number value : logits) sum += std::exp(value - top);
  Row<Number> gradient;
  for (std::size_t i = 0; i < logits.size(); ++i)
    gradient.push_back(std::exp(logits[i] - top) / sum - (i == target ? 1 : 0));
  return gradient;
}

// One query head over keys and values [positions][width] that its rows see: row r of `query` stands
// at position first + r and sees (position - window, position].
template <class Number>
struct AttentionParts {
  Rows<Number> query, key, value;
  std::size_t first = 0, window = 0;
  Number scale = 1;

  Row<Number> probabilities(std::size_t r) const {
    const std::size_t end = first + r + 1;
    const std::size_t begin = window != 0 && end > window ? end - window : 0;
    Row<Number> p(key.size(), 0);
    Number top = -1e30, sum = 0;
    for (std::size_t j = begin; j < end; ++j) {
      for (std::size_t d = 0; d < key[j].size(); ++d) p[j] += query[r][d] * key[j][d] * scale;
      top = std::max(top, p[j]);
    }
    for (std::size_t j = begin; j < end; ++j) sum += p[j] = std::exp(p[j] - top);
    for (std::size_t j = begin; j < end; ++j) p[j] /= sum;
    return p;
  }

  Rows<Number> output() const {
    Rows<Number> rows;
    for (std::size_t r = 0; r < query.size(); ++r) {
      const auto p = probabilities(r);
      auto& row = rows.emplace_back(value[0].size(), 0);
      for (std::size_t j = 0; j < p.size(); ++j)
        for (std::size_t d = 0; d < row.size(); ++d) row[d] += p[j] * value[j][d];
    }
    return rows;
  }

  // Gradients of the three from that of the output, in the same fields.
  AttentionParts gradient(const Rows<Number>& output_gradient) const {
    AttentionParts result;
    result.query.assign(query.size(), Row<Number>(query[0].size(), 0));
    result.key.assign(key.size(), Row<Number>(key[0].size(), 0));
    result.value = result.key;
    for (std::size_t r = 0; r < query.size(); ++r) {
      const auto p = probabilities(r);
      Row<Number> dp(p.size(), 0);
      Number level = 0;
      for (std::size_t j = 0; j < p.size(); ++j) {
        for (std::size_t d = 0; d < value[j].size(); ++d) {
          dp[j] += output_gradient[r][d] * value[j][d];
          result.value[j][d] += p[j] * output_gradient[r][d];
        }
        level += p[j] * dp[j];
      }
      for (std::size_t j = 0; j < p.size(); ++j) {
        const Number ds = p[j] * (dp[j] - level) * scale;
        for (std::size_t d = 0; d < key[j].size(); ++d) {
          result.query[r][d] += ds * key[j][d];
          result.key[j][d] += ds * query[r][d];
        }
      }
    }
    return result;
  }
};

}  // namespace malina::math::reference
