// What the fuzz targets of Hugging Face tokenizers share: any files are refused with an error, or
// become metadata that a tokenizer is made of and that a GGUF file can hold.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>

#include "base/error.h"
#include "format/gguf.h"
#include "format/gguf_writer.h"
#include "text/hugging_face_tokenizer.h"
#include "text/tokenizer.h"

namespace malina::fuzz {

// A promise that does not hold is a finding, as a fault in memory is.
inline void promise(bool holds) {
  if (!holds) std::abort();
}

inline void check_tokenizer(const text::Tokenizer& tokenizer) {
  constexpr std::string_view kText =
      " hello  the <s>[INST] \xE2\x96\x81he\n\xff 12345 don't \xCC\x81x";
  for (const text::Token token : tokenizer.encode(kText))
    promise(tokenizer.kind(token) != text::TokenKind::control);
  const auto tokens = tokenizer.encode(kText, {.add_bos = true, .parse_special = true});
  static_cast<void>(tokenizer.decode(tokens, true));
  for (const text::Token token : tokenizer.end_tokens())
    promise(token >= 0 && static_cast<std::size_t>(token) < tokenizer.vocabulary_size());
}

inline void check_files(const text::HuggingFaceFiles& files) {
  try {
    format::MetadataBuilder builder;
    text::add_hugging_face_tokenizer(files, builder);
    const format::Metadata metadata = builder.build("input");
    const auto header = format::gguf_header(metadata, {});
    const auto copy = format::parse_gguf(header, "copy", std::uint64_t{1} << 40);
    promise(format::gguf_header(copy.metadata, {}) == header);
    check_tokenizer(*text::Tokenizer::create(metadata));
  } catch (const base::Error& error) {
    promise(error.fault() == base::Fault::corrupt_file ||
            error.fault() == base::Fault::unsupported);
    for (const char c : std::string_view(error.what())) promise(c >= 0x20 && c < 0x7f);
  }
}

}  // namespace malina::fuzz
