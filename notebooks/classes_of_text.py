# %% [markdown]
# # Which class of text describes which pictures, how sure, and where does it fail?
#
# Run `clip-spark demo` first. Its texts come in nine files, one for each group of emoji: they are the classes here. The
# pictures know their true group, so the answer can be checked; with your own you look at margins and at pictures.

# %%
import gzip
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

import clip_spark as cs

# %% [markdown]
# ## Texts with a class, embedded and indexed
#
# A table with a column for the text; every other column is kept, and `classes` names the one to compare. Only every
# second name is taken: half of the pictures have no text of their own, as with pictures of yours.

# %%
lines = []
for file in sorted(Path("demo-out/text").glob("*.txt*")):
    data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    name = file.name.split(".")[0]
    names = [line.split(":", 1)[0] for line in data.decode().splitlines() if line.strip()]
    lines += [{"text": text, "class": name} for text in names[::2]]
Path("out/notebook").mkdir(parents=True, exist_ok=True)
pd.DataFrame(lines).drop_duplicates("text").to_csv("out/notebook/classes.csv", index=False)
records = cs.make_records(rows="out/notebook/classes.csv", text_column="text", output="out/notebook/classes")
embeddings = cs.embed_text(records=records, model="demo", output="out/notebook/class-embeddings")
index = cs.build_index(embeddings=embeddings, output="out/notebook/class-index")
pd.DataFrame(lines)["class"].value_counts()

# %% [markdown]
# ## The best text of each class for every picture
#
# `describe_set` does it in Spark tasks. `describe.html` beside its data is a page with pictures for the same.

# %%
described = cs.describe_set(
    embeddings="demo-out/image-embeddings", index=index, classes="class", output="out/notebook/described"
)
best = described.to_pandas()
scores = best.pivot(index="image_id", columns="class", values="score")
scores.describe().T[["mean", "std", "max"]].sort_values("mean", ascending=False)

# %% [markdown]
# ## How sure?
#
# The cosine alone says little: every class has some text that is not far away. What counts is the distance between the
# best class and the next one.

# %%
ranked = scores.apply(lambda row: row.nlargest(2).to_list(), axis=1, result_type="expand")
chosen = scores.idxmax(axis=1)
margin = ranked[0] - ranked[1]
margin.groupby(chosen).describe()[["count", "mean", "50%"]].sort_values("mean", ascending=False)

# %%
figure, axes = plt.subplots(figsize=(8, 4))
order = margin.groupby(chosen).median().sort_values().index
margins = [margin[chosen == name] for name in order]
axes.boxplot(margins, orientation="horizontal", tick_labels=list(order), showfliers=False)
axes.set_xlabel("cosine of the best class less that of the next")
figure.tight_layout()

# %% [markdown]
# ## Does it hold?
#
# Pictures of the demo know their group. Of the pictures that a class claims, how many are its own, and whose are the
# others?

# %%
truth = cs.open_dataset("demo-out/image-embeddings").to_arrow(columns=["record_id", "group"]).to_pandas()
group = truth.set_index("record_id")["group"].reindex(scores.index)
confusion = pd.crosstab(group, chosen, normalize="index").round(2)
print(f"{(group == chosen).mean():.1%} of {len(group):,} pictures are claimed by their own group")
confusion

# %%
figure, axes = plt.subplots(figsize=(7, 6))
axes.imshow(confusion, cmap="Blues", vmin=0, vmax=1)
axes.set_xticks(range(len(confusion.columns)), confusion.columns, rotation=60, ha="right")
axes.set_yticks(range(len(confusion.index)), confusion.index)
axes.set_xlabel("class whose text is nearest")
axes.set_ylabel("group of the picture")
figure.tight_layout()

# %% [markdown]
# Sure answers are right more often: that is what the margin is good for on pictures whose class nobody knows.

# %%
parts = pd.qcut(margin, 4, labels=["least sure", "less", "more", "most sure"])
(group == chosen).groupby(parts, observed=True).mean()

# %% [markdown]
# ## Where it fails
#
# The surest of the wrong answers, each with the text that misled.

# %%
wrong = best.merge(chosen.rename("class").reset_index(), on=["image_id", "class"])
wrong = wrong.assign(margin=wrong["image_id"].map(margin), group=wrong["image_id"].map(group))
wrong = wrong[wrong["group"] != wrong["class"]].nlargest(8, "margin")
wrong[["group", "class", "text", "score", "margin"]]
