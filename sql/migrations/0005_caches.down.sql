DROP TABLE runtime.cache_rebuilds;
DROP TABLE runtime.warm_users;
DROP TABLE runtime.living_keys;
