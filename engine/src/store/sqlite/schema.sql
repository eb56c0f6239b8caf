CREATE INDEX "events_by_name" ON "events" ("env", "name", "position");

CREATE INDEX "function_versions_by_hash" ON "function_versions" ("env", "function_id", "hash");

CREATE INDEX "idempotency_keys_by_expiry" ON "idempotency_keys" ("expires_at", "env", "scope", "key");

CREATE INDEX "run_attributes_by_value" ON "run_attributes" ("env", "name", "value", "run_id");

CREATE INDEX "run_audit_by_env" ON "run_audit" ("env", "id");

CREATE INDEX "run_audit_by_expiry" ON "run_audit" ("expires_at", "run_id", "id") WHERE "expires_at" IS NOT NULL;

CREATE INDEX "runs_by_deadline" ON "runs" ("deadline_at", "id") WHERE "deadline_at" IS NOT NULL;

CREATE INDEX "runs_by_end" ON "runs" ("ended_at", "id") WHERE "ended_at" IS NOT NULL;

CREATE INDEX "runs_by_env" ON "runs" ("env", "id");

CREATE INDEX "runs_by_function" ON "runs" ("env", "function_id", "id");

CREATE INDEX "runs_by_parent" ON "runs" ("parent_run_id", "id") WHERE "parent_run_id" IS NOT NULL;

CREATE INDEX "runs_by_ready" ON "runs" ("env", "function_id", "function_version", "ready_at", "id") WHERE "ready_at" IS NOT NULL;

CREATE INDEX "runs_by_session" ON "runs" ("lease_session", "id") WHERE "lease_session" IS NOT NULL;

CREATE INDEX "runs_by_status" ON "runs" ("env", "status", "id");

CREATE INDEX "secrets_by_retirement" ON "secrets" ("retired_at", "env", "name", "number") WHERE "retired_at" IS NOT NULL;

CREATE INDEX "sessions_by_env" ON "sessions" ("env", "id");

CREATE INDEX "sessions_by_expiry" ON "sessions" ("expires_at", "id") WHERE "expires_at" IS NOT NULL;

CREATE INDEX "steps_by_resolution" ON "steps" ("run_id", "resolution") WHERE "resolution" IS NOT NULL;

CREATE INDEX "waits_by_due" ON "waits" ("due_at", "run_id", "step_id") WHERE "due_at" IS NOT NULL;

CREATE INDEX "waits_by_event" ON "waits" ("match_key", "run_id", "step_id") WHERE "match_key" IS NOT NULL;

CREATE INDEX "waits_by_resolution" ON "waits" ("run_id", "resolution") WHERE "resolution" IS NOT NULL;

CREATE TABLE "attempts" (
  "run_id" TEXT NOT NULL,
  "step_id" TEXT NOT NULL,
  "number" INTEGER NOT NULL,
  "name" TEXT NOT NULL,
  "fence" INTEGER NOT NULL,
  "session_id" TEXT,
  "outcome" TEXT NOT NULL,
  "error" TEXT,
  "started_at" INTEGER,
  "ended_at" INTEGER NOT NULL,
  "revision" INTEGER NOT NULL,
  PRIMARY KEY ("run_id", "step_id", "number")
) STRICT, WITHOUT ROWID;

CREATE TABLE "cursors" (
  "env" TEXT NOT NULL,
  "name" TEXT NOT NULL,
  "position" INTEGER NOT NULL,
  "revision" INTEGER NOT NULL,
  PRIMARY KEY ("env", "name")
) STRICT, WITHOUT ROWID;

CREATE TABLE "engines" (
  "id" TEXT NOT NULL,
  "started_at" INTEGER NOT NULL,
  "expires_at" INTEGER NOT NULL,
  "taken_over" INTEGER NOT NULL,
  "revision" INTEGER NOT NULL,
  PRIMARY KEY ("id")
) STRICT, WITHOUT ROWID;

CREATE TABLE "events" (
  "env" TEXT NOT NULL,
  "position" INTEGER NOT NULL,
  "id" TEXT NOT NULL,
  "name" TEXT NOT NULL,
  "version" INTEGER NOT NULL,
  "data" TEXT NOT NULL,
  "metadata" TEXT,
  "source" TEXT,
  "run_id" TEXT,
  "created_at" INTEGER NOT NULL,
  PRIMARY KEY ("env", "position")
) STRICT, WITHOUT ROWID;

CREATE TABLE "function_versions" (
  "env" TEXT NOT NULL,
  "function_id" TEXT NOT NULL,
  "version" INTEGER NOT NULL,
  "definition" TEXT NOT NULL,
  "hash" TEXT NOT NULL,
  "created_at" INTEGER NOT NULL,
  "revision" INTEGER NOT NULL,
  PRIMARY KEY ("env", "function_id", "version")
) STRICT, WITHOUT ROWID;

CREATE TABLE "functions" (
  "env" TEXT NOT NULL,
  "id" TEXT NOT NULL,
  "version" INTEGER NOT NULL,
  "definition" TEXT NOT NULL,
  "hash" TEXT NOT NULL,
  "mode" TEXT NOT NULL,
  "status" TEXT NOT NULL,
  "created_at" INTEGER NOT NULL,
  "updated_at" INTEGER NOT NULL,
  "revision" INTEGER NOT NULL,
  PRIMARY KEY ("env", "id")
) STRICT, WITHOUT ROWID;

CREATE TABLE "idempotency_keys" (
  "env" TEXT NOT NULL,
  "scope" TEXT NOT NULL,
  "key" TEXT NOT NULL,
  "outcome" TEXT NOT NULL,
  "expires_at" INTEGER NOT NULL,
  "revision" INTEGER NOT NULL,
  PRIMARY KEY ("env", "scope", "key")
) STRICT, WITHOUT ROWID;

CREATE TABLE "log_heads" (
  "log" TEXT NOT NULL,
  "partition" TEXT NOT NULL,
  "position" INTEGER NOT NULL,
  PRIMARY KEY ("log", "partition")
) STRICT, WITHOUT ROWID;

CREATE TABLE "match_paths" (
  "env" TEXT NOT NULL,
  "event_name" TEXT NOT NULL,
  "path" TEXT NOT NULL,
  "revision" INTEGER NOT NULL,
  PRIMARY KEY ("env", "event_name", "path")
) STRICT, WITHOUT ROWID;

CREATE TABLE "registries" (
  "env" TEXT NOT NULL,
  "changes" INTEGER NOT NULL,
  "revision" INTEGER NOT NULL,
  PRIMARY KEY ("env")
) STRICT, WITHOUT ROWID;

CREATE TABLE "run_attributes" (
  "run_id" TEXT NOT NULL,
  "name" TEXT NOT NULL,
  "env" TEXT NOT NULL,
  "value" TEXT NOT NULL,
  "revision" INTEGER NOT NULL,
  PRIMARY KEY ("run_id", "name")
) STRICT, WITHOUT ROWID;

CREATE TABLE "run_audit" (
  "run_id" TEXT NOT NULL,
  "id" TEXT NOT NULL,
  "env" TEXT NOT NULL,
  "function_id" TEXT NOT NULL,
  "step_id" TEXT,
  "type" TEXT NOT NULL,
  "actor" TEXT,
  "reason" TEXT,
  "payload" TEXT,
  "created_at" INTEGER NOT NULL,
  "expires_at" INTEGER,
  "revision" INTEGER NOT NULL,
  PRIMARY KEY ("run_id", "id")
) STRICT, WITHOUT ROWID;

CREATE TABLE "runs" (
  "id" TEXT NOT NULL,
  "env" TEXT NOT NULL,
  "function_id" TEXT NOT NULL,
  "function_version" INTEGER NOT NULL,
  "status" TEXT NOT NULL,
  "event_id" TEXT NOT NULL,
  "event_name" TEXT NOT NULL,
  "input" TEXT,
  "parent_run_id" TEXT,
  "parent_step_id" TEXT,
  "log_position" INTEGER NOT NULL,
  "attempt" INTEGER NOT NULL,
  "max_attempts" INTEGER NOT NULL,
  "ready_at" INTEGER,
  "lease_session" TEXT,
  "lease_token" TEXT,
  "leased_at" INTEGER,
  "deadline_at" INTEGER,
  "fence" INTEGER NOT NULL,
  "wakes" INTEGER NOT NULL,
  "open_waits" INTEGER NOT NULL,
  "unseen_wakes" INTEGER NOT NULL,
  "retry_at" INTEGER,
  "idle_leases" INTEGER NOT NULL,
  "output" TEXT,
  "error" TEXT,
  "created_at" INTEGER NOT NULL,
  "started_at" INTEGER,
  "ended_at" INTEGER,
  "updated_at" INTEGER NOT NULL,
  "revision" INTEGER NOT NULL, "ending" TEXT, "pause" TEXT, "restart" TEXT, "rerun_of" TEXT,
  PRIMARY KEY ("id")
) STRICT, WITHOUT ROWID;

CREATE TABLE "secrets" (
  "env" TEXT NOT NULL,
  "name" TEXT NOT NULL,
  "number" INTEGER NOT NULL,
  "key_id" TEXT NOT NULL,
  "sealed" TEXT NOT NULL,
  "created_at" INTEGER NOT NULL,
  "retired_at" INTEGER,
  "revision" INTEGER NOT NULL,
  PRIMARY KEY ("env", "name", "number")
) STRICT, WITHOUT ROWID;

CREATE TABLE "sessions" (
  "id" TEXT NOT NULL,
  "env" TEXT NOT NULL,
  "transport" TEXT NOT NULL,
  "hostname" TEXT NOT NULL,
  "functions" TEXT NOT NULL,
  "jobs_max" INTEGER NOT NULL,
  "labels" TEXT NOT NULL,
  "version" TEXT NOT NULL,
  "capabilities" TEXT NOT NULL,
  "engine_id" TEXT,
  "lease_ms" INTEGER NOT NULL,
  "registered_at" INTEGER NOT NULL,
  "heartbeat_at" INTEGER NOT NULL,
  "expires_at" INTEGER,
  "expired" INTEGER NOT NULL,
  "revision" INTEGER NOT NULL, "beat" INTEGER,
  PRIMARY KEY ("id")
) STRICT, WITHOUT ROWID;

CREATE TABLE "steps" (
  "run_id" TEXT NOT NULL,
  "step_id" TEXT NOT NULL,
  "name" TEXT NOT NULL,
  "kind" TEXT NOT NULL,
  "status" TEXT NOT NULL,
  "output" TEXT,
  "error" TEXT,
  "attempt" INTEGER NOT NULL,
  "wake" INTEGER NOT NULL,
  "sequence" INTEGER NOT NULL,
  "resolution" INTEGER,
  "fence" INTEGER NOT NULL,
  "started_at" INTEGER NOT NULL,
  "ended_at" INTEGER NOT NULL,
  "child_run_id" TEXT,
  "revision" INTEGER NOT NULL, "position" INTEGER, "session_id" TEXT, "patched_at" INTEGER,
  PRIMARY KEY ("run_id", "step_id")
) STRICT, WITHOUT ROWID;

CREATE TABLE "topic_messages" (
  "env" TEXT NOT NULL,
  "topic" TEXT NOT NULL,
  "position" INTEGER NOT NULL,
  "id" TEXT NOT NULL,
  "data" TEXT NOT NULL,
  "run_id" TEXT,
  "created_at" INTEGER NOT NULL,
  PRIMARY KEY ("env", "topic", "position")
) STRICT, WITHOUT ROWID;

CREATE TABLE "waits" (
  "run_id" TEXT NOT NULL,
  "step_id" TEXT NOT NULL,
  "env" TEXT NOT NULL,
  "name" TEXT NOT NULL,
  "kind" TEXT NOT NULL,
  "due_at" INTEGER,
  "event_name" TEXT,
  "match_path" TEXT NOT NULL,
  "match_value" TEXT NOT NULL,
  "match_key" TEXT,
  "from_position" INTEGER NOT NULL,
  "child_run_id" TEXT,
  "function_id" TEXT,
  "attempt" INTEGER NOT NULL,
  "resolution" INTEGER,
  "failable" INTEGER NOT NULL,
  "wake" INTEGER NOT NULL,
  "sequence" INTEGER NOT NULL,
  "created_at" INTEGER NOT NULL,
  "revision" INTEGER NOT NULL, "match_expression" TEXT, "any_of" TEXT, "child_stays" INTEGER,
  PRIMARY KEY ("run_id", "step_id")
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX "events_by_id" ON "events" ("id");

CREATE UNIQUE INDEX "topic_messages_by_id" ON "topic_messages" ("id");
