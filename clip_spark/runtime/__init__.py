"""Where code runs: the Spark session, tasks and their progress; devices and memory of a worker.

Drivers import `tasks` and `session`; workers `devices`, `memory`, `ahead` and `child_process`.
Only `devices` asks which GPUs a task may use.
"""
