"""Which n-grams are kept: the reasons to drop one, and how the rest is scored and cut."""
