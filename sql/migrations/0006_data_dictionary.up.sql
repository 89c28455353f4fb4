-- What each column that analysts meet means.
--
-- The first line of a comment is the meaning; lines `deletes:`, `bots:` and `late:` are the rule of a number. Those of a
-- view hold for its columns that have none.

CREATE VIEW analytics.data_dictionary AS
SELECT c.relname::text AS view, a.attname::text AS "column", format_type(a.atttypid, a.atttypmod) AS type,
       split_part(own.text, E'\n', 1) AS meaning,
       CASE WHEN number THEN coalesce(substring(own.text, E'\ndeletes: ([^\n]*)'), substring(whole.text, E'\ndeletes: ([^\n]*)')) END AS deletes,
       CASE WHEN number THEN coalesce(substring(own.text, E'\nbots: ([^\n]*)'), substring(whole.text, E'\nbots: ([^\n]*)')) END AS bots,
       CASE WHEN number THEN coalesce(substring(own.text, E'\nlate: ([^\n]*)'), substring(whole.text, E'\nlate: ([^\n]*)')) END AS late,
       coalesce(substring(c.relname FROM '_v([0-9]+)$')::int, 1) AS version
FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
CROSS JOIN LATERAL (SELECT col_description(c.oid, a.attnum)) AS own (text)
CROSS JOIN LATERAL (SELECT obj_description(c.oid, 'pg_class')) AS whole (text)
CROSS JOIN LATERAL (SELECT format_type(a.atttypid, NULL) IN ('integer', 'bigint', 'numeric', 'double precision')) AS kind (number)
WHERE c.relnamespace = 'analytics'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm') AND NOT c.relispartition;

COMMENT ON VIEW analytics.workspaces IS 'Workspaces, without addresses and billing.
deletes: deleted ones stay, with deleted_at
bots: –
late: –';
COMMENT ON COLUMN analytics.workspaces.workspace_id IS 'Workspace.';
COMMENT ON COLUMN analytics.workspaces.name IS 'Name; two workspaces may have the same.';
COMMENT ON COLUMN analytics.workspaces.slug IS 'Short name in addresses; two may have the same for a while.';
COMMENT ON COLUMN analytics.workspaces.plan_type IS 'Plan.';
COMMENT ON COLUMN analytics.workspaces.member_count IS 'Active members now.';
COMMENT ON COLUMN analytics.workspaces.zone IS
    'Time zone of the `_local` views: settings.timezone, UTC where that is missing or no IANA zone. A change moves all days, past ones too.';
COMMENT ON COLUMN analytics.workspaces.zone_known IS 'False where settings.timezone names a zone that nobody knows.';
COMMENT ON COLUMN analytics.workspaces.created_at IS 'When it was created, UTC.';
COMMENT ON COLUMN analytics.workspaces.deleted_at IS 'When it was deleted, UTC; null while it lives.';

COMMENT ON VIEW analytics.channels IS 'Channels, without topics and descriptions.
deletes: deleted ones stay, with deleted_at
bots: –
late: –';
COMMENT ON COLUMN analytics.channels.channel_id IS 'Channel.';
COMMENT ON COLUMN analytics.channels.workspace_id IS 'Workspace.';
COMMENT ON COLUMN analytics.channels.channel_name IS 'Name of a public channel; null for private ones and conversations.';
COMMENT ON COLUMN analytics.channels.label IS
    'What a chart calls it: # and the name of a public channel, else its type and the beginning of its id.';
COMMENT ON COLUMN analytics.channels.channel_type IS 'public, private, dm or group_dm.';
COMMENT ON COLUMN analytics.channels.is_general IS 'Whether it is the workspace''s general channel.';
COMMENT ON COLUMN analytics.channels.is_archived IS 'Whether it is archived now.';
COMMENT ON COLUMN analytics.channels.member_count IS 'Active members now.';
COMMENT ON COLUMN analytics.channels.last_message_at IS 'created_at of its newest visible message, UTC.';
COMMENT ON COLUMN analytics.channels.created_at IS 'When it was created, UTC.';
COMMENT ON COLUMN analytics.channels.archived_at IS 'When it was archived, UTC.';
COMMENT ON COLUMN analytics.channels.deleted_at IS 'When it was deleted, UTC.';

COMMENT ON VIEW analytics.messages IS 'Messages without their text, archived ones too. Filter on created_at: it picks the partitions.
deletes: stay, with is_deleted
bots: stay, with message_type
late: appear when they come';
COMMENT ON COLUMN analytics.messages.message_id IS 'Message.';
COMMENT ON COLUMN analytics.messages.created_at IS 'When it was written, UTC; picks the partition.';
COMMENT ON COLUMN analytics.messages.workspace_id IS 'Workspace.';
COMMENT ON COLUMN analytics.messages.channel_id IS 'Channel.';
COMMENT ON COLUMN analytics.messages.user_id IS 'Author.';
COMMENT ON COLUMN analytics.messages.message_type IS 'text, file, bot or system.';
COMMENT ON COLUMN analytics.messages.posted_at IS 'Event time of the posting, UTC; the buckets of all rollups go by it.';
COMMENT ON COLUMN analytics.messages.posted_length IS
    'Length as posted in Unicode code points; edits and erasure do not change it.';
COMMENT ON COLUMN analytics.messages.thread_id IS 'Root of the thread that it replies to; null for others.';
COMMENT ON COLUMN analytics.messages.reply_count IS 'Visible replies to it.';
COMMENT ON COLUMN analytics.messages.last_reply_at IS 'created_at of the newest visible reply, UTC.';
COMMENT ON COLUMN analytics.messages.is_pinned IS 'Whether it is pinned now.';
COMMENT ON COLUMN analytics.messages.is_deleted IS 'Whether it is deleted now.';
COMMENT ON COLUMN analytics.messages.deleted_at IS 'When it was deleted, UTC.';
COMMENT ON COLUMN analytics.messages.has_files IS 'Whether a live file is attached.';
COMMENT ON COLUMN analytics.messages.edited_at IS 'When it was last edited, UTC.';
COMMENT ON COLUMN analytics.messages.edit_count IS 'Texts that were replaced.';
COMMENT ON COLUMN analytics.messages.mention_count IS 'Users mentioned in it.';
COMMENT ON COLUMN analytics.messages.reaction_count IS 'Reactions on it now, each user and emoji once.';
COMMENT ON COLUMN analytics.messages.is_archived IS 'Whether retention moved it to the archive.';

COMMENT ON VIEW analytics.messages_text IS 'Texts of messages; nobody may read this who was not granted it by name.
deletes: body is null
bots: stay, with message_type
late: appear when they come';
COMMENT ON COLUMN analytics.messages_text.message_id IS 'Message.';
COMMENT ON COLUMN analytics.messages_text.created_at IS 'When it was written, UTC; picks the partition.';
COMMENT ON COLUMN analytics.messages_text.workspace_id IS 'Workspace.';
COMMENT ON COLUMN analytics.messages_text.channel_id IS 'Channel.';
COMMENT ON COLUMN analytics.messages_text.user_id IS 'Author.';
COMMENT ON COLUMN analytics.messages_text.message_type IS 'text, file, bot or system.';
COMMENT ON COLUMN analytics.messages_text.body IS 'Text as it is now; null for deleted messages.';
COMMENT ON COLUMN analytics.messages_text.thread_id IS 'Root of its thread.';
COMMENT ON COLUMN analytics.messages_text.edited_at IS 'When it was last edited, UTC.';
COMMENT ON COLUMN analytics.messages_text.deleted_at IS 'When it was deleted, UTC.';

COMMENT ON VIEW analytics.calendar IS 'UTC days from 2000-01-01 to tomorrow.';
COMMENT ON COLUMN analytics.calendar.day_utc IS 'Day.';
COMMENT ON COLUMN analytics.calendar.starts_at IS 'Its first moment, UTC.';
COMMENT ON COLUMN analytics.calendar.ends_at IS 'First moment of the next day, UTC.';

COMMENT ON VIEW analytics.workspace_days IS 'UTC days of each workspace from its first to its last activity or membership change, quiet days too.';
COMMENT ON COLUMN analytics.workspace_days.workspace_id IS 'Workspace.';
COMMENT ON COLUMN analytics.workspace_days.day_utc IS 'Day.';

COMMENT ON VIEW analytics.freshness_partitions IS 'How far each projection has applied each partition of the log.
deletes: –
bots: –
late: –';
COMMENT ON COLUMN analytics.freshness_partitions.projection IS 'Projection.';
COMMENT ON COLUMN analytics.freshness_partitions.version IS 'Its version.';
COMMENT ON COLUMN analytics.freshness_partitions.topic IS 'Topic, full name.';
COMMENT ON COLUMN analytics.freshness_partitions.partition IS 'Partition.';
COMMENT ON COLUMN analytics.freshness_partitions.next_offset IS 'First offset that is not applied yet.';
COMMENT ON COLUMN analytics.freshness_partitions.data_to IS 'Append time of the newest applied record, UTC.';
COMMENT ON COLUMN analytics.freshness_partitions.event_to IS 'Event time of the newest applied event, UTC.';
COMMENT ON COLUMN analytics.freshness_partitions.updated_at IS 'When something was last applied or claimed, UTC.';
COMMENT ON COLUMN analytics.freshness_partitions.halted_code IS 'Why it stands still; null while it moves.';

COMMENT ON VIEW analytics.freshness IS 'How far the data goes, by projection.
deletes: –
bots: –
late: –';
COMMENT ON COLUMN analytics.freshness.projection IS 'Projection.';
COMMENT ON COLUMN analytics.freshness.version IS 'Its version.';
COMMENT ON COLUMN analytics.freshness.data_to IS
    'Append time of the newest applied record, UTC: the data goes at least as far in one partition.';
COMMENT ON COLUMN analytics.freshness.event_to IS 'Event time of the newest applied event, UTC.';
COMMENT ON COLUMN analytics.freshness.applied_at IS 'When something was last applied or claimed, UTC.';
COMMENT ON COLUMN analytics.freshness.lag_seconds IS
    'Seconds since data_to: an upper bound of the lag. It grows while nobody writes although nothing is missing; `tailrace lag` compares with the log.';
COMMENT ON COLUMN analytics.freshness.state IS
    'halted: a partition stands still; new: nothing applied yet; current: data of the last minute; quiet: nothing new came for a minute, or nothing is applied.';
COMMENT ON COLUMN analytics.freshness.partitions IS 'Partitions with a position.';
COMMENT ON COLUMN analytics.freshness.halted_partitions IS 'Partitions that stand still until an operator looks.';
COMMENT ON COLUMN analytics.freshness.open_dead_letters IS
    'Refused records that nobody has resolved; their events are in no number.';
COMMENT ON COLUMN analytics.freshness.parked_events IS
    'Events that wait for their message or file; they are in no number yet.';

COMMENT ON VIEW analytics.dead_letters IS 'Records that could not be applied, without their contents.
deletes: –
bots: –
late: –';
COMMENT ON COLUMN analytics.dead_letters.projection IS 'Projection.';
COMMENT ON COLUMN analytics.dead_letters.topic IS 'Topic.';
COMMENT ON COLUMN analytics.dead_letters.partition IS 'Partition.';
COMMENT ON COLUMN analytics.dead_letters."offset" IS 'Offset.';
COMMENT ON COLUMN analytics.dead_letters.source IS 'topic/partition@offset.';
COMMENT ON COLUMN analytics.dead_letters.code IS 'Why, e.g. E_SCHEMA.';
COMMENT ON COLUMN analytics.dead_letters.reason IS 'Why in words: the path of a field, never its value.';
COMMENT ON COLUMN analytics.dead_letters.type IS 'Type of the event, if it could be read.';
COMMENT ON COLUMN analytics.dead_letters.workspace_id IS 'Workspace as the record gives it; text, as it may be anything.';
COMMENT ON COLUMN analytics.dead_letters.attempts IS 'Times it was tried.';
COMMENT ON COLUMN analytics.dead_letters.first_failed_at IS 'When it first failed, UTC.';
COMMENT ON COLUMN analytics.dead_letters.last_failed_at IS 'When it last failed, UTC.';
COMMENT ON COLUMN analytics.dead_letters.resolved_at IS 'When it was resolved, UTC; null while it is open.';
COMMENT ON COLUMN analytics.dead_letters.resolution IS 'How it was resolved.';

COMMENT ON VIEW analytics.daily_activity IS 'Activity of each workspace by UTC day of the event time, quiet days too.
deletes: deleted ones stay counted
bots: counted, system messages not
late: correct their bucket, however old';
COMMENT ON COLUMN analytics.daily_activity.workspace_id IS 'Workspace.';
COMMENT ON COLUMN analytics.daily_activity.day_utc IS 'Day.';
COMMENT ON COLUMN analytics.daily_activity.active_users IS
    'Distinct users who posted, reacted, uploaded, read or recorded an activity.
deletes: nothing ends having been active
bots: counted
late: correct their day, however old';
COMMENT ON COLUMN analytics.daily_activity.posters IS 'Distinct authors of messages.';
COMMENT ON COLUMN analytics.daily_activity.messages IS 'Messages posted, once each.';
COMMENT ON COLUMN analytics.daily_activity.replies IS 'Of these, replies in threads.';
COMMENT ON COLUMN analytics.daily_activity.reactions IS
    'Distinct (message, user, emoji), on the day of the earliest add.
deletes: removed ones stay counted
bots: counted
late: an earlier add moves it there';
COMMENT ON COLUMN analytics.daily_activity.files IS
    'Files, on the day of their earliest upload.
deletes: deleted ones stay counted
bots: counted
late: an earlier upload moves it there';
COMMENT ON COLUMN analytics.daily_activity.joins IS
    'Members whose newest membership began on that day.
deletes: –
bots: counted
late: correct their day; who joins again is counted on the new day only';
COMMENT ON COLUMN analytics.daily_activity.leaves IS
    'Members whose newest membership ended on that day.
deletes: –
bots: counted
late: correct their day; who joins again is no longer counted';
COMMENT ON COLUMN analytics.daily_activity.revised_at IS
    'Append time of the newest event that changed active_users, messages, reactions or files, UTC; null on quiet days.';

COMMENT ON VIEW analytics.hourly_activity IS 'Messages of each workspace by hour; hours without messages have no row.
deletes: deleted ones stay counted
bots: counted, system messages not
late: correct their bucket, however old';
COMMENT ON COLUMN analytics.hourly_activity.workspace_id IS 'Workspace.';
COMMENT ON COLUMN analytics.hourly_activity.hour IS 'Start of the hour, UTC.';
COMMENT ON COLUMN analytics.hourly_activity.messages IS 'Messages posted, once each.';
COMMENT ON COLUMN analytics.hourly_activity.posters IS 'Distinct authors in the workspace.';
COMMENT ON COLUMN analytics.hourly_activity.avg_chars IS 'Mean length as posted in Unicode code points.';
COMMENT ON COLUMN analytics.hourly_activity.revised_at IS 'Append time of the newest event that changed the row, UTC.';

COMMENT ON VIEW analytics.hourly_channel_activity IS 'Messages and reactions of each channel by hour; quiet hours have no row.
deletes: deleted ones stay counted
bots: counted, system messages not
late: correct their bucket, however old';
COMMENT ON COLUMN analytics.hourly_channel_activity.workspace_id IS 'Workspace.';
COMMENT ON COLUMN analytics.hourly_channel_activity.channel_id IS 'Channel.';
COMMENT ON COLUMN analytics.hourly_channel_activity.hour IS 'Start of the hour, UTC.';
COMMENT ON COLUMN analytics.hourly_channel_activity.messages IS 'Messages posted, once each.';
COMMENT ON COLUMN analytics.hourly_channel_activity.unique_posters IS 'Distinct authors of them.';
COMMENT ON COLUMN analytics.hourly_channel_activity.avg_chars IS 'Mean length as posted in Unicode code points; null without messages.';
COMMENT ON COLUMN analytics.hourly_channel_activity.reactions IS
    'Distinct (message, user, emoji), in the hour of the earliest add.
deletes: removed ones stay counted
bots: counted
late: an earlier add moves it there';
COMMENT ON COLUMN analytics.hourly_channel_activity.revised_at IS 'Append time of the newest event that changed the messages, UTC.';

COMMENT ON VIEW analytics.user_daily IS 'What each user did by UTC day; days on which a user did nothing countable have no row.
deletes: deleted ones stay counted
bots: counted, system messages not
late: correct their bucket, however old';
COMMENT ON COLUMN analytics.user_daily.workspace_id IS 'Workspace.';
COMMENT ON COLUMN analytics.user_daily.user_id IS
    'User, by id alone; no view that analysts read has names, addresses or texts of people.';
COMMENT ON COLUMN analytics.user_daily.day_utc IS 'Day.';
COMMENT ON COLUMN analytics.user_daily.messages IS 'Messages posted, once each.';
COMMENT ON COLUMN analytics.user_daily.replies IS 'Of these, replies in threads.';
COMMENT ON COLUMN analytics.user_daily.reactions_given IS
    'Distinct (message, emoji), on the day of the earliest add.
deletes: removed ones stay counted
bots: counted
late: an earlier add moves it there';
COMMENT ON COLUMN analytics.user_daily.reactions_received IS
    'Reactions of anybody to the user''s messages, on the day of the earliest add. Slow over many users.
deletes: removed ones stay counted
bots: counted
late: an earlier add moves it there';
COMMENT ON COLUMN analytics.user_daily.channels_touched IS 'Distinct channels that the user posted in.';
COMMENT ON COLUMN analytics.user_daily.files IS
    'Files, on the day of their earliest upload.
deletes: deleted ones stay counted
bots: counted
late: an earlier upload moves it there';
COMMENT ON COLUMN analytics.user_daily.time_spent_minutes IS
    'Whole minutes of the user''s sessions within the day; sessions of which both ends are known, 24 hours each at most.
deletes: –
bots: counted
late: a session counts when its second half is known';
COMMENT ON COLUMN analytics.user_daily.revised_at IS 'Append time of the newest event that changed the row, UTC.';

COMMENT ON VIEW analytics.active_users IS 'Distinct active users by UTC day; true distincts, not sums.
deletes: nothing ends having been active
bots: counted
late: correct their day and the windows over it';
COMMENT ON COLUMN analytics.active_users.workspace_id IS 'Workspace.';
COMMENT ON COLUMN analytics.active_users.day_utc IS 'Day, the last of the windows.';
COMMENT ON COLUMN analytics.active_users.dau IS
    'Distinct active users of the day (active: see daily_activity.active_users).';
COMMENT ON COLUMN analytics.active_users.wau IS 'Distinct active users of the 7 days that end with it.';
COMMENT ON COLUMN analytics.active_users.mau IS 'Distinct active users of the 30 days that end with it.';

COMMENT ON VIEW analytics.retention_weekly IS 'Who comes back: users by the week of their first activity in the workspace, and how many of them were active n weeks later.
deletes: who left stays in the cohort
bots: counted
late: an earlier first activity moves a user to another cohort';
COMMENT ON COLUMN analytics.retention_weekly.workspace_id IS 'Workspace.';
COMMENT ON COLUMN analytics.retention_weekly.cohort_week IS 'Monday (UTC) of the first active week.';
COMMENT ON COLUMN analytics.retention_weekly.week_n IS 'Weeks since then; 0 is the cohort itself.';
COMMENT ON COLUMN analytics.retention_weekly.cohort_size IS 'Users in the cohort.';
COMMENT ON COLUMN analytics.retention_weekly.returned IS 'Of these, active in that week.';
COMMENT ON COLUMN analytics.retention_weekly.ratio IS 'returned / cohort_size. The newest week may not be over.';

COMMENT ON VIEW analytics.channel_members_current IS 'Who is in a channel now.';
COMMENT ON COLUMN analytics.channel_members_current.workspace_id IS 'Workspace.';
COMMENT ON COLUMN analytics.channel_members_current.channel_id IS 'Channel.';
COMMENT ON COLUMN analytics.channel_members_current.user_id IS
    'User, by id alone; no view that analysts read has names, addresses or texts of people.';
COMMENT ON COLUMN analytics.channel_members_current.role IS 'admin or member.';
COMMENT ON COLUMN analytics.channel_members_current.joined_at IS 'When the membership began, UTC.';

COMMENT ON VIEW analytics.channel_members_history IS 'The newest stay of everybody who ever joined a channel. Who left and came back has one row, the newest stay.';
COMMENT ON COLUMN analytics.channel_members_history.workspace_id IS 'Workspace.';
COMMENT ON COLUMN analytics.channel_members_history.channel_id IS 'Channel.';
COMMENT ON COLUMN analytics.channel_members_history.user_id IS
    'User, by id alone; no view that analysts read has names, addresses or texts of people.';
COMMENT ON COLUMN analytics.channel_members_history.role IS 'Role, newest known.';
COMMENT ON COLUMN analytics.channel_members_history.joined_at IS 'When the stay began, UTC.';
COMMENT ON COLUMN analytics.channel_members_history.left_at IS
    'When it ended, UTC: by leaving, removal from the workspace, erasure or deletion of the workspace; null while it lasts.';
COMMENT ON COLUMN analytics.channel_members_history.is_active IS 'Whether it lasts.';

COMMENT ON VIEW analytics.channel_growth IS 'Joins and leaves of each channel by UTC day; days without a change have no row.
deletes: who left counts until then
bots: counted
late: correct their day; who joins again is counted with the newest stay only';
COMMENT ON COLUMN analytics.channel_growth.workspace_id IS 'Workspace.';
COMMENT ON COLUMN analytics.channel_growth.channel_id IS 'Channel.';
COMMENT ON COLUMN analytics.channel_growth.day_utc IS 'Day.';
COMMENT ON COLUMN analytics.channel_growth.joins IS 'Stays that began.';
COMMENT ON COLUMN analytics.channel_growth.leaves IS 'Stays that ended.';
COMMENT ON COLUMN analytics.channel_growth.members_end IS 'Members at the end of the day, and until the next row.';

COMMENT ON VIEW analytics.top_reactions IS 'Reactions by workspace, UTC day and emoji.
deletes: removed ones stay counted
bots: counted
late: an earlier add moves it to its day';
COMMENT ON COLUMN analytics.top_reactions.workspace_id IS 'Workspace.';
COMMENT ON COLUMN analytics.top_reactions.day_utc IS 'Day of the earliest add.';
COMMENT ON COLUMN analytics.top_reactions.emoji IS 'Canonical emoji, or :name: of a custom one; skin tones are separate.';
COMMENT ON COLUMN analytics.top_reactions.count IS 'Distinct (message, user).';
COMMENT ON COLUMN analytics.top_reactions.distinct_users IS 'Distinct users who gave it.';

COMMENT ON VIEW analytics.thread_stats IS 'Threads: messages with at least one visible reply. Filter on started_at: it picks the partitions.
deletes: deleted replies are not counted, deleted roots stay with is_deleted
bots: counted, except in first_response_seconds
late: correct the thread when they come';
COMMENT ON COLUMN analytics.thread_stats.thread_id IS 'Root message.';
COMMENT ON COLUMN analytics.thread_stats.workspace_id IS 'Workspace.';
COMMENT ON COLUMN analytics.thread_stats.channel_id IS 'Channel.';
COMMENT ON COLUMN analytics.thread_stats.user_id IS 'Author of the root.';
COMMENT ON COLUMN analytics.thread_stats.message_type IS 'Type of the root.';
COMMENT ON COLUMN analytics.thread_stats.started_at IS 'created_at of the root, UTC.';
COMMENT ON COLUMN analytics.thread_stats.is_deleted IS 'Whether the root is deleted.';
COMMENT ON COLUMN analytics.thread_stats.replies IS 'Visible replies.';
COMMENT ON COLUMN analytics.thread_stats.participants IS 'Distinct authors, the root''s included.';
COMMENT ON COLUMN analytics.thread_stats.first_reply_seconds IS
    'Seconds from the root to the first visible reply by anybody; replies stamped before the root do not count.';
COMMENT ON COLUMN analytics.thread_stats.first_response_seconds IS
    'Seconds from the root to the first visible reply by another person; null where there is none.
deletes: deleted replies are not counted
bots: replies and roots of bots and system do not count
late: correct the thread when they come';
COMMENT ON COLUMN analytics.thread_stats.last_reply_at IS 'created_at of the newest visible reply, UTC.';

COMMENT ON VIEW analytics.response_times IS 'How fast people answer: threads that a person began, by channel and UTC day of the root.
deletes: deleted replies are not counted
bots: do not count
late: correct their day';
COMMENT ON COLUMN analytics.response_times.workspace_id IS 'Workspace.';
COMMENT ON COLUMN analytics.response_times.channel_id IS 'Channel.';
COMMENT ON COLUMN analytics.response_times.day_utc IS 'Day (created_at of the root).';
COMMENT ON COLUMN analytics.response_times.threads IS 'Threads with at least one visible reply.';
COMMENT ON COLUMN analytics.response_times.answered IS 'Of these, answered by another person.';
COMMENT ON COLUMN analytics.response_times.p50_s IS 'Median of first_response_seconds.';
COMMENT ON COLUMN analytics.response_times.p90_s IS 'Nine of ten are answered within so many seconds.';

COMMENT ON VIEW analytics.daily_activity_local IS 'Activity by day in the workspace''s time zone, DST included; a day has 23 to 25 hours.
deletes: deleted ones stay counted
bots: counted, system messages not
late: correct their bucket, however old';
COMMENT ON COLUMN analytics.daily_activity_local.workspace_id IS 'Workspace.';
COMMENT ON COLUMN analytics.daily_activity_local.day_local IS 'Day in the zone.';
COMMENT ON COLUMN analytics.daily_activity_local.zone IS 'Zone the day is in.';
COMMENT ON COLUMN analytics.daily_activity_local.hours IS 'Length of the day.';
COMMENT ON COLUMN analytics.daily_activity_local.messages IS 'Messages posted, once each.';
COMMENT ON COLUMN analytics.daily_activity_local.posters IS 'Distinct authors.';
COMMENT ON COLUMN analytics.daily_activity_local.replies IS 'Of these, replies in threads.';
COMMENT ON COLUMN analytics.daily_activity_local.reactions IS
    'Distinct (message, user, emoji), on the day of the earliest add.
deletes: removed ones stay counted
bots: counted
late: an earlier add moves it there';
COMMENT ON COLUMN analytics.daily_activity_local.files IS
    'Files, on the day of their earliest upload.
deletes: deleted ones stay counted
bots: counted
late: an earlier upload moves it there';

COMMENT ON VIEW analytics.hourly_activity_local IS 'Messages by day and hour of the clock in the workspace''s time zone; an hour that comes twice is one row.
deletes: deleted ones stay counted
bots: counted, system messages not
late: correct their bucket, however old';
COMMENT ON COLUMN analytics.hourly_activity_local.workspace_id IS 'Workspace.';
COMMENT ON COLUMN analytics.hourly_activity_local.day_local IS 'Day in the zone.';
COMMENT ON COLUMN analytics.hourly_activity_local.zone IS 'Zone the day is in.';
COMMENT ON COLUMN analytics.hourly_activity_local.hour_local IS 'Hour on the clock, 0 to 23.';
COMMENT ON COLUMN analytics.hourly_activity_local.messages IS 'Messages posted, once each.';
COMMENT ON COLUMN analytics.hourly_activity_local.posters IS 'Distinct authors.';

COMMENT ON VIEW analytics.rollup_differences IS 'Rollups that differ from a recount of the stored facts; normally empty. Reads everything: filter on metric where there is much.
deletes: as the rollup
bots: as the rollup
late: as the rollup';
COMMENT ON COLUMN analytics.rollup_differences.metric IS
    'Which number, e.g. day.messages; the first part is the rollup: day, hour or user.';
COMMENT ON COLUMN analytics.rollup_differences.workspace_id IS 'Workspace.';
COMMENT ON COLUMN analytics.rollup_differences.channel_id IS 'Channel, for metrics of hours.';
COMMENT ON COLUMN analytics.rollup_differences.user_id IS 'User, for metrics of users.';
COMMENT ON COLUMN analytics.rollup_differences.bucket IS 'Start of the day or hour, UTC.';
COMMENT ON COLUMN analytics.rollup_differences.rollup IS 'Number in the rollup.';
COMMENT ON COLUMN analytics.rollup_differences.recount IS 'Number counted from the facts.';

COMMENT ON VIEW analytics.data_dictionary IS 'This list: every column that analysts meet.
deletes: –
bots: –
late: –';
COMMENT ON COLUMN analytics.data_dictionary.view IS 'View or table of the schema.';
COMMENT ON COLUMN analytics.data_dictionary."column" IS 'Column.';
COMMENT ON COLUMN analytics.data_dictionary.type IS 'Type.';
COMMENT ON COLUMN analytics.data_dictionary.meaning IS 'What it holds.';
COMMENT ON COLUMN analytics.data_dictionary.deletes IS 'What deleting does to the number.';
COMMENT ON COLUMN analytics.data_dictionary.bots IS 'What bots and system messages do to it.';
COMMENT ON COLUMN analytics.data_dictionary.late IS 'What events that come late do to it.';
COMMENT ON COLUMN analytics.data_dictionary.version IS 'Version of the view: within one, columns are only added.';

COMMENT ON TABLE analytics.events IS 'Recorded activity, one row per event.';
COMMENT ON COLUMN analytics.events.event_id IS 'Event.';
COMMENT ON COLUMN analytics.events.created_at IS 'Event time, UTC; picks the partition.';
COMMENT ON COLUMN analytics.events.workspace_id IS 'Workspace.';
COMMENT ON COLUMN analytics.events.user_id IS 'User; null where nobody did it.';
COMMENT ON COLUMN analytics.events.event_type IS 'What was recorded, as the producer names it.';
COMMENT ON COLUMN analytics.events.metadata IS 'Whatever the producer recorded with it.';

COMMENT ON TABLE analytics.daily_active_users IS 'Activity by workspace and UTC day of the event time.
deletes: stay counted
bots: counted, system messages not
late: correct their bucket, however old';
COMMENT ON TABLE analytics.message_analytics IS 'Messages of types text, file and bot by channel and hour of the event time.
deletes: stay counted
bots: counted, system messages not
late: correct their bucket, however old';
COMMENT ON TABLE analytics.user_activity IS 'What each user did by workspace and UTC day of the event time.
deletes: stay counted
bots: counted, system messages not
late: correct their bucket, however old';

GRANT SELECT ON analytics.data_dictionary TO tailrace_analyst, tailrace_worker;
