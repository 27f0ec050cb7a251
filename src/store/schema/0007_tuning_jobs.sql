-- Files that were uploaded, and the jobs that train on them. Each belongs to a tenant. Times are
-- seconds since 1970-01-01 UTC.
CREATE TABLE data_files (
  id TEXT PRIMARY KEY,              -- file-...; its bytes are HOME/files/ID and an extension
  sequence BIGINT NOT NULL UNIQUE,  -- the order in which they came
  tenant TEXT NOT NULL,
  name TEXT NOT NULL,               -- as its sender called it: shown, never part of a path
  extension TEXT NOT NULL,          -- one of a few that tell a format, or ''
  purpose TEXT NOT NULL,            -- fine-tune, fine-tune-results
  digest TEXT NOT NULL,             -- SHA-256, in hexadecimal
  size_bytes BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  created_by TEXT NOT NULL          -- the key's id
);

CREATE INDEX data_files_by_tenant ON data_files (tenant, sequence);

CREATE TABLE tuning_jobs (
  id TEXT PRIMARY KEY,              -- ftjob-...
  sequence BIGINT NOT NULL UNIQUE,  -- the order in which they were asked for, and are done
  tenant TEXT NOT NULL,
  created_by TEXT NOT NULL,         -- the key's id
  created_at BIGINT NOT NULL,
  asked_model TEXT NOT NULL,        -- as it was asked for: a name or an alias
  model TEXT NOT NULL,              -- the name that this stood for
  model_digest TEXT NOT NULL,       -- hexadecimal
  training_file TEXT NOT NULL,
  training_digest TEXT NOT NULL,    -- hexadecimal, also of the next
  validation_file TEXT NOT NULL,    -- '' where a part of the training file is held back
  validation_digest TEXT NOT NULL,
  suffix TEXT NOT NULL,             -- '' where none was asked for
  result_name TEXT NOT NULL,        -- MODEL:SUFFIX
  hyperparameters TEXT NOT NULL,    -- JSON, as it was asked for
  metadata TEXT NOT NULL,           -- JSON: texts by name
  seed BIGINT NOT NULL,
  fingerprint TEXT NOT NULL,        -- the same for a job that is the same
  status TEXT NOT NULL,             -- platform/job_records.h
  validated BIGINT NOT NULL,        -- 1: the data has passed the gate
  started BIGINT NOT NULL,          -- 1: it has begun to train, and what bears its name is its own
  waits_for_room BIGINT NOT NULL,   -- 1: paused by a full disk, goes on by itself
  steps BIGINT NOT NULL,            -- of training that were counted
  trained_tokens BIGINT NOT NULL,   -- of these
  estimated_finish BIGINT,
  finished_at BIGINT,
  result_file TEXT NOT NULL,        -- '' until there is one
  error_code TEXT NOT NULL,         -- '' where it did not fail, and so the next two
  error_message TEXT NOT NULL,
  error_param TEXT NOT NULL
);

CREATE INDEX tuning_jobs_by_tenant ON tuning_jobs (tenant, sequence);
CREATE INDEX tuning_jobs_by_status ON tuning_jobs (status, sequence);

CREATE TABLE tuning_job_events (
  job TEXT NOT NULL REFERENCES tuning_jobs (id),
  number BIGINT NOT NULL,           -- 1, 2, ...
  id TEXT NOT NULL UNIQUE,          -- ftevent-...
  created_at BIGINT NOT NULL,
  level TEXT NOT NULL,              -- info, warn, error
  type TEXT NOT NULL,               -- message, metrics
  message TEXT NOT NULL,
  data TEXT NOT NULL,               -- JSON: an object
  PRIMARY KEY (job, number)
);

CREATE TABLE tuning_job_checkpoints (
  job TEXT NOT NULL REFERENCES tuning_jobs (id),
  number BIGINT NOT NULL,           -- 1, 2, ...
  id TEXT NOT NULL UNIQUE,          -- ftckpt-...
  created_at BIGINT NOT NULL,
  model TEXT NOT NULL,              -- the name that answers
  step BIGINT NOT NULL,
  metrics TEXT NOT NULL,            -- JSON: numbers by name
  PRIMARY KEY (job, number)
);
