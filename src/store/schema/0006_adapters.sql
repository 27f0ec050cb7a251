-- Adapters stand among the models: what is done with names, files and aliases is done with theirs.
ALTER TABLE models ADD COLUMN base TEXT NOT NULL DEFAULT '';  -- of an adapter: the digest of its base

CREATE INDEX models_by_base ON models (base);
