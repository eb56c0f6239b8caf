-- What the migrations produce. Written by postgres.test.ts (vitest -u); not executed.

CREATE TABLE attempts (
  run_id text COLLATE "C" NOT NULL,
  step_id text COLLATE "C" NOT NULL,
  number bigint NOT NULL,
  name text COLLATE "C" NOT NULL,
  fence bigint NOT NULL,
  session_id text COLLATE "C",
  outcome text COLLATE "C" NOT NULL,
  error text COLLATE "C",
  started_at bigint,
  ended_at bigint NOT NULL,
  revision bigint NOT NULL
);
CREATE UNIQUE INDEX attempts_pkey ON attempts USING btree (run_id, step_id, number);

CREATE TABLE cursors (
  env text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  "position" bigint NOT NULL,
  revision bigint NOT NULL
);
CREATE UNIQUE INDEX cursors_pkey ON cursors USING btree (env, name);

CREATE TABLE engines (
  id text COLLATE "C" NOT NULL,
  started_at bigint NOT NULL,
  expires_at bigint NOT NULL,
  taken_over boolean NOT NULL,
  revision bigint NOT NULL
);
CREATE UNIQUE INDEX engines_pkey ON engines USING btree (id);

CREATE TABLE events (
  env text COLLATE "C" NOT NULL,
  "position" bigint NOT NULL,
  id text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  version bigint NOT NULL,
  data text COLLATE "C" NOT NULL,
  metadata text COLLATE "C",
  source text COLLATE "C",
  run_id text COLLATE "C",
  created_at bigint NOT NULL
);
CREATE UNIQUE INDEX events_by_id ON events USING btree (id);
CREATE INDEX events_by_name ON events USING btree (env, name, "position");
CREATE UNIQUE INDEX events_pkey ON events USING btree (env, "position");

CREATE TABLE function_versions (
  env text COLLATE "C" NOT NULL,
  function_id text COLLATE "C" NOT NULL,
  version bigint NOT NULL,
  definition text COLLATE "C" NOT NULL,
  hash text COLLATE "C" NOT NULL,
  created_at bigint NOT NULL,
  revision bigint NOT NULL
);
CREATE INDEX function_versions_by_hash ON function_versions USING btree (env, function_id, hash);
CREATE UNIQUE INDEX function_versions_pkey ON function_versions USING btree (env, function_id, version);

CREATE TABLE functions (
  env text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  version bigint NOT NULL,
  definition text COLLATE "C" NOT NULL,
  hash text COLLATE "C" NOT NULL,
  mode text COLLATE "C" NOT NULL,
  status text COLLATE "C" NOT NULL,
  created_at bigint NOT NULL,
  updated_at bigint NOT NULL,
  revision bigint NOT NULL
);
CREATE UNIQUE INDEX functions_pkey ON functions USING btree (env, id);

CREATE TABLE idempotency_keys (
  env text COLLATE "C" NOT NULL,
  scope text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  outcome text COLLATE "C" NOT NULL,
  expires_at bigint NOT NULL,
  revision bigint NOT NULL
);
CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys USING btree (expires_at, env, scope, key);
CREATE UNIQUE INDEX idempotency_keys_pkey ON idempotency_keys USING btree (env, scope, key);

CREATE TABLE log_heads (
  log text COLLATE "C" NOT NULL,
  partition text COLLATE "C" NOT NULL,
  "position" bigint NOT NULL
);
CREATE UNIQUE INDEX log_heads_pkey ON log_heads USING btree (log, partition);

CREATE TABLE match_paths (
  env text COLLATE "C" NOT NULL,
  event_name text COLLATE "C" NOT NULL,
  path text COLLATE "C" NOT NULL,
  revision bigint NOT NULL
);
CREATE UNIQUE INDEX match_paths_pkey ON match_paths USING btree (env, event_name, path);

CREATE TABLE migrations (
  number bigint NOT NULL,
  name text NOT NULL,
  applied_at timestamp with time zone NOT NULL
);
CREATE UNIQUE INDEX migrations_pkey ON migrations USING btree (number);

CREATE TABLE registries (
  env text COLLATE "C" NOT NULL,
  changes bigint NOT NULL,
  revision bigint NOT NULL
);
CREATE UNIQUE INDEX registries_pkey ON registries USING btree (env);

CREATE TABLE run_attributes (
  run_id text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  env text COLLATE "C" NOT NULL,
  value text COLLATE "C" NOT NULL,
  revision bigint NOT NULL
);
CREATE INDEX run_attributes_by_value ON run_attributes USING btree (env, name, value, run_id);
CREATE UNIQUE INDEX run_attributes_pkey ON run_attributes USING btree (run_id, name);

CREATE TABLE run_audit (
  run_id text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  env text COLLATE "C" NOT NULL,
  function_id text COLLATE "C" NOT NULL,
  step_id text COLLATE "C",
  type text COLLATE "C" NOT NULL,
  actor text COLLATE "C",
  reason text COLLATE "C",
  payload text COLLATE "C",
  created_at bigint NOT NULL,
  expires_at bigint,
  revision bigint NOT NULL
);
CREATE INDEX run_audit_by_env ON run_audit USING btree (env, id);
CREATE INDEX run_audit_by_expiry ON run_audit USING btree (expires_at, run_id, id) WHERE (expires_at IS NOT NULL);
CREATE UNIQUE INDEX run_audit_pkey ON run_audit USING btree (run_id, id);

CREATE TABLE runs (
  id text COLLATE "C" NOT NULL,
  env text COLLATE "C" NOT NULL,
  function_id text COLLATE "C" NOT NULL,
  function_version bigint NOT NULL,
  status text COLLATE "C" NOT NULL,
  event_id text COLLATE "C" NOT NULL,
  event_name text COLLATE "C" NOT NULL,
  input text COLLATE "C",
  parent_run_id text COLLATE "C",
  parent_step_id text COLLATE "C",
  log_position bigint NOT NULL,
  attempt bigint NOT NULL,
  max_attempts bigint NOT NULL,
  ready_at bigint,
  lease_session text COLLATE "C",
  lease_token text COLLATE "C",
  leased_at bigint,
  deadline_at bigint,
  fence bigint NOT NULL,
  wakes bigint NOT NULL,
  open_waits bigint NOT NULL,
  unseen_wakes bigint NOT NULL,
  retry_at bigint,
  idle_leases bigint NOT NULL,
  output text COLLATE "C",
  error text COLLATE "C",
  created_at bigint NOT NULL,
  started_at bigint,
  ended_at bigint,
  updated_at bigint NOT NULL,
  revision bigint NOT NULL,
  ending text COLLATE "C",
  pause text COLLATE "C",
  restart text COLLATE "C",
  rerun_of text COLLATE "C"
);
CREATE INDEX runs_by_deadline ON runs USING btree (deadline_at, id) WHERE (deadline_at IS NOT NULL);
CREATE INDEX runs_by_end ON runs USING btree (ended_at, id) WHERE (ended_at IS NOT NULL);
CREATE INDEX runs_by_env ON runs USING btree (env, id);
CREATE INDEX runs_by_function ON runs USING btree (env, function_id, id);
CREATE INDEX runs_by_parent ON runs USING btree (parent_run_id, id) WHERE (parent_run_id IS NOT NULL);
CREATE INDEX runs_by_ready ON runs USING btree (env, function_id, function_version, ready_at, id) WHERE (ready_at IS NOT NULL);
CREATE INDEX runs_by_session ON runs USING btree (lease_session, id) WHERE (lease_session IS NOT NULL);
CREATE INDEX runs_by_status ON runs USING btree (env, status, id);
CREATE UNIQUE INDEX runs_pkey ON runs USING btree (id);

CREATE TABLE secrets (
  env text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  number bigint NOT NULL,
  key_id text COLLATE "C" NOT NULL,
  sealed text COLLATE "C" NOT NULL,
  created_at bigint NOT NULL,
  retired_at bigint,
  revision bigint NOT NULL
);
CREATE INDEX secrets_by_retirement ON secrets USING btree (retired_at, env, name, number) WHERE (retired_at IS NOT NULL);
CREATE UNIQUE INDEX secrets_pkey ON secrets USING btree (env, name, number);

CREATE TABLE sessions (
  id text COLLATE "C" NOT NULL,
  env text COLLATE "C" NOT NULL,
  transport text COLLATE "C" NOT NULL,
  hostname text COLLATE "C" NOT NULL,
  functions text COLLATE "C" NOT NULL,
  jobs_max bigint NOT NULL,
  labels text COLLATE "C" NOT NULL,
  version text COLLATE "C" NOT NULL,
  capabilities text COLLATE "C" NOT NULL,
  engine_id text COLLATE "C",
  lease_ms bigint NOT NULL,
  registered_at bigint NOT NULL,
  heartbeat_at bigint NOT NULL,
  expires_at bigint,
  expired boolean NOT NULL,
  revision bigint NOT NULL,
  beat bigint
);
CREATE INDEX sessions_by_env ON sessions USING btree (env, id);
CREATE INDEX sessions_by_expiry ON sessions USING btree (expires_at, id) WHERE (expires_at IS NOT NULL);
CREATE UNIQUE INDEX sessions_pkey ON sessions USING btree (id);

CREATE TABLE steps (
  run_id text COLLATE "C" NOT NULL,
  step_id text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  kind text COLLATE "C" NOT NULL,
  status text COLLATE "C" NOT NULL,
  output text COLLATE "C",
  error text COLLATE "C",
  attempt bigint NOT NULL,
  wake bigint NOT NULL,
  sequence bigint NOT NULL,
  resolution bigint,
  fence bigint NOT NULL,
  started_at bigint NOT NULL,
  ended_at bigint NOT NULL,
  child_run_id text COLLATE "C",
  revision bigint NOT NULL,
  "position" bigint,
  session_id text COLLATE "C",
  patched_at bigint
);
CREATE INDEX steps_by_resolution ON steps USING btree (run_id, resolution) WHERE (resolution IS NOT NULL);
CREATE UNIQUE INDEX steps_pkey ON steps USING btree (run_id, step_id);

CREATE TABLE topic_messages (
  env text COLLATE "C" NOT NULL,
  topic text COLLATE "C" NOT NULL,
  "position" bigint NOT NULL,
  id text COLLATE "C" NOT NULL,
  data text COLLATE "C" NOT NULL,
  run_id text COLLATE "C",
  created_at bigint NOT NULL
);
CREATE UNIQUE INDEX topic_messages_by_id ON topic_messages USING btree (id);
CREATE UNIQUE INDEX topic_messages_pkey ON topic_messages USING btree (env, topic, "position");

CREATE TABLE waits (
  run_id text COLLATE "C" NOT NULL,
  step_id text COLLATE "C" NOT NULL,
  env text COLLATE "C" NOT NULL,
  name text COLLATE "C" NOT NULL,
  kind text COLLATE "C" NOT NULL,
  due_at bigint,
  event_name text COLLATE "C",
  match_path text COLLATE "C" NOT NULL,
  match_value text COLLATE "C" NOT NULL,
  match_key text COLLATE "C",
  from_position bigint NOT NULL,
  child_run_id text COLLATE "C",
  function_id text COLLATE "C",
  attempt bigint NOT NULL,
  resolution bigint,
  failable boolean NOT NULL,
  wake bigint NOT NULL,
  sequence bigint NOT NULL,
  created_at bigint NOT NULL,
  revision bigint NOT NULL,
  match_expression text COLLATE "C",
  any_of text COLLATE "C",
  child_stays boolean
);
CREATE INDEX waits_by_due ON waits USING btree (due_at, run_id, step_id) WHERE (due_at IS NOT NULL);
CREATE INDEX waits_by_event ON waits USING btree (match_key, run_id, step_id) WHERE (match_key IS NOT NULL);
CREATE INDEX waits_by_resolution ON waits USING btree (run_id, resolution) WHERE (resolution IS NOT NULL);
CREATE UNIQUE INDEX waits_pkey ON waits USING btree (run_id, step_id);
