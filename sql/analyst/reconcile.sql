-- title: Rollups against a recount
-- description: Must return no rows: every difference between a rollup and a recount of the stored facts.
-- param: metric text = % -- a metric or a pattern of LIKE, e.g. day.%
SELECT * FROM analytics.rollup_differences WHERE metric LIKE :metric ORDER BY metric, bucket, workspace_id, channel_id, user_id
