-- Replays: what was planned, and what each of them changed, so that it can be undone.

CREATE TABLE runtime.replay_plans (
    plan_id text PRIMARY KEY,
    scope jsonb NOT NULL, world jsonb NOT NULL, estimate jsonb NOT NULL,
    created_by text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(), expires_at timestamptz NOT NULL,
    job_id text
);
COMMENT ON TABLE runtime.replay_plans IS 'Replays that somebody planned, applied or not.';
COMMENT ON COLUMN runtime.replay_plans.plan_id IS 'Name of the plan.';
COMMENT ON COLUMN runtime.replay_plans.scope IS 'What may be touched.';
COMMENT ON COLUMN runtime.replay_plans.world IS 'What must still be so when it is applied: version, migrations, partitions, positions.';
COMMENT ON COLUMN runtime.replay_plans.estimate IS 'What it was said to take: records, bytes, rows, seconds, disk.';
COMMENT ON COLUMN runtime.replay_plans.created_by IS 'Who planned it.';
COMMENT ON COLUMN runtime.replay_plans.created_at IS 'When it was planned.';
COMMENT ON COLUMN runtime.replay_plans.expires_at IS 'From when on it is not begun any more.';
COMMENT ON COLUMN runtime.replay_plans.job_id IS 'The job that applies it; null: nobody has begun.';

-- One row for each row that may differ. Before and after are whole rows of the live table as JSON, null where there is
-- none; a replay is undone by putting back what was before, where what came after still stands.
CREATE TABLE runtime.replay_rows (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id text NOT NULL, relation text NOT NULL, key jsonb NOT NULL,
    before jsonb, after jsonb,
    state text NOT NULL DEFAULT 'suspect' CHECK (state IN ('suspect', 'same', 'changed', 'undone', 'moved_on'))
);
CREATE INDEX replay_rows_job ON runtime.replay_rows (job_id, relation, state);
COMMENT ON TABLE runtime.replay_rows IS 'Rows that a replay or repair changed, as they were and as they became.';
COMMENT ON COLUMN runtime.replay_rows.number IS 'Number of the row.';
COMMENT ON COLUMN runtime.replay_rows.job_id IS 'The job that changed it.';
COMMENT ON COLUMN runtime.replay_rows.relation IS 'Table, with its plain schema.';
COMMENT ON COLUMN runtime.replay_rows.key IS 'Key of the row.';
COMMENT ON COLUMN runtime.replay_rows.before IS 'The row before; null: there was none.';
COMMENT ON COLUMN runtime.replay_rows.after IS 'The row after; null: there is none.';
COMMENT ON COLUMN runtime.replay_rows.state IS
    'suspect (differed at a look), same (did not in the end), changed, undone, or moved_on: changed by somebody else since.';
