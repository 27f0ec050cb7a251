// Renders templates for templates_random.py: one JSON object a line in, one out.
// In:  {"template": "...", "variables": {...}, "now": seconds}
// Out: {"output": "..."} or {"error": "..."}, and {"fault": "unsupported"} where that is the
// reason.
#include <chrono>
#include <iostream>
#include <string>

#include "base/error.h"
#include "text/chat_template.h"

int main() {
  using namespace malina;
  for (std::string line; std::getline(std::cin, line);) {
    nlohmann::ordered_json answer;
    try {
      const auto request = nlohmann::ordered_json::parse(line);
      text::TemplateInput input;
      input.extra = request.at("variables");
      if (input.extra.contains("bos_token")) input.bos_token = input.extra["bos_token"];
      if (input.extra.contains("eos_token")) input.eos_token = input.extra["eos_token"];
      for (const auto* name : {"bos_token", "eos_token"}) input.extra.erase(name);
      if (input.extra.contains("messages")) {
        input.messages = input.extra["messages"];
        input.extra.erase("messages");
      }
      if (request.contains("now")) {
        input.now = std::chrono::system_clock::time_point(
            std::chrono::seconds(request["now"].get<std::int64_t>()));
      }
      const text::ChatTemplate program(request.at("template").get<std::string>());
      answer["output"] = text::join(program.render(input));
    } catch (const base::Error& error) {
      answer["error"] = error.what();
      answer["fault"] = std::string(base::name(error.fault()));
    }
    std::cout << answer.dump() << std::endl;
  }
}
