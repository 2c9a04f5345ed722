"""What the worker does. Each task may be begun anew at any point: when a worker is gone, the queue
gives what it was at to another one."""

import os
import smtplib
import time
from email.message import EmailMessage

from celery import shared_task
from invenio_cache import current_cache
from invenio_db import db
from invenio_records.api import Record
from invenio_records.models import RecordMetadata
from redis.exceptions import RedisError
from sqlalchemy.exc import NoResultFound, OperationalError

from . import index

# Seconds that announcing a record may be told to take.
LONGEST = 600
# A task that needs a service which is away waits for it: 1 s, 2 s, … at most a minute, without end.
WAITS = {
    "autoretry_for": (OperationalError, RedisError, index.Away, smtplib.SMTPException, OSError),
    "retry_backoff": True,
    "retry_backoff_max": 60,
    "max_retries": None,
    "ignore_result": True,
}


@shared_task(bind=True, **WAITS)
def index_record(self, id_):
    """Put a record into the search index."""
    index.add(id_, record(self, id_))
    remember("indexed", id_)


@shared_task(bind=True, **WAITS)
def announce(self, id_, seconds=0):
    """Tell the site's keepers of a new record by mail; `seconds` makes it take long."""
    title = record(self, id_).get("title", "without a title")
    time.sleep(seconds)
    if current_cache.get(f"announced:{id_}"):
        return  # by a worker that was gone before it could say so to the queue
    send_mail(f"new record {id_}", str(title))
    remember("announced", id_)


@shared_task(**WAITS)
def index_all():
    """Index every record anew, for an index that was lost."""
    for (id_,) in RecordMetadata.query.with_entities(RecordMetadata.id):
        index_record.delay(str(id_))


def record(task, id_):
    """Return a record; the task may be faster than the commit of what it is about."""
    try:
        return dict(Record.get_record(id_))
    except NoResultFound as error:
        raise task.retry(exc=error, countdown=1, max_retries=10)
    finally:
        # a migration would wait for a transaction that is open while the task is at work
        db.session.rollback()


def remember(done, id_):
    """Keep in the cache, for good, what was done with a record."""
    current_cache.set(f"{done}:{id_}", True, timeout=0)


def send_mail(subject, text):
    """Send a mail to the site's keepers, where the site has a mail server."""
    host = os.environ.get("SMTP_HOST")
    if not host:
        return
    message = EmailMessage()
    message["From"] = "repository@localhost"
    message["To"] = os.environ.get("SMTP_TO", "root@localhost")
    message["Subject"] = subject
    message.set_content(text)
    with smtplib.SMTP(host, int(os.environ.get("SMTP_PORT", "25")), timeout=10) as mail:
        mail.send_message(message)
