# Brings the new image to the test host. The job pastes this into eval with single quotes around it,
# so there is none in here. Whatever fails, the service that ran is put back.
set -eu
image=registry.lotse.lab/invenio/postgresql
memory=512m
dumps=3
patience=60

name=postgresql
before=$name-before
folder=/var/backups/$name
old=

is_there() { docker container inspect "$1" >/dev/null 2>&1; }
fail() { echo "error: $1" >&2; exit 1; }
answers() {
    docker exec $name sh -c "pg_isready --quiet --host 127.0.0.1 &&
        psql --quiet --username \"\$POSTGRES_USER\" --command \"SELECT 1\" \"\$POSTGRES_DB\"" >/dev/null 2>&1
}
put_back() {
    trap "" HUP INT PIPE TERM
    if is_there $before; then
        docker rm --force $name >/dev/null 2>&1 || true
        docker rename $before $name
    elif [ -z "$old" ]; then
        docker rm --force $name >/dev/null 2>&1 || true
        return
    fi
    docker update --restart always $name >/dev/null
    docker start $name >/dev/null
    echo "the $name of before runs again" >&2 || true
}
give_up() {
    docker logs --tail 20 $name >&2 || true
    fail "the new $name $1"
}

if is_there $before; then
    echo "a deploy was cut off before this one"
    put_back
fi

echo "pull $image"
docker pull "$image" >/dev/null

if is_there $name; then
    echo "dump the database into $folder"
    answers || fail "$name does not answer, so it cannot be dumped: start it, or remove the container (the volume stays)"
    (umask 077 && mkdir -p $folder)
    dump=$folder/$(date -u +%Y%m%dT%H%M%SZ).dump
    (umask 077 && docker exec $name sh -c "exec pg_dump --format custom --username \"\$POSTGRES_USER\" \"\$POSTGRES_DB\"" >"$dump.new") ||
        fail "pg_dump failed, so nothing was changed"
    # reads all of it, so that a dump that is cut off is found
    docker exec --interactive $name pg_restore --file /dev/null <"$dump.new" || fail "the dump cannot be read, so nothing was changed"
    sync "$dump.new"
    mv "$dump.new" "$dump"
    old=yes
fi

trap put_back EXIT
trap "exit 1" HUP INT PIPE TERM
if [ -n "$old" ]; then
    docker update --restart no $name >/dev/null
    docker stop --time 60 $name >/dev/null
    docker rename $name $before
fi

echo "start the new $name"
docker run --detach --name $name --restart always --publish 5432:5432 \
    --volume postgresql_data:/var/lib/postgresql/data --env-file /etc/invenio/$name.env \
    --memory $memory --shm-size 128m --stop-timeout 60 "$image" >/dev/null
tries=0
until answers; do
    tries=$((tries + 1))
    [ $tries -lt $patience ] || give_up "does not answer after $patience s"
    [ "$(docker inspect --format "{{.RestartCount}}" $name)" -lt 3 ] || give_up "ends as soon as it starts"
    sleep 1
done

trap - EXIT
[ -z "$old" ] || docker rm $before >/dev/null
if [ -d $folder ]; then
    ls -1r $folder | grep "\.dump\$" | tail -n +$((dumps + 1)) | while read -r old; do rm "$folder/$old"; done
fi
echo "$name answers"
