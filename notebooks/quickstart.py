# %% [markdown]
# # Quickstart: words and pictures of the demo
#
# Run `clip-spark demo` first: it brings texts and 1,906 small pictures into `demo-out/`, and embeds and indexes them.
# Everything below works the same on your own folders, and on `s3://`.

# %%
import clip_spark as cs

# %% [markdown]
# ## Count, and look at the counts in SQL
#
# A step takes its options as keywords and returns a dataset. Run the cell again: nothing is computed twice.

# %%
counts = cs.count_ngrams(corpus="demo-out/text", orders=[1, 2], min_count=1, output="out/notebook/counts")
counts.spark().createOrReplaceTempView("counts")
cs.session().sql("select n, count(*) as ngrams, sum(count) as seen from counts group by n order by n").toPandas()

# %% [markdown]
# ## Search pictures by words, by a picture, and by both
#
# An open index needs no Spark. In a notebook hits show their pictures.

# %%
pictures = cs.open_index("demo-out/image-index")
hits = pictures.search("a dog", k=6)
hits

# %%
pictures.search(like=hits[0].record["record_id"], k=6)

# %%
pictures.search("heart", k=6, where="\"group\" = 'symbols'")

# %% [markdown]
# ## What is in an index
#
# Columns are your own; every hit has all of them.

# %%
print(f"{pictures.rows:,} {pictures.kind}s; columns {', '.join(pictures.columns)}")
hits.to_pandas()[["rank", "score", "caption", "group"]]

# %% [markdown]
# ## Words for a picture
#
# The index of n-grams lies in the same space, so a picture is a query for words.

# %%
words = cs.open_index("demo-out/ngram-index")
picture = pictures.searcher.embedding_of(hits[0].record["record_id"])
words.search(embedding=picture, k=5).to_pandas()[["rank", "score", "text"]]
