-- What a request with an Idempotency-Key created, so that its repetition creates nothing again.
CREATE TABLE repetitions (
  principal TEXT NOT NULL,          -- id of the API key that asked
  name TEXT NOT NULL,               -- the Idempotency-Key
  digest TEXT NOT NULL,             -- of what was asked for
  result TEXT NOT NULL,             -- id of what was created
  created_at BIGINT NOT NULL,       -- Unix seconds; it stands for a day
  PRIMARY KEY (principal, name)
);

CREATE INDEX repetitions_by_age ON repetitions (created_at);
