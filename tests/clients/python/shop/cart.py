"""The cart and its checkout."""


class CheckoutError(Exception):
    """The order could not be placed."""


def checkout(cart):
    """Take the money for a cart. A cart that was never summed up has no total."""
    amount = cart["total"]
    return {"charged": amount, "items": len(cart["items"])}


def place_order(cart):
    """Check out, and say in the shop's own words why it did not work."""
    try:
        return checkout(cart)
    except KeyError as cause:
        raise CheckoutError(f"order {cart['id']} could not be placed") from cause


def reserve(item, stock):
    """Take one item from the stock."""
    left = stock[item]
    if left == 0:
        raise CheckoutError("sold out")
    stock[item] = left - 1
