"""A web server on loopback."""

import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextlib.contextmanager
def serving(answer, protocol="HTTP/1.0"):
    """Serve until the end of the block; yield the address, without a slash at its end.

    ``answer(request, body)`` returns the status and the content: bytes, or a value that is sent as JSON. A
    third item is the announced length, if it differs.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = protocol

        def handle_all(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, value, *length = answer(self, body)
            data = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(status)
            self.send_header(
                "Content-Type", "application/octet-stream" if data is value else "application/json"
            )
            self.send_header("Content-Length", str(*length or (len(data),)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = handle_all  # noqa: N815

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
