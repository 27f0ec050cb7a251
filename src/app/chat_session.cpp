#include "app/chat_session.h"

#include <editline/readline.h>
#include <sys/stat.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "app/generation_json.h"
#include "app/generation_options.h"
#include "app/interrupt.h"
#include "app/progress_bar.h"
#include "base/error.h"

namespace malina::app {
namespace {

constexpr const char* kHelp =
    "  /system TEXT     what the model is told before the conversation; starts it anew\n"
    "  /clear           forget the conversation\n"
    "  /temperature T   0 takes the likeliest token; up to 2\n"
    "  /seed N          the same seed gives the same answer\n"
    "  /help            this list\n"
    "  /exit            leave (also Ctrl-D)\n"
    "  \"\"\"              begins and ends a text of several lines\n"
    "  Ctrl-C           stops an answer, or clears the line\n";
constexpr int kHistoryLines = 1000;

// Where earlier questions are kept, for the arrow keys. Empty where there is no home.
std::string history_file() {
  if (const char* home = std::getenv("MALINA_HOME"); home != nullptr && *home != '\0')
    return std::string(home) + "/history";
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0')
    return std::string(home) + "/.local/share/malina/history";
  return {};
}

// The history holds what was typed, so only its owner may read it.
class History {
 public:
  History() : file_(history_file()) {
    using_history();
    stifle_history(kHistoryLines);
    if (!file_.empty()) read_history(file_.c_str());
  }
  ~History() {
    if (file_.empty()) return;
    std::error_code ignored;
    std::filesystem::create_directories(std::filesystem::path(file_).parent_path(), ignored);
    const auto mask = umask(077);
    write_history(file_.c_str());
    umask(mask);
  }

 private:
  std::string file_;
};

// One edited line; nullopt at the end of the input. Ctrl-C gives an empty line, and stays requested
// until the next call. Throws base::Error(cancelled) where SIGTERM came, now or since the last
// line.
std::optional<std::string> read_line(const char* prompt) {
  InterruptScope::clear();
  std::unique_ptr<char, decltype(&std::free)> line(nullptr, std::free);
  if (!InterruptScope::requested()) line.reset(readline(prompt));
  if (InterruptScope::requested()) std::fputs("\n", stdout);
  if (InterruptScope::termination_requested())
    throw base::Error(base::Fault::cancelled, "stopped on request");
  if (InterruptScope::requested()) return std::string();
  if (line == nullptr) return std::nullopt;
  return std::string(line.get());
}

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

}  // namespace

ChatSession::ChatSession(platform::ChatRequest request, platform::LanguageModel& model,
                         Session& session, std::string name, bool statistics)
    : request_(std::move(request)),
      model_(model),
      console_(session.console()),
      name_(std::move(name)),
      statistics_(statistics) {}

std::optional<std::string> ChatSession::read_question() const {
  auto line = read_line(">>> ");
  if (!line || !line->starts_with("\"\"\"")) return line;
  std::string text = line->substr(3);
  while (!text.ends_with("\"\"\"")) {
    const auto more = read_line("... ");
    if (!more) return std::nullopt;
    if (InterruptScope::requested()) return std::string();  // the whole text is dropped
    text += "\n" + *more;
  }
  text.resize(text.size() - 3);
  return text;
}

void ChatSession::converse() {
  console_.print("{} - /help for help, Ctrl-D to leave\n", console_.styled(Style::bold, name_));
  console_.flush();
  // Throughout, so that the history is written whenever SIGTERM comes.
  const InterruptScope interrupt;
  const History history;
  while (const auto line = read_question()) {
    const std::string question(trimmed(*line));
    if (question.empty()) continue;
    add_history(question.c_str());
    const Next next = command(question);
    if (next == Next::leave) break;
    if (next == Next::again) continue;
    try {
      ask(question);
    } catch (const base::Error& error) {  // the conversation goes on
      const bool too_much =
          error.fault() == base::Fault::invalid_argument && request_.messages.size() > 1;
      console_.error_line(std::string(error.what()) +
                          (too_much ? " (/clear forgets the conversation)" : ""));
    }
  }
}

void ChatSession::clear() {
  Json kept = Json::array();
  if (!request_.messages.empty() && request_.messages[0]["role"] == "system")
    kept.push_back(request_.messages[0]);
  request_.messages = std::move(kept);
}

void ChatSession::set_system(const std::string& text) {
  request_.messages = Json::array();
  if (!text.empty()) request_.messages.push_back({{"role", "system"}, {"content", text}});
}

ChatSession::Next ChatSession::command(const std::string& line) {
  if (!line.starts_with("/")) return Next::question;
  const std::size_t space = line.find(' ');
  const std::string verb = line.substr(0, space);
  const std::string rest(space == std::string::npos ? "" : trimmed(line.substr(space)));
  const auto number = [&](auto& value) {
    const auto result = std::from_chars(rest.data(), rest.data() + rest.size(), value);
    if (result.ec == std::errc() && result.ptr == rest.data() + rest.size()) return true;
    console_.error_line(fmt::format("{}: '{}' is not a number", verb, rest));
    return false;
  };
  if (verb == "/exit" || verb == "/quit" || verb == "/bye") return Next::leave;
  if (verb == "/help" || verb == "/?") {
    console_.write(kHelp);
    console_.flush();
  } else if (verb == "/clear") {
    clear();
  } else if (verb == "/system") {
    set_system(rest);
  } else if (verb == "/temperature") {
    float value = 0;
    if (!number(value)) return Next::again;
    if (value >= 0 && value <= 2)
      request_.sampling.temperature = value;
    else
      console_.error_line(fmt::format("/temperature: {} is not from 0 to 2", rest));
  } else if (verb == "/seed") {
    std::uint64_t value = 0;
    if (number(value)) request_.sampling.seed = value;
  } else {
    console_.error_line(fmt::format("{} is not a command here; /help lists them", verb));
  }
  return Next::again;
}

void ChatSession::ask(const std::string& question) {
  platform::ChatRequest request = request_;
  request.messages.push_back({{"role", "user"}, {"content", question}});
  InterruptScope::clear();
  ProgressBar bar(console_);
  request.prompt_progress = bar.sink();
  const auto result = model_.chat(request, [&](std::string_view text) {
    if (!text.empty()) {
      bar.hide();
      console_.write(answer_text(console_, text));
      console_.flush();
    }
    return !InterruptScope::requested();
  });
  console_.write("\n\n");
  console_.flush();
  if (statistics_) console_.status(statistics_line(result));
  request_.messages = std::move(request.messages);
  request_.messages.push_back({{"role", "assistant"}, {"content", result.text}});
}

}  // namespace malina::app
