"""Requests: what is filled in, what is passed through, what is refused and under which name."""

from __future__ import annotations

import copy
import os
from pathlib import Path
from typing import Any

import pytest

from api.models.job import JobSpec, Resources
from api.services.engines.diffusion_pipe import DiffusionPipeEngine
from api.utils.errors import Forbidden, Invalid
from api.utils.paths import AllowedRoots

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 24
CPU = Resources()
MODEL = {"diffusers_path": "some/hub-id"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "cats"
    folder.mkdir(parents=True)
    (folder / "a.png").write_bytes(PNG)
    return folder


@pytest.fixture
def engine(tmp_path: Path) -> DiffusionPipeEngine:
    return DiffusionPipeEngine(tmp_path / "dp", "/usr/bin/python3", "python", AllowedRoots([tmp_path / "data"]))


def spec_of(data: Path, model_type: Any = "flux", resources: Resources = CPU, **config: Any) -> JobSpec:
    params = {"model_type": model_type, "config": {"model": dict(MODEL), **config}}
    dataset = {"resolutions": [512], "directory": [{"path": str(data)}]}
    return JobSpec("diffusion_pipe", "x", params=params, dataset=dataset, resources=resources)


def with_dataset(spec: JobSpec, dataset: Any) -> JobSpec:
    return JobSpec(spec.engine, spec.name, params=spec.params, dataset=dataset)


def fields_of(engine: DiffusionPipeEngine, spec: JobSpec) -> dict[str, str]:
    with pytest.raises(Invalid) as caught:
        engine.validate(spec)
    return dict(caught.value.errors)


def test_the_defaults_of_the_contract(engine: DiffusionPipeEngine, data: Path) -> None:
    config = engine.validate(spec_of(data)).params["config"]
    assert config == {
        "epochs": 60, "micro_batch_size_per_gpu": 1, "pipeline_stages": 1, "gradient_accumulation_steps": 1,
        "gradient_clipping": 1.0, "warmup_steps": 20, "save_every_n_epochs": 5, "checkpoint_every_n_epochs": 10,
        "save_dtype": "bfloat16", "activation_checkpointing": True, "partition_method": "parameters",
        "caching_batch_size": 1, "steps_per_print": 1, "video_clip_mode": "single_beginning",
        "model": {"type": "flux", "dtype": "bfloat16", "diffusers_path": "some/hub-id"},
        "optimizer": {"type": "adamw_optimi", "lr": 5e-5, "betas": [0.9, 0.99], "weight_decay": 0.01, "eps": 1e-8},
    }  # fmt: skip


def test_no_default_beside_a_key_of_its_family(engine: DiffusionPipeEngine, data: Path) -> None:
    spec = spec_of(data, save={"save_every_n_steps": 7}, checkpoint_every_n_minutes=30, optimizer={"type": "Prodigy"})
    config = engine.validate(spec).params["config"]
    assert "save_every_n_epochs" not in config
    assert "checkpoint_every_n_epochs" not in config
    assert config["optimizer"] == {"type": "Prodigy"}


def test_an_adapter_gets_rank_and_dtype(engine: DiffusionPipeEngine, data: Path) -> None:
    config = engine.validate(spec_of(data, adapter={"type": "lora"})).params["config"]
    assert config["adapter"] == {"type": "lora", "rank": 32, "dtype": "bfloat16"}


def test_groups_are_flattened_and_nulls_are_absent(engine: DiffusionPipeEngine, data: Path) -> None:
    groups = {"save": {"save_dtype": "float16"}, "optimization": {"steps_per_print": 5}, "eval": None}
    config = engine.validate(spec_of(data, epochs=None, save_dtype="float16", **groups)).params["config"]
    assert (config["save_dtype"], config["steps_per_print"], config["epochs"]) == ("float16", 5, 60)
    assert not {"save", "optimization", "eval"} & set(config)


def test_the_trainers_own_keys_pass_through(engine: DiffusionPipeEngine, data: Path) -> None:
    spec = spec_of(data, adapter={"type": "lora", "exclude_modules": ["a", "b"]}, monitoring={"x": [1, 2]},
                   optimizer={"type": "adamw", "odd": {"deep": [1, 2.5]}})  # fmt: skip
    spec.params["config"]["model"]["new_key"] = "v"
    spec.dataset["something"] = {"x": 1}  # type: ignore[index]
    valid = engine.validate(spec)
    config = valid.params["config"]
    assert config["model"]["new_key"] == "v"
    assert config["adapter"]["exclude_modules"] == ["a", "b"]
    assert config["optimizer"]["odd"] == {"deep": [1.0, 2.5]}
    assert config["monitoring"] == {"x": [1, 2]}
    assert valid.dataset is not None
    assert valid.dataset["something"] == {"x": 1}


def test_it_changes_nothing_when_it_is_asked_again(engine: DiffusionPipeEngine, data: Path) -> None:
    spec = spec_of(
        data, adapter={"type": "lora"}, output_dir=str(data.parent / "out"), optimizer={"type": "x", "lr": 1}
    )
    before = copy.deepcopy(dict(spec.params))
    once = engine.validate(spec)
    assert engine.validate(once) == once
    assert spec.params == before
    assert once.output_dir == str(data.parent / "out")


BAD_CONFIG = [
    ({"epochs": 0}, "config.epochs"), ({"epochs": True}, "config.epochs"), ({"epochs": 1.0}, "config.epochs"),
    ({"epochs": "5"}, "config.epochs"), ({"epochs": -1}, "config.epochs"), ({"epochs": 10**12}, "config.epochs"),
    ({"epochs": 2**64}, "config.epochs"), ({"warmup_steps": -1}, "config.warmup_steps"),
    ({"micro_batch_size_per_gpu": 0}, "config.micro_batch_size_per_gpu"),
    ({"micro_batch_size_per_gpu": [[512]]}, "config.micro_batch_size_per_gpu"),
    ({"gradient_clipping": -0.5}, "config.gradient_clipping"), ({"lr_scheduler": "warm"}, "config.lr_scheduler"),
    ({"lr_scheduler": ["constant"]}, "config.lr_scheduler"), ({"save_dtype": "int4"}, "config.save_dtype"),
    ({"activation_checkpointing": "yes"}, "config.activation_checkpointing"),
    ({"activation_checkpointing": 1}, "config.activation_checkpointing"),
    ({"video_clip_mode": "all"}, "config.video_clip_mode"), ({"compile": 1}, "config.compile"),
    ({"epoch": 5}, "config.epoch"), ({"dataset": "x"}, "config.dataset"), ({"save": {"epoch": 5}}, "config.save.epoch"),
    ({"save": 5}, "config.save"),
    ({"save_every_n_steps": 5, "save": {"save_every_n_steps": 6}}, "config.save.save_every_n_steps"),
    ({"optimizer": {"lr": 1e-4}}, "config.optimizer.type"), ({"optimizer": "adamw"}, "config.optimizer"),
    ({"optimizer": {"type": "a", "lr": -1}}, "config.optimizer.lr"),
    ({"optimizer": {"type": "a", "lr": "1e-4"}}, "config.optimizer.lr"),
    ({"optimizer": {"type": "a", "betas": [0.9, 2]}}, "config.optimizer.betas"),
    ({"optimizer": {"type": "a", "betas": [0.9, "1"]}}, "config.optimizer.betas"),
    ({"optimizer": {"type": "a", "beta2_half_life": 5}}, "config.optimizer.betas"),
    ({"adapter": {"rank": 8}}, "config.adapter.type"), ({"adapter": {"type": "dora"}}, "config.adapter.type"),
    ({"adapter": {"type": "lora", "alpha": 8}}, "config.adapter.alpha"),
    ({"adapter": {"type": "lora", "rank": 0}}, "config.adapter.rank"),
    ({"adapter": {"type": "lora", "dropout": 2}}, "config.adapter.dropout"),
    ({"adapter": {"type": "lora", "init_from_existing": "/no/such"}}, "config.adapter.init_from_existing"),
    ({"blocks_to_swap": 4}, "config.blocks_to_swap"), ({"pipeline_stages": 2}, "config.pipeline_stages"),
    ({"partition_method": "manual"}, None), ({"partition_method": "best"}, "config.partition_method"),
    ({"monitoring": {"enable_wandb": True, "wandb_api_key": "k"}}, "config.monitoring.wandb_tracker_name"),
    ({"monitoring": {"enable_wandb": "yes"}}, "config.monitoring.enable_wandb"),
    ({"eval_datasets": ["/x.toml"]}, "config.eval_datasets.0"), ({"eval_datasets": "x"}, "config.eval_datasets"),
    ({"eval_datasets": [{"name": "a"}]}, "config.eval_datasets.0"),
    ({"eval_datasets": [{"name": "train", "config": {}}]}, "config.eval_datasets.0.name"),
    ({"eval_datasets": [{"name": "a", "config": {"directory": []}}]}, "config.eval_datasets.0.config.directory"),
    ({"output_dir": "relative"}, "config.output_dir"), ({"output_dir": 5}, "config.output_dir"),
    ({"resume_from_checkpoint": "../x"}, "config.resume_from_checkpoint"),
    ({"model": {"diffusers_path": "/no/such/model"}}, "config.model.diffusers_path"),
    ({"model": {"diffusers_path": "x", "type": "wan"}}, "config.model.type"),
    ({"model": {"diffusers_path": "x", "dtype": "int"}}, "config.model.dtype"),
    ({"model": {"diffusers_path": "a\0b"}}, "config.model.diffusers_path"),
    ({"model": {"diffusers_path": "\ud800"}}, "config.model.diffusers_path"),
    ({"model": {"diffusers_path": "x", "mix": [1, "a"]}}, "config.model.mix"),
    ({"model": {"diffusers_path": "x", "big": 2**64}}, "config.model.big"),
    ({"model": {}}, "config.model.diffusers_path"), ({"model": 5}, "config.model"),
]  # fmt: skip


@pytest.mark.parametrize(("config", "field"), BAD_CONFIG, ids=str)
def test_a_bad_config_names_its_field(
    engine: DiffusionPipeEngine, data: Path, config: dict[str, Any], field: str | None
) -> None:
    if field is None:
        config, field = {**config, "pipeline_stages": 1, "partition_split": [3]}, "config.partition_split"
    assert field in fields_of(engine, spec_of(data, **config))


def test_all_that_is_wrong_is_said_at_once(engine: DiffusionPipeEngine, data: Path) -> None:
    spec = with_dataset(spec_of(data, epochs=0, warmup_steps=-1, model={}), {"directory": []})
    assert set(fields_of(engine, spec)) == {
        "config.epochs", "config.warmup_steps", "config.model.diffusers_path", "dataset.directory",
    }  # fmt: skip


def test_an_unknown_key_is_answered_with_close_ones(engine: DiffusionPipeEngine, data: Path) -> None:
    assert "micro_batch_size_per_gpu" in fields_of(engine, spec_of(data, micro_batch_size=1))["config.micro_batch_size"]


@pytest.mark.parametrize("model_type", [None, 5, "", "notamodel", "wan_i2v"])
def test_an_unknown_model_type_is_answered_with_the_list(
    engine: DiffusionPipeEngine, data: Path, model_type: Any
) -> None:
    message = fields_of(engine, spec_of(data, model_type))["model_type"]
    assert not isinstance(model_type, str) or not model_type or "hunyuan-video" in message


def test_a_type_that_the_checkout_names_is_known(engine: DiffusionPipeEngine, data: Path) -> None:
    (engine.root / "models").mkdir(parents=True)
    (engine.root / "train.py").write_text(
        "if model_type == 'brand_new':\n    pass\nelif model_type in ('b2', \"b3\"):\n"
    )
    (engine.root / "models" / "base.py").write_text("if adapter_type == 'dora': pass")
    for name in ("brand_new", "b2", "b3"):
        valid = engine.validate(spec_of(data, name, adapter={"type": "dora"}))
        assert valid.params["config"]["model"]["type"] == name
    assert "brand_new" in engine.schema()["x-model-types"]


@pytest.mark.parametrize(
    ("model_type", "model", "field"),
    [
        ("hunyuan-video", {}, "config.model.ckpt_path"),
        ("hunyuan-video", {"ckpt_path": "x"}, None),
        ("hunyuan-video", {"vae_path": "x"}, "config.model.transformer_path"),
        ("hunyuan-video", dict.fromkeys(("transformer_path", "vae_path", "llm_path", "clip_path"), "x"), None),
        ("wan", {}, "config.model.ckpt_path"),
        ("cosmos_predict2", {"transformer_path": "x", "vae_path": "x"}, "config.model.t5_path"),
        ("cosmos_predict2", {"transformer_path": "x", "vae_path": "x", "llm_path": "x"}, None),
        ("qwen_image", {"diffusers_path": "x"}, None),
        ("qwen_image", {"text_encoder_path": "x"}, "config.model.transformer_path"),
        ("z_image", {"diffusion_model": "x", "vae": "x"}, "config.model.text_encoders"),
        ("z_image", {"diffusion_model": "x", "vae": "x", "text_encoders": [{"path": "/no", "type": "t"}]},
         "config.model.text_encoders.0.path"),
        ("sdxl", {"checkpoint_path": "x"}, None),
    ],
)  # fmt: skip
def test_what_each_type_requires(
    engine: DiffusionPipeEngine, data: Path, model_type: str, model: dict[str, Any], field: str | None
) -> None:
    spec = spec_of(data, model_type, model=model)
    if field is None:
        engine.validate(spec)
    else:
        assert field in fields_of(engine, spec)


def test_lokr_is_not_for_sdxl(engine: DiffusionPipeEngine, data: Path) -> None:
    spec = spec_of(data, "sdxl", model={"checkpoint_path": "x"}, adapter={"type": "lokr"})
    assert "config.adapter.type" in fields_of(engine, spec)


def test_stages_divide_the_gpus(engine: DiffusionPipeEngine, data: Path) -> None:
    engine.validate(spec_of(data, resources=Resources(gpus=4), pipeline_stages=2))
    spec = spec_of(data, resources=Resources(gpus=3), pipeline_stages=2)
    assert "config.pipeline_stages" in fields_of(engine, spec)


def test_a_model_may_lie_anywhere_it_exists(engine: DiffusionPipeEngine, data: Path, tmp_path: Path) -> None:
    store = tmp_path / "store with 'quotes' \"and\" \n newline"
    store.mkdir()
    valid = engine.validate(spec_of(data, model={"diffusers_path": str(store)}))
    assert valid.params["config"]["model"]["diffusers_path"] == str(store)


def bad_datasets(data: Path) -> list[tuple[Any, str]]:
    good = {"path": str(data)}
    return [
        (None, "dataset"), ([], "dataset"), ("x", "dataset"), ({}, "dataset.directory"),
        ({"directory": {"path": "x"}}, "dataset.directory"), ({"directories": []}, "dataset.directories"),
        ({"directory": [good]}, "dataset.directory.0.resolutions"),
        ({"resolutions": [512], "directory": ["x"]}, "dataset.directory.0"),
        ({"resolutions": [512], "directory": [{}]}, "dataset.directory.0.path"),
        ({"resolutions": [512], "directory": [{"path": "rel/x"}]}, "dataset.directory.0.path"),
        ({"resolutions": [512], "directory": [{"path": "examples/x"}]}, "dataset.directory.0.path"),
        ({"resolutions": [512], "directory": [{"path": str(data / "no")}]}, "dataset.directory.0.path"),
        ({"resolutions": [512], "directory": [{"path": str(data / "a.png")}]}, "dataset.directory.0.path"),
        ({"resolutions": [512], "directory": [{"path": "/a\0b"}]}, "dataset.directory.0.path"),
        ({"resolutions": [512], "directory": [{"path": 5}]}, "dataset.directory.0.path"),
        ({"resolutions": [512], "directory": [{"path_id": "nope"}]}, "dataset.directory.0.path_id"),
        ({"resolutions": [512, 640, 768, 1024], "directory": [good]}, "dataset.resolutions"),
        ({"directory": [{**good, "resolutions": [1, 2, 3, 4]}]}, "dataset.directory.0.resolutions"),
        ({"resolutions": [0], "directory": [good]}, "dataset.resolutions"),
        ({"resolutions": [True], "directory": [good]}, "dataset.resolutions"),
        ({"resolutions": 512, "directory": [good]}, "dataset.resolutions"),
        ({"resolutions": [512, [512, 768]], "directory": [good]}, "dataset.resolutions"),
        ({"resolutions": [512], "directory": [{**good, "num_repeats": 0}]}, "dataset.directory.0.num_repeats"),
        ({"resolutions": [512], "frame_buckets": [0], "directory": [good]}, "dataset.frame_buckets"),
        ({"resolutions": [512], "directory": [{**good, "mask_path": f"{data}/m"}]}, "dataset.directory.0.mask_path"),
        ({"resolutions": [512], "directory": [good], "directories": [good, good]}, "dataset.directories"),
        ({"resolutions": [512], "directory": [{**good, "x": [1, "a"]}]}, "dataset.directory.0.x"),
        ({"resolutions": [512], "enable_ar_bucket": True, "directory": [good]}, "dataset.directory.0.min_ar"),
        ({"resolutions": [512], "min_ar": 0.5, "max_ar": 2.0, "directory": [{**good, "enable_ar_bucket": True}]},
         "dataset.directory.0.num_ar_buckets"),
    ]  # fmt: skip


@pytest.mark.parametrize("index", range(29))
def test_a_bad_dataset_names_its_field(engine: DiffusionPipeEngine, data: Path, index: int) -> None:
    cases = bad_datasets(data)
    assert len(cases) == 29
    dataset, field = cases[index]
    assert field in fields_of(engine, with_dataset(spec_of(data), dataset))


def test_more_than_three_resolutions_say_why(engine: DiffusionPipeEngine, data: Path) -> None:
    dataset = {"resolutions": [1, 2, 3, 4], "directory": [{"path": str(data)}]}
    assert "exit code 0" in fields_of(engine, with_dataset(spec_of(data), dataset))["dataset.resolutions"]


def test_directories_are_directory_and_a_preprocessed_one_has_a_path(data: Path, tmp_path: Path) -> None:
    engine = DiffusionPipeEngine(tmp_path, "x", "python", AllowedRoots([]), datasets={"cats": data}.get)
    spec = with_dataset(spec_of(data), {"directories": [{"path_id": "cats", "size_buckets": [[512, 512, 1]]}]})
    assert engine.validate(spec).dataset == {"directory": [{"path": str(data), "size_buckets": [[512, 512, 1]]}]}


def test_a_dataset_outside_the_roots_is_forbidden(engine: DiffusionPipeEngine, data: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.png").write_bytes(PNG)
    (data / "link").symlink_to(outside)
    for path in (outside, data / "link", data / ".." / ".." / "outside"):
        dataset = {"resolutions": [512], "directory": [{"path": str(path)}]}
        with pytest.raises(Forbidden):
            engine.validate(with_dataset(spec_of(data), dataset))
    with pytest.raises(Forbidden):
        engine.validate(spec_of(data, output_dir=str(outside)))


@pytest.mark.parametrize(
    ("files", "good"),
    [
        ({}, False), ({"a.txt": b"x", "b.json": b"{}"}, False), ({"a.png": b""}, False), ({"a.png": b"hello"}, False),
        ({"a.PNG": PNG}, True), ({"a.jpg": b"\xff\xd8\xff\xe0"}, True), ({"a.webp": b"RIFF....WEBPVP8 "}, True),
        ({"a.mp4": b"\0\0\0\x20ftypisom"}, True), ({"a.mkv": b"\x1aE\xdf\xa3"}, True), ({"a.tar": b"x" * 600}, True),
        ({"a.png": b"broken", "b.png": PNG}, True), ({".png": PNG}, False),
    ],
)  # fmt: skip
def test_one_header_is_read(engine: DiffusionPipeEngine, tmp_path: Path, files: dict[str, bytes], good: bool) -> None:
    folder = tmp_path / "data" / "x"
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    if good:
        engine.validate(spec_of(folder))
    else:
        assert "dataset.directory.0.path" in fields_of(engine, spec_of(folder))


def test_a_pipe_with_a_media_name_does_not_hang_it(engine: DiffusionPipeEngine, tmp_path: Path) -> None:
    folder = tmp_path / "data" / "x"
    folder.mkdir(parents=True)
    os.mkfifo(folder / "a.png")
    assert "dataset.directory.0.path" in fields_of(engine, spec_of(folder))


def test_the_bundled_examples_are_named_relatively(tmp_path: Path, data: Path) -> None:
    folder = tmp_path / "repo" / "examples" / "mini" / "data"
    folder.mkdir(parents=True)
    (folder / "a.png").write_bytes(PNG)
    repo = tmp_path / "repo"
    engine = DiffusionPipeEngine(repo / "examples" / "mini", "x", "python", AllowedRoots([]), bundled=repo)
    dataset = {"resolutions": [32], "directory": [{"path": "examples/mini/data"}]}
    spec = with_dataset(spec_of(data, model={"diffusers_path": "examples/mini/data/a.png"}), dataset)
    valid = engine.validate(spec)
    assert valid.dataset == {"resolutions": [32], "directory": [{"path": str(folder)}]}
    assert valid.params["config"]["model"]["diffusers_path"] == str(folder / "a.png")
    assert engine.validate(valid) == valid
    escaping = {"resolutions": [32], "directory": [{"path": "examples/../../data/cats"}]}
    with pytest.raises(Forbidden):
        engine.validate(with_dataset(spec, escaping))


def test_evaluation_datasets(engine: DiffusionPipeEngine, data: Path) -> None:
    inner = {"resolutions": [512], "directories": [{"path": str(data)}]}
    file = data.parent / "eval.toml"
    file.write_text(f"resolutions = [512]\n[[directory]]\npath = '{data}'\n")
    entries = [{"name": "a", "config": inner}, {"name": "b", "config": str(file)}]
    config = engine.validate(spec_of(data, eval_datasets=entries)).params["config"]
    assert config["eval_datasets"] == [
        {"name": "a", "config": {"resolutions": [512], "directory": [{"path": str(data)}]}},
        {"name": "b", "config": str(file)},
    ]
    file.write_text("resolutions = [512]\n[[directory]]\npath = '/etc'\n")
    with pytest.raises(Forbidden):
        engine.validate(spec_of(data, eval_datasets=entries))
    file.write_text(f"resolutions = [512]\n[[directories]]\npath = '{data}'\n")
    assert "config.eval_datasets.1.config" in fields_of(engine, spec_of(data, eval_datasets=entries))
    file.write_text("resolutions = 'x")
    assert "config.eval_datasets.1.config" in fields_of(engine, spec_of(data, eval_datasets=entries))


def test_a_huge_request_is_refused_before_it_is_looked_at(engine: DiffusionPipeEngine, data: Path) -> None:
    spec = spec_of(data, model={"diffusers_path": "x", "many": ["/no/such/path"] * 100_000})
    assert "config" in fields_of(engine, spec)


def test_the_schema_knows_the_types_and_the_defaults(engine: DiffusionPipeEngine) -> None:
    schema = engine.schema()
    assert schema["x-model-types"]["wan"]["required"] == ["ckpt_path"]
    assert schema["x-model-types"]["hunyuan-video"]["alternatives"][0] == ["ckpt_path"]
    assert schema["properties"]["config"]["properties"]["epochs"]["default"] == 60
