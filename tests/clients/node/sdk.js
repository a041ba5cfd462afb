"use strict";
// How the shop sets up its SDK.

const Sentry = require("@sentry/node");

const FLUSH_MS = 10_000;

function init(options = {}) {
  Sentry.init({
    dsn: process.env.SENTRY_DSN,
    debug: true,
    shutdownTimeout: FLUSH_MS,
    // Equal errors in a row are one to the SDK; a burst is about each of them arriving.
    integrations: (defaults) => defaults.filter(({ name }) => name !== "Dedupe"),
    transportOptions: { bufferSize: 10_000 },
    beforeSend(event) {
      process.stdout.write(`${event.event_id}\n`);
      return event;
    },
    ...options,
  });
}

module.exports = { FLUSH_MS, init };
