DROP VIEW collab.name_conflicts, collab.reactions;
DROP TABLE runtime.last_seen, runtime.channel_versions, runtime.file_accesses, runtime.tombstones, runtime.thread_edges, runtime.message_ids,
    runtime.parked_events, runtime.dead_letters, runtime.progress;
DROP TABLE analytics.events;
DROP TABLE collab.sessions, collab.notifications, collab.message_files, collab.files, collab.message_reactions,
    collab.messages_archive, collab.messages, collab.channel_pins, collab.channel_members, collab.channels,
    collab.integrations, collab.workspace_invitations, collab.workspace_members, collab.workspaces, collab.users;
