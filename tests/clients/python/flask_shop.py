"""The shop, with Flask."""

import sentry_sdk
from flask import Flask

from shop.cart import checkout

app = Flask("shop")


@app.before_request
def know_the_customer():
    sentry_sdk.set_user({"id": "7"})


@app.post("/orders")
def order():
    return checkout({"items": ["tea", "cup"]})


@app.get("/orders/<int:number>")
def show(number):
    app.logger.error("order %s is not to be found", number)
    return "not found", 404
