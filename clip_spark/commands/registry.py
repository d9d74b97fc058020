"""*Driver.* Every command, once: `clip-spark --help`, `jobs/`, `run`, `submit`, the README and the tests read it here.

A new step is one module with the step, one entry here, and one file in `jobs/`.
"""

from __future__ import annotations

from clip_spark.commands.entry import Command

TEXTS, EMBEDDINGS, INDICES, SEARCH = "texts", "embeddings", "indices", "search"
PIPELINES, AROUND = "whole pipelines", "before and after a run"

_ENTRIES = (
    Command(
        "count-ngrams",
        group=TEXTS,
        takes="corpus: text files, plain or compressed",
        gives="counts: every n-gram above the min count, plots",
        spec="clip_spark.texts.specs:CountSpec",
        step="clip_spark.texts.ngrams.count:count_ngrams",
        kind="counts",
        preview="clip_spark.texts.ngrams.preview:show_counts",
        page="docs/ngrams.md",
        examples=(
            (
                "count words, pairs and triples of a folder of text",
                "clip-spark count-ngrams --corpus docs/ --output counts/",
            ),
            (
                "only pairs seen ten times, several places",
                "clip-spark count-ngrams --corpus 'a/*.txt.gz' --corpus s3://bucket/b/ --orders 2 --min-count 10 "
                "--output counts/",
            ),
        ),
        next_command="clip-spark filter-ngrams --counts {output} --output records/",
    ),
    Command(
        "filter-ngrams",
        group=TEXTS,
        takes="counts, and embeddings for `--rank visibility`",
        gives="records: ranked, cut, cleaned, every drop counted",
        spec="clip_spark.texts.specs:FilterSpec",
        step="clip_spark.texts.ngrams.filter:filter_ngrams",
        kind="records",
        preview="clip_spark.texts.ngrams.preview:show_records",
        examples=(
            (
                "the 20,000 most frequent n-grams of each order",
                "clip-spark filter-ngrams --counts counts/ --top 20000 --output records/",
            ),
            (
                "the pairs and triples that belong together most",
                "clip-spark filter-ngrams --counts counts/ --rank pmi --min-count 20 --output records/",
            ),
            (
                "those that pictures show",
                "clip-spark filter-ngrams --counts counts/ --rank visibility --texts text-embeddings/ "
                "--pictures image-embeddings/ --output records/",
            ),
        ),
        next_command="clip-spark embed-text --records {output} --output embeddings/",
    ),
    Command(
        "sample-lines",
        group=TEXTS,
        takes="n-grams + their corpus",
        gives="examples: a few lines in which each n-gram stands",
        spec="clip_spark.texts.ngrams.examples.spec:SampleLinesSpec",
        step="clip_spark.texts.ngrams.examples.step:sample_lines",
        kind="examples",
        preview="clip_spark.texts.ngrams.examples.step:preview",
        page="docs/ngrams.md",
        examples=(
            (
                "three lines of each n-gram that is kept",
                "clip-spark sample-lines --ngrams records/ --output examples/",
            ),
        ),
        next_command="clip-spark where-ngram 'an n-gram' --examples {output}",
    ),
    Command(
        "where-ngram",
        group=TEXTS,
        takes="an n-gram + examples",
        gives="lines in which it stands, and the pictures that it tags",
        spec="clip_spark.texts.ngrams.examples.spec:WhereSpec",
        words="text",
        spark=False,
        page="docs/ngrams.md",
        examples=(
            (
                "where it stands, and which pictures it tags best",
                "clip-spark where-ngram 'red bicycle' --examples examples/ --tags tags/",
            ),
        ),
    ),
    Command(
        "make-records",
        group=TEXTS,
        takes="lines, CSV or parquet rows",
        gives="records, duplicates removed, your columns kept",
        spec="clip_spark.texts.specs:RecordsSpec",
        step="clip_spark.texts.make_records:make_records",
        kind="records",
        preview="clip_spark.texts.make_records:show_records",
        examples=(
            ("one record per line", "clip-spark make-records --rows prompts.txt --output records/"),
            (
                "a table, its other columns are kept",
                "clip-spark make-records --rows captions.parquet --text-column caption --output records/",
            ),
            (
                "picture URLs with their captions",
                "clip-spark make-records --rows urls.csv --uri-column url --text-column caption --output records/",
            ),
            (
                "one in a hundred of the large ones, told apart by a column of ids",
                "clip-spark make-records --rows urls.parquet --uri-column url --id-column uid --where 'width >= 512' "
                "--sample 0.01 --output records/",
            ),
        ),
        next_command="clip-spark embed-text --records {output} --output embeddings/",
        next_with=("uri_column", "clip-spark download-images --records {output} --output pictures/"),
    ),
    Command(
        "download-images",
        group=EMBEDDINGS,
        takes="records with links",
        gives="pictures in webdataset tars, and what became of every link",
        spec="clip_spark.pictures.download.specs:DownloadSpec",
        step="clip_spark.pictures.download.step:download_images",
        tasks="clip_spark.pictures.download.step:plan_tasks",
        kind="images",
        preview="clip_spark.pictures.download.report:preview",
        page="docs/downloading.md",
        examples=(
            (
                "the pictures of a table of links, 256 pixels on their shorter side",
                "clip-spark download-images --records records/ --contact me@example.org --output pictures/",
            ),
            (
                "once more those that timed out or whose server was ill; what is there is not fetched again",
                "clip-spark download-images --records records/ --contact me@example.org --output pictures/ "
                "--retry-failed timeout,http",
            ),
        ),
        next_command="clip-spark embed-images --images {output} --metadata-columns url --output embeddings/",
    ),
    Command(
        "embed-text",
        group=EMBEDDINGS,
        takes="records",
        gives="embeddings + records, same rows, same order",
        spec="clip_spark.embed.specs:EmbedTextSpec",
        step="clip_spark.embed.texts:embed_text",
        tasks="clip_spark.embed.texts:plan_tasks",
        kind="embeddings",
        preview="clip_spark.embed:preview",
        page="docs/encoding.md",
        examples=(
            ("records to embeddings with the bundled model", "clip-spark embed-text --records records/ --output emb/"),
            (
                "lines and n-grams together, each text once",
                "clip-spark embed-text --records lines/ --records ngrams/ --output emb/",
            ),
            (
                "with OpenAI's model, and words around every text that the records do not have",
                "clip-spark embed-text --records records/ --model ViT-B/32 --prefix 'a photo of a ' --output emb/",
            ),
            (
                "each text said in two ways, the mean of both: better tags",
                "clip-spark embed-text --records records/ --templates 'a photo of a {}, a thing.' "
                "--templates 'a drawing of a {}.' --output emb/",
            ),
            (
                "the captions of embedded pictures, under the pictures' ids",
                "clip-spark embed-text --records image-emb/ --text-column caption --output caption-emb/",
            ),
        ),
        next_command="clip-spark build-index --embeddings {output} --output index/",
    ),
    Command(
        "embed-images",
        group=EMBEDDINGS,
        takes="folders, webdataset tars, parquet with bytes",
        gives="embeddings + records (uri, size, caption, metadata)",
        spec="clip_spark.embed.specs:EmbedImagesSpec",
        step="clip_spark.embed.pictures:embed_images",
        tasks="clip_spark.embed.pictures:plan_tasks",
        kind="embeddings",
        preview="clip_spark.embed:preview",
        examples=(
            (
                "a folder of pictures; once more when it has grown: only what is new",
                "clip-spark embed-images --images photos/ --output emb/",
            ),
            (
                "and without the pictures that are gone since",
                "clip-spark embed-images --images photos/ --output emb/ --prune",
            ),
            (
                "webdataset tars, with keys of their .json as columns of the records",
                "clip-spark embed-images --images s3://bucket/tars/ --metadata-columns name,group --output emb/",
            ),
        ),
        next_command="clip-spark build-index --embeddings {output} --output index/",
    ),
    Command(
        "import-embeddings",
        group=EMBEDDINGS,
        takes="vectors that other tools have made",
        gives="embeddings + records, bit by bit, without a model",
        spec="clip_spark.embed.imported.spec:ImportSpec",
        step="clip_spark.embed.imported.step:import_embeddings",
        tasks="clip_spark.embed.imported.step:plan_tasks",
        kind="embeddings",
        preview="clip_spark.embed:preview",
        page="docs/publishing.md",
        examples=(
            (
                "clip-retrieval's folder with img_emb/ and metadata/; its texts with --modality text",
                "clip-spark import-embeddings --embeddings embeddings/ --model ViT-B/32 --output emb/",
            ),
            (
                "clip-grams' folder with emb*.npy and entries.txt",
                "clip-spark import-embeddings --embeddings index_dir/ --model ViT-B/16 --output emb/",
            ),
            (
                "parquet with vectors of any length, as fondant writes them",
                "clip-spark import-embeddings --embeddings s3://bucket/embedded/ --id-column id --normalise "
                "--model ViT-B-32:laion2b_s34b_b79k --output emb/",
            ),
        ),
        next_command="clip-spark build-index --embeddings {output} --output index/",
    ),
    Command(
        "import-index",
        group=EMBEDDINGS,
        takes="a Faiss index that another tool has made",
        gives="its vectors as embeddings + records",
        spec="clip_spark.index.imported.spec:ImportIndexSpec",
        step="clip_spark.index.imported.step:import_index",
        tasks="clip_spark.index.imported.step:plan_tasks",
        kind="embeddings",
        preview="clip_spark.embed:preview",
        page="docs/publishing.md",
        examples=(
            (
                "clip-retrieval's folder with image.index and metadata/",
                "clip-spark import-index --index index_folder/ --model ViT-B/32 --output emb/",
            ),
            (
                "fondant's: faiss beside id_mapping/",
                "clip-spark import-index --index published/faiss --modality image "
                "--model ViT-B-32:laion2b_s34b_b79k --output emb/",
            ),
        ),
        next_command="clip-spark build-index --embeddings {output} --output index/",
    ),
    Command(
        "score-embeddings",
        group=EMBEDDINGS,
        takes="embeddings + heads (safetensors)",
        gives="the same embeddings, with a column for each score",
        spec="clip_spark.analysis.specs:ScoreSpec",
        step="clip_spark.analysis.heads.step:score_embeddings",
        tasks="clip_spark.analysis.heads.step:plan_tasks",
        kind="embeddings",
        preview="clip_spark.analysis.heads.step:preview",
        page="docs/answers.md",
        examples=(
            (
                "an aesthetic and an NSFW head; then search --where 'aesthetic > 5 and nsfw < 0.2'",
                "clip-spark score-embeddings --embeddings images/ --head aesthetic.safetensors "
                "--head nsfw=s3://bucket/safety.safetensors --output scored/",
            ),
            (
                "layers with ReLU in between, and a sigmoid at the end",
                "clip-spark score-embeddings --embeddings images/ --head watermark.safetensors --activation relu "
                "--scores sigmoid --output scored/",
            ),
        ),
        next_command="clip-spark build-index --embeddings {output} --output index/",
    ),
    Command(
        "find-duplicates",
        group=EMBEDDINGS,
        takes="embeddings, of pictures or texts",
        gives="groups of near-duplicates, one of each kept; a page",
        spec="clip_spark.analysis.duplicates.spec:DuplicatesSpec",
        step="clip_spark.analysis.duplicates.step:find_duplicates",
        kind="duplicates",
        preview="clip_spark.analysis.duplicates.step:preview",
        page="docs/answers.md",
        examples=(
            (
                "groups in which every two have a cosine of 0.95; the picture with most pixels is kept",
                "clip-spark find-duplicates --embeddings images/ --keep largest --output duplicates/",
            ),
            (
                "the others are found no more in an index of these pictures",
                "clip-spark find-duplicates --embeddings images/ --keep oldest:taken --remove index/ "
                "--output duplicates/",
            ),
            (
                "the shortest of texts that say nearly the same",
                "clip-spark find-duplicates --embeddings texts/ --threshold 0.97 --keep '-length(text)' "
                "--output duplicates/",
            ),
        ),
    ),
    Command(
        "build-index",
        group=INDICES,
        takes="embeddings",
        gives="index: Faiss parts, verified, with measured recall",
        spec="clip_spark.index.specs:IndexSpec",
        step="clip_spark.index.build.build:build_index",
        kind="index",
        preview="clip_spark.index.build.build:preview",
        page="docs/index.md",
        examples=(
            ("finds 95 % of the true ten nearest", "clip-spark build-index --embeddings emb/ --output index/"),
            ("of two sets", "clip-spark build-index --embeddings lines/ --embeddings ngrams/ --output index/"),
            (
                "at most 4 GB when searched, tuned with text queries over images",
                "clip-spark build-index --embeddings images/ --queries texts/ --max-index-memory 4G --output index/",
            ),
        ),
        next_command="clip-spark search --index {output} --text 'something to look for'",
    ),
    Command(
        "adopt-index",
        group=INDICES,
        takes="a Faiss index that another tool has made",
        gives="an index that serves its bytes as they are",
        spec="clip_spark.index.imported.spec:AdoptSpec",
        step="clip_spark.index.imported.adopt:adopt_index",
        kind="index",
        preview="clip_spark.index.build.build:preview",
        page="docs/publishing.md",
        examples=(
            (
                "clip-retrieval's folder with image.index and metadata/",
                "clip-spark adopt-index --index index_folder/ --model ViT-B/32 --output index/",
            ),
            (
                "a Faiss file and ids",
                "clip-spark adopt-index --index knn.index --metadata ids.npy --modality image --model ViT-B/32 "
                "--output index/",
            ),
        ),
        next_command="clip-spark search --index {output} --text 'something to look for'",
    ),
    Command(
        "calibrate-index",
        group=INDICES,
        takes="an index + embeddings of the other kind",
        gives="the same index, ranked without its hubs",
        spec="clip_spark.index.specs:CalibrateSpec",
        page="docs/answers.md",
        examples=(
            (
                "texts, by pictures like those to tag",
                "clip-spark calibrate-index --index texts-index/ --queries images/",
            ),
            ("pictures, by texts as people type them", "clip-spark calibrate-index --index index/ --queries texts/"),
        ),
    ),
    Command(
        "migrate-index",
        group=INDICES,
        takes="an index + another model",
        gives="the same index by it: built beside, compared, switched; and back",
        spec="clip_spark.analysis.migrate.spec:MigrateSpec",
        page="docs/index.md",
        examples=(
            (
                "embed again, build beside, compare on texts that people ask; nothing is switched",
                "clip-spark migrate-index --index index/ --model ViT-B-16-SigLIP:webli --output siglip/ "
                "--queries asked.txt",
            ),
            (
                "the same, and switch if it finds at least as much",
                "clip-spark migrate-index --index index/ --model ViT-B-16-SigLIP:webli --output siglip/ --bar 1",
            ),
            ("switch to what is beside", "clip-spark migrate-index --index index/ --switch"),
            ("back to the model before", "clip-spark migrate-index --index index/ --rollback"),
        ),
    ),
    Command(
        "remove-records",
        group=INDICES,
        takes="an index + ids or a condition",
        gives="the same index, in which they are never found again",
        spec="clip_spark.index.specs:RemoveSpec",
        examples=(
            ("take one record down", "clip-spark remove-records --index index/ --ids 0f3a..."),
            ("those of a file of ids", "clip-spark remove-records --index index/ --ids-file takedowns.txt"),
            (
                "and erase all that was taken down",
                """clip-spark remove-records --index index/ --where "n = 1" --compact""",
            ),
        ),
    ),
    Command(
        "search",
        group=SEARCH,
        takes="index + text, image or record id",
        gives="hits: a table, or JSON",
        spec="clip_spark.search.spec:SearchSpec",
        words="text",
        spark=False,
        examples=(
            ("the ten nearest to a text", "clip-spark search 'a red bicycle' --index index/"),
            ("a prompt with history and pictures", "clip-spark search --index index/"),
            (
                "the five nearest to a picture, as JSON lines",
                "clip-spark search --index index/ --image cat.jpg -k 5 --json",
            ),
            ("what is like a hit", "clip-spark search --index index/ --like 0f3a..."),
            (
                "what is wanted and what is not",
                """clip-spark search --index index/ --query '"beach" + sea.jpg - "people"'""",
            ),
            (
                "pictures and their prompts, one ranking by both",
                "clip-spark search --index picture-index/ --pair prompt-index/ --text dog --both-weight 0.3",
            ),
            ("a page of pictures", "clip-spark search --index index/ --text dog --unique 0.95 --show dogs.html"),
            (
                "only some records",
                """clip-spark search --index index/ --text dog --where "n = 2 and count > 100\"""",
            ),
        ),
    ),
    Command(
        "serve",
        group=SEARCH,
        takes="indices",
        gives="a search page and an HTTP API that clip-retrieval's clients understand",
        spec="clip_spark.web.spec:ServeSpec",
        spark=False,
        page="docs/serving.md",
        examples=(
            ("the page over one index", "clip-spark serve --index demo-out/image-index"),
            (
                "pictures and words, under names",
                "clip-spark serve --index images=out/image-index --index words=out/ngram-index",
            ),
            (
                "open to the network, on a port of your own",
                "clip-spark serve --index index/ --host 0.0.0.0 --port 1234",
            ),
        ),
    ),
    Command(
        "search-index",
        group=SEARCH,
        takes="embeddings as queries + index",
        gives="hits, for millions of queries on Spark",
        spec="clip_spark.analysis.specs:SearchIndexSpec",
        step="clip_spark.analysis.search_index:search_index",
        tasks="clip_spark.analysis.search_index:plan_tasks",
        kind="hits",
        preview="clip_spark.analysis.search_index:preview",
        examples=(
            (
                "the ten nearest pictures of each of a million texts",
                "clip-spark search-index --queries texts/ --index images-index/ --columns uri,caption --output hits/",
            ),
        ),
    ),
    Command(
        "tag-images",
        group=SEARCH,
        takes="image embeddings + text index",
        gives="tags, and `.knn` files beside the pictures with `--sidecars`",
        spec="clip_spark.analysis.specs:TagSpec",
        step="clip_spark.analysis.tag_images:tag_images",
        tasks="clip_spark.analysis.tag_images:plan_tasks",
        kind="tags",
        preview="clip_spark.analysis.tag_images:preview",
        examples=(
            (
                "ten tags for each picture",
                "clip-spark tag-images --embeddings images/ --index texts-index/ --output tags/",
            ),
            (
                "and a .knn file beside each picture, as clip-grams writes it",
                "clip-spark tag-images --embeddings images/ --index texts-index/ --output tags/ --sidecars",
            ),
        ),
    ),
    Command(
        "export-tags",
        group=SEARCH,
        takes="tags",
        gives="XMP, IPTC, booru, imagefolder or CSV, beside the pictures or in them; and back",
        spec="clip_spark.analysis.exported_tags.spec:ExportTagsSpec",
        page="docs/publishing.md",
        examples=(
            (
                "XMP sidecars, as digiKam and darktable read them; what is there is kept",
                "clip-spark export-tags --tags tags/ --output exported/",
            ),
            (
                "keywords inside the JPEG files; first only say what would happen",
                "clip-spark export-tags --tags tags/ --format iptc --dry-run --output exported/",
            ),
            ("every file as it was", "clip-spark export-tags --undo --output exported/"),
            (
                "for datasets.load_dataset('imagefolder')",
                "clip-spark export-tags --tags tags/ --format imagefolder --top 5 --output exported/",
            ),
        ),
    ),
    Command(
        "describe-set",
        group=SEARCH,
        takes="image embeddings + text index",
        gives="what the set as a whole shows, by class of text: table and page",
        spec="clip_spark.analysis.specs:DescribeSpec",
        step="clip_spark.analysis.describe.step:describe_set",
        kind="description",
        preview="clip_spark.analysis.describe.step:preview",
        examples=(
            (
                "which single words, pairs and triples describe these pictures, as a table and a page",
                "clip-spark describe-set --embeddings images/ --index texts-index/ --output described/",
            ),
        ),
    ),
    Command(
        "make-map",
        group=SEARCH,
        takes="image embeddings + text embeddings",
        gives="map: places that stay, named regions, tiles, drawings",
        spec="clip_spark.analysis.map.spec:MapSpec",
        step="clip_spark.analysis.map.step:make_map",
        kind="map",
        preview="clip_spark.analysis.map.step:preview",
        page="docs/map.md",
        examples=(
            (
                "pictures, and n-grams among them that name the regions",
                "clip-spark make-map --embeddings images/ --texts ngrams/ --output map/",
            ),
            (
                "what is served, without what was taken down",
                "clip-spark make-map --index image-index/ --index ngram-index/ --output map/",
            ),
            (
                "once more when the embeddings have grown: what is new is placed, nothing moves",
                "clip-spark make-map --embeddings images/ --texts ngrams/ --output map/",
            ),
            (
                "pictures of another set on the same map",
                "clip-spark make-map --embeddings more/ --append --output map/",
            ),
            (
                "with UMAP, and a column to colour by",
                "clip-spark make-map --embeddings images/ --method umap --columns group --output map/",
            ),
        ),
    ),
    Command(
        "mcp",
        group=SEARCH,
        takes="indices, maps",
        gives="search, tags and regions as tools for agents (Model Context Protocol)",
        spec="clip_spark.web.agent_spec:AgentSpec",
        spark=False,
        page="docs/serving.md",
        examples=(
            ("what an agent's settings name as its command", "clip-spark mcp --index images/ --index words=texts/"),
            ("with a map of both", "clip-spark mcp --index images/ --index texts/ --map map/"),
        ),
    ),
    Command(
        "export-map",
        group=SEARCH,
        takes="a map",
        gives="its points as CSV, or as the parquet that embedding-atlas reads",
        spec="clip_spark.analysis.map.export_spec:ExportMapSpec",
        spark=False,
        page="docs/map.md",
        examples=(
            ("a table", "clip-spark export-map --map map/ --output points.csv"),
            (
                "for embedding-atlas, with thumbnails",
                "clip-spark export-map --map map/ --pictures --output atlas.parquet",
            ),
        ),
    ),
    Command(
        "publish",
        group=SEARCH,
        takes="an index",
        gives="a folder in the layout of another tool, with a card and checksums",
        spec="clip_spark.analysis.publish.spec:PublishSpec",
        spark=False,
        page="docs/publishing.md",
        examples=(
            ("as a data set on a hub", "clip-spark publish --index index/ --output hf://datasets/me/my-index"),
            (
                "for clip-retrieval's server",
                "clip-spark publish --index index/ --layout clip-retrieval --output served/",
            ),
            (
                "tars with pictures and their tags",
                "clip-spark publish --index index/ --layout webdataset --tags tags/ --output s3://bucket/tars",
            ),
        ),
    ),
    Command(
        "demo",
        group=PIPELINES,
        takes="bundled or your own words and pictures",
        gives="the whole way once, in one folder",
        examples=(
            ("bundled data", "clip-spark demo"),
            ("your own folders", "clip-spark demo --corpus texts/ --images pictures/ --work out"),
        ),
    ),
    Command(
        "run",
        group=PIPELINES,
        takes="a YAML of steps",
        gives="all of it, skipping what is done",
        examples=(
            (
                "the demo's pipeline on your own data",
                "clip-spark run --config conf/pipelines/demo.yaml --set corpus=texts/ --set images=pictures/",
            ),
            ("replace what has become stale", "clip-spark run --config pipeline.yaml --rebuild"),
        ),
    ),
    Command(
        "plan",
        group=AROUND,
        takes="inputs' sizes, a file of rates",
        gives="shards, bytes, hours, money and memory, before you pay for them",
        spec="clip_spark.commands.estimate_spec:PlanSpec",
        spark=False,
        page="docs/sizing.md",
        examples=(
            ("LAION-400M on 8 A100", "clip-spark plan --pictures 400M --model ViT-L-14 --gpus 8"),
            ("your own folder, your own rates", "clip-spark plan --images s3://bucket/tars --rates rates.yaml"),
        ),
    ),
    Command(
        "report",
        group=AROUND,
        takes="folders of datasets, Spark's event log",
        gives="what it all did and cost; tables, JSON, a page",
        spark=False,
        page="docs/sizing.md",
        examples=(
            ("a page that opens from a disk", "clip-spark report out/ --output report.html"),
            (
                "with what Spark's executors held and did, your own prices, as JSON",
                "clip-spark report s3://bucket/out --event-log s3://bucket/logs --rates rates.yaml --json",
            ),
        ),
    ),
    Command(
        "compare-models",
        group=AROUND,
        takes="pictures with texts, models",
        gives="which finds more in them, and what it costs: tables, a page",
        spec="clip_spark.analysis.compare.spec:CompareSpec",
        spark=False,
        page="docs/answers.md",
        examples=(
            (
                "two models on a thousand of your own pictures",
                "clip-spark compare-models --model ViT-B-32:laion2b_s34b_b79k --model ViT-B-16-SigLIP:webli "
                "--images pictures/ --page compared.html",
            ),
            (
                "the names of the files say what is on them",
                "clip-spark compare-models --model demo --images icons/ --text stem --sample 500",
            ),
        ),
    ),
    Command(
        "submit",
        group=AROUND,
        takes="a step and a platform",
        gives="the request for EMR, Dataproc or a standalone cluster; `--send` sends it",
        page="docs/cluster.md",
        examples=(
            (
                "the request for an EMR cluster, printed",
                "clip-spark submit emr --cluster j-2AXXXXXX --code s3://bucket/clip-spark "
                "embed-text --records s3://bucket/records --output s3://bucket/embeddings",
            ),
            (
                "really sent, with the packed environment",
                "clip-spark submit emr --cluster j-2AXXXXXX --code s3://bucket/clip-spark "
                "--environment s3://bucket/clip-spark/environment.tar.gz --send embed-text ...",
            ),
        ),
    ),
    Command(
        "shard",
        group=AROUND,
        takes="a dataset + the number of a shard",
        gives="the receipt of that task, run here, for a debugger",
        spark=False,
        examples=(
            ("the first task of a dataset once more", "clip-spark shard out/embeddings 0 --output one/"),
            (
                "its input has moved; what it cost, as JSON",
                "clip-spark shard out/embeddings 0 --records elsewhere/records --output one/ --json",
            ),
        ),
    ),
    Command(
        "verify-dataset",
        group=AROUND,
        takes="what was published, or a dataset",
        gives="whether all of it is there, byte by byte where hashes are known",
        spec="clip_spark.analysis.publish.spec:VerifySpec",
        spark=False,
        page="docs/publishing.md",
        examples=(("a copy", "clip-spark verify-dataset --dataset s3://bucket/copy"),),
    ),
    Command(
        "clean",
        group=AROUND,
        takes="a folder",
        gives="nothing but its datasets: what killed jobs left behind is deleted",
        examples=(
            ("only show what would be deleted", "clip-spark clean out/"),
            ("delete it, unfinished runs too", "clip-spark clean s3://bucket/out --unfinished --delete"),
        ),
    ),
)

COMMANDS = {command.name: command for command in _ENTRIES}
"""Name -> command, in the order of `clip-spark --help`."""
STEPS = {name: command for name, command in COMMANDS.items() if command.step}
"""The commands that write a dataset: what `run` and `submit` know."""
