"""The search index: one index of records, made when it is first needed."""

from invenio_search import current_search_client as client
from invenio_search.engine import search as engine

INDEX = "records"
# Words are looked for in `text`; `json` is kept as it came, so that no two records can disagree on the
# type of a field.
MAPPINGS = {"properties": {"text": {"type": "text"}, "json": {"type": "object", "enabled": False}}}


class Away(Exception):
    """The search engine does not answer, or cannot at the moment."""


def add(id_, json):
    """Put a record into the index, in the place of what was there under its id; it can be found then."""
    with_engine(client.indices.create, index=INDEX, body={"mappings": MAPPINGS}, ignore=400)
    with_engine(client.index, index=INDEX, id=id_, body={"text": words(json), "json": json}, refresh="wait_for")


def search(text):
    """Return how many records have all these words, and the best of them."""
    query = {"simple_query_string": {"query": text, "fields": ["text"], "default_operator": "and"}}
    found = with_engine(client.search, index=INDEX, body={"query": query, "size": 20}, ignore_unavailable=True)["hits"]
    return found["total"]["value"], [{"id": hit["_id"], "json": hit["_source"]["json"]} for hit in found["hits"]]


def with_engine(call, **arguments):
    """Call the search engine; an error that will pass is `Away`."""
    try:
        return call(**arguments)
    except engine.TransportError as error:
        # a name in place of a status: the connection failed
        if not isinstance(error.status_code, int) or error.status_code in (429, 502, 503, 504):
            raise Away(error.error) from error
        raise


def words(json):
    """Return all values in a record as texts."""
    if isinstance(json, dict):
        return [word for value in json.values() for word in words(value)]
    if isinstance(json, list):
        return [word for value in json for word in words(value)]
    return [] if json is None else [str(json)]
