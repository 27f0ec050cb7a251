// POST /v1/files: a data set from its owner, written to the disk as it comes.
#include <array>
#include <exception>
#include <memory>
#include <optional>

#include "platform/service.h"
#include "serve/api_error.h"
#include "serve/endpoint.h"
#include "serve/job_json.h"
#include "serve/multipart.h"
#include "serve/recorded.h"

namespace malina::serve {

namespace {

constexpr std::size_t kLongestField = 1024;
constexpr std::size_t kLongestName = 255;

constexpr std::array<std::string_view, 1> kPurposes{platform::kPurposeTuning};

// Of the other parts; what stands for the file is its name.
constexpr std::array kBody{
    Field{.name = "file",
          .types = Type::text,
          .required = true,
          .shortest = 1,
          .longest = kLongestName,
          .help = "CSV, TSV or JSON lines: docs/reference/data-sets.md"},
    Field{.name = "purpose", .types = Type::text, .required = true, .words = kPurposes},
    Field{.name = "expires_after", .use = Use::refused},
    Field{.name = "expires_after[anchor]", .use = Use::refused},
    Field{.name = "expires_after[seconds]", .use = Use::refused},
};

// The parts as they come.
class Form {
 public:
  Form(platform::TuningJobs& jobs, std::string_view content_type)
      : jobs_(jobs),
        reader_(content_type, {.begin = [this](const PartHead& head) { begin(head); },
                               .data = [this](std::string_view data) { add(data); },
                               .end = [this] { end(); }}) {}

  void feed(std::string_view bytes) { reader_.feed(bytes); }
  // The checked fields; the file is whole.
  void finish() {
    reader_.finish();
    check_body(std::move(fields_), kBody);
    if (!upload_) throw bad_request("'file' must be a file, with a name", "file", "invalid_value");
  }
  platform::DataFiles::Upload& upload() { return *upload_; }

 private:
  void begin(const PartHead& head) {
    name_ = head.name;
    value_.clear();
    is_file_ = head.filename.has_value();
    if (fields_.contains(name_)) throw bad_name("a field was given twice", name_, {});
    if (!is_file_) return;
    if (name_ != "file")
      throw bad_name("there is one field for a file, which is 'file'", name_, {});
    value_ = *head.filename;
    if (value_.size() > kLongestName)
      throw bad_request("the file's name is too long", "file", "invalid_value");
    upload_ = jobs_.begin_upload(value_);
  }
  void add(std::string_view data) {
    if (is_file_) {
      upload_->write(data);
      return;
    }
    if (value_.size() + data.size() > kLongestField)
      throw bad_name("a field is too long", name_, "invalid_value");
    value_ += data;
  }
  void end() {
    const Json text(value_);
    try {
      static_cast<void>(text.dump());
      static_cast<void>(Json(name_).dump());
    } catch (const Json::exception&) {
      throw bad_request("a field is not UTF-8", {}, "invalid_value");
    }
    fields_[name_] = text;
  }

  platform::TuningJobs& jobs_;
  std::optional<platform::DataFiles::Upload> upload_;
  Json fields_ = Json::object();
  std::string name_, value_;
  bool is_file_ = false;
  MultipartReader reader_;
};

asio::awaitable<void> receive(Exchange& exchange, Form& form) {
  for (;;) {
    const std::string piece = co_await exchange.read_piece();
    if (piece.empty()) break;
    const bool fed = co_await exchange.elsewhere([&] {
      form.feed(piece);
      return true;
    });
    static_cast<void>(fed);
  }
}

// Admitted before the file is sent: who has used up a quota, or cannot be recorded, is told at
// once.
asio::awaitable<void> answer(Exchange& exchange, platform::Service& service) {
  const std::string repetition = exchange.idempotency_key();
  Form form(service.jobs(), exchange.content_type());
  platform::RequestFacts facts;
  facts.action = "files.create";
  facts.request_id = exchange.request_id();
  std::unique_ptr<platform::GovernedRequest> record;
  std::exception_ptr failure;
  std::string reply;
  try {
    record = co_await exchange.elsewhere([&] { return service.begin(exchange.caller(), facts); });
    show_quota(exchange, record->quota());
    co_await receive(exchange, form);
    reply = co_await exchange.elsewhere([&] {
      form.finish();
      const platform::DataFile file =
          service.jobs().commit(form.upload(), exchange.caller(), platform::kPurposeTuning,
                                exchange.request_id(), repetition);
      service.end(*record, {});
      return json_text(file_json(file));
    });
  } catch (...) {
    failure = std::current_exception();
  }
  if (failure) {
    if (record && record->open()) exchange.leave(std::move(record), {});
    std::rethrow_exception(failure);
  }
  co_await exchange.reply(200, "application/json", std::move(reply));
}

}  // namespace

extern const Endpoint files_create{
    .method = Method::post,
    .path = "/v1/files",
    .needs = Permission::train,
    .body = kBody,
    .has_body = true,
    .upload = true,
    .works = true,
    .summary = "Uploads a data set for tuning",
    .details = "The file belongs to the key's tenant. It is checked when a job is to train on it.",
    .tag = "openai",
    .answer_schema = R"({"$ref": "#/components/schemas/File"})",
    .answer = answer};

}  // namespace malina::serve
