# Brings the new image to the production host. The job pastes this into eval with single quotes around it,
# so there is none in here. Whatever fails, the service that ran is put back.
set -eu
image=registry.lotse.lab/invenio/elasticsearch
heap=512m
memory=1280m
patience=300

name=elasticsearch
before=$name-before
old=

is_there() { docker container inspect "$1" >/dev/null 2>&1; }
fail() { echo "error: $1" >&2; exit 1; }
answers() {
    docker exec $name curl --silent --fail --output /dev/null \
        "http://127.0.0.1:9200/_cluster/health?wait_for_status=yellow&timeout=1s" >/dev/null 2>&1
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

if is_there $name; then old=yes; fi
trap put_back EXIT
trap "exit 1" HUP INT PIPE TERM
if [ -n "$old" ]; then
    docker update --restart no $name >/dev/null
    docker stop --time 60 $name >/dev/null
    docker rename $name $before
fi

echo "start the new $name"
docker run --detach --name $name --restart always --publish 9200:9200 \
    --volume elasticsearch_data:/usr/share/elasticsearch/data \
    --env ES_JAVA_OPTS="-Xms$heap -Xmx$heap" --memory $memory --stop-timeout 60 "$image" >/dev/null
tries=0
until answers; do
    tries=$((tries + 1))
    [ $tries -lt $patience ] || give_up "does not answer after $patience s"
    [ "$(docker inspect --format "{{.RestartCount}}" $name)" -lt 3 ] || give_up "ends as soon as it starts"
    sleep 1
done

trap - EXIT
[ -z "$old" ] || docker rm $before >/dev/null
echo "$name answers"
