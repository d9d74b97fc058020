"""find-duplicates: groups of records that are nearly the same, of a whole set; one of each group is kept."""
