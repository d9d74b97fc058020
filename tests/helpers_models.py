"""Models with random weights, small enough for a test, in folders as `local-dir:` takes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

VIT = {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16}
TEXT = {"context_length": 24, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
WORDS = ("a", "dog", "red", "apple", "on", "the", "table", "new", "york", "photo", "of")
PAD, END, START, UNKNOWN = "<pad>", "</s>", "<s>", "<unk>"


def small_model(folder: Path, quick: bool = False, custom: bool = False) -> Path:
    """A CLIP of two layers that reads open_clip's own tokens."""
    config = {"embed_dim": 16, "vision_cfg": VIT, "text_cfg": TEXT, "quick_gelu": quick, "custom_text": custom}
    return write_model(folder, config, {"size": 32})


def write_model(folder: Path, config: dict[str, Any], preprocess: dict[str, Any]) -> Path:
    """The folder of a model of this configuration, its weights random and always the same."""
    import torch
    from safetensors.torch import save_model

    from clip_spark.encoders.libraries import load_open_clip
    from clip_spark.encoders.names import libraries_of, parse_model

    folder.mkdir(exist_ok=True)
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}))
    open_clip = load_open_clip(*libraries_of(parse_model(f"local-dir:{folder}")))
    torch.manual_seed(0)
    made = open_clip.create_model(f"local-dir:{folder}", pretrained_text=False)
    save_model(made, str(folder / "open_clip_model.safetensors"))
    return folder


def write_tokeniser(folder: Path, pad: str = PAD) -> int:
    """Word by word, as transformers stores tokenisers: the end after each text; returns the number of the end."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    numbers = {word: number for number, word in enumerate((PAD, END, START, UNKNOWN, *WORDS))}
    made = Tokenizer(models.WordLevel(numbers, unk_token=UNKNOWN))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(single=f"$A {END}", special_tokens=[(END, numbers[END])])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token=pad, eos_token=END, sep_token=END, bos_token=START, unk_token=UNKNOWN
    )
    folder.mkdir(exist_ok=True)
    fast.save_pretrained(str(folder))
    return numbers[END]
