#!/bin/sh
# Brings a dump back that deploy-*.sh (or pg_dump -Fc) has made. Runs on the services host, or:
#
#   ssh HOST sh -s -- /var/backups/postgresql/20260102T030405Z.dump <restore.sh
#
# The dump becomes a database of its own first. Only when that is whole, clients are sent away and the
# two change names in one transaction; the database of before stays beside it until somebody drops it.
set -eu

usage() {
    cat <<'TEXT'
usage: restore.sh [--container NAME] DUMP

  DUMP               a file on this host, as `pg_dump -Fc` writes it
  --container NAME   the container that PostgreSQL runs in [default: postgresql]
TEXT
}

container=postgresql
while :; do
    case ${1:-} in
        --container) container=${2:?--container needs a name}; shift 2 ;;
        -h | --help) usage; exit 0 ;;
        -*) echo "error: unknown option $1" >&2; usage >&2; exit 2 ;;
        *) break ;;
    esac
done
[ $# = 1 ] || { usage >&2; exit 2; }
dump=$1

fail() {
    printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
    exit 1
}

in_container() {
    docker exec --interactive "$container" "$@"
}

sql() {
    in_container psql --quiet --no-psqlrc --set ON_ERROR_STOP=1 --username "$user" --dbname postgres \
        --set live="$database" --set restored="$restored" --set before="$before"
}

[ -r "$dump" ] || fail "$dump cannot be read" "the dumps of this host: ls /var/backups/postgresql"
user=$(in_container printenv POSTGRES_USER </dev/null) && database=$(in_container printenv POSTGRES_DB </dev/null) ||
    fail "the container $container does not run" "docker ps -a; docker start $container"
now=$(date -u +%Y%m%dt%H%M%Sz)
restored=${database}_restored_$now
before=${database}_before_$now

echo "restoring $dump into the database $restored"
sql <<'TEXT'
CREATE DATABASE :"restored" TEMPLATE template0;
TEXT
in_container pg_restore --exit-on-error --single-transaction --no-owner \
    --username "$user" --dbname "$restored" <"$dump" || {
    echo 'DROP DATABASE :"restored";' | sql
    fail "the dump could not be restored; $database is as it was" "the lines above say why"
}

echo "changing names: $database becomes $before"
sql <<'TEXT' || {
ALTER DATABASE :"live" ALLOW_CONNECTIONS false;
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :'live' \g /dev/null
BEGIN;
ALTER DATABASE :"live" RENAME TO :"before";
ALTER DATABASE :"restored" RENAME TO :"live";
COMMIT;
ALTER DATABASE :"before" ALLOW_CONNECTIONS true;
TEXT
    echo 'ALTER DATABASE :"live" ALLOW_CONNECTIONS true;' | sql
    fail "$database could not be renamed; it is as it was" "the restored one is $restored"
}
cat <<TEXT
$database is what the dump holds. What it was is $before; when nobody needs it any more:
  docker exec $container dropdb --username $user $before
TEXT
