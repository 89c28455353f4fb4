"""Tables as they are after months of use: messages with their ids and rollups, made on the server's side."""

from datetime import date, timedelta

from databases import Server
from event_log import START, EventLog, sample_posts

GROWN_DAYS = 180
SAMPLES = 1_999
"""Row n has the channel, author and words of sample n modulo this; not a multiple of REPLY_EVERY, see `_FUNCTIONS`."""
REPLY_EVERY = 5

_SAMPLE = """
CREATE TABLE public.bench_sample (
    place integer PRIMARY KEY, workspace_id uuid, channel_id uuid, user_id uuid, content text
)
"""

# Everything about row n is a function of n, so that a reply can name its root, SAMPLES rows before it: the same
# sample, hence the same channel, and no reply itself. Ids begin with their time, as the producers' do.
_FUNCTIONS = f"""
CREATE FUNCTION public.bench_time(n bigint) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT '{START:%Y-%m-%d} 00:00+00'::timestamptz
           - {GROWN_DAYS} * (n * 2654435761 % 4294967296) / 4294967296.0 * interval '1 day'
$$;
CREATE FUNCTION public.bench_id(n bigint) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM public.bench_time(n)) * 1000)::bigint), 12, '0')
            || '7' || substr(md5('id' || n), 1, 3) || '8' || substr(md5('id' || n), 4, 15))::uuid
$$;
CREATE VIEW public.bench_rows AS
SELECT n, public.bench_id(n) AS message_id, public.bench_time(n) AS at, s.workspace_id, s.channel_id, s.user_id,
       s.content || ' ' || n AS content, md5('event' || n)::uuid AS event_id, md5('client' || n)::uuid AS client_key,
       CASE WHEN n % {REPLY_EVERY} = 0 AND n > {SAMPLES} THEN public.bench_id(n - {SAMPLES}) END AS thread_id,
       ((n + {SAMPLES}) % {REPLY_EVERY} = 0)::int AS replies
FROM generate_series(current_setting('bench.first')::bigint, current_setting('bench.last')::bigint) AS n
JOIN public.bench_sample s ON s.place = n * 48271 % {SAMPLES}
"""  # noqa: S608 - numbers of ours

_MESSAGES = """
INSERT INTO collab.messages (message_id, created_at, workspace_id, channel_id, user_id, content, message_type,
    thread_id, reply_count, client_msg_id, updated_at, posted_at, posted_length, posted_sequence, posted_event)
SELECT message_id, at, workspace_id, channel_id, user_id, content, 'text', thread_id,
       replies, client_key::text, at, at, length(content), n, event_id
FROM public.bench_rows ORDER BY at
"""

_IDS = """
INSERT INTO runtime.message_ids (message_id, channel_id, created_at, posted_at, log_offset, parent_id, client_key)
SELECT message_id, channel_id, at, at, n, thread_id, client_key FROM public.bench_rows ORDER BY message_id
"""

_ROLLUPS = (
    """
INSERT INTO runtime.hour_members (channel_id, hour, user_id, workspace_id)
SELECT DISTINCT channel_id, date_trunc('hour', at, 'UTC'), user_id, workspace_id FROM public.bench_rows
ON CONFLICT DO NOTHING
""",
    """
INSERT INTO runtime.day_members (workspace_id, date, user_id)
SELECT DISTINCT workspace_id, (at AT TIME ZONE 'UTC')::date, user_id FROM public.bench_rows
ON CONFLICT DO NOTHING
""",
    """
INSERT INTO analytics.message_analytics AS a
    (workspace_id, channel_id, hour, message_count, unique_users, total_message_length, revised_at)
SELECT workspace_id, channel_id, date_trunc('hour', at, 'UTC'), count(*), count(DISTINCT user_id), sum(length(content)),
       max(at)
FROM public.bench_rows GROUP BY 1, 2, 3
ON CONFLICT (workspace_id, channel_id, hour) DO UPDATE SET message_count = a.message_count + excluded.message_count
""",
    """
INSERT INTO analytics.user_activity AS a (workspace_id, user_id, date, messages_sent, revised_at)
SELECT workspace_id, user_id, (at AT TIME ZONE 'UTC')::date, count(*), max(at) FROM public.bench_rows GROUP BY 1, 2, 3
ON CONFLICT (workspace_id, user_id, date) DO UPDATE SET messages_sent = a.messages_sent + excluded.messages_sent
""",
)

_TABLES = "collab.messages, runtime.message_ids, runtime.hour_members, runtime.day_members, analytics.message_analytics"


def prepare(server: Server, database: str, log: EventLog) -> None:
    """Make a database that rows can be grown in."""
    server.make(database, log)
    server.extend(database, _months())
    with server.connect(database) as conn:
        conn.execute(_SAMPLE.encode())
        with conn.cursor().copy("COPY public.bench_sample FROM STDIN") as copy:
            for n, data in enumerate(sample_posts(log.profile, SAMPLES)):
                copy.write_row((n, data["workspace_id"], data["channel_id"], data["user_id"], data["content"]))
        conn.execute(_FUNCTIONS.encode())


def grow(server: Server, database: str, first: int, last: int) -> None:
    """Add the rows `first` … `last`; VACUUM, which also empties the pending list of the text index."""
    with server.connect(database) as conn:
        conn.execute(
            "SELECT set_config('bench.first', %s, false), set_config('bench.last', %s, false)", (str(first), str(last))
        )
        conn.execute("SET work_mem = '128MB'")
        for statement in (_MESSAGES, _IDS, *_ROLLUPS):
            conn.execute(statement.encode())
        conn.execute(f"VACUUM (ANALYZE) {_TABLES}".encode())


def size(server: Server, database: str) -> int:
    """Bytes of the database."""
    with server.connect() as conn:
        row = conn.execute("SELECT pg_database_size(%s)", (database,)).fetchone()
        return 0 if row is None else int(row[0])


def _months() -> list[date]:
    days = (START - timedelta(days=day) for day in range(GROWN_DAYS + 1))
    return sorted({day.date().replace(day=1) for day in days})
