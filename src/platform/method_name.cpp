#include "platform/method_name.h"

namespace malina::platform {

std::optional<tune::Method> method_named(std::string_view text) {
  using tune::Method;
  for (const Method method :
       {Method::linear, Method::probe, Method::lora, Method::labels, Method::blend})
    if (text == tune::name(method)) return method;
  return std::nullopt;
}

}  // namespace malina::platform
