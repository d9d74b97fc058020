"""*Driver.* What a whole pipeline did and cost: every dataset below a folder, and Spark's event log."""
