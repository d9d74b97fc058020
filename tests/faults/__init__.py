"""The fault suite: `python -m tests.faults.suite`; see suite.py."""
