"""The tables of webhooks. The secrets are kept as they are: what is sent is signed with them."""

from __future__ import annotations

from sqlalchemy import JSON, Boolean, Column, Float, ForeignKey, Index, Integer, String, Table, Text, text

from api.services.store.schema import metadata

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("owner_id", Integer, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("team_id", Integer, ForeignKey("teams.id", ondelete="CASCADE")),
    Column("all_jobs", Boolean, nullable=False),
    Column("url", Text, nullable=False),
    Column("secret", Text, nullable=False),
    Column("events", JSON, nullable=False),
    Column("description", Text, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("disabled_reason", Text),
    Column("previous_secret", Text),
    Column("previous_until", Float),
    Column("failing_since", Float),
    Column("paused_until", Float),
    Index("ix_webhooks_owner_id", "owner_id"),
    Index("ix_webhooks_team_id", "team_id"),
    Index("ix_webhooks_all_jobs", "all_jobs"),
    sqlite_autoincrement=True,
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("webhook_id", Integer, ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False),
    Column("message_id", String(64), nullable=False),
    Column("event", String(32), nullable=False),
    Column("payload", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("round", Integer, nullable=False),
    Column("next_attempt_at", Float),
    Column("delivered_at", Float),
    Column("error", Text),
    Column("response", Text, nullable=False),
    Column("tries", JSON, nullable=False),
    Index("ix_webhook_deliveries_list", "webhook_id", "state", "id"),
    Index("ix_webhook_deliveries_due", "next_attempt_at", sqlite_where=text("state = 'pending'")),
    sqlite_autoincrement=True,
)
