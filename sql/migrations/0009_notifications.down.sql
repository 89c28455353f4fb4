DROP INDEX collab.notifications_message, collab.notifications_read, collab.notifications_unread;
