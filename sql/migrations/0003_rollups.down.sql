DROP TABLE runtime.hour_members, runtime.day_members, analytics.user_activity, analytics.message_analytics,
    analytics.daily_active_users;
