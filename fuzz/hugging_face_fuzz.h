// What the fuzz targets of Hugging Face tokenizers share: any files are refused with an error, or
// become metadata that a tokenizer is made of and that a GGUF file can hold.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "finding.h"
#include "format/gguf.h"
#include "format/gguf_writer.h"
#include "text/hugging_face_tokenizer.h"
#include "text/tokenizer.h"

namespace malina::fuzz {

inline void check_tokenizer(const text::Tokenizer& tokenizer) {
  constexpr std::string_view kText =
      " hello  the <s>[INST] \xE2\x96\x81he\n\xff 12345 don't \xCC\x81x";
  for (const text::Token token : tokenizer.encode(kText))
    require(tokenizer.kind(token) != text::TokenKind::control);
  const auto tokens = tokenizer.encode(kText, {.add_bos = true, .parse_special = true});
  static_cast<void>(tokenizer.decode(tokens, true));
  for (const text::Token token : tokenizer.end_tokens())
    require(token >= 0 && static_cast<std::size_t>(token) < tokenizer.vocabulary_size());
}

inline void check_files(const text::HuggingFaceFiles& files) {
  unless_file_refused([&] {
    format::MetadataBuilder builder;
    text::add_hugging_face_tokenizer(files, builder);
    const format::Metadata metadata = builder.build("input");
    const auto header = format::gguf_header(metadata, {});
    const auto copy = format::parse_gguf(header, "copy", std::uint64_t{1} << 40);
    require(format::gguf_header(copy.metadata, {}) == header);
    check_tokenizer(*text::Tokenizer::create(metadata));
  });
}

}  // namespace malina::fuzz
