-- A read of a channel looks for its reader's notifications that change by it: those before the position that are not
-- read yet, those behind it that are. Both are few; all of a reader's notifications in a channel are not.
CREATE INDEX notifications_unread ON collab.notifications (channel_id, user_id, created_at) WHERE read_at IS NULL;
CREATE INDEX notifications_read ON collab.notifications (channel_id, user_id, created_at) WHERE read_at IS NOT NULL;
CREATE INDEX notifications_message ON collab.notifications (message_id);
