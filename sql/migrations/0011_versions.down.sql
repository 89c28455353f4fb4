DROP TABLE runtime.cutovers, runtime.versions;
