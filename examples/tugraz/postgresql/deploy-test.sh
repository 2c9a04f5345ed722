# Brings the newest image to the test host; if it does not answer there, what ran before comes back.
# The job pastes this text into eval and single quotes, so it has none.
set -eu
name=postgresql
image=registry.lotse.lab/invenio/postgresql
patience=60
dumps=3

run() {
    docker run --detach --name "$name" --restart always --stop-timeout 60 \
        --memory 512m --shm-size 128m \
        --env-file /etc/invenio/postgresql.env \
        --publish 5432:5432 \
        --volume postgresql_data:/var/lib/postgresql/data "$image" >/dev/null
}

# Before it is replaced, the database is dumped; without a dump that can be read, nothing is changed.
save() {
    folder=/var/backups/$name
    dump=$folder/$(date -u +%Y%m%dT%H%M%SZ).dump
    echo "$name: dump the database into $folder"
    answers "$patience" || fail "it does not answer, so it cannot be dumped: start it, or remove the container (the volume stays)"
    (umask 077 && mkdir -p "$folder" && rm -f "$folder"/*.new &&
        docker exec "$name" sh -c "exec pg_dump --format custom --username \"\$POSTGRES_USER\" \"\$POSTGRES_DB\"" >"$dump.new") ||
        fail "pg_dump failed, so nothing was changed"
    # reads all of it, so that a dump that is cut off is found
    docker exec --interactive "$name" pg_restore --file /dev/null <"$dump.new" || fail "the dump cannot be read, so nothing was changed"
    sync "$dump.new"
    mv "$dump.new" "$dump"
    ls -1r "$folder" | grep "\.dump\$" | tail -n +$((dumps + 1)) | while read -r old; do rm "$folder/$old"; done
}

# From here on it is the same for all services.
exists() { docker container inspect "$1" >/dev/null 2>&1; }
fail() { echo "error: $name: $1" >&2; exit 1; }

# Within so many seconds. A container that ends is started again by the engine, so one that was is no good.
answers() {
    tries=$1
    while [ "$tries" -gt 0 ]; do
        case "$(docker inspect --format "{{.State.Status}} {{.RestartCount}} {{.State.Health.Status}}" "$name")" in
            *" healthy") return 0 ;;
            "running 0 "*) sleep 1 ;;
            *) return 1 ;;
        esac
        tries=$((tries - 1))
    done
    return 1
}

put_back() {
    trap "" HUP INT PIPE TERM
    docker rm --force "$name" >/dev/null 2>&1 || true
    exists "$name-before" || return 0
    docker rename "$name-before" "$name"
    docker update --restart always "$name" >/dev/null
    if docker start "$name" >/dev/null && answers "$patience"; then
        echo "$name: what ran before answers again" >&2 || true
    else
        echo "error: $name: what ran before does not answer either" >&2 || true
    fi
}

# One deploy at a time. One that was cut off has left the container of before aside.
lock=/run/lock/$name-deploy
[ -e "$lock" ] || : >"$lock"
exec 9<"$lock"
flock 9
if exists "$name-before"; then
    echo "$name: the deploy before this one was cut off"
    put_back
fi

docker pull --quiet "$image"
if exists "$name"; then
    save
    docker rename "$name" "$name-before"
fi
trap put_back EXIT
trap "exit 1" HUP INT PIPE TERM

# Aside, it does not come back when the engine starts again.
if exists "$name-before"; then
    docker update --restart no "$name-before" >/dev/null
    docker stop --time 60 "$name-before" >/dev/null
fi
if ! run || ! answers "$patience"; then
    docker logs --tail 20 "$name" >&2 || true
    fail "the new image does not answer"
fi

trap - EXIT HUP INT PIPE TERM
if exists "$name-before"; then docker rm "$name-before" >/dev/null; fi
echo "$name: the new image answers"
