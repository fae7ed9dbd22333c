"""Examples of GPUs, the system and engines: real ones, shortened."""

from __future__ import annotations

from api.routes.openapi.examples.answers import Examples, enveloped
from api.routes.openapi.examples.training import ID

GPU = {
    "gpu_id": 0,
    "uuid": "GPU-5f2c8a1b-93aa-4c0e-8e57-2f1d6f6f1a55",
    "name": "NVIDIA GeForce RTX 4090",
    "memory_total": 24564,
    "memory_used": 18210,
    "memory_free": 6354,
    "memory_utilization": 74.1,
    "utilization_gpu": 98,
    "temperature": 66,
    "power_usage": 301.5,
    "power_limit": 450.0,
    "status": "training",
    "current_task": ID,
    "drained": None,
    "task_type": "diffusion_pipe",
    "task_progress": 50.0,
    "estimated_remaining_time": 9.1,
    "processes": [{"pid": 31277, "name": "python", "memory_mb": 17900, "run_id": ID}],
    "driver_version": "570.124.06",
    "cuda_version": "12.8",
}
GPU_SUMMARY = {
    "total_gpus": 2,
    "available_gpus": 1,
    "busy_gpus": 1,
    "total_memory": 49128,
    "available_memory": 24120,
}

EXAMPLES: Examples = {
    ("get", "/api/v1/gpu/status"): {"200": enveloped({"gpus": [GPU], "summary": GPU_SUMMARY, "driver": "570.124.06"})},
    ("get", "/api/v1/gpu/summary"): {"200": enveloped(GPU_SUMMARY)},
    ("get", "/api/v1/gpu/available"): {
        "200": enveloped(
            {
                "available_gpus": [
                    {
                        "gpu_id": 1,
                        "name": "NVIDIA GeForce RTX 4090",
                        "memory_total": 24564,
                        "memory_free": 24120,
                        "status": "available",
                        "recommended_for": ["yolo", "ocr", "captioning", "lora-sdxl", "lora-video"],
                    },
                ],
                "total_available": 1,
            }
        )
    },
    ("get", "/api/v1/gpu/{gpu_id}/details"): {
        "200": enveloped(
            {
                **GPU,
                "history": [
                    {
                        "timestamp": "2026-11-21T11:13:03.000Z",
                        "memory_used": 18210,
                        "utilization_gpu": 98,
                        "temperature": 66,
                        "power_usage": 301.5,
                    },
                ],
            }
        )
    },
    ("get", "/api/v1/system/overview"): {
        "200": enveloped(
            {
                "system": {
                    "cpu_count": 16,
                    "cpu_usage": 52.7,
                    "memory_total": 67430301696,
                    "memory_used": 21474836480,
                    "memory_available": 45955465216,
                    "disk_total": 1000204886016,
                    "disk_used": 412316860416,
                    "disk_free": 587888025600,
                },
                "gpus": {"total": 2, "available": 1, "busy": 1},
                "tasks": {"total": 3, "queued": 1, "running": 1, "completed": 1, "failed": 0, "stopped": 0},
                "queue": {"waiting": 1, "oldest_wait_seconds": 14.8},
                "executor": "local",
                "uptime": 86400.5,
                "version": "0.1.0",
            }
        )
    },
    ("get", "/api/v1/engines"): {
        "200": enveloped(
            {
                "engines": [
                    {
                        "name": "diffusion_pipe",
                        "available": True,
                        "version": "bundled",
                        "reason": None,
                        "parameters": {
                            "$schema": "https://json-schema.org/draft/2020-12/schema",
                            "type": "object",
                            "required": ["model_type", "dataset"],
                            "properties": {"model_type": {"type": "string", "enum": ["flux", "sdxl", "wan"]}},
                        },
                    },
                    {
                        "name": "script",
                        "available": True,
                        "version": "env-3f9a1c07",
                        "reason": None,
                        "parameters": {
                            "$schema": "https://json-schema.org/draft/2020-12/schema",
                            "type": "object",
                            "required": ["script_path"],
                            "properties": {"script_path": {"type": "string", "pattern": "^/"}},
                        },
                    },
                    {
                        "name": "kraken",
                        "available": True,
                        "version": "7.1.1",
                        "reason": None,
                        "parameters": {
                            "$schema": "https://json-schema.org/draft/2020-12/schema",
                            "type": "object",
                            "required": ["task", "model_id", "document_ids"],
                            "properties": {"task": {"type": "string", "enum": ["train", "segtrain", "test"]}},
                        },
                    },
                ]
            }
        )
    },
}
