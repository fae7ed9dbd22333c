"""Florence-2 by transformers' own code, on a tiny one with random weights that is built here. Its words mean nothing;
that it reads a picture and a task, writes tokens and gives text is what counts. `make test-captions` runs this."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from api.children.common.operators import mend_torchvision

pytestmark = pytest.mark.captions
ROOT = Path(__file__).resolve().parents[2]
WORDS = "what does the image describe in detail is shown with a paragraph cat dog red square . ?".split()


def build(directory: Path) -> Path:
    import torch

    kept = mend_torchvision()
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import (
        BartConfig,
        CLIPImageProcessor,
        Florence2Config,
        Florence2ForConditionalGeneration,
        Florence2Processor,
        PreTrainedTokenizerFast,
    )
    from transformers.models.florence2.configuration_florence2 import Florence2VisionConfig

    special = ["<s>", "<pad>", "</s>", "<unk>", "<image>"]
    vocabulary = {word: number for number, word in enumerate([*special, *dict.fromkeys(WORDS)])}
    base = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    base.pre_tokenizer = pre_tokenizers.Whitespace()
    base.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=base, bos_token="<s>", pad_token="<pad>", eos_token="</s>", unk_token="<unk>",
        extra_special_tokens={"image_token": "<image>"},
    )  # fmt: skip
    images = CLIPImageProcessor(size={"height": 32, "width": 32}, do_center_crop=False)
    images.image_seq_length = 5  # of a picture of 32x32: 4 places, and their mean
    vision = Florence2VisionConfig(
        depths=[1], embed_dim=[16], num_heads=[2], num_groups=[2], patch_size=[7], patch_stride=[16],
        patch_padding=[3], patch_prenorm=[False], window_size=2, projection_dim=16,
    )  # fmt: skip
    text = BartConfig(
        vocab_size=len(vocabulary), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=16, decoder_ffn_dim=16, max_position_embeddings=1100,
        bos_token_id=0, pad_token_id=1, eos_token_id=2, decoder_start_token_id=2, forced_eos_token_id=2,
    )  # fmt: skip
    torch.manual_seed(7)
    model = Florence2ForConditionalGeneration(Florence2Config(text_config=text, vision_config=vision, image_token_id=4))
    model.generation_config.max_new_tokens = 12  # it knows no end
    model.generation_config.min_new_tokens = 10
    model.generation_config.suppress_tokens = [0, 1, 3, 4]  # and would say nothing but special tokens
    model.save_pretrained(directory)
    Florence2Processor(images, tokenizer).save_pretrained(directory)
    del kept
    return directory


@pytest.fixture(scope="module")
def florence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("florence"))


def run(home: Path, florence: Path, **plan: Any) -> tuple[list[str], list[dict[str, Any]], int]:
    """Captions of a dataset that the child makes, its events, its exit code."""
    from tests.unit.videos import make_image, make_video

    source = home / "src"
    if not source.exists():
        source.mkdir()
        (home / "ds").mkdir()
        make_video(source / "a.mp4")
        make_image(source / "b.png")
    name = plan.get("caption_method", "extra")
    whole = {"job": "j", "dataset": name, "source": str(source), "part": str(home / "ds" / ".part"),
             "target": str(home / "ds" / name), "captioner": "florence2", "florence2_dir": str(florence), "prefix": "sks",
             "caption_method": name, **plan}  # fmt: skip
    (home / "plan.json").write_text(json.dumps(whole))
    argv = [sys.executable, "-P", "-m", "api.children.preprocessing", str(home / "plan.json")]
    env = {"PYTHONPATH": str(ROOT), "PATH": os.defpath, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(argv, env=env, cwd=home, capture_output=True, text=True, timeout=110)
    events = [json.loads(line[7:]) for line in done.stdout.splitlines() if line.startswith("@event ")]
    captions = [(home / "ds" / name / f"{n}.txt").read_text() for n in (1, 2)] if done.returncode == 0 else []
    return captions, events, done.returncode


@pytest.mark.parametrize("method", ["simple", "extra", "extra_mixed"])
def test_captions(tmp_path: Path, florence: Path, method: str) -> None:
    captions, events, code = run(tmp_path, florence, caption_method=method)
    warnings = [event["text"] for event in events if event["event"] == "warning"]
    assert code == 0 and not warnings
    assert all(caption.startswith("sks ") and len(caption) > 10 for caption in captions), captions
    assert not any("<" in caption for caption in captions), "neither prompts nor special tokens"


def test_no_model_is_said_and_the_items_are_kept(tmp_path: Path) -> None:
    captions, events, code = run(tmp_path, tmp_path)
    assert code == 0 and captions == ["sks", "sks"]
    assert any("cannot be loaded" in event.get("text", "") for event in events)


def test_weights_of_another_model_are_not_used(tmp_path: Path, florence: Path) -> None:
    """transformers would fill what is missing with random numbers and only warn."""
    import shutil

    from safetensors.torch import load_file, save_file

    other = tmp_path / "other"
    shutil.copytree(florence, other)
    weights = load_file(other / "model.safetensors")
    save_file({f"renamed.{name}": tensor for name, tensor in weights.items()}, other / "model.safetensors",
              metadata={"format": "pt"})  # fmt: skip
    captions, events, _ = run(tmp_path, other)
    assert captions == ["sks", "sks"]
    assert any("do not fit" in event.get("text", "") for event in events)
