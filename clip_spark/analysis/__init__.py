"""Steps over a finished index: tags, whole datasets of queries, how classes of text describe a set, maps, doubles.

Import a step (`tag_images.tag_images`, `search_index.search_index`, `describe.step.describe_set`,
`map.step.make_map`, `duplicates.step.find_duplicates`) or its spec.
It may use every room but `web` and `commands`.
"""
