"use strict";
// The shop, which reports its crashes with the stock @airbrake/node.
//
//     notices.js unhandled | rejection | handled
//
// The address, project and key come from AIRBRAKE_HOST, AIRBRAKE_PROJECT_ID and
// AIRBRAKE_PROJECT_KEY. The id that the service gave a notice is printed on a line of its own, what
// went wrong instead with "airbrake: " before it.

const { Notifier } = require("@airbrake/node");
const { checkout, placeOrder } = require("./cart.js");

const CART = { id: 1007, items: ["tea", "cup"], note: "leave at the door" };

const notifier = new Notifier({
  host: process.env.AIRBRAKE_HOST,
  // Not told otherwise, it asks Airbrake itself for its settings, and sends its statistics there.
  remoteConfigHost: process.env.AIRBRAKE_HOST,
  apmHost: process.env.AIRBRAKE_HOST,
  projectId: Number(process.env.AIRBRAKE_PROJECT_ID),
  projectKey: process.env.AIRBRAKE_PROJECT_KEY,
  environment: "production",
});
notifier.addFilter((notice) => {
  notice.context.version = "1.4.2";
  notice.context.user = { id: "7", name: "ada" };
  return notice;
});
const notify = notifier.notify.bind(notifier);
notifier.notify = async (error) => {
  const notice = await notify(error);
  process.stdout.write(`${notice.id ?? notice.error}\n`);
  return notice;
};

/** What goes wrong, by name. */
const modes = {
  unhandled() {
    setImmediate(() => checkout(CART));
  },
  rejection() {
    setImmediate(async () => checkout(CART));
  },
  async handled() {
    try {
      placeOrder(CART);
    } catch (error) {
      await notifier.notify({ error, params: { order: CART.id } });
    }
    // It asks the service for its settings meanwhile: no statistics are wanted.
    const patience = Date.now() + 10_000;
    while (notifier._opt.performanceStats && Date.now() < patience) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    if (notifier._opt.performanceStats) {
      process.stdout.write("airbrake: the settings of the service did not arrive\n");
    }
    notifier.close();
  },
};

const [mode] = process.argv.slice(2);
if (!Object.hasOwn(modes, mode ?? "")) {
  process.stderr.write(`usage: notices.js ${Object.keys(modes).join(" | ")}\n`);
  process.exit(2);
}
void modes[mode]();
