#include "store/database.h"

#include "base/error.h"

namespace malina::store {

namespace {

template <typename T>
const T& get(const std::vector<Value>& values, std::size_t column) {
  const T* value = column < values.size() ? std::get_if<T>(&values[column]) : nullptr;
  if (value == nullptr)
    throw base::Error(base::Fault::internal, "column " + std::to_string(column) +
                                                 " of a record is not of the expected type");
  return *value;
}

}  // namespace

bool Row::is_null(std::size_t column) const {
  return column < values_.size() && std::holds_alternative<std::monostate>(values_[column]);
}
std::int64_t Row::integer(std::size_t column) const { return get<std::int64_t>(values_, column); }
double Row::number(std::size_t column) const { return get<double>(values_, column); }
const std::string& Row::text(std::size_t column) const { return get<std::string>(values_, column); }

}  // namespace malina::store
