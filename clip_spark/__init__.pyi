"""Written by scripts/make_stub.py from the registry of commands; do not edit."""
# ruff: noqa: E501

from clip_spark.api.dataset import Dataset as Dataset
from clip_spark.api.index import Index as Index
from clip_spark.api.map import Map as Map
from clip_spark.api.opening import load_encoder as load_encoder
from clip_spark.api.opening import open_dataset as open_dataset
from clip_spark.api.opening import open_index as open_index
from clip_spark.api.opening import open_map as open_map
from clip_spark.api.opening import open_pair as open_pair
from clip_spark.api.options import Numbers, Text, Texts
from clip_spark.api.pair import Pair as Pair
from clip_spark.api.session import session as session
from clip_spark.api.session import stop as stop
from clip_spark.errors import ClipSparkError as ClipSparkError
from clip_spark.errors import DatasetError as DatasetError
from clip_spark.errors import InputError as InputError
from clip_spark.errors import ModelError as ModelError
from clip_spark.errors import OutputError as OutputError
from clip_spark.errors import SpecError as SpecError
from clip_spark.errors import StorageError as StorageError
from clip_spark.errors import TaskError as TaskError
from clip_spark.errors import UserError as UserError
from clip_spark.search.hits import Hit as Hit
from clip_spark.search.hits import Hits as Hits

__version__: str
__all__ = [
    "ClipSparkError",
    "Dataset",
    "DatasetError",
    "Hit",
    "Hits",
    "Index",
    "InputError",
    "Map",
    "ModelError",
    "OutputError",
    "Pair",
    "SpecError",
    "StorageError",
    "TaskError",
    "UserError",
    "__version__",
    "adopt_index",
    "build_index",
    "count_ngrams",
    "describe_set",
    "download_images",
    "embed_images",
    "embed_text",
    "filter_ngrams",
    "find_duplicates",
    "import_embeddings",
    "import_index",
    "load_encoder",
    "make_map",
    "make_records",
    "open_dataset",
    "open_index",
    "open_map",
    "open_pair",
    "sample_lines",
    "score_embeddings",
    "search_index",
    "session",
    "stop",
    "tag_images",
]

def adopt_index(
    *,
    index: Text,
    output: Text,
    model: Text,
    recall: float = 0.95,
    max_query_ms: float = 10.0,
    queries: Text = "",
    seed: int = 0,
    overwrite: bool = False,
    modality: Text = "auto",
    metadata: Text = "",
    id_column: Text = "",
    uri_column: Text = "",
    text_column: Text = "",
) -> Dataset:
    """A Faiss index that another tool has made -> an index that serves its bytes as they are.

    Args:
        index: a Faiss file, a folder with image.index, text.index or knn.index, or with the parts of one (knn.index0, ...).
        output: folder of the dataset to write.
        model: the model that made them, by which queries will be encoded: ViT-B/32, ARCH:PRETRAINED, ....
        recall: recall@10 against exact search that the search parameters must reach.
        max_query_ms: milliseconds that a query may take; recall comes first, and a warning says so.
        queries: embeddings of the other kind, with which recall is measured too; over pictures bundled captions are, without.
        seed: seed of the test queries.
        overwrite: replace what another run left in output.
        modality: image or text; auto tells by the layout and the columns.
        metadata: parquet files with a row for each vector, in the order of names (one beside each npy file, by number); of an index also a .npy of ids or a .txt of lines.
        id_column: column that tells records apart, as of make-records; empty takes the place of the row.
        uri_column: column of the picture's path or link; empty finds it.
        text_column: column of the text, or of the picture's caption; empty finds it.

    Returns:
        The finished dataset. What an earlier run with the same options has done is not done again.

    Raises:
        UserError: an option, an input or the output folder cannot be used; found before any work.
        TaskError: a task failed for good; finished shards stay, and the same call goes on from there.
    """

def build_index(
    *,
    embeddings: Texts,
    output: Text,
    parts: int = 0,
    recall: float = 0.95,
    max_index_memory: Text = "16G",
    max_query_ms: float = 10.0,
    max_build_memory: Text = "4G",
    metric: Text = "ip",
    index_key: Text = "",
    queries: Text = "",
    seed: int = 0,
    append: bool = False,
    overwrite: bool = False,
) -> Dataset:
    """Embeddings -> index: Faiss parts, verified, with measured recall.

    Args:
        embeddings: datasets of embeddings of one encoder.
        output: folder of the dataset to write.
        parts: Faiss files of the index; 0 chooses from the number of vectors.
        recall: recall@10 against exact search that the search parameters must reach.
        max_index_memory: memory that the index may take when it is searched.
        max_query_ms: milliseconds that a query may take; recall comes first, and a warning says so.
        max_build_memory: memory of each task and of the driver while it is built.
        metric: ip (inner product, which is the cosine) or l2.
        index_key: Faiss index factory key; empty chooses from size and memory.
        queries: embeddings of the other kind: cross-modal recall is tuned with them, and hubs are corrected for them.
        seed: seed of the training sample and the test queries.
        append: add the embeddings to the index in output, without training again.
        overwrite: replace what another run left in output.

    Returns:
        The finished dataset. What an earlier run with the same options has done is not done again.

    Raises:
        UserError: an option, an input or the output folder cannot be used; found before any work.
        TaskError: a task failed for good; finished shards stay, and the same call goes on from there.
    """

def count_ngrams(
    *,
    corpus: Texts,
    output: Text,
    orders: Numbers = (1, 2, 3),
    min_count: Numbers = (2,),
    lower: bool = True,
    nfkc: bool = False,
    tokenizer: Text = "wordpunct",
    text_field: Text = "text",
    encoding: Text = "auto",
    invalid_utf8: Text = "replace",
    prune: bool = False,
    max_rejects: float = 1.0,
    shards: int = 0,
    overwrite: bool = False,
) -> Dataset:
    """Corpus: text files, plain or compressed -> counts: every n-gram above the min count, plots.

    Args:
        corpus: text, JSON, CSV, parquet, Arrow, tar, WARC, packed or not: files, folders or globs.
        output: folder of the dataset to write.
        orders: lengths of the n-grams to count, 1 to 5.
        min_count: drop n-grams seen less often: one value, or one per order.
        lower: lower-case the text first.
        nfkc: bring the text into Unicode's normal form NFKC first.
        tokenizer: wordpunct (nltk's), whitespace, or regex:PATTERN.
        text_field: column or key of the text (a.b looks inside a); for a tar the members' ending.
        encoding: of the text: auto (UTF-8; UTF-16 and UTF-32 by their mark or zero bytes), cp1252, utf-16, ....
        invalid_utf8: lines that are not UTF-8: replace the bad bytes, or reject the line.
        prune: make it again also where files of the input are gone, without them.
        max_rejects: end as failed if a larger share of the rows is rejected, such as 0.5; everything is kept.
        shards: files of the result; 0 chooses from the size of the corpus.
        overwrite: replace what another run left in output.

    Returns:
        The finished dataset. What an earlier run with the same options has done is not done again.

    Raises:
        UserError: an option, an input or the output folder cannot be used; found before any work.
        TaskError: a task failed for good; finished shards stay, and the same call goes on from there.
    """

def describe_set(
    *,
    embeddings: Text,
    index: Text,
    output: Text,
    classes: Text = "n",
    top: int = 20,
    quotas: Texts = (),
    examples: int = 3,
    where: Text = "",
    raw: bool = False,
    overwrite: bool = False,
) -> Dataset:
    """Image embeddings + text index -> what the set as a whole shows, by class of text: table and page.

    Args:
        embeddings: dataset of image embeddings.
        index: index of texts.
        output: folder of the dataset to write.
        classes: column of the texts that says their class: n (the n-gram order), or one of your own, such as bank.
        top: tags listed per class.
        quotas: only these classes, with so many listed tags each, such as medium:3,style:10.
        examples: pictures shown per tag.
        where: condition on the texts' columns that says which may be tags.
        raw: rank by cosine alone, hubs first, where the index is calibrated.
        overwrite: replace what another run left in output.

    Returns:
        The finished dataset. What an earlier run with the same options has done is not done again.

    Raises:
        UserError: an option, an input or the output folder cannot be used; found before any work.
        TaskError: a task failed for good; finished shards stay, and the same call goes on from there.
    """

def download_images(
    *,
    records: Text,
    output: Text,
    contact: Text = "",
    format: Text = "webdataset",
    image_size: int = 256,
    resize_mode: Text = "keep_ratio",
    upscale: bool = False,
    encode_format: Text = "jpg",
    encode_quality: int = 95,
    skip_reencode: bool = False,
    min_image_size: int = 0,
    max_aspect_ratio: float = 0.0,
    max_bytes: Text = "32M",
    hash_column: Text = "",
    block_list: Texts = (),
    block_pictures: Texts = (),
    block_distance: int = 31,
    dedup: Text = "no",
    timeout: float = 30.0,
    tries: int = 3,
    connections: int = 64,
    host_connections: int = 4,
    robots: bool = True,
    robots_tag: bool = True,
    aipref: bool = True,
    tdm: bool = True,
    allow_private: bool = False,
    retry_failed: Texts = (),
    prune: bool = False,
    max_rejects: float = 1.0,
    shard_rows: int = 5000,
    overwrite: bool = False,
) -> Dataset:
    """Records with links -> pictures in webdataset tars, and what became of every link.

    Args:
        records: dataset of records with picture links (make-records --uri-column).
        output: folder of the dataset to write.
        contact: who runs this, a mail or web address, for the people whose servers are asked; needed beyond 10,000 links.
        format: write webdataset (tars), or parquet with the pictures' bytes in a column `image`.
        image_size: pixels that resize_mode aims at.
        resize_mode: no (keep the file as it came), keep_ratio (its shorter side), keep_ratio_largest (its longer side), center_crop (a square), border (a square with white bars).
        upscale: also enlarge pictures that are smaller.
        encode_format: store as jpg, png or webp.
        encode_quality: quality of jpg and webp, 1 to 100.
        skip_reencode: store the bytes as they came where nothing is resized.
        min_image_size: reject pictures whose shorter side has fewer pixels.
        max_aspect_ratio: reject pictures that are more than so many times as long as wide; 0: no limit.
        max_bytes: reject larger files.
        hash_column: column with the md5, sha1 or sha256 that the file must have.
        block_list: files of md5, sha1 or sha256, one a line; never stored.
        block_pictures: files of PDQ hashes (64 hex digits), one a line; pictures that look so are never stored.
        block_distance: bits in which a picture's PDQ may differ from one of block_pictures.
        dedup: keep one file of pictures that are the same: no, sha256 (of the same bytes), perceptual (they look the same).
        timeout: seconds for one try, from its connection to its last byte.
        tries: how often a link is tried if the failure may pass.
        connections: links that one task asks for at once.
        host_connections: of one host at once, in all tasks together; each has at least one.
        robots: obey robots.txt (RFC 9309) and its Crawl-delay.
        robots_tag: obey X-Robots-Tag: noai, noimageai, noindex, noimageindex, none.
        aipref: obey Content-Usage: train-ai=n (IETF AIPREF), in robots.txt and in answers.
        tdm: obey tdm-reservation: 1.
        allow_private: also ask addresses that are not public (an intranet, a test).
        retry_failed: of a finished download: fetch rows that failed for these reasons again, or `all`; what is stored stays.
        prune: of an input that has changed since: take out what vanished, and do again what changed.
        max_rejects: end as failed if a larger share of the rows fails.
        shard_rows: links of one shard.
        overwrite: replace what another run left in output.

    Returns:
        The finished dataset. What an earlier run with the same options has done is not done again.

    Raises:
        UserError: an option, an input or the output folder cannot be used; found before any work.
        TaskError: a task failed for good; finished shards stay, and the same call goes on from there.
    """

def embed_images(
    *,
    images: Texts,
    output: Text,
    model: Text = "demo",
    precision: Text = "auto",
    backend: Text = "torch",
    orientation: Text = "apply",
    background: Text = "white",
    image_column: Text = "",
    metadata_columns: Texts = (),
    batch_size: int = 0,
    shard_rows: int = 0,
    fast_decode: bool = False,
    prune: bool = False,
    max_rejects: float = 1.0,
    price_per_hour: float = 0.0,
    overwrite: bool = False,
) -> Dataset:
    """Folders, webdataset tars, parquet with bytes -> embeddings + records (uri, size, caption, metadata).

    Args:
        images: folders of pictures, webdataset tars, parquet or Arrow with image bytes, .txt lists of URIs.
        output: folder of the dataset to write.
        model: demo, ARCH:PRETRAINED, ARCH:/path/to/weights, or an OpenAI name like ViT-B/32.
        precision: auto, fp32, bf16, fp16 or tf32 (GPUs); auto is the fastest that the first task measures, with a cosine to fp32 of 0.999 and more, and all tasks follow it; int8 is faster on most CPUs, but not exact; fastest is int8 if it gains and keeps a cosine of 0.999 on some of these pictures, else auto.
        backend: what computes pictures: torch, or onnx (ONNX Runtime, fp32 on CPUs; needs 'clip-spark[onnx]').
        orientation: apply (turn photographs as their EXIF tag says) or ignore (as open_clip does).
        background: under transparent pixels: white, black, RRGGBB, or open_clip, which shows what colours lie below them.
        image_column: column of parquet files that holds pictures or their paths; empty finds it.
        metadata_columns: keys of the metadata beside pictures, or other columns of parquet, that become record columns.
        batch_size: pictures per forward pass; 0 chooses by device.
        shard_rows: most pictures of a shard from single files; 0 chooses (a tar is always one shard).
        fast_decode: decode large JPEGs at a fraction of their size: 3 to 6 times faster, not exact.
        prune: of an input that has changed since: take out what vanished, and do again what changed.
        max_rejects: fail in the end if more than this share is rejected; 1 never does.
        price_per_hour: what the cluster costs in an hour, in any currency; the result then says the cost of a million rows.
        overwrite: replace what another run left in output.

    Returns:
        The finished dataset. What an earlier run with the same options has done is not done again.

    Raises:
        UserError: an option, an input or the output folder cannot be used; found before any work.
        TaskError: a task failed for good; finished shards stay, and the same call goes on from there.
    """

def embed_text(
    *,
    records: Texts,
    output: Text,
    text_column: Text = "text",
    model: Text = "demo",
    precision: Text = "auto",
    prefix: Text = "",
    templates: Texts = (),
    batch_size: int = 0,
    shard_rows: int = 0,
    price_per_hour: float = 0.0,
    overwrite: bool = False,
) -> Dataset:
    """Records -> embeddings + records, same rows, same order.

    Args:
        records: datasets of records, or of image embeddings with their records; an id of several is read once.
        output: folder of the dataset to write.
        text_column: column of the records to embed, such as the caption of pictures.
        model: demo, ARCH:PRETRAINED, ARCH:/path/to/weights, or an OpenAI name like ViT-B/32.
        precision: auto, fp32, bf16, fp16 or tf32 (GPUs); auto is the fastest that the first task measures, with a cosine to fp32 of 0.999 and more, and all tasks follow it.
        prefix: put before every text for the encoder only, such as 'a photo of a '.
        templates: instead of a prefix: texts with {} in place of the record's, averaged.
        batch_size: tokens per forward pass; 0 chooses by device.
        shard_rows: most rows of an embedding shard; 0 chooses from the number of records.
        price_per_hour: what the cluster costs in an hour, in any currency; the result then says the cost of a million rows.
        overwrite: replace what another run left in output.

    Returns:
        The finished dataset. What an earlier run with the same options has done is not done again.

    Raises:
        UserError: an option, an input or the output folder cannot be used; found before any work.
        TaskError: a task failed for good; finished shards stay, and the same call goes on from there.
    """

def filter_ngrams(
    *,
    counts: Text,
    output: Text,
    top: int = 10000,
    rank: Text = "count",
    texts: Text = "",
    pictures: Text = "",
    orders: Numbers = (),
    min_count: int = 1,
    punctuation: Text = "keep",
    digits: Text = "keep",
    stop_words: Text = "",
    stop_words_at: Text = "edges",
    min_length: int = 1,
    max_length: int = 0,
    matching: Text = "",
    keep_list: Text = "",
    drop_list: Text = "",
    overwrite: bool = False,
) -> Dataset:
    """Counts, and embeddings for --rank visibility -> records: ranked, cut, cleaned, every drop counted.

    Args:
        counts: dataset of counts.
        output: folder of the dataset to write.
        top: keep at most so many n-grams of each order; 0 keeps all.
        rank: which n-grams are best: count, pmi, npmi, log-likelihood, visibility.
        texts: for rank visibility: embeddings of n-grams of these counts.
        pictures: for rank visibility: embeddings of pictures like those to be tagged.
        orders: only n-grams of these lengths; empty keeps all.
        min_count: drop n-grams seen less often than this.
        punctuation: drop n-grams with punctuation: keep (none is dropped), edges or anywhere.
        digits: drop n-grams with a token of digits: keep (none is dropped), edges or anywhere.
        stop_words: a language (de, en, es, fr, it, nl, pt) or a file of words; empty: none.
        stop_words_at: where a stop word drops an n-gram: edges or anywhere.
        min_length: drop n-grams of fewer characters.
        max_length: drop n-grams of more characters; 0: no limit.
        matching: keep only n-grams in which this regular expression is found.
        keep_list: file of n-grams, one per line; only these are kept.
        drop_list: file of n-grams, one per line; these are dropped.
        overwrite: replace what another run left in output.

    Returns:
        The finished dataset. What an earlier run with the same options has done is not done again.

    Raises:
        UserError: an option, an input or the output folder cannot be used; found before any work.
        TaskError: a task failed for good; finished shards stay, and the same call goes on from there.
    """

def find_duplicates(
    *,
    embeddings: Text,
    output: Text,
    threshold: float = 0.95,
    keep: Text = "first",
    examples: int = 30,
    remove: Text = "",
    task_memory: Text = "256M",
    overwrite: bool = False,
) -> Dataset:
    """Embeddings, of pictures or texts -> groups of near-duplicates, one of each kept; a page.

    Args:
        embeddings: dataset of embeddings, pictures or texts.
        output: folder of the dataset to write.
        threshold: least cosine of two near-duplicates; every two records of a group have it.
        keep: which of a group stays: first, largest (most pixels), oldest or oldest:COLUMN, or an expression in columns of the records, such as 'aesthetic' or '-length(text)', whose greatest value stays.
        examples: groups that report.html and the contact sheet show, the largest.
        remove: index from which all but the kept are taken down, as remove-records does it.
        task_memory: about how much one task may hold.
        overwrite: replace what another run left in output.

    Returns:
        The finished dataset. What an earlier run with the same options has done is not done again.

    Raises:
        UserError: an option, an input or the output folder cannot be used; found before any work.
        TaskError: a task failed for good; finished shards stay, and the same call goes on from there.
    """

def import_embeddings(
    *,
    embeddings: Text,
    output: Text,
    model: Text,
    layout: Text = "auto",
    embedding_column: Text = "",
    overwrite: bool = False,
    modality: Text = "auto",
    metadata: Text = "",
    id_column: Text = "",
    uri_column: Text = "",
    text_column: Text = "",
    normalise: bool = False,
    shard_rows: int = 50000,
    prune: bool = False,
    max_rejects: float = 1.0,
) -> Dataset:
    """Vectors that other tools have made -> embeddings + records, bit by bit, without a model.

    Args:
        embeddings: folder (or one file) of vectors that another tool has made.
        output: folder of the dataset to write.
        model: the model that made them, by which queries will be encoded: ViT-B/32, ARCH:PRETRAINED, ....
        layout: clip-retrieval, clip-grams, ids (npy beside npy of ids, as prompt-search), parquet (as fondant) or npy; auto tells by the files.
        embedding_column: column of parquet that holds the vectors; empty finds it.
        overwrite: replace what another run left in output.
        modality: image or text; auto tells by the layout and the columns.
        metadata: parquet files with a row for each vector, in the order of names (one beside each npy file, by number); of an index also a .npy of ids or a .txt of lines.
        id_column: column that tells records apart, as of make-records; empty takes the place of the row.
        uri_column: column of the picture's path or link; empty finds it.
        text_column: column of the text, or of the picture's caption; empty finds it.
        normalise: divide vectors of another length than 1 by it; without, they are rejected.
        shard_rows: most rows of a shard.
        prune: of an input that has changed since: take out what vanished, and do again what changed.
        max_rejects: fail in the end if more than this share is rejected; 1 never does.

    Returns:
        The finished dataset. What an earlier run with the same options has done is not done again.

    Raises:
        UserError: an option, an input or the output folder cannot be used; found before any work.
        TaskError: a task failed for good; finished shards stay, and the same call goes on from there.
    """

def import_index(
    *,
    index: Text,
    output: Text,
    model: Text,
    overwrite: bool = False,
    modality: Text = "auto",
    metadata: Text = "",
    id_column: Text = "",
    uri_column: Text = "",
    text_column: Text = "",
    normalise: bool = False,
    shard_rows: int = 50000,
    prune: bool = False,
    max_rejects: float = 1.0,
) -> Dataset:
    """A Faiss index that another tool has made -> its vectors as embeddings + records.

    Args:
        index: a Faiss file, or a folder with image.index or text.index and metadata/, as clip-retrieval has it.
        output: folder of the dataset to write.
        model: the model that made them, by which queries will be encoded: ViT-B/32, ARCH:PRETRAINED, ....
        overwrite: replace what another run left in output.
        modality: image or text; auto tells by the layout and the columns.
        metadata: parquet files with a row for each vector, in the order of names (one beside each npy file, by number); of an index also a .npy of ids or a .txt of lines.
        id_column: column that tells records apart, as of make-records; empty takes the place of the row.
        uri_column: column of the picture's path or link; empty finds it.
        text_column: column of the text, or of the picture's caption; empty finds it.
        normalise: divide vectors of another length than 1 by it; without, they are rejected.
        shard_rows: most rows of a shard.
        prune: of an input that has changed since: take out what vanished, and do again what changed.
        max_rejects: fail in the end if more than this share is rejected; 1 never does.

    Returns:
        The finished dataset. What an earlier run with the same options has done is not done again.

    Raises:
        UserError: an option, an input or the output folder cannot be used; found before any work.
        TaskError: a task failed for good; finished shards stay, and the same call goes on from there.
    """

def make_map(
    *,
    output: Text,
    embeddings: Text = "",
    texts: Text = "",
    index: Texts = (),
    method: Text = "tsne",
    fit_rows: int = 50000,
    seed: int = 0,
    columns: Texts = (),
    append: bool = False,
    html: Text = "",
    overwrite: bool = False,
) -> Dataset:
    """Image embeddings + text embeddings -> map: places that stay, named regions, tiles, drawings.

    Args:
        output: folder of the dataset to write.
        embeddings: dataset of image embeddings.
        texts: dataset of text embeddings: placed among the pictures, and the names of regions.
        index: index of pictures or of texts, in place of embeddings or texts: what it was built from, without what was taken down of it; may be repeated.
        method: what fits the map: tsne or umap.
        fit_rows: pictures on which the map is fitted; 50,000 take about two minutes and a gigabyte.
        seed: decides which pictures those are, and what the fit leaves to chance.
        columns: columns of the records to copy to the points, such as group.
        append: add these embeddings to the map in output, beside those that it has; nothing moves.
        html: also write a page with the map to this file: it opens from a disk, with at most 200,000 points.
        overwrite: replace what another run left in output.

    Returns:
        The finished dataset. What an earlier run with the same options has done is not done again.

    Raises:
        UserError: an option, an input or the output folder cannot be used; found before any work.
        TaskError: a task failed for good; finished shards stay, and the same call goes on from there.
    """

def make_records(
    *,
    rows: Texts,
    output: Text,
    text_column: Text = "text",
    uri_column: Text = "",
    id_column: Text = "",
    where: Text = "",
    sample: float = 1.0,
    seed: int = 0,
    limit: int = 0,
    encoding: Text = "auto",
    prune: bool = False,
    max_rejects: float = 1.0,
    shards: int = 0,
    overwrite: bool = False,
) -> Dataset:
    """Lines, CSV or parquet rows -> records, duplicates removed, your columns kept.

    Args:
        rows: text, JSON, CSV, parquet, Arrow, tar or WARC, packed or not, with one thing to embed per row.
        output: folder of the dataset to write.
        text_column: column that holds the text, or a list of texts (a.b looks inside a); of a list beside links it is the first.
        uri_column: column that holds picture URLs; the records are then of kind image.
        id_column: column that tells rows apart, in place of their text or URI; the first row of each id is kept.
        where: only rows that fulfil a condition, such as "width >= 256 and lang = 'en'".
        sample: only this share of the rows, such as 0.01, drawn by their ids.
        seed: of the sample.
        limit: only the first so many of the rows that are left; 0: all.
        encoding: of the text: auto (UTF-8; UTF-16 and UTF-32 by their mark or zero bytes), cp1252, utf-16, ....
        prune: make it again also where files of the input are gone, without them.
        max_rejects: end as failed if a larger share of the rows is rejected, such as 0.5; everything is kept.
        shards: files of the result; 0 chooses from the size of the input.
        overwrite: replace what another run left in output.

    Returns:
        The finished dataset. What an earlier run with the same options has done is not done again.

    Raises:
        UserError: an option, an input or the output folder cannot be used; found before any work.
        TaskError: a task failed for good; finished shards stay, and the same call goes on from there.
    """

def sample_lines(
    *,
    ngrams: Text,
    output: Text,
    corpus: Texts = (),
    examples: int = 3,
    length: int = 240,
    shards: int = 0,
    overwrite: bool = False,
) -> Dataset:
    """N-grams + their corpus -> examples: a few lines in which each n-gram stands.

    Args:
        ngrams: counts, or the records of filter-ngrams.
        output: folder of the dataset to write.
        corpus: where the lines are; empty takes the corpus that was counted.
        examples: lines of each n-gram.
        length: most characters of a line that are kept, around the n-gram.
        shards: files of the result; 0 chooses from the number of n-grams.
        overwrite: replace what another run left in output.

    Returns:
        The finished dataset. What an earlier run with the same options has done is not done again.

    Raises:
        UserError: an option, an input or the output folder cannot be used; found before any work.
        TaskError: a task failed for good; finished shards stay, and the same call goes on from there.
    """

def score_embeddings(
    *,
    embeddings: Text,
    head: Texts,
    output: Text,
    activation: Text = "",
    scores: Text = "",
    overwrite: bool = False,
) -> Dataset:
    """Embeddings + heads (safetensors) -> the same embeddings, with a column for each score.

    Args:
        embeddings: dataset of embeddings.
        head: safetensors file of linear layers, whose name is that of the column; or NAME=FILE.
        output: folder of the dataset to write.
        activation: between the layers: linear, relu or gelu; empty takes what the file's metadata says.
        scores: outputs as they are (plain), or through sigmoid or softmax; empty as the metadata says.
        overwrite: replace what another run left in output.

    Returns:
        The finished dataset. What an earlier run with the same options has done is not done again.

    Raises:
        UserError: an option, an input or the output folder cannot be used; found before any work.
        TaskError: a task failed for good; finished shards stay, and the same call goes on from there.
    """

def search_index(
    *,
    queries: Text,
    index: Text,
    output: Text,
    columns: Texts = (),
    k: int = 10,
    threshold: float = -1.0,
    where: Text = "",
    unique: float = 0.0,
    relevant: float = 0.0,
    raw: bool = False,
    quarantine_hubs: bool = False,
    overwrite: bool = False,
) -> Dataset:
    """Embeddings as queries + index -> hits, for millions of queries on Spark.

    Args:
        queries: dataset of embeddings; each is a query.
        index: index to search.
        output: folder of the dataset to write.
        columns: columns of the records to copy to the hits, such as text or uri,caption.
        k: hits per query.
        threshold: least score (cosine) of a hit; -1 takes all.
        where: condition on the records' columns, such as "n = 2 and text like '%dog%'".
        unique: drop hits whose cosine with a better one is at least this, such as 0.95; 0 keeps all.
        relevant: only hits that a query about nothing would not get with this probability, such as 0.95; 0 takes all.
        raw: rank by cosine alone, hubs first, where the index is calibrated.
        quarantine_hubs: leave out what answers too many unrelated queries, where the index is calibrated.
        overwrite: replace what another run left in output.

    Returns:
        The finished dataset. What an earlier run with the same options has done is not done again.

    Raises:
        UserError: an option, an input or the output folder cannot be used; found before any work.
        TaskError: a task failed for good; finished shards stay, and the same call goes on from there.
    """

def tag_images(
    *,
    embeddings: Text,
    index: Text,
    output: Text,
    k: int = 10,
    quotas: Texts = (),
    classes: Text = "n",
    jsonl: bool = False,
    sidecars: bool = False,
    threshold: float = -1.0,
    where: Text = "",
    unique: float = 0.0,
    relevant: float = 0.0,
    raw: bool = False,
    quarantine_hubs: bool = False,
    overwrite: bool = False,
) -> Dataset:
    """Image embeddings + text index -> tags, and .knn files beside the pictures with --sidecars.

    Args:
        embeddings: dataset of image embeddings.
        index: index of texts.
        output: folder of the dataset to write.
        k: tags per image.
        quotas: instead of -k: tags of each class, such as 1:5,2:3,3:2 or medium:1,style:3.
        classes: column of the texts that says their class: n (the n-gram order), or one of your own, such as bank.
        jsonl: also write the tags as jsonl/00000.jsonl ..., one line per picture.
        sidecars: also write <stem>.knn beside each picture, as clip-grams does.
        threshold: least score (cosine) of a hit; -1 takes all.
        where: condition on the records' columns, such as "n = 2 and text like '%dog%'".
        unique: drop hits whose cosine with a better one is at least this, such as 0.95; 0 keeps all.
        relevant: only hits that a query about nothing would not get with this probability, such as 0.95; 0 takes all.
        raw: rank by cosine alone, hubs first, where the index is calibrated.
        quarantine_hubs: leave out what answers too many unrelated queries, where the index is calibrated.
        overwrite: replace what another run left in output.

    Returns:
        The finished dataset. What an earlier run with the same options has done is not done again.

    Raises:
        UserError: an option, an input or the output folder cannot be used; found before any work.
        TaskError: a task failed for good; finished shards stay, and the same call goes on from there.
    """
