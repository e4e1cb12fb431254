"""A witness as other programs meet it: HTTP on this machine, bounded and unimpressed."""

import hashlib
import http.client
import socket
import threading

import pytest
from small_run import ORIGIN, write
from small_witness import new_witness

from institutional.ledger.errors import LedgerError
from institutional.ledger.note import SigningKey
from institutional.ledger.witness import memory
from institutional.ledger.witness.client import over_http, submit
from institutional.ledger.witness.protocol import MAX_REQUEST_BYTES
from institutional.ledger.witness.server import MAX_CONNECTIONS, serving


def cosigned(run):
    return (run / "ledger" / "cosigned").read_bytes()


@pytest.fixture
def witness(tmp_path):
    return new_witness(tmp_path / "witness")


@pytest.fixture
def run(tmp_path):
    write(tmp_path / "run")
    return tmp_path / "run"


def ask(url, method, path, body=b"", **headers):
    host = url.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=10)
    try:
        connection.request(method, path, body=body or None, headers=headers)
        response = connection.getresponse()
        return response.status, response.read(), response.headers
    finally:
        connection.close()


def test_the_newest_head_is_published_under_the_hash_of_its_origin(witness, run):
    submit(run, witness.key, lambda asked: witness.answer(asked.body))
    name = hashlib.sha256(ORIGIN.encode()).hexdigest()
    with serving(witness) as url:
        assert ask(url, "GET", f"/{name}/checkpoint")[:2] == (200, cosigned(run))
        for path in ("/", f"/{'0' * 64}/checkpoint", f"/{name}", "/../witness.key/checkpoint"):
            assert ask(url, "GET", path)[0] == 404


def test_a_wrong_old_size_is_answered_with_the_right_one_and_its_type(witness, run):
    submit(run, witness.key, lambda asked: witness.answer(asked.body))
    newest = (run / "ledger" / "checkpoint").read_bytes()
    with serving(witness) as url:
        status, body, headers = ask(url, "POST", "/add-checkpoint", b"old 0\n\n" + newest)

    assert (status, body) == (409, b"7\n")
    assert headers["Content-Type"] == "text/x.tlog.size"


def test_requests_that_are_none_are_refused_before_they_are_read(witness):
    with serving(witness) as url:
        assert ask(url, "POST", "/add-checkpoint", b"nonsense")[0] == 400
        assert ask(url, "POST", "/add-key", b"nonsense")[0] == 400
        assert ask(url, "POST", "/elsewhere", b"old 0\n\n")[0] == 404
        assert ask(url, "GET", "/add-checkpoint")[0] == 404
        assert ask(url, "PUT", "/add-checkpoint", b"x")[0] == 501
        long = {"Content-Length": str(MAX_REQUEST_BYTES + 1)}
        assert ask(url, "POST", "/add-checkpoint", **long)[0] == 413
        for length in ("", "-1", "+1", "1_0", "9" * 40):
            assert ask(url, "POST", "/add-key", **{"Content-Length": length})[0] in (411, 413)
        chunked = {"Transfer-Encoding": "chunked", "Content-Length": "3"}
        assert ask(url, "POST", "/add-key", **chunked)[0] == 411


def test_one_connection_carries_several_requests(witness, run):
    newest = (run / "ledger" / "checkpoint").read_bytes()
    with serving(witness) as url:
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
        connection.request("POST", "/add-key", body=(run / "manifest.dsse.json").read_bytes())
        assert connection.getresponse().read() == b""
        connection.request("POST", "/add-checkpoint", body=b"old 0\n\n" + newest)
        assert connection.getresponse().status == 200
        connection.close()


def test_a_client_that_hangs_up_in_the_middle_harms_nobody(witness, run, capfd):
    with serving(witness) as url:
        host, _, port = url.removeprefix("http://").partition(":")
        for sent in (
            b"",
            b"POST",
            b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: 50\r\n\r\nold",
        ):
            with socket.create_connection((host, int(port))) as hasty:
                hasty.sendall(sent)
        assert submit(run, witness.key, over_http(url)).size == 7
    assert capfd.readouterr().err == ""


def test_more_connections_than_allowed_are_closed_and_later_ones_served(witness, run):
    with serving(witness) as url:
        host, _, port = url.removeprefix("http://").partition(":")
        idle = [socket.create_connection((host, int(port))) for _ in range(MAX_CONNECTIONS)]
        for one in idle:  # each has a thread that waits for the rest of its request
            one.sendall(b"POST /add-key HTTP/1.1\r\nContent-Length: 9\r\n\r\n")
        with pytest.raises(LedgerError, match="cannot be reached"):
            submit(run, witness.key, over_http(url))
        for one in idle:
            one.close()
        for _ in range(100):
            try:
                assert submit(run, witness.key, over_http(url)).size == 7
                break
            except LedgerError:
                threading.Event().wait(0.05)
        else:
            raise AssertionError("the witness did not recover")


def test_two_clients_at_once_are_both_served(witness, tmp_path):
    runs = []
    for n in range(4):
        key = SigningKey(f"institutional.dev/run/{n}", bytes([n + 1]) * 32)
        write(tmp_path / str(n), key=key)
        runs.append(tmp_path / str(n))
    with serving(witness) as url:
        threads = [
            threading.Thread(target=submit, args=(run, witness.key, over_http(url))) for run in runs
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(memory.places(witness.folder)) == 4
    assert all(b"witness.example" in cosigned(run) for run in runs)
