"use strict";
// A shop that reports its crashes with the stock @sentry/node, of version 7 or later.
//
//     crash.js unhandled | rejection | handled | message | burst N | traced
//
// The DSN, release and environment come from SENTRY_DSN, SENTRY_RELEASE and SENTRY_ENVIRONMENT.
// The id of each event that the SDK is about to send is printed on a line of its own; what the SDK
// says about itself stands in lines that begin with "Sentry Logger".

const Sentry = require("@sentry/node");
const { checkout, placeOrder, reserve } = require("./cart.js");
const { FLUSH_MS, init } = require("./sdk.js");

const CART = { id: 1007, items: ["tea", "cup"], note: "leave at the door" };

function reportAnOrder() {
  try {
    placeOrder(CART);
  } catch (error) {
    Sentry.captureException(error);
  }
}

/** What goes wrong, by name. */
const modes = {
  unhandled() {
    init();
    Sentry.setUser({ id: "7", username: "ada" });
    Sentry.addBreadcrumb({ category: "cart", message: "added tea", level: "info" });
    // From a callback, as in a server.
    setImmediate(() => checkout(CART));
  },
  // The SDK's default: warn, report, and exit with 0.
  rejection() {
    init();
    setImmediate(async () => checkout(CART));
  },
  async handled() {
    init();
    reportAnOrder();
    await Sentry.flush(FLUSH_MS);
  },
  async message() {
    init();
    Sentry.captureMessage("stock is low", "warning");
    await Sentry.flush(FLUSH_MS);
  },
  async burst(count) {
    init();
    for (let number = 0; number < Number(count); number += 1) {
      Sentry.withScope((scope) => {
        scope.setUser({ id: String(number) });
        try {
          reserve("tea", { tea: 0 });
        } catch (error) {
          Sentry.captureException(error);
        }
      });
    }
    await Sentry.flush(FLUSH_MS);
  },
  // What is not an error comes first, and once more with every error.
  async traced() {
    init({ tracesSampleRate: 1 });
    for (let number = 0; number < 4; number += 1) {
      Sentry.startSession();
      Sentry.startSpan({ op: "task", name: "restock" }, () => {
        if (number > 0) reportAnOrder();
      });
      Sentry.endSession();
      await Sentry.flush(FLUSH_MS);
    }
  },
};

const [mode, ...rest] = process.argv.slice(2);
if (!Object.hasOwn(modes, mode ?? "")) {
  process.stderr.write(`usage: crash.js ${Object.keys(modes).join(" | ")}\n`);
  process.exit(2);
}
void modes[mode](...rest);
