"""Who may do what with the live tables may do it with those of another version, and nobody else may.

Migrations grant what the product needs. What somebody granted or revoked since is known to the live objects only.
"""

from typing import Any, Final, NamedTuple

import psycopg
import structlog

from tailrace.rebuilding.shadow import shadow_settings
from tailrace.settings import Settings
from tailrace.sql.catalog import quoted, schema_names
from tailrace.sql.rendering import SCHEMAS

log = structlog.get_logger()


def align_grants(conn: psycopg.Connection[Any], settings: Settings, version: int) -> int:
    """Grant and revoke on schemas, tables, views and columns of a version until they are as on the live ones.

    Returns how many statements that took. Objects that only one of the two has are passed over.
    """
    live = schema_names(settings.postgres)
    beside = schema_names(shadow_settings(settings, version).postgres)
    count = 0
    for plain in SCHEMAS:
        for verb, one, other in (("GRANT", live, beside), ("REVOKE", beside, live)):
            for row in conn.execute(_MORE, {"one": one[plain], "other": other[plain]}).fetchall():
                conn.execute(_statement(verb, beside[plain], _Grant(*row)).encode())
                count += 1
    if count:
        log.info("grants_aligned", version=version, statements=count)
    return count


def _statement(verb: str, schema: str, grant: "_Grant") -> str:
    place = f"TABLE {quoted(schema)}.{quoted(grant.relation)}" if grant.relation else f"SCHEMA {quoted(schema)}"
    what = f"{grant.privilege} ({quoted(grant.column)})" if grant.column else grant.privilege
    whom = quoted(grant.grantee) if grant.grantee else "PUBLIC"
    if verb == "REVOKE":
        return f"REVOKE {what} ON {place} FROM {whom}"
    return f"GRANT {what} ON {place} TO {whom}{' WITH GRANT OPTION' if grant.is_grantable else ''}"


class _Grant(NamedTuple):
    """One privilege. No relation: on the schema; no column: on the whole relation; no grantee: to everybody."""

    relation: str
    column: str
    privilege: str
    grantee: str
    is_grantable: bool


_ON: Final = """
SELECT '' AS relation, '' AS col, a.privilege_type, coalesce(r.rolname, '') AS grantee, a.is_grantable
FROM pg_namespace n CROSS JOIN LATERAL aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS a
LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE n.nspname = %({name})s
UNION ALL
SELECT c.relname, '', a.privilege_type, coalesce(r.rolname, ''), a.is_grantable
FROM pg_class c CROSS JOIN LATERAL aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) AS a
LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE c.relnamespace = to_regnamespace(quote_ident(%({name})s)) AND c.relkind IN ('r', 'p', 'v', 'm')
UNION ALL
SELECT c.relname, t.attname, a.privilege_type, coalesce(r.rolname, ''), a.is_grantable
FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid AND t.attacl IS NOT NULL
CROSS JOIN LATERAL aclexplode(t.attacl) AS a
LEFT JOIN pg_roles r ON r.oid = a.grantee
WHERE c.relnamespace = to_regnamespace(quote_ident(%({name})s))
"""
_MORE: Final = f"""
SELECT d.* FROM (({_ON.replace("{name}", "one")}) EXCEPT ({_ON.replace("{name}", "other")})) AS d
WHERE d.relation = '' OR to_regclass(format('%%I.%%I', %(other)s::text, d.relation)) IS NOT NULL
ORDER BY 1, 2, 3, 4
"""  # noqa: S608 - of constants
