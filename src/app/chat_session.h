// The conversation at the terminal.
#pragma once

#include <filesystem>
#include <string>

#include "app/command.h"
#include "platform/generation.h"
#include "platform/language_model.h"

namespace malina::app {

class ChatSession {
 public:
  // `request` holds the settings and, perhaps, a system message.
  ChatSession(platform::ChatRequest request, platform::LanguageModel& model, Session& session,
              std::string name, bool statistics);

  // Until /exit, or the end of the input. Throws base::Error(cancelled) after SIGTERM.
  void converse();

 private:
  enum class Next { question, again, leave };

  std::optional<std::string> read_question() const;
  Next command(const std::string& line);
  void ask(const std::string& question);
  void set_system(const std::string& text);
  void clear();

  platform::ChatRequest request_;
  platform::LanguageModel& model_;
  Console& console_;
  std::string name_;
  bool statistics_;
};

}  // namespace malina::app
