-- What is in the database, in a form that two databases can be compared in: for each table its rows and the sum of their
-- checksums, which has no order; the next number of each sequence; the ledger in figures that a person can read.
-- Read inside a transaction, so that it is the state of one moment.

\pset tuples_only on
\pset format unaligned
\pset fieldsep ' '

-- The same row is the same text on every server.
SET LOCAL statement_timeout = 0;
SET LOCAL TimeZone = 'UTC';
SET LOCAL DateStyle = 'ISO';
SET LOCAL IntervalStyle = 'iso_8601';
SET LOCAL bytea_output = 'hex';
SET LOCAL extra_float_digits = 1;
SET LOCAL search_path = public;

SELECT 'revision', version_num FROM alembic_version;
SELECT 'ledger used', feature, unit, sum(used), 'in', count(*), 'windows' FROM usage_counters GROUP BY feature, unit ORDER BY feature, unit;
SELECT 'ledger charged_micros', coalesce(sum(price_micros), 0), 'in', count(*), 'charges' FROM charges;
SELECT 'ledger subscriptions', provider, tier, count(*) FROM subscriptions GROUP BY provider, tier ORDER BY provider, tier;
SELECT 'ledger payments', currency, sum(amount), 'refunded', sum(refunded_amount) FROM payments GROUP BY currency ORDER BY currency;

SELECT format(
    'SELECT ''table'', %L, count(*), coalesce(sum((''x'' || left(md5(t::text), 15))::bit(60)::bigint::numeric), 0) FROM public.%I AS t',
    relname, relname
)
FROM pg_class
WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
ORDER BY relname
\gexec

SELECT 'sequence', sequencename, coalesce(last_value::text, 'unused') FROM pg_sequences WHERE schemaname = 'public' ORDER BY sequencename;
