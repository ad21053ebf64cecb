-- pg_dump and the fingerprint see the same moment, whatever is written meanwhile (pg_export_snapshot).

BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL idle_in_transaction_session_timeout = 0;
SELECT pg_export_snapshot() AS snapshot \gset
\setenv BACKUP_SNAPSHOT :snapshot
\! pg_dump --format=custom --no-owner --no-privileges --snapshot="$BACKUP_SNAPSHOT" --file="$BACKUP_DRAFT.part" "$BACKUP_URL" && mv "$BACKUP_DRAFT.part" "$BACKUP_DRAFT.dump"
\ir fingerprint.sql
COMMIT;
