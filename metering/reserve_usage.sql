-- Takes what every draw asks for, or nothing from any: one round trip and one transaction.
--
-- The user's lock makes one user's reservations take turns without writing to a row, so that a refusal writes nothing.
-- The second statement begins after it is held, so it sees what the one before took.
SELECT pg_advisory_xact_lock(hashtextextended(%(user)s, 0));

WITH asked AS MATERIALIZED (
    -- Not now(): that stood still while this transaction waited for the lock.
    SELECT clock_timestamp() AS moment, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_us
), draw AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%(draws)s) AS draw (
        place integer, counter text, unit text, "window" text, allowed bigint, at_least bigint, at_most bigint
    )
), live AS MATERIALIZED (
    SELECT reservation.* FROM usage_reservations AS reservation, asked
    WHERE reservation.user_id = %(user)s::uuid AND reservation.lease_until > asked.moment
), offer AS MATERIALIZED (
    SELECT
        draw.*, coalesce(counter.used, 0) AS used, coalesce(others.amount, 0) AS held,
        coalesce(
            mine.amount,
            greatest(0, least(draw.at_most, draw.allowed - coalesce(counter.used, 0) - coalesce(others.amount, 0)))
        ) AS amount
    FROM draw
    LEFT JOIN usage_counters AS counter
        ON counter.user_id = %(user)s::uuid AND counter.feature = draw.counter AND counter.unit = draw.unit
        AND counter."window" = draw."window"
    LEFT JOIN LATERAL (
        SELECT sum(live.amount)::bigint AS amount FROM live
        WHERE live.feature = draw.counter AND live.unit = draw.unit AND live."window" = draw."window"
            AND live.request_id <> %(request)s::uuid
    ) AS others ON true
    LEFT JOIN live AS mine
        ON mine.request_id = %(request)s::uuid AND mine.feature = draw.counter AND mine.unit = draw.unit
        AND mine."window" = draw."window"
), gate AS MATERIALIZED (
    SELECT
        asked.moment, asked.now_us,
        greatest(asked.now_us, (
            SELECT usage_gates.burst_tat FROM usage_gates WHERE user_id = %(user)s::uuid AND feature = %(feature)s
        )) AS tat,
        (SELECT count(*) FROM live
         WHERE feature = %(feature)s AND unit = 'call' AND request_id <> %(request)s::uuid) AS in_flight,
        EXISTS (SELECT 1 FROM live WHERE request_id = %(request)s::uuid) AS reserved,
        coalesce((SELECT used FROM usage_counters
                  WHERE user_id = %(user)s::uuid AND feature = %(feature)s AND unit = 'failure' AND "window" = %(hour)s), 0)
            AS failures
    FROM asked
), verdict AS MATERIALIZED (
    SELECT
        gate.*,
        NOT reserved AND tat + %(interval)s - %(capacity)s > now_us AS too_fast,
        NOT reserved AND in_flight + 1 > %(concurrency)s AS too_many,
        NOT reserved AND coalesce(failures >= %(failures_allowed)s, false) AS too_bad,
        NOT reserved AND EXISTS (SELECT 1 FROM offer WHERE amount < at_least) AS too_much
    FROM gate
), taken AS (
    INSERT INTO usage_reservations AS known (request_id, feature, unit, "window", user_id, amount, lease_until, created_at)
    SELECT %(request)s::uuid, offer.counter, offer.unit, offer."window", %(user)s::uuid, offer.amount,
           verdict.moment + %(lease)s, verdict.moment
    FROM offer, verdict WHERE NOT (reserved OR too_fast OR too_many OR too_bad OR too_much)
    ON CONFLICT (request_id, feature, unit, "window") DO UPDATE SET
        amount = excluded.amount, lease_until = excluded.lease_until
), clocked AS (
    INSERT INTO usage_gates AS known (user_id, feature, burst_tat)
    SELECT %(user)s::uuid, %(feature)s, tat + %(interval)s
    FROM verdict WHERE NOT (reserved OR too_fast OR too_many OR too_bad OR too_much)
    ON CONFLICT (user_id, feature) DO UPDATE SET burst_tat = excluded.burst_tat
)
SELECT verdict.reserved, too_fast, too_many, too_bad, too_much, in_flight, tat, now_us, used, held, amount, amount < at_least
FROM verdict, offer ORDER BY offer.place
