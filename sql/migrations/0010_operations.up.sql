-- What operators ask of workers, what workers say of themselves, long jobs, and who changed what.

-- No row: running. Paused: its workers finish what they have in hand and apply nothing more. Drained: they were paused,
-- and somebody has seen that none of them held anything unfinished.
CREATE TABLE runtime.projection_controls (
    projection text NOT NULL, version integer NOT NULL,
    state text NOT NULL CHECK (state IN ('running', 'paused', 'drained')),
    reason text NOT NULL, actor text NOT NULL, at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (projection, version)
);
COMMENT ON TABLE runtime.projection_controls IS 'What operators ask of the workers of a projection; no row: running.';
COMMENT ON COLUMN runtime.projection_controls.projection IS 'Name of the projection.';
COMMENT ON COLUMN runtime.projection_controls.version IS 'Its version: the one beside it goes on.';
COMMENT ON COLUMN runtime.projection_controls.state IS 'running, paused, or drained: paused, and seen to hold nothing unfinished.';
COMMENT ON COLUMN runtime.projection_controls.reason IS 'Why, in the words of who asked.';
COMMENT ON COLUMN runtime.projection_controls.actor IS 'Who asked.';
COMMENT ON COLUMN runtime.projection_controls.at IS 'When it was asked.';

-- One row for each process of a projection, written again every second or so; one that is not written any more is of a
-- process that ended without saying so.
CREATE TABLE runtime.worker_reports (
    projection text NOT NULL, version integer NOT NULL, owner text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(), seen_at timestamptz NOT NULL DEFAULT now(),
    obeys text NOT NULL CHECK (obeys IN ('running', 'paused')),
    in_hand integer NOT NULL DEFAULT 0, partitions integer NOT NULL DEFAULT 0,
    applied bigint NOT NULL DEFAULT 0, rate double precision,
    last_error text, last_error_at timestamptz,
    PRIMARY KEY (projection, version, owner)
) WITH (fillfactor = 50);
COMMENT ON TABLE runtime.worker_reports IS 'What each worker process says of itself, once a second or so.';
COMMENT ON COLUMN runtime.worker_reports.projection IS 'Name of the projection.';
COMMENT ON COLUMN runtime.worker_reports.version IS 'Its version.';
COMMENT ON COLUMN runtime.worker_reports.owner IS 'The process, as positions name it.';
COMMENT ON COLUMN runtime.worker_reports.started_at IS 'First report of the process.';
COMMENT ON COLUMN runtime.worker_reports.seen_at IS 'Newest report; an old one is of a process that is gone or stuck.';
COMMENT ON COLUMN runtime.worker_reports.obeys IS 'The state it works by now, of those an operator can ask for.';
COMMENT ON COLUMN runtime.worker_reports.in_hand IS 'Batches that are decoded and not applied yet.';
COMMENT ON COLUMN runtime.worker_reports.partitions IS 'Partitions it has claimed.';
COMMENT ON COLUMN runtime.worker_reports.applied IS 'Events applied since it started.';
COMMENT ON COLUMN runtime.worker_reports.rate IS 'Events applied a second, over the last seconds; null: not known yet.';
COMMENT ON COLUMN runtime.worker_reports.last_error IS 'What failed last: what it was doing, and the kind of error.';
COMMENT ON COLUMN runtime.worker_reports.last_error_at IS 'When that was.';

CREATE SEQUENCE runtime.job_numbers;
CREATE TABLE runtime.jobs (
    job_id text PRIMARY KEY,
    kind text NOT NULL, target text NOT NULL, spec jsonb NOT NULL DEFAULT '{}',
    state text NOT NULL DEFAULT 'waiting'
        CHECK (state IN ('waiting', 'running', 'paused', 'done', 'failed', 'cancelled')),
    asked text CHECK (asked IN ('pause', 'cancel')),
    owner text, heartbeat_at timestamptz,
    progress jsonb NOT NULL DEFAULT '{}', log jsonb NOT NULL DEFAULT '[]',
    outcome jsonb, error text,
    requested_by text NOT NULL, reason text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(), started_at timestamptz, finished_at timestamptz
);
CREATE UNIQUE INDEX jobs_open ON runtime.jobs (kind, target) WHERE state IN ('waiting', 'running', 'paused');
CREATE INDEX jobs_newest ON runtime.jobs (created_at DESC);
COMMENT ON TABLE runtime.jobs IS 'Work that takes long: who does it, how far it is, and how it ended.';
COMMENT ON COLUMN runtime.jobs.job_id IS 'A number and the kind, such as 0012-rebuild.';
COMMENT ON COLUMN runtime.jobs.kind IS 'What is done: rebuild, replay, repair, archive and so on.';
COMMENT ON COLUMN runtime.jobs.target IS 'What it is done to; one job of a kind and target is open at once.';
COMMENT ON COLUMN runtime.jobs.spec IS 'What was asked for, as its kind understands it; it does not change.';
COMMENT ON COLUMN runtime.jobs.state IS 'waiting, running and paused are open; done, failed and cancelled have ended.';
COMMENT ON COLUMN runtime.jobs.asked IS 'What its owner is to do at the next safe point.';
COMMENT ON COLUMN runtime.jobs.owner IS 'The process that does it.';
COMMENT ON COLUMN runtime.jobs.heartbeat_at IS 'When the owner was heard last; after a while anybody may take over.';
COMMENT ON COLUMN runtime.jobs.progress IS 'done and total in unit, rate in units a second; and where to go on, if its kind keeps that here.';
COMMENT ON COLUMN runtime.jobs.log IS 'What happened: objects with at and text, the newest last; bounded.';
COMMENT ON COLUMN runtime.jobs.outcome IS 'What came of it.';
COMMENT ON COLUMN runtime.jobs.error IS 'Why it failed.';
COMMENT ON COLUMN runtime.jobs.requested_by IS 'Who asked for it.';
COMMENT ON COLUMN runtime.jobs.reason IS 'Why, in the words of who asked.';
COMMENT ON COLUMN runtime.jobs.created_at IS 'When it was asked for.';
COMMENT ON COLUMN runtime.jobs.started_at IS 'When it was first taken up.';
COMMENT ON COLUMN runtime.jobs.finished_at IS 'When it ended, whatever the end.';

-- A command is put down before it begins, so that one that was killed shows, as begun.
CREATE TABLE runtime.audit (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now(), ended_at timestamptz,
    actor text NOT NULL, command text NOT NULL, target text NOT NULL DEFAULT '', reason text NOT NULL DEFAULT '',
    before jsonb, after jsonb,
    outcome text NOT NULL CHECK (outcome IN ('begun', 'done', 'failed')), error text
);
CREATE INDEX audit_newest ON runtime.audit (at DESC);
COMMENT ON TABLE runtime.audit IS 'Every command that changed something or tried to: who, when, why and what.';
COMMENT ON COLUMN runtime.audit.id IS 'In the order of their beginning.';
COMMENT ON COLUMN runtime.audit.at IS 'When it began.';
COMMENT ON COLUMN runtime.audit.ended_at IS 'When it ended; null while it runs, or where it was killed.';
COMMENT ON COLUMN runtime.audit.actor IS 'Who did it.';
COMMENT ON COLUMN runtime.audit.command IS 'The command without its arguments, such as dlq redrive.';
COMMENT ON COLUMN runtime.audit.target IS 'What it was done to.';
COMMENT ON COLUMN runtime.audit.reason IS 'Why, in the words of who did it; empty where none is asked for.';
COMMENT ON COLUMN runtime.audit.before IS 'What there was before, as far as the command says.';
COMMENT ON COLUMN runtime.audit.after IS 'What there is afterwards, or what was done.';
COMMENT ON COLUMN runtime.audit.outcome IS 'begun, done or failed.';
COMMENT ON COLUMN runtime.audit.error IS 'Why it failed.';

GRANT SELECT, INSERT, UPDATE, DELETE ON runtime.projection_controls, runtime.worker_reports, runtime.jobs TO tailrace_worker;
GRANT USAGE ON SEQUENCE runtime.job_numbers TO tailrace_worker;
GRANT SELECT, INSERT, UPDATE (ended_at, target, before, after, outcome, error) ON runtime.audit TO tailrace_worker;
