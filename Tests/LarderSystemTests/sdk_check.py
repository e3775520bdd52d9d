"""Drives a Larder server with the official Python SDK, unmodified, and fails on the first surprise.

Usage: sdk_check.py BASE_URL
"""

import asyncio
import io
import pathlib
import sys
import tempfile
import time
import uuid

import telnyx

BASE = sys.argv[1]
client = telnyx.Telnyx(api_key="test-key", base_url=BASE)
kvs, keys = client.storage.kvs, client.storage.kvs.keys
calls = 0


def check(condition, what):
    global calls
    calls += 1
    if not condition:
        raise SystemExit(f"FAILED: {what}")


def refuses(status, function, what):
    global calls
    calls += 1
    try:
        function()
    except telnyx.APIStatusError as error:
        if error.status_code != status:
            raise SystemExit(f"FAILED: {what}: status {error.status_code}, wanted {status}: {error.body}")
        errors = (error.body or {}).get("errors")
        if not errors or not isinstance(errors[0]["code"], str) or not errors[0]["title"] or not errors[0]["detail"]:
            raise SystemExit(f"FAILED: {what}: no error envelope: {error.body}")
        return error
    raise SystemExit(f"FAILED: {what}: no error")


name = "sdk-" + uuid.uuid4().hex[:12]
created = kvs.create(name=name)
check(created.data.name == name and created.data.record_type == "storage_kv", "create")
ns = created.data.id
check(uuid.UUID(ns), "the id is a UUID")
check(created.data.status in ("pending", "provision_ok"), "status")
began = time.time()
refuses(409, lambda: kvs.create(name=name), "a name that exists")
check(time.time() - began < 0.4, "a permanent conflict is not retried")
refuses(400, lambda: kvs.create(name="Not Legal"), "an illegal name")
check(kvs.retrieve(ns).data.id == ns, "retrieve")
refuses(404, lambda: kvs.retrieve(str(uuid.uuid4())), "an unknown id")
refuses(400, lambda: kvs.retrieve("not-a-uuid"), "an id that is no UUID")

others = [kvs.create(name=f"{name}-{i}").data.id for i in range(3)]
listed = [space.id for space in kvs.list(page_size=2)]
check(set(others + [ns]) <= set(listed) and len(listed) == len(set(listed)), "iterating over namespaces ends, each once")
page = kvs.list(page_number=1, page_size=1)
check(page.meta.page_number == 1 and page.meta.total_pages >= 4 and len(page.data) == 1, "page of namespaces")

every = bytes(range(256))
for key, body in [("user/123", b'{"a":1}'), ("every", every), ("empty", b""), ("big", b"x" * 1048576), ("a=b.c-d_e", b"1")]:
    check(keys.update(key, body, id=ns) is None, f"put {key}")
    answer = keys.retrieve(key, id=ns)
    check(answer.read() == body, f"get {key}")
    check(answer.headers["content-type"] == "application/octet-stream", "content type")
refuses(413, lambda: keys.update("big", b"x" * 1048577, id=ns), "a value one byte too large")
check(keys.retrieve("big", id=ns).read() == b"x" * 1048576, "the old value is untouched")

keys.update("text", "grüße", id=ns)
check(keys.retrieve("text", id=ns).text() == "grüße", "a string body")
keys.update("file", io.BytesIO(b"from a file object"), id=ns)
check(keys.retrieve("file", id=ns).read() == b"from a file object", "a file object")
with tempfile.TemporaryDirectory() as directory:
    path = pathlib.Path(directory) / "body"
    path.write_bytes(b"from a path")
    keys.update("path", path, id=ns)
    check(keys.retrieve("path", id=ns).read() == b"from a path", "a path")
    keys.retrieve("every", id=ns).write_to_file(path)
    check(path.read_bytes() == every, "write_to_file")
keys.update("chunks", iter([b"one,", b"two,", b"three"]), id=ns)
check(keys.retrieve("chunks", id=ns).read() == b"one,two,three", "an iterator is sent in chunks")
keys.update("none", iter([]), id=ns)
check(keys.retrieve("none", id=ns).read() == b"", "an empty iterator")
keys.update("json", b'{"expiration_ttl": 1, "value": "x"}', id=ns)
check(keys.retrieve("json", id=ns).json() == {"expiration_ttl": 1, "value": "x"}, "a body is never interpreted")

first = keys.with_raw_response.update("status", b"1", id=ns)
again = keys.with_raw_response.update("status", b"2", id=ns)
check((first.status_code, again.status_code) == (201, 200), "201 for a new key, 200 for an old one")
with keys.with_streaming_response.retrieve("big", id=ns) as streamed:
    check(sum(len(part) for part in streamed.iter_bytes()) == 1048576, "streaming")

refuses(404, lambda: keys.retrieve("missing", id=ns), "a missing key")
for bad in ["with:colon", "with space", "_reserved", "k" * 257, "ümlaut", "per%cent"]:
    refuses(400, lambda: keys.update(bad, b"x", id=ns), f"key {bad!r}")
check(keys.update("k" * 256, b"x", id=ns) is None, "a key of 256 characters")
check(keys.delete("k" * 256, id=ns) is None and keys.delete("k" * 256, id=ns) is None, "delete is idempotent")
refuses(404, lambda: keys.retrieve("k" * 256, id=ns), "a deleted key")
refuses(404, lambda: keys.update("x", b"x", id=str(uuid.uuid4())), "a put into an unknown namespace")

for bad in [0, -1, 1.5, "abc", 9223372037]:
    refuses(422, lambda: keys.update("user/123", b"new", id=ns, ttl_secs=bad), f"ttl_secs={bad}")
refuses(422, lambda: keys.update("user/123", b"new", id=ns, extra_query={"ttl": 5}), "the parameter ttl")
check(keys.retrieve("user/123", id=ns).read() == b'{"a":1}', "a refused write changes nothing")
keys.update("longest", b"x", id=ns, ttl_secs=9223372036)
check(keys.retrieve("longest", id=ns).read() == b"x", "the longest lifetime")
keys.update("short", b"x", id=ns, ttl_secs=1)
check(keys.retrieve("short", id=ns).read() == b"x", "alive within its lifetime")
time.sleep(1.3)
refuses(404, lambda: keys.retrieve("short", id=ns), "expired")

for i in range(25):
    keys.update(f"list/{i:03}", b"v" * i, id=ns)
entries = [(entry.key, entry.size_bytes) for entry in keys.list(ns, prefix="list/", limit=10)]
check(entries == [(f"list/{i:03}", i) for i in range(25)], "iterating over keys, in order, each once")
one = keys.list(ns, prefix="list/", limit=25)
check(len(one.data) == 25 and not one.meta.cursor and one.meta.has_more is False, "a page that is exactly full has no cursor")
check(one.data[0].updated_at is not None, "updated_at")
refuses(400, lambda: keys.list(ns, cursor="%%%"), "a broken cursor")
for bad in [0, -1, "x"]:
    refuses(400, lambda: keys.list(ns, limit=bad), f"limit={bad}")
check(len(keys.list(ns, limit=5000).data) > 25, "a large limit is cut")

check(kvs.delete(ns).data.status == "deleting", "delete a namespace")
for other in others:
    kvs.delete(other)
for attempt in range(100):
    try:
        client.with_options(max_retries=0).storage.kvs.retrieve(ns)
        time.sleep(0.05)
    except telnyx.NotFoundError:
        break
else:
    raise SystemExit("FAILED: a deleted namespace stays")
calls += 1


async def asynchronous():
    client = telnyx.AsyncTelnyx(api_key="test-key", base_url=BASE)
    space = (await client.storage.kvs.create(name=name + "-async")).data.id
    await asyncio.gather(*[client.storage.kvs.keys.update(f"k/{i:03}", f"{i}".encode(), id=space) for i in range(50)])
    answers = await asyncio.gather(*[client.storage.kvs.keys.retrieve(f"k/{i:03}", id=space) for i in range(50)])
    for i, answer in enumerate(answers):
        check(await answer.read() == f"{i}".encode(), "asynchronous get")
    names = [entry.key async for entry in client.storage.kvs.keys.list(space, limit=7)]
    check(names == [f"k/{i:03}" for i in range(50)], "asynchronous listing")
    await client.storage.kvs.keys.delete("k/000", id=space)
    try:
        await client.storage.kvs.keys.retrieve("k/000", id=space)
        raise SystemExit("FAILED: asynchronous delete")
    except telnyx.NotFoundError:
        pass
    spaces = [entry.id async for entry in client.storage.kvs.list(page_size=1)]
    check(space in spaces, "asynchronous namespaces")
    check((await client.storage.kvs.retrieve(space)).data.id == space, "asynchronous retrieve")
    await client.storage.kvs.delete(space)


asyncio.run(asynchronous())
print(f"{calls} checks with the SDK, version {telnyx.__version__}")
