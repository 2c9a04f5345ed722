#!/bin/sh
# Starts PostgreSQL on the data in the volume; makes a cluster first where there is none.
#
#   POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB   of the new cluster; later ones change nothing
#
# The cluster lies in a folder named after its major version, so that the image of another one cannot
# touch it. A new cluster gets that name when it is whole: what is cut off is made anew.
set -eu

version=15
volume=/var/lib/postgresql/data
cluster=$volume/$version

fail() {
    printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
    exit 1
}

refuse_another_version() {
    for folder in "$volume"/[0-9]*; do
        [ ! -s "$folder/PG_VERSION" ] ||
            fail "the volume holds data of PostgreSQL $(cat "$folder/PG_VERSION"), this is $version" \
                "dump it with the old image, and restore the dump into a new volume (restore.sh)"
    done
}

make_cluster() {
    for name in POSTGRES_USER POSTGRES_PASSWORD POSTGRES_DB; do
        eval "value=\${$name:-}"
        [ -n "$value" ] || fail "$name is not set" "a new cluster needs it: docker run --env-file FILE"
    done
    new=$volume/new
    rm -rf --one-file-system "$new"
    echo "making a cluster"
    # the Unix socket is for those who are in the container, so it asks for no password
    printf '%s\n' "$POSTGRES_PASSWORD" |
        initdb --pgdata "$new" --encoding UTF8 --username "$POSTGRES_USER" --pwfile /dev/stdin \
            --auth-local trust --auth-host scram-sha-256 >/dev/null
    echo "host all all all scram-sha-256" >>"$new/pg_hba.conf"
    # reachable through this folder alone
    pg_ctl --pgdata "$new" --wait --options "-c listen_addresses= -k /tmp" start >/dev/null
    [ "$POSTGRES_DB" = postgres ] || createdb --host /tmp --username "$POSTGRES_USER" "$POSTGRES_DB"
    pg_ctl --pgdata "$new" --wait stop >/dev/null
    sync
    mv "$new" "$cluster"
}

if [ ! -s "$cluster/PG_VERSION" ]; then
    refuse_another_version
    make_cluster
fi
exec postgres -D "$cluster" -c "listen_addresses=*" "$@"
