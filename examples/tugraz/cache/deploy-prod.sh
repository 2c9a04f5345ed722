# Brings the newest image to the production host; if it does not answer there, what ran before comes back.
# The job pastes this text into eval and single quotes, so it has none.
set -eu
name=cache
image=registry.lotse.lab/invenio/cache

run() {
    docker run --detach --name "$name" --restart always \
        --memory 1g --env MAXMEMORY=512mb \
        --env-file /etc/invenio/cache.env \
        --publish 6379:6379 \
        --volume cache_data:/var/lib/redis "$image" >/dev/null
}

exists() { docker container inspect "$1" >/dev/null 2>&1; }

# A container that ends is started again by the engine, so one that was is no good.
answers() {
    tries=90
    while [ "$tries" -gt 0 ]; do
        case "$(docker inspect --format "{{.State.Health.Status}} {{.RestartCount}}" "$name")" in
            "healthy "*) return 0 ;;
            "starting 0") sleep 1 ;;
            *) return 1 ;;
        esac
        tries=$((tries - 1))
    done
    return 1
}

# Aside, it does not come back when the engine starts again.
stop_before() {
    exists "$name-before" || return 0
    docker update --restart no "$name-before" >/dev/null && docker stop --time 30 "$name-before" >/dev/null
}

put_back() {
    docker rm --force "$name" >/dev/null 2>&1 || true
    exists "$name-before" || return 0
    docker rename "$name-before" "$name"
    docker update --restart always "$name" >/dev/null
    docker start "$name" >/dev/null
    if answers; then echo "$name: what ran before answers again" >&2; fi
}

# One deploy at a time. One that was cut off has left the container of before aside.
exec 9>"/run/lock/$name-deploy"
flock 9
docker pull --quiet "$image"
if exists "$name-before"; then put_back; fi

if exists "$name"; then docker rename "$name" "$name-before"; fi
if stop_before && run && answers; then
    if exists "$name-before"; then docker rm "$name-before" >/dev/null; fi
    echo "$name: the new image answers"
else
    docker logs --tail 20 "$name" >&2 || true
    put_back
    echo "error: $name: the new image does not answer" >&2
    exit 1
fi
