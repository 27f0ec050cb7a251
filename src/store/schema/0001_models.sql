-- The models under the home folder, by name. Several names may share one digest, and so its files.
CREATE TABLE models (
  name TEXT PRIMARY KEY,
  digest TEXT NOT NULL,            -- SHA-256 of the file; of a split model see platform/stored_file.h
  size_bytes BIGINT NOT NULL,      -- of all files
  family TEXT NOT NULL,            -- general.architecture
  encoding TEXT NOT NULL,          -- the one that most bytes of the weights are in; '' without weights
  imported_at BIGINT NOT NULL,     -- seconds since 1970-01-01 UTC
  source TEXT NOT NULL,            -- where the file was imported from, an absolute path
  linked BIGINT NOT NULL           -- 1: the files stay where they were and are not the store's own
);

CREATE INDEX models_by_digest ON models (digest);

-- The files of a model, in order. A load compares size, modification time and inode with the file.
CREATE TABLE model_files (
  model TEXT NOT NULL REFERENCES models (name) ON DELETE CASCADE,
  part BIGINT NOT NULL,            -- 0, 1, ...
  path TEXT NOT NULL,              -- relative to the home folder; absolute if linked
  digest TEXT NOT NULL,            -- SHA-256 of this file
  size_bytes BIGINT NOT NULL,
  modified_ns BIGINT NOT NULL,     -- since 1970-01-01 UTC
  inode BIGINT NOT NULL,
  PRIMARY KEY (model, part)
);
