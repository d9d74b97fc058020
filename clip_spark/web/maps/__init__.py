"""*Server.* Maps beside the indices that are served: their tiles, records of points, places of queries and of hits.

`served_map` opens one, `routes` answers for it. What is on a map is shown as the index has it that the map is of: a
record that was taken down there is shown here no more.
"""
