"""A shop that reports its crashes with the stock sentry-sdk.

    crash.py unhandled | handled | message | burst N | logging

The DSN, release and environment come from SENTRY_DSN, SENTRY_RELEASE and SENTRY_ENVIRONMENT. Each
event id that the SDK hands back is printed on a line of its own; for `unhandled` and `logging` it
hands back none until the event is on its way, so there the ids are taken from `before_send`.
"""

import logging
import os
import sys

import sentry_sdk

from shop.cart import CheckoutError, checkout, place_order, reserve

FLUSH_SECONDS = 10

CART = {"id": 1007, "items": ["tea", "cup"], "note": "leave at the door"}


def told(event_id):
    print(event_id, flush=True)


def tell_before_send(event, _hint):
    told(event["event_id"])
    return event


def unhandled():
    sentry_sdk.set_user({"id": "7", "username": "ada"})
    sentry_sdk.add_breadcrumb(category="cart", message="added tea", level="info")
    checkout(CART)


def handled():
    try:
        place_order(CART)
    except CheckoutError as error:
        told(sentry_sdk.capture_exception(error))


def message():
    told(sentry_sdk.capture_message("stock is low", level="warning"))


def burst(count):
    for number in range(count):
        with sentry_sdk.new_scope() as scope:
            scope.set_user({"id": str(number)})
            try:
                reserve("tea", {"tea": 0})
            except CheckoutError as error:
                told(sentry_sdk.capture_exception(error))


def log():
    logger = logging.getLogger("shop.orders")
    logger.info("order %s received", CART["id"])
    logger.error("order %s has no address", CART["id"])
    try:
        checkout(CART)
    except KeyError:
        logger.exception("order %s failed", CART["id"])


def main(mode, *rest):
    sentry_sdk.init(
        dsn=os.environ["SENTRY_DSN"],
        before_send=tell_before_send if mode in ("unhandled", "logging") else None,
        # A burst must arrive whole: the SDK drops what does not fit into its queue.
        transport_queue_size=10_000,
        shutdown_timeout=FLUSH_SECONDS,
    )
    if mode == "burst":
        burst(int(rest[0]))
    else:
        {"unhandled": unhandled, "handled": handled, "message": message, "logging": log}[mode]()
    sentry_sdk.flush(timeout=FLUSH_SECONDS)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
