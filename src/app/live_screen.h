// A page that is drawn again and again over the whole terminal.
#pragma once

#include <termios.h>

#include <chrono>
#include <cstddef>
#include <string_view>

#include "app/console.h"
#include "app/interrupt.h"

namespace malina::app {

struct ScreenSize {
  std::size_t columns = 80, rows = 24;
};

// While it exists the terminal shows this page, without a cursor and without what is typed; then
// what was there before, however the scope ends. Ctrl-C is noted (interrupt.h). One at a time.
class LiveScreen {
 public:
  explicit LiveScreen(Console& console);  // standard output is a terminal
  ~LiveScreen();
  LiveScreen(const LiveScreen&) = delete;
  LiveScreen& operator=(const LiveScreen&) = delete;

  ScreenSize size() const;
  void draw(std::string_view page);  // lines that fit; what is more is left out
  // False where it is to end: q, Ctrl-C, SIGTERM, or standard input ended.
  bool wait(std::chrono::milliseconds time);
  // Whether wait() would say so, without waiting.
  bool is_to_end();

 private:
  void read_key();

  Console& console_;
  InterruptScope interrupt_;
  bool raw_ = false;     // standard input is a terminal
  bool ending_ = false;  // a key said so
  termios before_{};
};

}  // namespace malina::app
