"""A shop that reports its crashes with the stock sentry-sdk, of any version from 0.14 on.

    crash.py unhandled | handled | message | logging | threads | burst N | tasks | traced

`burst`, `tasks` and `traced` need version 2. The DSN, release and environment come from SENTRY_DSN,
SENTRY_RELEASE and SENTRY_ENVIRONMENT. The id of each event that the SDK is about to send is printed
on a line of its own; what the SDK says about itself goes to stderr.
"""

import asyncio
import gc
import logging
import os
import sys
import threading

import sentry_sdk

from shop.cart import CheckoutError, checkout, place_order, reserve

FLUSH_SECONDS = 10

CART = {"id": 1007, "items": ["tea", "cup"], "note": "leave at the door"}


def tell(event, _hint):
    print(event["event_id"], flush=True)
    return event


def init(**options):
    sentry_sdk.init(
        dsn=os.environ["SENTRY_DSN"],
        before_send=tell,
        debug=True,
        shutdown_timeout=FLUSH_SECONDS,
        **options,
    )


def flush():
    sentry_sdk.flush(timeout=FLUSH_SECONDS)


def unhandled():
    init()
    sentry_sdk.set_user({"id": "7", "username": "ada"})
    sentry_sdk.add_breadcrumb(category="cart", message="added tea", level="info")
    checkout(CART)


def report_an_order():
    try:
        place_order(CART)
    except CheckoutError as error:
        sentry_sdk.capture_exception(error)


def handled():
    init()
    report_an_order()


def message():
    init()
    sentry_sdk.capture_message("stock is low", level="warning")


def log():
    init()
    logger = logging.getLogger("shop.orders")
    logger.info("order %s received", CART["id"])
    for order in (CART["id"], 1008):
        logger.error("order %s has no address", order)
    try:
        checkout(CART)
    except KeyError:
        logger.exception("order %s failed", CART["id"])


def threads():
    init()
    threading.excepthook = lambda _: None  # The SDK has reported it by then.
    for _ in range(2):
        thread = threading.Thread(target=checkout, args=(CART,))
        thread.start()
        thread.join()


def burst(count):
    # A burst must arrive whole: the SDK drops what does not fit into its queue.
    init(transport_queue_size=10_000)
    for number in range(int(count)):
        with sentry_sdk.new_scope() as scope:
            scope.set_user({"id": str(number)})
            try:
                reserve("tea", {"tea": 0})
            except CheckoutError as error:
                sentry_sdk.capture_exception(error)


async def order():
    await asyncio.sleep(0)
    checkout(CART)


def tasks():
    """Two orders crash while somebody waits for them, a third while nobody does."""
    from sentry_sdk.integrations.asyncio import AsyncioIntegration

    async def shop():
        init(integrations=[AsyncioIntegration()])
        await asyncio.gather(order(), order(), return_exceptions=True)
        orphan = asyncio.create_task(order())
        await asyncio.wait([orphan])
        del orphan
        gc.collect()

    asyncio.run(shop())


def traced():
    """What is not an error comes first, and once more with every error."""
    init(traces_sample_rate=1.0, profiles_sample_rate=1.0, enable_logs=True)
    for number in range(4):
        with sentry_sdk.start_transaction(op="task", name="restock"):
            if number > 0:
                report_an_order()
        flush()


MODES = {
    "unhandled": unhandled,
    "handled": handled,
    "message": message,
    "logging": log,
    "threads": threads,
    "burst": burst,
    "tasks": tasks,
    "traced": traced,
}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in MODES:
        sys.exit(__doc__)
    MODES[sys.argv[1]](*sys.argv[2:])
    flush()
