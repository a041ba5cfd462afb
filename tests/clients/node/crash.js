"use strict";
// A shop that reports its crashes with the stock @sentry/node.
//
//     crash.js unhandled | rejection | handled | message | burst N
//
// The DSN, release and environment come from SENTRY_DSN, SENTRY_RELEASE and SENTRY_ENVIRONMENT.
// Each event id is printed on a line of its own; the SDK hands back none for `unhandled` and
// `rejection`, so there it is taken from `beforeSend`.

const Sentry = require("@sentry/node");
const { checkout, placeOrder, reserve } = require("./cart.js");

const FLUSH_MS = 10_000;
const CART = { id: 1007, items: ["tea", "cup"], note: "leave at the door" };

const told = (eventId) => process.stdout.write(`${eventId}\n`);

/** What goes wrong, by name. */
const modes = {
  unhandled() {
    Sentry.setUser({ id: "7", username: "ada" });
    Sentry.addBreadcrumb({ category: "cart", message: "added tea", level: "info" });
    // From a callback, as in a server.
    setImmediate(() => checkout(CART));
  },
  // The SDK's default: warn, report, and exit with 0.
  rejection() {
    setImmediate(async () => checkout(CART));
  },
  async handled() {
    try {
      placeOrder(CART);
    } catch (error) {
      told(Sentry.captureException(error));
    }
    await Sentry.flush(FLUSH_MS);
  },
  async message() {
    told(Sentry.captureMessage("stock is low", "warning"));
    await Sentry.flush(FLUSH_MS);
  },
  async burst(count) {
    for (let number = 0; number < Number(count); number += 1) {
      Sentry.withScope((scope) => {
        scope.setUser({ id: String(number) });
        try {
          reserve("tea", { tea: 0 });
        } catch (error) {
          told(Sentry.captureException(error));
        }
      });
    }
    await Sentry.flush(FLUSH_MS);
  },
};

const [mode, ...rest] = process.argv.slice(2);
if (!Object.hasOwn(modes, mode ?? "")) {
  process.stderr.write(`usage: crash.js ${Object.keys(modes).join(" | ")}\n`);
  process.exit(2);
}
const crashes = mode === "unhandled" || mode === "rejection";
Sentry.init({
  dsn: process.env.SENTRY_DSN,
  shutdownTimeout: FLUSH_MS,
  // Equal errors in a row are one to the SDK; a burst is about each of them arriving.
  integrations: (defaults) => defaults.filter(({ name }) => name !== "Dedupe"),
  transportOptions: { bufferSize: 10_000 },
  beforeSend(event) {
    if (crashes) told(event.event_id);
    return event;
  },
});
void modes[mode](...rest);
