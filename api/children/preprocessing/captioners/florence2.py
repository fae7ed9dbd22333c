"""Florence-2 from a local directory, by transformers. `mixed`, `analyze` and `tags` need a PromptGen model."""

from __future__ import annotations

from typing import Any

from PIL import Image

from api.children.common.operators import mend_torchvision
from api.children.preprocessing.captioners.base import CaptionError, Subject

#: caption_method -> the model's own task prompt
PROMPTS = {
    "tags": "<GENERATE_TAGS>",
    "simple": "<CAPTION>",
    "detailed": "<DETAILED_CAPTION>",
    "extra": "<MORE_DETAILED_CAPTION>",
    "mixed": "<MIXED_CAPTION>",
    "extra_mixed": "<MIXED_CAPTION_PLUS>",
    "analyze": "<ANALYZE>",
}
LONGEST = 1024  # tokens


class Florence2:
    """Nothing is downloaded, and no code that lies beside the weights is run."""

    def __init__(self, directory: str, method: str) -> None:
        try:
            import torch

            self._operators = mend_torchvision()  # transformers takes torchvision where it is installed
            import transformers
        except ImportError as problem:
            raise CaptionError(f"florence2 needs torch and transformers: {problem}", final=True) from None
        self._torch = torch
        self._prompt = PROMPTS[method]
        cuda = torch.cuda.is_available()
        self._device, self._dtype = ("cuda", torch.float16) if cuda else ("cpu", torch.float32)
        try:
            self._processor: Any = transformers.AutoProcessor.from_pretrained(directory, local_files_only=True)
            model: Any
            model, loaded = transformers.Florence2ForConditionalGeneration.from_pretrained(
                directory, local_files_only=True, dtype=self._dtype, output_loading_info=True
            )
        except (OSError, ValueError, KeyError, AttributeError, RuntimeError, ImportError) as problem:
            raise CaptionError(f"Florence-2 in {directory} cannot be loaded: {problem}", final=True) from None
        if missing := loaded["missing_keys"]:  # transformers would put random numbers there
            raise CaptionError(
                f"the weights in {directory} do not fit ({len(missing)} are missing): a model in transformers' own "
                "format is needed, such as those of florence-community",
                final=True,
            )
        self._model = model.to(self._device).eval()
        self._longest = model.generation_config.max_new_tokens or LONGEST

    def caption(self, subject: Subject) -> str:
        with Image.open(subject.picture) as opened:
            image = opened.convert("RGB")
        inputs = self._processor(text=self._prompt, images=image, return_tensors="pt")
        inputs = inputs.to(self._device, self._dtype)  # whole numbers stay what they are
        try:
            with self._torch.inference_mode():
                written = self._model.generate(**inputs, max_new_tokens=self._longest, num_beams=3, do_sample=False)
        except RuntimeError as problem:  # the GPU's memory among it
            raise CaptionError(f"Florence-2: {problem}") from None
        return text_of(self._processor.batch_decode(written, skip_special_tokens=True)[0], self._prompt)


def text_of(written: str, prompt: str) -> str:
    """What the model wrote, less the prompt that some of them repeat."""
    return " ".join(written.replace(prompt, " ").split())
