"""describe-set: the step, its summary on the executors, and its page."""
