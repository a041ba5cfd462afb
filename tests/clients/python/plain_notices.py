"""The shop, which reports its crashes with the stock airbrake.

    plain_notices.py unhandled | handled | deploy REVISION

The address, project and key come from AIRBRAKE_HOST, AIRBRAKE_PROJECT_ID and AIRBRAKE_PROJECT_KEY.
The id that the service gave a notice or a deploy is printed on a line of its own; a deploy takes an API token for
its key.
"""

import os
import sys

import airbrake

from shop.cart import CheckoutError, checkout, place_order

CART = {"id": 1007, "items": ["tea", "cup"], "password": "hunter2"}


class Notifier(airbrake.Airbrake):
    """Tells what became of every notice."""

    def notify(self, exception):
        response = super().notify(exception)
        print(response.json()["id"], flush=True)
        return response


def handled(notifier):
    try:
        place_order(CART)
    except CheckoutError:
        notifier.log(order=CART["id"], password=CART["password"])


def unhandled(_):
    checkout(CART)


def deploy(notifier, revision):
    response = notifier.deploy(env="beta", username="robin", revision=revision)
    print(response.json()["id"].rpartition("-")[2], flush=True)


def main(mode, *arguments):
    notifier = Notifier(
        host=os.environ["AIRBRAKE_HOST"],
        project_id=os.environ["AIRBRAKE_PROJECT_ID"],
        api_key=os.environ["AIRBRAKE_PROJECT_KEY"],
        environment="production",
        root_directory=os.path.dirname(os.path.abspath(__file__)),
    )
    {"deploy": deploy, "handled": handled, "unhandled": unhandled}[mode](notifier, *arguments)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
