// POST /v1/fine_tuning/jobs: from an uploaded file to a model that answers.
#include <array>

#include "platform/service.h"
#include "serve/api_error.h"
#include "serve/endpoint.h"
#include "serve/job_json.h"
#include "serve/recorded.h"

namespace malina::serve {

namespace {

constexpr std::array<std::string_view, 1> kAuto{"auto"};
constexpr std::array<std::string_view, 1> kMethods{"supervised"};
constexpr std::array<std::string_view, 7> kTechniques{"auto",   "linear", "probe", "lora",
                                                      "labels", "blend",  "full"};
constexpr std::array<std::string_view, 2> kPrecisions{"exact", "fast"};
constexpr std::size_t kLongestMetadata = 512, kLongestMetadataName = 64;

// The limits are those of OpenAI's description.
constexpr std::array kHyperparameters{
    Field{.name = "batch_size",
          .types = Type::text | Type::integer,
          .least = 1,
          .most = 256,
          .words = kAuto},
    Field{.name = "learning_rate_multiplier",
          .types = Type::text | Type::number,
          .least = 1e-6,
          .most = 1000,
          .words = kAuto},
    Field{.name = "n_epochs",
          .types = Type::text | Type::integer,
          .least = 1,
          .most = 50,
          .words = kAuto,
          .help = "A number is kept to; with auto it ends when validation says nothing better"},
    Field{.name = "technique",
          .types = Type::text,
          .words = kTechniques,
          .help = "What is trained, as malina tune --method (auto); full, of conversations and "
                  "completions: all weights of a small model"},
    Field{.name = "precision",
          .types = Type::text,
          .words = kPrecisions,
          .help = "fast: in 8 bits, at twice the speed, as malina tune --fast"},
};

constexpr std::array kSupervised{
    Field{.name = "hyperparameters", .types = Type::object, .fields = kHyperparameters},
};

constexpr std::array kMethod{
    Field{.name = "type", .types = Type::text, .required = true, .words = kMethods},
    Field{.name = "supervised", .types = Type::object, .fields = kSupervised},
    Field{.name = "dpo", .use = Use::refused},
    Field{.name = "reinforcement", .use = Use::refused},
};

constexpr std::array kBody{
    Field{.name = "model", .types = Type::text, .required = true, .shortest = 1, .longest = 256},
    Field{.name = "training_file",
          .types = Type::text,
          .required = true,
          .shortest = 1,
          .longest = 256,
          .help = "The id of a file"},
    Field{.name = "validation_file",
          .types = Type::text,
          .shortest = 1,
          .longest = 256,
          .help = "Without one a part of the training file is held back"},
    Field{.name = "suffix",
          .types = Type::text,
          .shortest = 1,
          .longest = 64,
          .help = "The model that comes out is MODEL:SUFFIX; by technique full, MODEL-SUFFIX"},
    Field{.name = "seed", .types = Type::integer, .least = 0, .most = 2147483647},
    Field{.name = "hyperparameters",
          .types = Type::object,
          .fields = kHyperparameters,
          .help = "As in method, which counts where both are given"},
    Field{.name = "method", .types = Type::object, .fields = kMethod},
    Field{.name = "metadata",
          .types = Type::object,
          .longest = 16,
          .open = true,
          .help = "Texts of 512 characters at most, by names of 64"},
    Field{.name = "integrations", .use = Use::refused, .neutral = "[[]]"},
};

void check_metadata(const Json& metadata) {
  for (const auto& [name, value] : metadata.items()) {
    const std::string path = "metadata." + name.substr(0, kLongestMetadataName);
    if (name.size() > kLongestMetadataName)
      throw bad_request("a name in 'metadata' is longer than 64 bytes", "metadata",
                        "invalid_value");
    if (!value.is_string())
      throw bad_request("'" + path + "' must be a string", path, "invalid_value");
    if (value.get_ref<const std::string&>().size() > kLongestMetadata)
      throw bad_request("'" + path + "' is longer than 512 bytes", path, "invalid_value");
  }
}

// Those of `json` that are numbers take the place of what stood there.
void read_hyperparameters(const Json& json, platform::Hyperparameters& into) {
  const auto number = [&](const char* name) {
    const auto found = json.find(name);
    return found != json.end() && found->is_number() ? *found : Json();
  };
  if (const Json given = number("batch_size"); !given.is_null())
    into.batch_size = given.get<std::int64_t>();
  if (const Json given = number("learning_rate_multiplier"); !given.is_null())
    into.learning_rate_multiplier = given.get<double>();
  if (const Json given = number("n_epochs"); !given.is_null())
    into.epochs = given.get<std::int64_t>();
  if (const auto found = json.find("technique"); found != json.end())
    into.technique = *found == "auto" ? "" : found->get<std::string>();
  if (const auto found = json.find("precision"); found != json.end()) into.fast = *found == "fast";
}

platform::JobRequest request_of(const Json& body) {
  platform::JobRequest request;
  request.model = body["model"].get<std::string>();
  request.training_file = body["training_file"].get<std::string>();
  request.validation_file = body.value("validation_file", std::string());
  request.suffix = body.value("suffix", std::string());
  if (body.contains("seed")) request.seed = body["seed"].get<std::int64_t>();
  if (body.contains("hyperparameters"))
    read_hyperparameters(body["hyperparameters"], request.hyperparameters);
  if (body.contains("method") && body["method"].contains("supervised") &&
      body["method"]["supervised"].contains("hyperparameters"))
    read_hyperparameters(body["method"]["supervised"]["hyperparameters"], request.hyperparameters);
  request.metadata = body.value("metadata", Json::object());
  check_metadata(request.metadata);
  return request;
}

asio::awaitable<void> answer(Exchange& exchange, platform::Service& service) {
  const platform::JobRequest request = request_of(exchange.body());
  const platform::Repetition repetition{.name = exchange.idempotency_key(),
                                        .digest = "job " + exchange.body().dump()};
  const std::function<std::string()> work = [&] {
    return json_text(job_json(
        service.jobs().create(exchange.caller(), request, exchange.request_id(), repetition)));
  };
  std::string reply = co_await recorded(exchange, service, "fine_tuning.jobs.create", work);
  co_await exchange.reply(200, "application/json", std::move(reply));
}

}  // namespace

extern const Endpoint tuning_jobs_create{
    .method = Method::post,
    .path = "/v1/fine_tuning/jobs",
    .needs = Permission::train,
    .body = kBody,
    .has_body = true,
    .works = true,
    .summary = "Tunes a model on an uploaded file",
    .details =
        "Jobs are done one after another. A job that is asked for again while it is not "
        "over is not begun twice.",
    .tag = "openai",
    .answer_schema = R"({"$ref": "#/components/schemas/FineTuningJob"})",
    .answer = answer};

}  // namespace malina::serve
