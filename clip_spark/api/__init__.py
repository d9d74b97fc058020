"""clip-spark from Python: steps as functions, datasets and indices as objects that a notebook can show.

Import nothing from here: `import clip_spark as cs` gives all of it, lazily.
It stands on `commands`, `search` and everything below; nothing stands on it but `clip_spark/__init__.py`.
"""
