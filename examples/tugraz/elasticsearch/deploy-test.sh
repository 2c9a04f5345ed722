# Brings the newest image to the test host; if it does not answer there, what ran before comes back.
# The job pastes this text into eval and single quotes, so it has none.
set -eu
name=elasticsearch
image=registry.lotse.lab/invenio/elasticsearch
patience=120

run() {
    docker run --detach --name "$name" --restart always --stop-timeout 60 \
        --memory 768m --env ES_JAVA_OPTS="-Xms256m -Xmx256m" \
        --publish 9200:9200 \
        --volume elasticsearch_data:/usr/share/elasticsearch/data "$image" >/dev/null
}

# Before it is replaced: its data lies in the volume, and nothing else is done for it.
save() { :; }

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
