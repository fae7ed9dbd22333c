"""What the description shows of webhooks."""

from __future__ import annotations

from api.routes.openapi.examples.answers import Examples, enveloped

_W = "/api/v1/webhooks"
_ONE = f"{_W}/{{webhook_id}}"


SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # the specification's example
WEBHOOK = {
    "id": 3,
    "owner_id": 2,
    "workspace_id": None,
    "scope": "own",
    "url": "https://hooks.example.com/trainyard",
    "events": ["job.completed", "job.failed"],
    "description": "to the chat",
    "enabled": True,
    "disabled_reason": None,
    "failing_since": None,
    "paused_until": None,
    "secret": "***",
    "created_at": "2026-11-21T11:12:49.101Z",
    "updated_at": "2026-11-21T11:12:49.101Z",
}
DELIVERY = {
    "id": 118,
    "webhook_id": 3,
    "message_id": "msg_5c1f0e7a9b3d4f62810d7c5e2a41",
    "event": "job.completed",
    "state": "delivered",
    "attempts": 1,
    "created_at": "2026-11-21T11:13:03.120Z",
    "next_attempt_at": None,
    "delivered_at": "2026-11-21T11:13:03.402Z",
    "status_code": 200,
    "error": None,
    "duration": 0.121,
}
PAYLOAD = (
    '{"type":"job.completed","timestamp":"2026-11-21T11:13:03.120Z","data":{"job_id":'
    '"train_20261121_111249_3471c10c","task_id":"train_20261121_111249_3471c10c","name":"Cats, second try",'
    '"engine":"diffusion_pipe","dialect":"training_v1","status":"completed","reason":"done","exit_code":0,"attempt":1,'
    '"owner_id":2,"workspace_id":null,"created_at":"2026-11-21T11:12:49.101Z","started_at":"2026-11-21T11:12:49.730Z",'
    '"ended_at":"2026-11-21T11:13:03.120Z","failure":null,"progress":{"current_epoch":3,"total_epochs":3,'
    '"current_step":36,"total_steps":36,"overall_progress":100.0,"training_time":13.4,"current_loss":0.6445,'
    '"best_loss":0.6012}}}'
)
TRY = {"number": 1, "at": "2026-11-21T11:13:03.402Z", "duration": 0.121, "status_code": 200, "error": None}
DETAIL = {**DELIVERY, "payload": PAYLOAD, "response": "ok", "tries": [TRY]}
TEST = {
    **DETAIL,
    "id": 119,
    "event": "webhook.test",
    "payload": '{"type":"webhook.test","timestamp":"2026-11-21T11:13:03.120Z","data":{"webhook_id":3,'
    '"description":"to the chat","events":["job.completed","job.failed"]}}',
}
PAGE = {"total": 1, "limit": 50, "offset": 0, "has_more": False}
WAITING = {**DELIVERY, "state": "pending", "next_attempt_at": "2026-11-21T12:00:00.000Z"}

EXAMPLES: Examples = {
    ("post", _W): {
        "request": {
            "url": WEBHOOK["url"],
            "events": WEBHOOK["events"],
            "description": WEBHOOK["description"],
        },
        "201": enveloped({**WEBHOOK, "secret": SECRET}, "webhook made; its secret is shown only now", 201),
    },
    ("get", _W): {"200": enveloped({"webhooks": [WEBHOOK], "pagination": PAGE})},
    ("get", _ONE): {"200": enveloped(WEBHOOK)},
    ("patch", _ONE): {"request": {"enabled": True}, "200": enveloped(WEBHOOK, "webhook changed")},
    ("delete", _ONE): {"200": enveloped({"id": 3}, "webhook deleted")},
    ("post", f"{_ONE}/rotate-secret"): {
        "request": {},
        "200": enveloped({**WEBHOOK, "secret": SECRET}, "secret changed; it is shown only now"),
    },
    ("post", f"{_ONE}/test"): {"200": enveloped(TEST)},
    ("get", f"{_ONE}/deliveries"): {"200": enveloped({"deliveries": [DELIVERY], "pagination": PAGE})},
    ("get", f"{_ONE}/deliveries/{{delivery_id}}"): {"200": enveloped(DETAIL)},
    ("post", f"{_ONE}/deliveries/{{delivery_id}}/redeliver"): {"202": enveloped(WAITING, "it will be sent again", 202)},
}
