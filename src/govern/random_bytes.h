// Random secrets, and the alphabets they are written in.
#pragma once

#include <cstddef>
#include <string>

namespace malina::govern {

// Must have been called before anything else of libsodium; safe to call again and on many threads.
void start_sodium();

// `bytes` bytes of the system's randomness in URL-safe base64 without padding (RFC 4648, section
// 5).
std::string random_text(std::size_t bytes);
// `letters` letters of a-z and 2-7 (5 bits each): easy to read out, and one word to a terminal.
std::string random_letters(std::size_t letters);

}  // namespace malina::govern
