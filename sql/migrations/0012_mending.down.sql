DROP TABLE runtime.replay_rows, runtime.replay_plans;
