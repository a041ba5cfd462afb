"use strict";
// The shop, which reports its crashes with the stock airbrake: XML, as in the days of Hoptoad.
//
//     xml_notices.js unhandled | cut
//
// The address and key come from AIRBRAKE_HOST and AIRBRAKE_PROJECT_KEY. The id that the service gave
// a notice is printed on a line of its own, what went wrong instead with "airbrake: " before it.

const Airbrake = require("airbrake");
const { checkout } = require("./cart.js");

const CART = { id: 1007, items: ["tea", "cup"], note: "leave at the door" };

const notifier = Airbrake.createClient(process.env.AIRBRAKE_PROJECT_KEY, "production");
notifier.serviceHost = new URL(process.env.AIRBRAKE_HOST).host;
notifier.appVersion = "1.4.2";
notifier.projectRoot = __dirname;
const notify = notifier.notify.bind(notifier);
notifier.notify = (error, callback) =>
  notify(error, (failure, url) => {
    process.stdout.write(failure ? `airbrake: ${failure.message}\n` : `${url.split("/").pop()}\n`);
    callback?.(failure, url);
  });

/** What goes wrong, by name. */
const modes = {
  unhandled() {
    notifier.handleExceptions();
    setImmediate(() => checkout(CART));
  },
  // It counts bytes as characters, so that each of these is missing at the end.
  cut() {
    notifier.notify(new TypeError("drei Tassen für Jürgen: 茶茶茶"));
  },
};

const [mode] = process.argv.slice(2);
if (!Object.hasOwn(modes, mode ?? "")) {
  process.stderr.write(`usage: xml_notices.js ${Object.keys(modes).join(" | ")}\n`);
  process.exit(2);
}
modes[mode]();
