// The messages of a chat request: their fields, and as a template wants them.
#pragma once

#include <span>

#include "serve/field.h"

namespace malina::serve {

std::span<const Field> message_fields();

// Of checked messages: content parts joined to one text; "developer" is the system's role; members
// that are null are gone, as Transformers gives them to a template.
Json template_messages(Json messages);

}  // namespace malina::serve
