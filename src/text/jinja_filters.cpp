#include "text/jinja_filters.h"

#include <fmt/format.h>

#include "text/jinja_filter_table.h"

namespace malina::text::jinja {

FilterFunction find_filter(std::string_view name) {
  for (const auto table : {text_filters(), number_filters(), list_filters(), selection_filters()}) {
    for (const auto& entry : table) {
      if (entry.name == name) return entry.function;
    }
  }
  return nullptr;
}

void check_named_function(const Filter& filter, std::string_view name) {
  const auto literal = [&](std::size_t index) -> std::optional<std::string_view> {
    const auto& given = filter.arguments.positional;
    if (index >= given.size() || given[index]->kind != Node::Kind::constant) return std::nullopt;
    const auto& value = static_cast<const Constant&>(*given[index]).value;
    if (!value.is(Type::text)) return std::nullopt;
    return value.text()->bytes();
  };
  const auto refuse_unknown = [&](std::string_view kind, std::string_view unknown) {
    refuse(base::Fault::unsupported, filter.line,
           fmt::format("{} '{}' is not supported", kind, unknown));
  };
  if (name == "map") {
    const auto named = literal(0);
    if (named && find_filter(*named) == nullptr) refuse_unknown("filter", *named);
  }
  const bool by_attribute = name == "selectattr" || name == "rejectattr";
  if (by_attribute || name == "select" || name == "reject") {
    const auto named = literal(by_attribute ? 1 : 0);
    if (named && find_test(*named) == nullptr) refuse_unknown("test", *named);
  }
}

}  // namespace malina::text::jinja
