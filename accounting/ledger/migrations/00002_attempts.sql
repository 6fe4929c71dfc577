-- Exchanges may have several attempts. One of them is final: what it has used stands in its
-- exchange. What another one has used stands in its own row, and counts for its own provider.
ALTER TABLE attempts ADD COLUMN kind               TEXT    NOT NULL DEFAULT '';
ALTER TABLE attempts ADD COLUMN final              BOOLEAN NOT NULL DEFAULT TRUE;
ALTER TABLE attempts ADD COLUMN usage_source       TEXT    NOT NULL DEFAULT '';
ALTER TABLE attempts ADD COLUMN input              BIGINT;
ALTER TABLE attempts ADD COLUMN input_cached       BIGINT;
ALTER TABLE attempts ADD COLUMN input_cache_write  BIGINT;
ALTER TABLE attempts ADD COLUMN input_audio        BIGINT;
ALTER TABLE attempts ADD COLUMN output             BIGINT;
ALTER TABLE attempts ADD COLUMN output_reasoning   BIGINT;
ALTER TABLE attempts ADD COLUMN output_audio       BIGINT;
ALTER TABLE attempts ADD COLUMN service_tier       TEXT    NOT NULL DEFAULT '';
ALTER TABLE attempts ADD COLUMN may_bill           TEXT    NOT NULL DEFAULT '';
ALTER TABLE attempts ADD COLUMN cost_nano_usd      BIGINT;
ALTER TABLE attempts ADD COLUMN cost_low_nano_usd  BIGINT;
ALTER TABLE attempts ADD COLUMN cost_high_nano_usd BIGINT;
ALTER TABLE attempts ADD COLUMN close_us           BIGINT;

-- The started_at of its exchange, where the attempt is not final and may have used something:
-- these are few among many, and the index has them alone. NULL everywhere else.
ALTER TABLE attempts ADD COLUMN counts_at          BIGINT;
CREATE INDEX attempts_counting ON attempts (counts_at) WHERE counts_at IS NOT NULL;

-- How many of those are in a sum, and what they cost; both are in its other numbers too.
ALTER TABLE usage_daily ADD COLUMN abandoned               BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_daily ADD COLUMN abandoned_cost_nano_usd BIGINT NOT NULL DEFAULT 0;
