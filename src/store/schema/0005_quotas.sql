-- What is left of keys' quotas, so that a restart gives nobody a fresh one.
CREATE TABLE quotas (
  key_id TEXT PRIMARY KEY,
  requests_left BIGINT NOT NULL,  -- millionths of a request
  tokens_left BIGINT NOT NULL,    -- millionths of a token; below zero where more was used than held
  updated_us BIGINT NOT NULL      -- microseconds since 1970-01-01 UTC
);
