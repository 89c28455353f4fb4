"""Read the caches: from Redis, else from PostgreSQL, which fills them on the way.

async with open_caches(load_settings()) as caches:
    newest = await caches.recent_messages(channel_id)
"""

from tailrace.caches.client import Caches, open_caches

__all__ = ["Caches", "open_caches"]
