"""From text to records: corpora in many formats, tokens, n-grams, tables of texts.

Import the steps (`ngrams.count.count_ngrams`, `ngrams.filter.filter_ngrams`, `make_records.make_records`), `corpus` to
read text files, `lines` for bytes as text.
"""
