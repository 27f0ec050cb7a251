// Text from a file as it may stand in a message.
#pragma once

#include "base/quote.h"

namespace malina::format {

using base::in_quotes;

}  // namespace malina::format
