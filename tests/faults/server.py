"""A web server for one file, with faults on request."""

import http.server
import threading
import time


class Server:
    """Serves ``data`` as ``/name`` on its own port. ``fault`` is the fault of the next answers:

    ``cut`` (the connection ends half-way), ``short`` (half of the file, announced as all), ``corrupt`` (one
    byte differs), ``swapped`` (another file), ``gone`` (404), ``stall`` (stops sending half-way), ``away``
    (closes at once). ``seconds`` is the duration of a good answer. ``once``: the fault applies to one answer.
    """

    def __init__(self, data: bytes, name: str) -> None:
        self.data, self.fault, self.once, self.seconds, self.asked = data, "", False, 0.0, 0
        self.stalled = threading.Event()
        owner = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        class Quiet(http.server.ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass  # the client was killed, as intended

        self._server = Quiet(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/{name}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the server."""
        self.stalled.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def answer(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        """Send one answer with the current fault."""
        self.asked += 1
        fault = self.fault
        if self.once:
            self.fault = ""
        data = self.data
        if fault == "away":
            handler.close_connection = True
            return
        if fault == "gone":
            handler.send_error(404)
            return
        if fault == "swapped":
            data = b"another file altogether\n" * 1000
        if fault == "corrupt":
            middle = len(data) // 2
            data = data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]
        if fault == "short":
            data = data[: len(data) // 2]
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        if fault == "cut":
            data = data[: len(data) // 2]
        step = max(1, len(data) // 20)
        for at in range(0, len(data), step):
            handler.wfile.write(data[at : at + step])
            time.sleep(self.seconds / 20)
            if fault == "stall" and at > len(data) // 2:
                self.fault = ""
                self.stalled.wait(60)
                return
        handler.close_connection = True
