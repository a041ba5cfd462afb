"use strict";
// The shop on the web, with Express, which reports its crashes with the stock @sentry/node.
//
//     web.js
//
// Serves the shop, orders twice as the same customer, and ends. DSN, release, environment and output
// are those of `crash.js`.

const Sentry = require("@sentry/node");
const { FLUSH_MS, init } = require("./sdk.js");

// Before Express is loaded, so that the SDK can instrument it.
init({ sendDefaultPii: true });

const express = require("express");
const { checkout } = require("./cart.js");

const app = express();
// Version 7 has handlers where later ones instrument.
if (Sentry.Handlers) app.use(Sentry.Handlers.requestHandler());
app.use(express.json());
app.use((request, response, next) => {
  Sentry.setUser({ id: "7" });
  next();
});
app.post("/orders", (request, response) => {
  response.json(checkout(request.body));
});
if (Sentry.Handlers) {
  app.use(Sentry.Handlers.errorHandler());
} else {
  Sentry.setupExpressErrorHandler(app);
}
// Four parameters make it a handler of errors.
app.use((error, request, response, _next) => {
  response.status(500).end("the order could not be placed");
});

async function order(shop) {
  const answer = await fetch(`${shop}/orders?coupon=SPRING`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ items: ["tea"] }),
  });
  await answer.text();
}

const server = app.listen(0, "127.0.0.1", async () => {
  const shop = `http://127.0.0.1:${server.address().port}`;
  await order(shop);
  await order(shop);
  server.close();
  server.closeAllConnections?.();
  await Sentry.flush(FLUSH_MS);
});
