-- title: Weekly retention
-- description: Of those who were first active in a week, the share that was active again n weeks later. Weeks that are not over are left out.
-- param: workspace workspace -- id, slug or name
-- param: weeks int = 12 -- cohorts, newest first
-- plot: heatmap x=week_n y=cohort_week value=ratio unit=share
SELECT cohort_week, cohort_size, week_n, returned, ratio
FROM analytics.retention_weekly
WHERE workspace_id = :workspace
  AND cohort_week >= date_trunc('week', now() AT TIME ZONE 'UTC')::date - 7 * :weeks
  AND cohort_week + 7 * (week_n + 1) <= date_trunc('week', now() AT TIME ZONE 'UTC')::date
ORDER BY cohort_week, week_n
