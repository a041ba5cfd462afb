"use strict";

class CheckoutError extends Error {
  constructor(message, options) {
    super(message, options);
    this.name = "CheckoutError";
  }
}

/** Takes the money for a cart. A cart that was never summed up has no total. */
function checkout(cart) {
  return { charged: cart.total.amount, items: cart.items.length };
}

/** Checks out, and says in the shop's own words why it did not work. */
function placeOrder(cart) {
  try {
    return checkout(cart);
  } catch (cause) {
    throw new CheckoutError(`order ${cart.id} could not be placed`, { cause });
  }
}

/** Takes one item from the stock. */
function reserve(item, stock) {
  if (stock[item] === 0) {
    throw new CheckoutError("sold out");
  }
  stock[item] -= 1;
}

module.exports = { checkout, placeOrder, reserve };
