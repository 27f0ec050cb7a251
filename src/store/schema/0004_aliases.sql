-- Stable names for models, and every move of them. An alias is never a model's own name.
CREATE TABLE aliases (
  name TEXT PRIMARY KEY,
  model TEXT NOT NULL,       -- by its name in `models` when the alias was moved
  digest TEXT NOT NULL,      -- of that model: what the alias stands for
  number BIGINT NOT NULL,    -- of the move in alias_moves
  moved_at BIGINT NOT NULL,  -- seconds since 1970-01-01 UTC
  moved_by TEXT NOT NULL
);

CREATE TABLE alias_moves (
  name TEXT NOT NULL,
  number BIGINT NOT NULL,    -- 1, 2, ...
  action TEXT NOT NULL,      -- set, rollback, remove
  model TEXT NOT NULL,       -- '' where the alias was removed
  digest TEXT NOT NULL,
  moved_at BIGINT NOT NULL,
  moved_by TEXT NOT NULL,
  PRIMARY KEY (name, number)
);
