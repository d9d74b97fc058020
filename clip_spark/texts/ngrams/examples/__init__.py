"""sample-lines and where-ngram: from an n-gram to lines in which it stands, and to the pictures that it tags."""
