"""*Driver and worker.* Pictures behind links: fetched politely and safely, with one status for every row.

`step` is the command and `shard` a task of it. Below lie the crawl (`crawl`, `frontier`, `client`), what is allowed
(`addresses`, `robots`, `preferences`, `block_list`), what is stored (`resize`, `samples`), what a killed task or an
earlier run leaves (`checkpoints`, `earlier`, `growth`), and equal pictures (`stored_once`, `doubles`, `pdq`).
"""
