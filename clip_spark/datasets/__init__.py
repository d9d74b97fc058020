"""What a dataset is: specs, plans, shards, receipts, manifests, and the schemas of everything that is written.

Every step imports from here; here only `storage` is known.
A dataset exists if and only if its manifest does.
"""
