"""*Driver.* migrate-index: the records of an index by another model, beside the first, compared, and switched."""
