-- One schema for both engines: {{uid}}, {{bytes}} and {{clustered}} are replaced by what
-- the engine calls them. Times are microseconds since 1970 in UTC, days are whole days
-- since then, amounts of money are integers of 1e-9 USD. A count that is NULL is absent,
-- which is not zero. {{clustered}} is for tables of short rows alone: SQLite gives a page of
-- its own to what is longer than a quarter of one.

-- The processes that write, and until when each may be taken for alive.
CREATE TABLE instances (
  instance   TEXT   NOT NULL PRIMARY KEY,
  started_at BIGINT NOT NULL,
  seen_at    BIGINT NOT NULL
);

-- Calls that may run: one row for each attempt of an exchange without a record.
CREATE TABLE intents (
  uid        {{uid}} NOT NULL,
  attempt_id TEXT    NOT NULL,
  instance   TEXT    NOT NULL,
  started_at BIGINT  NOT NULL,
  intent     TEXT    NOT NULL, -- JSON
  PRIMARY KEY (uid, attempt_id)
){{clustered}};
CREATE INDEX intents_instance ON intents (instance);

-- How far the running exchanges of each process have come, as of taken_at.
CREATE TABLE checkpoints (
  instance TEXT   NOT NULL PRIMARY KEY,
  taken_at BIGINT NOT NULL,
  running  TEXT   NOT NULL -- JSON
);

-- The record of every exchange.
CREATE TABLE exchanges (
  uid                {{uid}}  NOT NULL PRIMARY KEY,
  id                 TEXT     NOT NULL,
  instance           TEXT     NOT NULL,
  started_at         BIGINT   NOT NULL,
  day                INTEGER  NOT NULL,
  key                TEXT     NOT NULL,
  model              TEXT     NOT NULL, -- as asked for
  model_served       TEXT     NOT NULL,
  provider           TEXT     NOT NULL,
  target             TEXT     NOT NULL,
  dialect_in         TEXT     NOT NULL,
  dialect_out        TEXT     NOT NULL,
  endpoint           TEXT     NOT NULL,
  stream             BOOLEAN  NOT NULL,
  phase              TEXT     NOT NULL,
  outcome            TEXT     NOT NULL,
  code               TEXT     NOT NULL,
  half_closed        BOOLEAN  NOT NULL,
  status_downstream  INTEGER  NOT NULL,
  status_upstream    INTEGER  NOT NULL,
  chunks             BIGINT   NOT NULL,
  bytes_delivered    BIGINT   NOT NULL,
  delivered          BOOLEAN  NOT NULL,
  to_headers_us      BIGINT,
  to_first_token_us  BIGINT,
  total_us           BIGINT,
  close_us           BIGINT,
  usage_source       TEXT     NOT NULL,
  output_estimated   BOOLEAN  NOT NULL,
  input              BIGINT,
  input_cached       BIGINT,
  input_cache_write  BIGINT,
  input_audio        BIGINT,
  output             BIGINT,
  output_reasoning   BIGINT,
  output_audio       BIGINT,
  raw_usage          TEXT,
  service_tier       TEXT     NOT NULL,
  may_bill           TEXT     NOT NULL,
  cost_nano_usd      BIGINT,
  cost_low_nano_usd  BIGINT,
  cost_high_nano_usd BIGINT,
  detail             TEXT     NOT NULL -- JSON: what nobody groups by
);
CREATE INDEX exchanges_started ON exchanges (started_at);
CREATE INDEX exchanges_id ON exchanges (id);

-- One row for each upstream call of an exchange, counted from 1.
CREATE TABLE attempts (
  uid         {{uid}} NOT NULL,
  n           INTEGER NOT NULL,
  id          TEXT    NOT NULL,
  provider    TEXT    NOT NULL,
  model       TEXT    NOT NULL,
  phase       TEXT    NOT NULL,
  outcome     TEXT    NOT NULL,
  code        TEXT    NOT NULL,
  status      INTEGER NOT NULL,
  started_at  BIGINT  NOT NULL,
  duration_us BIGINT  NOT NULL,
  reused      BOOLEAN NOT NULL,
  PRIMARY KEY (uid, n)
){{clustered}};

-- The sums of each day, kept for ever and changed together with the exchanges.
CREATE TABLE usage_daily (
  day                INTEGER NOT NULL,
  key                TEXT    NOT NULL,
  model              TEXT    NOT NULL,
  provider           TEXT    NOT NULL,
  outcome            TEXT    NOT NULL,
  usage_source       TEXT    NOT NULL,
  exchanges          BIGINT  NOT NULL,
  input              BIGINT  NOT NULL,
  input_cached       BIGINT  NOT NULL,
  input_cache_write  BIGINT  NOT NULL,
  input_audio        BIGINT  NOT NULL,
  output             BIGINT  NOT NULL,
  output_reasoning   BIGINT  NOT NULL,
  output_audio       BIGINT  NOT NULL,
  cost_nano_usd      BIGINT  NOT NULL,
  cost_low_nano_usd  BIGINT  NOT NULL,
  cost_high_nano_usd BIGINT  NOT NULL,
  unpriced           BIGINT  NOT NULL, -- exchanges without a cost
  unbounded          BIGINT  NOT NULL, -- exchanges whose cost has no upper bound
  PRIMARY KEY (day, key, model, provider, outcome, usage_source)
){{clustered}};

-- Keys that were made through the API. Of the key itself only the hash is kept.
CREATE TABLE keys (
  alias       TEXT   NOT NULL PRIMARY KEY,
  sha256      TEXT   NOT NULL UNIQUE,
  settings    TEXT   NOT NULL, -- JSON
  created_at  BIGINT NOT NULL,
  rotated_at  BIGINT,
  disabled_at BIGINT
);

-- Prompts and answers, where the operator wants them kept.
CREATE TABLE captures (
  uid         {{uid}}   NOT NULL PRIMARY KEY,
  id          TEXT      NOT NULL,
  captured_at BIGINT    NOT NULL,
  request     {{bytes}} NOT NULL,
  request_cut BOOLEAN   NOT NULL,
  answer      {{bytes}} NOT NULL,
  answer_cut  BOOLEAN   NOT NULL
);
CREATE INDEX captures_captured ON captures (captured_at);
