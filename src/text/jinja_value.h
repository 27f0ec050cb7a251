// The values of a template: Python's, as far as a template can see them.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "text/jinja_lexer.h"
#include "text/jinja_text.h"

namespace malina::text::jinja {

enum class Type : std::uint8_t {
  missing,  // of a variable that has no value yet; never the value of an expression
  undefined,
  none,
  boolean,
  integer,
  real,
  text,
  list,
  tuple,
  dict,
  range,
  view,
  iterator,
  name_space,
  macro,
  method,
  function,
  loop,
};

struct Object {
  virtual ~Object() = default;
  virtual void clear() {}  // drop what it holds; called at the end of a rendering
  std::size_t depth = 1;   // of the values nested in it, itself included
};

struct List;
struct Dict;

// Small, copied freely; text and containers are shared.
//
// Provenance: a text knows it byte by byte. Of every other value `trusted` says whether what is
// printed of it (the digits of a number, the brackets of a list) is the template's own. What a
// template counts or decides itself (a length, an index, a comparison) is; what was handed in and
// what is computed from it is not.
class Value {
 public:
  Value() = default;  // missing
  static Value undefined(std::string message);
  static Value none(bool trusted = true) { return Value(Type::none, trusted); }
  static Value boolean(bool value, bool trusted = true);
  static Value integer(Integer value, bool trusted = true);
  static Value real(double value, bool trusted = true);
  static Value text(TextPointer text);
  static Value text(std::string bytes, bool trusted = true);
  static Value object(Type type, std::shared_ptr<Object> object, bool trusted = true);

  Type type() const { return type_; }
  bool is(Type type) const { return type_ == type; }
  bool is_number() const { return type_ >= Type::boolean && type_ <= Type::real; }
  bool trusted() const { return trusted_; }

  bool boolean() const { return scalar_.integer != 0; }
  Integer integer() const { return scalar_.integer; }  // of a boolean too: 0 or 1
  double real() const { return scalar_.real; }
  const TextPointer& text() const { return text_; }
  template <typename T>
  T& as() const {
    return static_cast<T&>(*object_);
  }
  const std::shared_ptr<Object>& object() const { return object_; }
  std::size_t depth() const { return object_ ? object_->depth : 0; }

 private:
  explicit Value(Type type, bool trusted = true) : type_(type), trusted_(trusted) {}

  union {
    Integer integer = 0;
    double real;
  } scalar_;
  std::shared_ptr<Object> object_;
  TextPointer text_;
  Type type_ = Type::missing;
  bool trusted_ = true;
};

using Values = std::vector<Value>;

struct Undefined : Object {
  std::string message;  // why: "'x' is undefined"
};

struct List : Object {  // of a tuple too
  Values items;
};
// Charges the runtime for the items and bounds their depth. `type`: list or tuple.
Value make_list(Runtime& runtime, Values items, bool trusted = true, Type type = Type::list);

// In the order of insertion, as in Python.
struct Dict : Object {
  std::vector<std::pair<Value, Value>> items;

  // Null where there is none. Throws where the key cannot be one (a list, a dict).
  const Value* find(Runtime& runtime, const Value& key) const;
  const Value* find(std::string_view key) const;
  void set(Runtime& runtime, Value key, Value value);
  void clear() override { items.clear(), places_.clear(); }

 private:
  std::optional<std::size_t> place(Runtime& runtime, const Value& key, std::size_t hash) const;
  std::unordered_multimap<std::size_t, std::size_t> places_;  // by hash
};

struct Range : Object {
  Integer start = 0, stop = 0, step = 1;
  Integer size() const;
};

struct View : Object {
  enum class Of { keys, values, items };
  std::shared_ptr<Dict> dict;
  Of of = Of::keys;
  bool trusted = true;
};

// What Python calls a generator or an iterator: its items can be taken once.
struct Iterator : Object {
  virtual bool next(Runtime& runtime, Value& item) = 0;  // false at the end
};

struct NameSpace : Object {
  Dict attributes;
  void clear() override { attributes.clear(); }
};

struct Arguments {
  Values positional;
  std::vector<std::pair<std::string, Value>> named;
};

using FilterFunction = Value (*)(Runtime& runtime, const Value& subject,
                                 const Arguments& arguments);
using TestFunction = bool (*)(Runtime& runtime, const Value& subject, const Arguments& arguments);
using MethodFunction = FilterFunction;
using GlobalFunction = Value (*)(Runtime& runtime, const Arguments& arguments);

struct Method : Object {
  Value receiver;
  MethodFunction function = nullptr;
};

struct Global : Object {
  GlobalFunction function = nullptr;
};

// The arguments of a call by the names of its parameters, as Python binds them. Fails where one is
// unknown, given twice or too many, and where one of the first `required` is missing.
class Parameters {
 public:
  Parameters(Runtime& runtime, std::string_view function, const Arguments& arguments,
             std::initializer_list<std::string_view> names, std::size_t required = 0);
  bool has(std::size_t index) const { return !values_[index].is(Type::missing); }
  const Value& operator[](std::size_t index) const { return values_[index]; }
  Value value_or(std::size_t index, Value otherwise) const {
    return has(index) ? values_[index] : std::move(otherwise);
  }

 private:
  Values values_;
};

}  // namespace malina::text::jinja
