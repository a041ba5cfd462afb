"""The shop on the web, which reports its crashes with the stock sentry-sdk.

    web.py flask | django

Serves the shop, orders twice as the same customer, asks for an order that does not exist, and ends.
DSN, release, environment and output are those of `crash.py`.
"""

import sys
import threading
import urllib.error
import urllib.request
from wsgiref.simple_server import WSGIRequestHandler, make_server

from crash import flush, init


HEADERS = {"Content-Type": "application/json"}


class Handler(WSGIRequestHandler):
    """Keeps the access log to itself."""

    def log_message(self, *_):
        pass


def flask():
    init(send_default_pii=True)
    from flask_shop import app

    return app


def django():
    init(send_default_pii=True)
    from django_shop import app

    return app


def visit(url, body=None):
    try:
        urllib.request.urlopen(urllib.request.Request(url, body, HEADERS)).read()
    except urllib.error.HTTPError as error:
        error.read()


def main(framework):
    app = {"flask": flask, "django": django}[framework]()
    with make_server("127.0.0.1", 0, app, handler_class=Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        shop = f"http://127.0.0.1:{server.server_port}"
        for _ in range(2):
            visit(f"{shop}/orders?coupon=SPRING", b'{"items": ["tea"]}')
        visit(f"{shop}/orders/1008")
        server.shutdown()
    flush()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
