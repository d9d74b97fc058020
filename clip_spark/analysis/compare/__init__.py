"""*Anywhere.* compare-models: which model finds more in a sample of one's own pictures, and what it costs."""
