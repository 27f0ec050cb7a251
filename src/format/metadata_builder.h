// Metadata made in memory, for models that come as something other than a GGUF file.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "format/checkpoint.h"

namespace malina::format {

// Collects keys and owns their texts; what it builds keeps them alive. Keys stand in the order in
// which they were added. Stored types are those that llama.cpp's converter writes, unless said.
// Every add_ throws internal where the key is there already or the value does not fit its stored
// type: both are defects of the caller, which checks what a file says. One owner, one thread.
class MetadataBuilder {
 public:
  bool contains(std::string_view key) const { return metadata_.contains(key); }
  // What was added under the key, or null. Valid until the next add_.
  const MetadataValue* find(std::string_view key) const { return metadata_.find(key); }

  void add_text(std::string key, std::string value);
  void add_boolean(std::string key, bool value);
  // An integer type: u8 ... u64, i8 ... i64.
  void add_integer(std::string key, std::uint64_t value, StoredType stored = StoredType::u32);
  void add_number(std::string key, double value, StoredType stored = StoredType::f32);  // or f64
  void add_texts(std::string key, std::vector<std::string> values);
  // Element: an integer type, or boolean for zeros and ones.
  void add_integers(std::string key, std::vector<std::int64_t> values,
                    StoredType element = StoredType::i32);
  void add_numbers(std::string key, std::vector<float> values);

  // `source` is the model's name for messages. The builder is empty afterwards.
  Metadata build(std::string source);

 private:
  // Addresses of strings stay when others come.
  struct Texts {
    std::deque<std::string> single;
    std::deque<std::vector<std::string>> lists;
  };

  void add(std::string key, MetadataValue value, StoredType stored);

  std::shared_ptr<Texts> texts_ = std::make_shared<Texts>();
  Metadata metadata_;
};

}  // namespace malina::format
