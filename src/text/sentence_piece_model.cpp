#include "text/sentence_piece_model.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <cstring>
#include <string_view>
#include <unordered_set>

#include "base/error.h"
#include "format/quote.h"
#include "text/tokenizer_json.h"
#include "text/vocabulary.h"

namespace malina::text {
namespace {

using base::Error;
using base::Fault;
using format::in_quotes;

// One message of the wire format. Places count from the start of the file.
class Message {
 public:
  Message(std::string_view file, std::size_t begin, std::size_t end, const std::string& name)
      : file_(file), position_(begin), end_(end), name_(name) {}

  // Goes to the next field; false at the end.
  bool next() {
    if (position_ == end_) return false;
    const std::uint64_t tag = varint();
    number_ = tag >> 3;
    wire_ = static_cast<unsigned>(tag & 7);
    if (number_ == 0 || number_ > kLastField) fail("a field has a number that no field has");
    switch (wire_) {
      case kVarint:
        value_ = varint();
        break;
      case kFixed64:
        take(8);
        break;
      case kBytes: {
        const std::uint64_t length = varint();
        take(length);
        break;
      }
      case kFixed32:
        take(4);
        break;
      default:
        fail(fmt::format("a field has the wire type {}, which is not read", wire_));
    }
    return true;
  }

  std::uint64_t number() const { return number_; }
  std::size_t position() const { return position_; }

  std::string_view bytes(std::string_view field) const {
    expect(kBytes, field);
    return file_.substr(begin_, position_ - begin_);
  }
  Message message(std::string_view field) const {
    expect(kBytes, field);
    return {file_, begin_, position_, name_};
  }
  float number32(std::string_view field) const {
    expect(kFixed32, field);
    float value = 0;
    std::memcpy(&value, file_.data() + begin_, sizeof value);
    return value;
  }
  std::uint64_t integer(std::string_view field) const {
    expect(kVarint, field);
    return value_;
  }
  bool boolean(std::string_view field) const { return integer(field) != 0; }

  [[noreturn]] void fail(const std::string& cause) const {
    throw Error(Fault::corrupt_file,
                fmt::format("{}: {}, before byte {}", name_, cause, position_));
  }

 private:
  static constexpr unsigned kVarint = 0, kFixed64 = 1, kBytes = 2, kFixed32 = 5;
  static constexpr std::uint64_t kLastField = (std::uint64_t{1} << 29) - 1;

  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      if (position_ == end_) fail("the message ends inside of a number");
      const auto byte = static_cast<unsigned char>(file_[position_++]);
      if (shift == 63 && byte > 1) break;
      value |= std::uint64_t{byte & 0x7FU} << shift;
      if (byte < 0x80) return value;
    }
    fail("a number has more than 64 bits");
  }
  void take(std::uint64_t count) {
    if (count > end_ - position_)
      fail(fmt::format("the message ends inside of a field ({} bytes are wanted, {} are left)",
                       count, end_ - position_));
    begin_ = position_;
    position_ += count;
  }
  void expect(unsigned wire, std::string_view field) const {
    if (wire_ != wire) fail(fmt::format("{} has the wire type {}, not {}", field, wire_, wire));
  }

  std::string_view file_;
  std::size_t position_, end_;
  const std::string& name_;
  std::uint64_t number_ = 0, value_ = 0;
  unsigned wire_ = 0;
  std::size_t begin_ = 0;  // of the last bytes
};

class Parser {
 public:
  explicit Parser(const std::string& name) : name_(name) {}

  SentencePieceModel parse(std::string_view file) {
    Message fields(file, 0, file.size(), name_);
    while (fields.next()) {
      if (fields.number() == 1) piece(fields.message("pieces"));
      if (fields.number() == 2) trainer(fields.message("trainer_spec"));
      if (fields.number() == 3) normalizer(fields.message("normalizer_spec"));
    }
    check_options();
    check_pieces();
    find_specials();
    return std::move(model_);
  }

 private:
  void piece(Message fields) {
    SentencePieceModel::Piece piece;
    while (fields.next()) {
      if (fields.number() == 1) piece.text = fields.bytes("piece");
      if (fields.number() == 2) piece.score = fields.number32("score");
      if (fields.number() == 3) {
        const std::uint64_t type = fields.integer("type");
        if (type < 1 || type > 6)
          fields.fail(
              fmt::format("piece {} has the type {}, not 1 to 6", model_.pieces.size(), type));
        piece.kind = static_cast<TokenKind>(type);
      }
    }
    if (piece.text.empty()) fields.fail(fmt::format("piece {} is empty", model_.pieces.size()));
    if (std::isnan(piece.score))
      fields.fail(fmt::format("the score of piece {} is not a number", model_.pieces.size()));
    if (model_.pieces.size() >= kMostTokens) fields.fail("there are more pieces than malina reads");
    model_.pieces.push_back(std::move(piece));
  }

  void trainer(Message fields) {
    while (fields.next()) {
      switch (fields.number()) {
        case 3:
          type_ = fields.integer("trainer_spec.model_type");
          break;
        case 24:
          space_behind_ = fields.boolean("trainer_spec.treat_whitespace_as_suffix");
          break;
        case 35:
          byte_fallback_ = fields.boolean("trainer_spec.byte_fallback");
          break;
        case 46:
          bos_ = fields.bytes("trainer_spec.bos_piece");
          break;
        case 47:
          eos_ = fields.bytes("trainer_spec.eos_piece");
          break;
        case 48:
          padding_ = fields.bytes("trainer_spec.pad_piece");
          break;
        default:
          break;
      }
    }
  }

  void normalizer(Message fields) {
    while (fields.next()) {
      switch (fields.number()) {
        case 1:
          rules_ = fields.bytes("normalizer_spec.name");
          break;
        case 2:
          normalizes_ = !fields.bytes("normalizer_spec.precompiled_charsmap").empty();
          break;
        case 3:
          model_.space_prefix = fields.boolean("normalizer_spec.add_dummy_prefix");
          break;
        case 4:
          removes_spaces_ = fields.boolean("normalizer_spec.remove_extra_whitespaces");
          break;
        case 5:
          escapes_ = fields.boolean("normalizer_spec.escape_whitespaces");
          break;
        default:
          break;
      }
    }
  }

  void check_options() const {
    static constexpr std::array<std::string_view, 5> kTypes = {"none", "unigram", "BPE", "word",
                                                               "char"};
    constexpr std::uint64_t kBpe = 2;
    if (model_.pieces.empty()) corrupt("it holds no pieces");
    if (type_ != kBpe)
      unsupported(fmt::format("trainer_spec.model_type is {} ({}), and malina reads BPE alone",
                              type_, type_ < kTypes.size() ? kTypes[type_] : "unknown"));
    if (normalizes_)
      unsupported(
          fmt::format("normalizer_spec rewrites characters by the rules {}, which malina "
                      "does not have",
                      in_quotes(rules_)));
    if (removes_spaces_)
      unsupported("normalizer_spec.remove_extra_whitespaces is set, which malina does not do");
    if (!escapes_)
      unsupported(
          "normalizer_spec.escape_whitespaces is not set: malina needs the mark for spaces");
    if (space_behind_)
      unsupported("trainer_spec.treat_whitespace_as_suffix is set, which malina does not do");
  }

  void check_pieces() {
    std::unordered_set<std::string_view> seen;
    std::array<bool, 256> bytes{};
    std::size_t unknown = 0, byte_count = 0;
    for (std::size_t i = 0; i < model_.pieces.size(); ++i) {
      const auto& piece = model_.pieces[i];
      if (!seen.insert(piece.text).second)
        corrupt(fmt::format("piece {} repeats an earlier one, {}", i, in_quotes(piece.text)));
      if (piece.kind == TokenKind::unknown) {
        model_.unknown = static_cast<Token>(i);
        ++unknown;
      }
      if (piece.kind != TokenKind::byte) continue;
      const auto byte = byte_of_piece(piece.text);
      if (!byte) corrupt(fmt::format("piece {} is of type byte, but not of the form <0x41>", i));
      if (!byte_fallback_)
        corrupt(
            fmt::format("piece {} is of type byte, but trainer_spec.byte_fallback is not set", i));
      byte_count += bytes[*byte] ? 0 : 1;
      bytes[*byte] = true;
    }
    if (unknown != 1) corrupt(fmt::format("it has {} pieces of type unknown, not one", unknown));
    if (byte_fallback_ && byte_count != 256)
      corrupt(fmt::format("it has pieces for {} bytes, not for all 256", byte_count));
  }

  void find_specials() {
    for (std::size_t i = 0; i < model_.pieces.size(); ++i) {
      const auto& piece = model_.pieces[i];
      if (piece.kind != TokenKind::control) continue;
      if (piece.text == bos_) model_.bos = static_cast<Token>(i);
      if (piece.text == eos_) model_.eos = static_cast<Token>(i);
      if (piece.text == padding_) model_.padding = static_cast<Token>(i);
    }
  }

  [[noreturn]] void corrupt(const std::string& cause) const {
    throw Error(Fault::corrupt_file, name_ + ": " + cause);
  }
  [[noreturn]] void unsupported(const std::string& cause) const {
    throw Error(Fault::unsupported, name_ + ": " + cause);
  }

  // The defaults are those of the .proto file.
  const std::string& name_;
  SentencePieceModel model_;
  std::uint64_t type_ = 1;
  bool byte_fallback_ = false, space_behind_ = false;
  std::string_view bos_ = "<s>", eos_ = "</s>", padding_ = "<pad>";
  std::string_view rules_;
  bool normalizes_ = false, removes_spaces_ = true, escapes_ = true;
};

}  // namespace

SentencePieceModel parse_sentence_piece_model(std::span<const std::byte> bytes,
                                              const std::string& name) {
  return Parser(name).parse({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

}  // namespace malina::text
