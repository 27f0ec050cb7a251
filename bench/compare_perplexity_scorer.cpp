// The perplexity of windows of tokens by llama.cpp, for compare_perplexity: MODEL THREADS, then one
// window a line on standard input. Every token of a window but its first is scored. Prints the sum
// of negative log-probabilities and how many tokens it is of.
#include <llama.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

namespace {

constexpr unsigned kWindow = 512;

double negative_log_probability(const float* logits, int vocabulary, llama_token token) {
  const double most = *std::max_element(logits, logits + vocabulary);
  double sum = 0;
  for (int i = 0; i < vocabulary; ++i) sum += std::exp(logits[i] - most);
  return most + std::log(sum) - logits[token];
}

double score(llama_context* context, int vocabulary, const std::vector<llama_token>& tokens) {
  llama_memory_clear(llama_get_memory(context), true);
  llama_batch batch = llama_batch_init(kWindow, 0, 1);
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    batch.token[i] = tokens[i];
    batch.pos[i] = static_cast<llama_pos>(i);
    batch.n_seq_id[i] = 1;
    batch.seq_id[i][0] = 0;
    batch.logits[i] = 1;
  }
  batch.n_tokens = static_cast<int>(tokens.size());
  const int failure = llama_decode(context, batch);
  llama_batch_free(batch);
  if (failure != 0) throw failure;
  double sum = 0;
  for (std::size_t i = 0; i + 1 < tokens.size(); ++i)
    sum += negative_log_probability(llama_get_logits_ith(context, static_cast<int>(i)), vocabulary,
                                    tokens[i + 1]);
  return sum;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) return 2;
  llama_log_set([](ggml_log_level level, const char* text, void*) {
    if (level == GGML_LOG_LEVEL_ERROR) std::fputs(text, stderr);
  }, nullptr);
  llama_backend_init();
  llama_model* model = llama_model_load_from_file(arguments[1], llama_model_default_params());
  if (model == nullptr) return 1;
  llama_context_params parameters = llama_context_default_params();
  parameters.n_ctx = parameters.n_batch = parameters.n_ubatch = kWindow;
  parameters.n_threads = parameters.n_threads_batch = std::stoi(arguments[2]);
  llama_context* context = llama_init_from_model(model, parameters);
  if (context == nullptr) return 1;
  const int vocabulary = llama_vocab_n_tokens(llama_model_get_vocab(model));
  double sum = 0;
  std::size_t scored = 0;
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream words(line);
    std::vector<llama_token> tokens;
    for (llama_token token; words >> token;) tokens.push_back(token);
    if (tokens.size() > kWindow) return 1;
    sum += score(context, vocabulary, tokens);
    scored += tokens.empty() ? 0 : tokens.size() - 1;
  }
  std::printf("%.9f %zu\n", sum, scored);
  llama_free(context);
  llama_model_free(model);
}
