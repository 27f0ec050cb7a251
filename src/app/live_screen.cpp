#include "app/live_screen.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>

namespace malina::app {

namespace {

constexpr std::string_view kEnter = "\x1b[?1049h\x1b[?25l";  // the other page, no cursor
constexpr std::string_view kLeave = "\x1b[?25h\x1b[?1049l";
constexpr std::string_view kHome = "\x1b[H", kRestOfLine = "\x1b[K", kRestOfPage = "\x1b[J";

}  // namespace

LiveScreen::LiveScreen(Console& console) : console_(console) {
  if (::tcgetattr(STDIN_FILENO, &before_) == 0) {
    termios raw = before_;
    raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);  // keys at once; Ctrl-C stays a signal
    raw.c_cc[VSUSP] = _POSIX_VDISABLE;  // stopped, the page and the hidden cursor would stay behind
    raw_ = ::tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
  }
  console_.write(kEnter);
  console_.flush();
}

LiveScreen::~LiveScreen() {
  try {
    console_.write(kLeave);
    console_.flush();
  } catch (...) {  // the terminal is gone
  }
  if (raw_) ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &before_);
}

ScreenSize LiveScreen::size() const {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0)
    return {};
  return {.columns = size.ws_col, .rows = size.ws_row};
}

// What was there is erased before a line is written: after a line that fills the row the cursor
// still stands on its last character, which would go too.
void LiveScreen::draw(std::string_view page) {
  console_.write(kHome);
  const std::size_t rows = size().rows;
  std::size_t row = 0;
  for (; row < rows && !page.empty(); ++row) {
    const std::size_t end = std::min(page.find('\n'), page.size());
    if (row > 0) console_.write("\r\n");
    console_.write(kRestOfLine);
    console_.write(page.substr(0, end));
    page.remove_prefix(std::min(end + 1, page.size()));
  }
  if (row < rows) {
    if (row > 0) console_.write("\r\n");
    console_.write(kRestOfPage);
  }
  console_.flush();
}

void LiveScreen::read_key() {
  char key = 0;
  ending_ = ::read(STDIN_FILENO, &key, 1) <= 0 || key == 'q' || key == 'Q';
}

bool LiveScreen::is_to_end() {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  while (!ending_ && raw_ && ::poll(&input, 1, 0) > 0) read_key();
  return ending_ || InterruptScope::requested();
}

bool LiveScreen::wait(std::chrono::milliseconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  while (!ending_ && !InterruptScope::requested()) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    if (left.count() <= 0) return true;
    pollfd input{STDIN_FILENO, POLLIN, 0};
    const int ready = ::poll(&input, raw_ ? 1 : 0, static_cast<int>(left.count()));
    if (ready < 0 && errno != EINTR) return false;
    if (ready > 0) read_key();
  }
  return false;
}

}  // namespace malina::app
