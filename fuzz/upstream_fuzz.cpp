// What an upstream answers, what the connector and the server say to each other, and the connector's
// configuration. Whatever is accepted is written in a way that reads back.
#include <cstdint>
#include <string>
#include <string_view>

#include "finding.h"
#include "platform/connector_file.h"
#include "platform/upstream.h"

namespace {

using namespace malina;
using namespace malina::platform;
using fuzz::require;
using fuzz::unless_refused;

std::string_view without_end(const std::string& line) {
  require(line.find('\n') == line.size() - 1);
  return std::string_view(line).substr(0, line.size() - 1);
}

void check_reply(const UpstreamReply& reply) {
  const UpstreamReply read = read_reply_line(without_end(line_of(reply)));
  require(read.fault == reply.fault && read.status == reply.status);
  require(read.answer.text == reply.answer.text && read.answer.whole == reply.answer.whole);
  require(read.answer.probability == reply.answer.probability);
  require(read.answer.prompt_tokens == reply.answer.prompt_tokens);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  unless_refused([&] {
    const UpstreamQuestion question = read_question_line(bytes);
    const UpstreamQuestion read = read_question_line(without_end(line_of(question)));
    require(read.message == question.message && read.upstream == question.upstream);
    chat_request(question, "model", true);
  });
  unless_refused([&] { check_reply(read_reply_line(bytes)); });
  unless_refused([&] { check_reply({.status = 200, .answer = read_chat_answer(bytes)}); });
  unless_refused([&] { parse_upstreams(bytes, "file", "/nonexistent"); });
  return 0;
}
