"""A web server for the tests of `malina pull`, which can cut, lie, redirect, stall and refuse."""

import hashlib
import http.server
import json
import socket
import ssl
import threading
import time
import urllib.parse


class Served:
    """What stands at one path. `data` is bytes; the rest says how the server misbehaves."""

    def __init__(self, data=b"", **how):
        self.data = data
        self.etag = how.pop("etag", '"' + hashlib.sha256(data).hexdigest() + '"')
        self.headers = how.pop("headers", {})
        self.status = how.pop("status", 200)  # of an answer that is no success, with `times`
        self.times = how.pop("times", None)  # how often to misbehave; None: always
        self.cut_after = how.pop("cut_after", None)  # bytes of the body, then the connection ends
        self.length = how.pop("length", None)  # Content-Length to claim; "none": chunked
        self.stall_after = how.pop("stall_after", None)
        self.ranges = how.pop("ranges", True)
        self.content_range = how.pop("content_range", None)
        self.slow = how.pop("slow", 0)  # seconds between pieces of 64 KiB
        self.token = how.pop("token", None)
        self.asked = []  # headers of each request
        assert not how, how

    def misbehaves(self):
        if self.times is None:
            return True
        self.times -= 1
        return self.times >= 0


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    PIECE = 1 << 16

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        self.close_connection = True
        self.server.requests.append((self.path, dict(self.headers)))
        served = self.server.files.get(self.path)
        if callable(served):
            served = served(self)
        if served is None:
            return self.answer(404, {}, b"nothing here")
        served.asked.append(dict(self.headers))
        if served.token and self.headers.get("Authorization") != "Bearer " + served.token:
            return self.answer(401, {}, b"who are you?")
        bad = served.misbehaves()
        if served.status != 200 and bad:
            return self.answer(served.status, served.headers, served.data)
        self.send_file(served, bad)

    def answer(self, status, headers, body):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def first_byte(self, served):
        asked = self.headers.get("Range", "")
        if not asked.startswith("bytes=") or not served.ranges:
            return 0
        validator = served.etag or served.headers.get("Last-Modified", "")
        if self.headers.get("If-Range", validator) != validator:
            return 0
        return int(asked[len("bytes="):].rstrip("-"))

    def send_file(self, served, bad):
        first = self.first_byte(served)
        if first > 0 and first >= len(served.data):
            return self.answer(416, {}, b"")
        body = served.data[first:]
        self.send_response(206 if first else 200)
        if served.etag:
            self.send_header("ETag", served.etag)
        for name, value in served.headers.items():
            self.send_header(name, value)
        if first:
            self.send_header("Content-Range", served.content_range if bad and served.content_range
                             else f"bytes {first}-{len(served.data) - 1}/{len(served.data)}")
        chunked = served.length == "none"
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(
                served.length if bad and served.length is not None else len(body)))
        self.end_headers()
        self.send_body(served, body, bad, chunked)

    def send_body(self, served, body, bad, chunked):
        end = len(body)
        if bad and served.cut_after is not None:
            end = min(end, served.cut_after)
        if bad and served.stall_after is not None:
            end = min(end, served.stall_after)
        try:
            for start in range(0, end, self.PIECE):
                piece = body[start:min(start + self.PIECE, end)]
                if chunked:
                    piece = f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
                self.wfile.write(piece)
                if served.slow:
                    time.sleep(served.slow)
            if bad and served.stall_after is not None:
                self.wfile.flush()
                self.server.stop.wait(60)
            elif bad and served.cut_after is not None:
                self.connection.shutdown(socket.SHUT_RDWR)
            elif chunked:
                self.wfile.write(b"0\r\n\r\n")
        except OSError:
            pass  # the client went away


class Server(http.server.ThreadingHTTPServer):
    """Listens on 127.0.0.1 at a free port. `files` is {path: Served, or a function of the handler}."""

    daemon_threads = True

    def __init__(self, certificate=None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.requests = {}, []
        self.stop = threading.Event()
        self.scheme = "http"
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
            self.scheme = "https"
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def handle_error(self, request, client_address):
        pass

    @property
    def host(self):
        return f"127.0.0.1:{self.server_address[1]}"

    def url(self, path):
        return f"{self.scheme}://{self.host}{path}"

    def put(self, path, data, **how):
        self.files[path] = Served(data, **how)
        return self.url(path)

    def redirect(self, path, target, **headers):
        self.files[path] = Served(status=302, headers={"Location": target, **headers})
        return self.url(path)

    def close(self):
        self.stop.set()
        self.shutdown()
        self.server_close()


class Proxy(http.server.ThreadingHTTPServer):
    """A proxy that tunnels (CONNECT) to `target` whatever host is asked for, and notes the hosts."""

    daemon_threads = True

    def __init__(self, target):
        self.target, self.asked, self.refusal = target, [], None
        super().__init__(("127.0.0.1", 0), ProxyHandler)
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def close(self):
        self.shutdown()
        self.server_close()


class ProxyHandler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *arguments):
        pass

    def do_CONNECT(self):
        self.close_connection = True
        self.server.asked.append((self.path, dict(self.headers)))
        if self.server.refusal:
            return self.send_error(self.server.refusal)
        with socket.create_connection(self.server.target.server_address) as there:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            other = threading.Thread(target=self.relay, args=(there, self.connection), daemon=True)
            other.start()
            self.relay(self.connection, there)
            other.join(10)

    @staticmethod
    def relay(source, target):
        try:
            while piece := source.recv(65536):
                target.sendall(piece)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Hub:
    """A repository of models on a Server, listed and served as the hub does."""

    def __init__(self, server, name, files, revision="main", commit="a" * 40, linked=True):
        self.entries = []
        for path, data in files.items():
            entry = {"type": "file", "path": path, "size": len(data), "oid": "b" * 40}
            if linked:
                digest = hashlib.sha256(data).hexdigest()
                entry["lfs"] = {"oid": digest, "size": len(data), "pointerSize": 130}
            self.entries.append(entry)
            server.put(f"/{name}/resolve/{commit}/{urllib.parse.quote(path)}", data)
        server.put(f"/api/models/{name}/tree/{revision}?recursive=true",
                   json.dumps(self.entries).encode(), headers={"X-Repo-Commit": commit})
