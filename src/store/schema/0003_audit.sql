-- Who did what: a chain of records, each with the hash of the one before it (govern/audit_chain.h).
CREATE TABLE audit (
  sequence BIGINT PRIMARY KEY,          -- 1, 2, ... without gaps
  hash TEXT NOT NULL,                   -- SHA-256 of the previous hash's bytes and of `record`
  record TEXT NOT NULL                  -- canonical JSON
);

-- Signatures of the chain's head (govern/audit_checkpoint.h).
CREATE TABLE audit_checkpoints (
  sequence BIGINT PRIMARY KEY,          -- of the record that was the last one
  line TEXT NOT NULL                    -- as in the file audit.checkpoints
);
