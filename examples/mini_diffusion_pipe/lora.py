"""LoRA for the convolutions and linear layers of the mini U-Net, with names as kohya's tools write them."""

from __future__ import annotations

from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, dtype, nn

from tensorfile import load_tensors, save_tensors


class LoraConv(nn.Module):
    """`base(x) + up(down(x))`: alpha equals the rank, so the update is not scaled."""

    def __init__(self, base: nn.Conv2d, rank: int, dropout: float) -> None:
        super().__init__()
        self.base, self.dropout = base, dropout
        size, stride, padding = base.kernel_size[0], base.stride[0], int(base.padding[0])
        self.down = nn.Conv2d(base.in_channels, rank, size, stride, padding, bias=False)
        self.up = nn.Conv2d(rank, base.out_channels, 1, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.base(x) + self.up(self.down(F.dropout(x, self.dropout, self.training)))
        return out


class LoraLinear(nn.Module):
    def __init__(self, base: nn.Linear, rank: int, dropout: float) -> None:
        super().__init__()
        self.base, self.dropout = base, dropout
        self.down = nn.Linear(base.in_features, rank, bias=False)
        self.up = nn.Linear(rank, base.out_features, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.base(x) + self.up(self.down(F.dropout(x, self.dropout, self.training)))
        return out


def add_lora(model: nn.Module, rank: int, dropout: float = 0.0, exclude: list[str] | None = None) -> None:
    """Freezes the model and wraps every convolution and linear layer whose name is not excluded."""
    model.requires_grad_(False)
    for name, module in list(model.named_modules()):
        if any(part in name for part in exclude or []):
            continue
        parent = model.get_submodule(name.rpartition(".")[0])
        if isinstance(module, nn.Conv2d):
            setattr(parent, name.rpartition(".")[2], LoraConv(module, rank, dropout))
        elif isinstance(module, nn.Linear):
            setattr(parent, name.rpartition(".")[2], LoraLinear(module, rank, dropout))


def _layers(model: nn.Module) -> dict[str, LoraConv | LoraLinear]:
    return {
        "lora_unet_" + name.replace(".", "_"): module
        for name, module in model.named_modules()
        if isinstance(module, LoraConv | LoraLinear)
    }


def save_lora(model: nn.Module, path: Path, save_dtype: dtype) -> None:
    tensors: dict[str, Tensor] = {}
    for name, layer in _layers(model).items():
        tensors[f"{name}.lora_down.weight"] = layer.down.weight.to(save_dtype)
        tensors[f"{name}.lora_up.weight"] = layer.up.weight.to(save_dtype)
        tensors[f"{name}.alpha"] = layer.down.weight.new_tensor(float(layer.down.weight.shape[0])).to(save_dtype)
    save_tensors(tensors, path, {})


def load_lora(model: nn.Module, folder: Path) -> None:
    """`init_from_existing`: the weights that an earlier run saved as `lora.safetensors`."""
    tensors, _ = load_tensors(folder / "lora.safetensors")
    for name, layer in _layers(model).items():
        layer.down.weight.data.copy_(tensors[f"{name}.lora_down.weight"])
        layer.up.weight.data.copy_(tensors[f"{name}.lora_up.weight"])
