"""score-embeddings: small models over stored vectors, such as aesthetic or NSFW heads, as columns of the records."""
