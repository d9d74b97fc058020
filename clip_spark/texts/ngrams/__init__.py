"""*Driver.* count-ngrams and filter-ngrams: corpus -> counts -> records."""
