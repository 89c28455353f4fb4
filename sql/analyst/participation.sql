-- title: Who carries the conversation?
-- description: Active users in tenths by messages sent, most active first, and the share of all messages that each tenth wrote.
-- param: workspace workspace -- id, slug or name
-- param: since date = today-30 -- first day
-- plot: bar x=tenth y=percent_of_messages unit=percent
WITH users AS (
    SELECT user_id, sum(messages_sent) AS messages
    FROM analytics.user_activity WHERE workspace_id = :workspace AND date >= :since
    GROUP BY user_id HAVING sum(messages_sent) > 0
), tenths AS (
    SELECT ntile(10) OVER (ORDER BY messages DESC, user_id) AS tenth, messages FROM users
)
SELECT tenth, count(*) AS users, sum(messages)::bigint AS messages,
       round(100 * sum(messages) / nullif(sum(sum(messages)) OVER (), 0), 1) AS percent_of_messages
FROM tenths GROUP BY tenth ORDER BY tenth
