-- Keys of callers. A key's secrets are kept as HMAC-SHA-256 under a pepper that is not in this file.
-- Times are seconds since 1970-01-01 UTC.
CREATE TABLE keys (
  id TEXT PRIMARY KEY,                  -- mk_ and 16 letters; not secret
  name TEXT NOT NULL,
  tenant TEXT NOT NULL,
  permissions TEXT NOT NULL,            -- infer,train,...
  models TEXT NOT NULL,                 -- names and aliases with *, between commas; '' for all
  requests_per_minute BIGINT NOT NULL,  -- 0 for no limit, and so below
  tokens_per_minute BIGINT NOT NULL,
  concurrent_streams BIGINT NOT NULL,
  longest_request_seconds BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  created_by TEXT NOT NULL,
  expires_at BIGINT NOT NULL,
  revoked_at BIGINT                     -- null while it is not
);

CREATE TABLE key_secrets (
  key_id TEXT NOT NULL REFERENCES keys (id),
  generation BIGINT NOT NULL,           -- 1, 2, ...: each rotation adds one
  hash TEXT NOT NULL,                   -- of ID.SECRET, in hexadecimal
  created_at BIGINT NOT NULL,
  ends_at BIGINT,                       -- null until a rotation ends it
  PRIMARY KEY (key_id, generation)
);

-- What tells a running process that it has to read again.
CREATE TABLE revisions (
  subject TEXT PRIMARY KEY,             -- 'keys'
  number BIGINT NOT NULL                -- one more with every change
);
INSERT INTO revisions (subject, number) VALUES ('keys', 0);

-- Which pepper the secrets were hashed under, so that another one is noticed and not taken for
-- wrong keys.
CREATE TABLE peppers (
  fingerprint TEXT PRIMARY KEY
);
