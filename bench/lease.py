"""The hand-written drain that sets the limit: claim by UPDATE, POST, DELETE, in SQL.

It is as durable as ours and knows nothing else: no choice, no license, no ledger of
attempts, no retry, no record of what was sent.
"""

from __future__ import annotations

import psycopg
import requests

SIZE = 500
TABLE = """
DROP TABLE IF EXISTS bench_lease;
CREATE TABLE bench_lease (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key uuid NOT NULL DEFAULT gen_random_uuid(),
    state smallint NOT NULL DEFAULT 0,
    lease_until timestamptz,
    attempts smallint NOT NULL DEFAULT 0,
    body jsonb NOT NULL
);
CREATE INDEX ON bench_lease (id) WHERE state = 0;
"""
FILL = """
INSERT INTO bench_lease (body)
SELECT jsonb_build_object('dataPoint', 'login', 'timestamp',
    to_char(now() - i * interval '1 ms', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'))
FROM generate_series(1, %s) AS i
"""
CLAIM = """
UPDATE bench_lease
SET state = 1, lease_until = now() + interval '60 s', attempts = attempts + 1
WHERE id IN (
    SELECT id FROM bench_lease WHERE state = 0 ORDER BY id LIMIT %s
    FOR UPDATE SKIP LOCKED
)
RETURNING id, key, body::text
"""
RECORD = '{"bench_id":"%s","data":%s}'
DONE = "DELETE FROM bench_lease WHERE id = ANY(%s)"


def fill(database: str, count: int) -> None:
    """Make the table anew with so many events in it."""
    with psycopg.connect(database, autocommit=True) as control:
        control.execute(TABLE)
        control.execute(FILL, [count])
        control.execute("VACUUM ANALYZE bench_lease")


def drain(database: str, url: str) -> None:
    """Send all of it in batches of 500, over one connection each way."""
    session = requests.Session()
    session.trust_env = False
    with session, psycopg.connect(database, autocommit=True) as control:
        while rows := control.execute(CLAIM, [SIZE]).fetchall():
            records = ",".join(RECORD % (key, body) for _, key, body in rows)
            key = f"{rows[0][0]}-{len(rows)}"
            headers = {"Content-Type": "application/json", "Idempotency-Key": key}
            answer = session.post(url, f"[{records}]".encode(), headers=headers)
            answer.raise_for_status()
            control.execute(DONE, [[row[0] for row in rows]])
