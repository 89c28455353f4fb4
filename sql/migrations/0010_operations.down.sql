DROP TABLE runtime.audit, runtime.jobs, runtime.worker_reports, runtime.projection_controls;
DROP SEQUENCE runtime.job_numbers;
