"""The model types: which keys of [model] each needs (facts/diffusion_pipe.md 1.2), and what a checkout adds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

COMMON = ("dtype", "timestep_sample_method", "sigmoid_scale", "shift", "flux_shift", "guidance")
_COMFY = ("diffusion_model", "vae", "text_encoders")
_COMFY_MORE = ("merge_adapters", "diffusion_model_dtype")

SCAN_MAX_FILES = 100
SCAN_MAX_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class ModelType:
    """`required` always; and, where there are `alternatives`, all keys of at least one of them."""

    required: tuple[str, ...] = ()
    alternatives: tuple[tuple[str, ...], ...] = ()
    optional: tuple[str, ...] = ()
    full: bool = True  # can be trained without an adapter
    swap: bool = True  # supports blocks_to_swap

    def missing(self, model: Mapping[str, object]) -> str | None:
        """What a [model] table lacks, in words; None if it is whole. Names the first key to add, then why."""
        absent = [key for key in self.required if key not in model]
        if absent:
            return " and ".join(absent)
        if self.alternatives and not any(all(key in model for key in keys) for keys in self.alternatives):
            return ", or ".join(" + ".join(keys) for keys in self.alternatives)
        return None

    def first_missing(self, model: Mapping[str, object]) -> str:
        """One key that would have to be added: of the alternative that was begun, if one was."""
        absent = [key for key in self.required if key not in model]
        if absent:
            return absent[0]
        begun = [keys for keys in self.alternatives if any(key in model for key in keys)] or [self.alternatives[0]]
        return next(key for key in begun[0] if key not in model)


def _comfy(*more: str, optional: tuple[str, ...] = ()) -> ModelType:
    return ModelType((*_COMFY, *more), optional=(*_COMFY_MORE, *optional))


TYPES: Mapping[str, ModelType] = {
    "sdxl": ModelType(
        ("checkpoint_path",),
        swap=False,
        optional=(
            "v_pred",
            "min_snr_gamma",
            "debiased_estimation_loss",
            "unet_lr",
            "text_encoder_1_lr",
            "text_encoder_2_lr",
        ),
    ),
    "flux": ModelType(
        ("diffusers_path",), optional=("transformer_path", "transformer_dtype", "bypass_guidance_embedding")
    ),
    "ltx-video": ModelType(
        ("diffusers_path", "single_file_path"),
        full=False,
        swap=False,
        optional=("transformer_dtype", "first_frame_conditioning_p"),
    ),
    "hunyuan-video": ModelType(
        alternatives=(("ckpt_path",), ("transformer_path", "vae_path", "llm_path", "clip_path")),
        full=False,
        optional=("transformer_dtype",),
    ),
    "cosmos": ModelType(("transformer_path", "vae_path", "text_encoder_path"), full=False, swap=False),
    "lumina_2": ModelType(("transformer_path", "llm_path", "vae_path"), swap=False, optional=("lumina_shift",)),
    "wan": ModelType(
        ("ckpt_path",),
        optional=(
            "transformer_path",
            "llm_path",
            "transformer_dtype",
            "min_t",
            "max_t",
            "text_encoder_fp8",
            "cache_text_embeddings",
        ),
    ),
    "chroma": ModelType(("diffusers_path", "transformer_path"), optional=("transformer_dtype",)),
    "hidream": ModelType(
        ("diffusers_path", "llama3_path"),
        full=False,
        optional=("llama3_4bit", "max_llama3_sequence_length", "transformer_dtype"),
    ),
    "sd3": ModelType(("diffusers_path",), full=False, swap=False, optional=("transformer_dtype",)),
    "cosmos_predict2": ModelType(
        ("transformer_path", "vae_path"),
        (("t5_path",), ("llm_path",)),
        optional=(
            "transformer_dtype",
            "text_encoder_nf4",
            "text_encoder_fp8",
            "multiscale_loss_weight",
            "cache_text_embeddings",
        ),
    ),
    "anima": ModelType(
        ("transformer_path", "vae_path"),
        (("llm_path",), ("t5_path",)),
        optional=(
            "transformer_dtype",
            "llm_adapter_path",
            "multiscale_loss_weight",
            "cache_text_embeddings",
            "self_attn_lr",
            "cross_attn_lr",
            "mlp_lr",
            "mod_lr",
            "llm_adapter_lr",
        ),
    ),
    "omnigen2": ModelType(("diffusers_path",), full=False, swap=False),
    "qwen_image": ModelType(
        alternatives=(("diffusers_path",), ("transformer_path", "text_encoder_path", "vae_path")),
        optional=("transformer_dtype",),
    ),
    "hunyuan_image": ModelType(
        ("transformer_path", "vae_path", "text_encoder_path", "byt5_path"), optional=("transformer_dtype",)
    ),
    "auraflow": ModelType(
        ("transformer_path", "text_encoder_path", "vae_path", "max_sequence_length"),
        full=False,
        optional=("transformer_dtype",),
    ),
    "z_image": _comfy(),
    "hunyuan_video_15": _comfy(),
    "flux2": _comfy(),
    "ernie_image": _comfy(),
    "ideogram4": _comfy(),
    "krea2": _comfy(),
    "ltx2": ModelType(("diffusion_model", "text_encoder"), full=False, optional=_COMFY_MORE),
    "minimax_h3": _comfy("audio_vae", optional=("cfg", "image_shift")),
}

_COMPARED = re.compile(
    r"\b(model|adapter)_type\s{0,4}(?:==|in)\s{0,4}[\[({]?((?:\s{0,4}(?:'[\w.-]{1,64}'|\"[\w.-]{1,64}\"),?){1,40})"
)
_QUOTED = re.compile(r"['\"]([\w.-]{1,64})['\"]")


@dataclass(frozen=True, slots=True)
class Named:
    """What the source of a checkout compares its model and adapter types with."""

    models: frozenset[str] = frozenset()
    adapters: frozenset[str] = frozenset()


def named_in(root: Path) -> Named:
    """Read again only when a file was changed; nothing of it is run."""
    try:
        files = [root / "train.py", *sorted((root / "models").glob("*.py"))[: SCAN_MAX_FILES - 1]]
        stamps = tuple((str(f), s.st_mtime_ns, s.st_size) for f in files if f.is_file() and (s := f.stat()))
    except OSError:
        return Named()
    return _scan(stamps)


@lru_cache(maxsize=4)
def _scan(stamps: tuple[tuple[str, int, int], ...]) -> Named:
    found: dict[str, set[str]] = {"model": set(), "adapter": set()}
    for name, _, _ in stamps:
        try:
            with open(name, encoding="utf-8", errors="replace") as file:
                text = file.read(SCAN_MAX_BYTES)
        except OSError:
            continue
        for kind, names in _COMPARED.findall(text):
            found[kind].update(_QUOTED.findall(names))
    return Named(frozenset(found["model"]), frozenset(found["adapter"]))
