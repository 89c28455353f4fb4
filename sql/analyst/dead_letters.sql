-- title: Refused records by reason
-- description: Records that could not be applied and that nobody has resolved; their events are in no number.
-- plot: hbar x=records y=code
SELECT code, projection, coalesce(type, '–') AS type, count(*) AS records, min(first_failed_at) AS oldest, max(last_failed_at) AS newest
FROM analytics.dead_letters WHERE resolved_at IS NULL
GROUP BY code, projection, type ORDER BY records DESC, code, type
