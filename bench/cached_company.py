"""A company as the caches' filler finds it in PostgreSQL, made on the server's side, and what its keys must hold.

Each user has a session, a presence, a connection, and three channels of one workspace: one of a small team, one taken
at random, and one that is the likelier the larger it is. Twelve users make one channel.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson
import psycopg

from tailrace.months.keeper import ensure_partitions
from tailrace.settings import Settings

USERS_A_CHANNEL = 12
USERS_A_WORKSPACE = 10_000
DAYS = 10
"""Over which messages and read positions are spread."""

Expected = dict[tuple[str, ...], Any]
"""(family, ids …) → value, as plain data."""


@dataclass(frozen=True)
class Company:
    """Its size. `messages` are those of each channel."""

    users: int
    messages: int

    @classmethod
    def of_keys(cls, keys: int, messages: int) -> "Company":
        """Return the company that has about so many keys in Redis."""
        return cls(round(keys / (4 + 2 / USERS_A_CHANNEL)), messages)

    @property
    def workspaces(self) -> int:
        return max(1, self.users // USERS_A_WORKSPACE)

    @property
    def channels(self) -> int:
        """Of all workspaces; a multiple of their number."""
        return max(3, self.users // USERS_A_CHANNEL // self.workspaces) * self.workspaces


# A user's and a channel's workspace is its number modulo the workspaces; draws are digests, so each run has the same.
_FUNCTIONS = """
CREATE FUNCTION public.bench_draw(text) RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
    SELECT ('x' || substr(md5($1), 1, 8))::bit(32)::bigint / 4294967296.0
$$;
CREATE FUNCTION public.bench_id(text) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$ SELECT md5($1)::uuid $$;
CREATE FUNCTION public.bench_time_id(timestamptz, text) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM $1) * 1000)::bigint), 12, '0')
            || '7' || substr(md5($2), 1, 3) || '8' || substr(md5($2), 4, 15))::uuid
$$
"""

_TABLES = (
    """
INSERT INTO collab.workspaces (workspace_id, name)
SELECT public.bench_id('w' || w), 'workspace ' || w FROM generate_series(0, %(workspaces)s - 1) AS w
""",
    """
INSERT INTO collab.users (user_id, username) SELECT public.bench_id('u' || u), 'user ' || u
FROM generate_series(0, %(users)s - 1) AS u ORDER BY 1
""",
    """
INSERT INTO collab.workspace_members (workspace_id, user_id, status)
SELECT public.bench_id('w' || u %% %(workspaces)s), public.bench_id('u' || u), 'active'
FROM generate_series(0, %(users)s - 1) AS u ORDER BY 1, 2
""",
    """
INSERT INTO collab.channels (channel_id, workspace_id, name)
SELECT public.bench_id('c' || c), public.bench_id('w' || c %% %(workspaces)s), 'channel ' || c
FROM generate_series(0, %(channels)s - 1) AS c ORDER BY 1
""",
    """
INSERT INTO runtime.channel_versions (channel_id, list_version, members_version)
SELECT public.bench_id('c' || c), 100 + c %% 1000, 10 + c %% 100
FROM generate_series(0, %(channels)s - 1) AS c ORDER BY 1
""",
    """
INSERT INTO collab.channel_members (channel_id, user_id, workspace_id, is_active, joined_at, last_read_at)
SELECT public.bench_id('c' || (place * %(workspaces)s + u %% %(workspaces)s)), public.bench_id('u' || u),
       public.bench_id('w' || u %% %(workspaces)s), true, %(now)s - interval '30 days',
       %(now)s - %(days)s * pow(public.bench_draw('read' || u || '.' || k), 2) * interval '1 day'
FROM generate_series(0, %(users)s - 1) AS u, generate_series(0, 2) AS k,
     LATERAL (SELECT %(channels)s / %(workspaces)s AS each) AS n,
     LATERAL (SELECT CASE k WHEN 0 THEN u / %(workspaces)s %% n.each
                            WHEN 1 THEN floor(n.each * public.bench_draw('any' || u))::int
                            ELSE floor(n.each * pow(public.bench_draw('large' || u), 3))::int END AS place) AS p
ORDER BY 2 ON CONFLICT DO NOTHING
""",
    """
CREATE TABLE public.bench_posts AS
SELECT public.bench_time_id(at, 'm' || c || '.' || m) AS message_id, at, c, m
FROM generate_series(0, %(channels)s - 1) AS c, generate_series(1, %(messages)s) AS m,
     LATERAL (SELECT %(now)s - %(days)s * public.bench_draw('at' || c || '.' || m) * interval '1 day' AS at) AS t
""",
    """
INSERT INTO collab.messages (message_id, created_at, workspace_id, channel_id, user_id, content, message_type,
    updated_at, posted_at, posted_length, posted_sequence, posted_event)
SELECT message_id, at, public.bench_id('w' || c %% %(workspaces)s), public.bench_id('c' || c),
       public.bench_id('u' || (c + author * %(workspaces)s) %% %(users)s),
       repeat('words of a message ', 1 + m %% 8) || m, 'text', at, at, 20, m, message_id
FROM public.bench_posts, LATERAL (SELECT floor(50 * public.bench_draw('by' || c || '.' || m))::int AS author) AS a
ORDER BY at
""",
    """
INSERT INTO runtime.message_ids (message_id, channel_id, created_at, posted_at, log_offset)
SELECT message_id, public.bench_id('c' || c), at, at, m FROM public.bench_posts ORDER BY 1
""",
    """
INSERT INTO runtime.living_keys
    (kind, key, user_id, workspace_id, sequence, event_id, began_at, last_at, value, expires_at)
SELECT k.kind,
       CASE k.kind WHEN 'presence' THEN i.user_id::text || ':' || i.workspace_id ELSE md5(k.kind || u)::uuid::text END,
       i.user_id, i.workspace_id, u, md5('event' || u)::uuid, %(now)s - u %% 5000 * interval '1.000001 second', %(now)s,
       CASE k.kind
           WHEN 'session' THEN jsonb_build_object('device_type', 'web', 'ip_address', '10.1.' || u %% 250 || '.7',
               'user_agent', 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
               'permissions', jsonb_build_array('read', 'write'))
           WHEN 'connection' THEN jsonb_build_object('channels', jsonb_build_array(
               public.bench_id('c' || u %% %(channels)s), public.bench_id('c' || u %% 77)))
           ELSE jsonb_build_object(
               'status', 'active', 'custom_status', NULL, 'device_type', 'web', 'timezone', 'Europe/Oslo')
       END,
       %(now)s + interval '6 hours'
FROM generate_series(0, %(users)s - 1) AS u, (VALUES ('session'), ('presence'), ('connection')) AS k (kind),
     LATERAL (SELECT public.bench_id('u' || u) AS user_id,
                     public.bench_id('w' || u %% %(workspaces)s) AS workspace_id) AS i
ORDER BY 1, 2
""",
    """
INSERT INTO runtime.warm_users (user_id, workspace_id, warmed_at)
SELECT user_id, workspace_id, %(now)s FROM collab.workspace_members ORDER BY 1, 2
""",
    "DROP TABLE public.bench_posts",
)


def found(conn: psycopg.Connection, settings: Settings, company: Company) -> None:
    """Fill the tables of a migrated database."""
    now = datetime.now(UTC)
    ensure_partitions(conn, settings, now=now, extra_months=_months(now))
    conn.execute(_FUNCTIONS.encode())
    # Nobody searches here, and it would take most of the time.
    conn.execute("DROP INDEX collab.messages_content")
    conn.execute("SET work_mem = '128MB'")
    sizes = {
        "users": company.users, "channels": company.channels, "workspaces": company.workspaces,
        "messages": company.messages, "days": DAYS, "now": now,
    }  # fmt: skip
    for statement in _TABLES:
        conn.execute(statement.encode(), sizes)
    conn.execute("VACUUM (ANALYZE)")
    conn.execute("CHECKPOINT")


def _months(now: datetime) -> list[date]:
    return sorted({(now - timedelta(days=day)).date().replace(day=1) for day in range(DAYS + 1)})


# Written to be plain, not to be quick: one statement for each value.
_SAMPLES = {
    "session": """
SELECT array[key], value || jsonb_build_object('user_id', user_id, 'workspace_id', workspace_id, 'created_at', began_at,
       'last_activity', last_at) FROM runtime.living_keys WHERE kind = 'session' ORDER BY md5(key) LIMIT %s
""",
    "connection": """
SELECT array[key],
       value || jsonb_build_object('user_id', user_id, 'workspace_id', workspace_id, 'connected_at', began_at)
FROM runtime.living_keys WHERE kind = 'connection' ORDER BY md5(key) LIMIT %s
""",
    "presence": """
SELECT string_to_array(key, ':'), value || jsonb_build_object('last_seen', began_at)
FROM runtime.living_keys WHERE kind = 'presence' ORDER BY md5(key) LIMIT %s
""",
    "unread_counts": """
SELECT array[u.user_id::text, u.workspace_id::text], (
    SELECT jsonb_object_agg(m.channel_id, n.n)
    FROM collab.channel_members m, LATERAL (
        SELECT count(*) AS n FROM collab.messages p
        WHERE p.channel_id = m.channel_id AND p.created_at > m.last_read_at AND p.user_id <> m.user_id) AS n
    WHERE m.user_id = u.user_id AND n.n > 0)
FROM (SELECT * FROM runtime.warm_users ORDER BY md5(user_id::text) LIMIT %s) AS u
""",
    "channel_members": """
SELECT array[c.channel_id::text], (
    SELECT jsonb_agg(m.user_id ORDER BY m.user_id) FROM collab.channel_members m WHERE m.channel_id = c.channel_id)
FROM (SELECT channel_id FROM collab.channels ORDER BY md5(channel_id::text) LIMIT %s) AS c
""",
    "recent_messages": """
SELECT array[c.channel_id::text], (
    SELECT jsonb_agg(jsonb_build_array(p.message_id, p.content) ORDER BY p.created_at DESC, p.message_id DESC)
    FROM (SELECT * FROM collab.messages p WHERE p.channel_id = c.channel_id ORDER BY created_at DESC LIMIT 100) AS p)
FROM (SELECT channel_id FROM collab.channels ORDER BY md5(channel_id::text) LIMIT %s) AS c
""",
}


def expected(conn: psycopg.Connection, each: int) -> Expected:
    """What so many keys of each family hold; None where there is no key."""
    return {
        (family, *ids): value
        for family, statement in _SAMPLES.items()
        for ids, value in conn.execute(statement.encode(), (each,)).fetchall()
    }


def shown(family: str, value: Any) -> Any:
    """What a key of Redis holds, in the words of `expected`."""
    match family:
        case "recent_messages":
            items = [orjson.loads(item) for item in value]
            return [[item["message_id"], item["content"]] for item in items] or None
        case "unread_counts":
            return {name.decode(): int(count) for name, count in value.items()} or None
        case "channel_members":
            return orjson.loads(value)["members"] if value else None
    return _moments(orjson.loads(value)) if value else None


def is_same(found: Any, wanted: Any) -> bool:
    """Whether a key shows what it must, times compared as times."""
    return bool(found == (_moments(wanted) if isinstance(wanted, dict) else wanted))


def _moments(value: dict[str, Any]) -> dict[str, Any]:
    times = {"created_at", "last_activity", "connected_at", "last_seen"}
    return {name: datetime.fromisoformat(one) if name in times else one for name, one in value.items()}


def names_of(keys: Sequence[tuple[str, ...]], prefix: str) -> list[str]:
    """Names in Redis of keys of `expected`."""
    return [f"{prefix}{':'.join(key)}" for key in keys]
