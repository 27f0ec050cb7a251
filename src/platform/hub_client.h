// Listings over the network.
#pragma once

#include <functional>
#include <string>

#include "platform/http_client.h"
#include "platform/hub.h"

namespace malina::platform {

// `asked` where it is not empty, otherwise $HF_ENDPOINT, otherwise the hub's own. Throws
// invalid_argument for what is no address, or has a query.
Url hub_endpoint(const std::string& asked);

// read_listing() with as many tries as download() makes. `tick` is called while it waits and may
// throw. A page of over 8 MiB is refused (unsupported).
HubListing fetch_listing(HttpClient& client, const UrlPolicy& policy, const Url& endpoint,
                         const HubReference& reference, unsigned retries,
                         const std::function<void()>& tick);

}  // namespace malina::platform
