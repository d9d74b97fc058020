"""What a person types: parsing, running, reporting; pipelines, submission, estimates, cleaning.

`jobs/` imports `console.job_main` and `options.parse_spec`; nothing below imports this room.
The only room that prints, and with `jobs/` the only one that knows argparse.
"""
