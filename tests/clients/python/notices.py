"""The shop, which reports its crashes with the stock pybrake.

    notices.py notify | logging

The address, project and key come from AIRBRAKE_HOST, AIRBRAKE_PROJECT_ID and AIRBRAKE_PROJECT_KEY.
The id that the service gave a notice is printed on a line of its own, what went wrong instead with
"airbrake: " before it.
"""

import logging
import os
import sys

import pybrake

from shop.cart import CheckoutError, checkout, place_order

CART = {"id": 1007, "items": ["tea", "cup"], "password": "hunter2"}


def who(notice):
    notice["context"]["version"] = "1.4.2"
    notice["context"]["user"] = {"id": "7", "name": "ada"}
    return notice


class Notifier(pybrake.Notifier):
    """Tells what became of every notice, also of those that go out in the background."""

    def _send_notice_sync(self, notice):
        sent = super()._send_notice_sync(notice)
        told = sent["id"] if "id" in sent else f"airbrake: {sent.get('error')}"
        # Two may go out at once: a line is written as a whole.
        sys.stdout.write(f"{told}\n")
        sys.stdout.flush()
        return sent


def notify(notifier):
    try:
        place_order(CART)
    except CheckoutError as error:
        notifier.notify(error).result()


def log(notifier):
    logger = logging.getLogger("shop.orders")
    logger.addHandler(pybrake.LoggingHandler(notifier=notifier, level=logging.ERROR))
    logger.info("order %s received", CART["id"])
    logger.error("order %s has no address", CART["id"])
    try:
        checkout(CART)
    except KeyError:
        logger.exception("order %s failed", CART["id"])


def main(mode):
    notifier = Notifier(
        host=os.environ["AIRBRAKE_HOST"],
        project_id=int(os.environ["AIRBRAKE_PROJECT_ID"]),
        project_key=os.environ["AIRBRAKE_PROJECT_KEY"],
        environment="production",
        root_directory=os.path.dirname(os.path.abspath(__file__)),
    )
    notifier.add_filter(who)
    {"notify": notify, "logging": log}[mode](notifier)
    notifier.close()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
