// The shop in a browser, which reports its crashes with the stock @sentry/browser.
//
// The page's query says where to: `dsn`, and for what a page may be set up with `tunnel` and
// `header`. Of each event that was sent it tells the id and the answer that the SDK got to see.

import * as Sentry from "@sentry/browser";
import { checkout, placeOrder } from "./cart.js";
import { asked, CART, click, tell } from "./page.js";

const client = Sentry.init({
  dsn: asked.dsn,
  tunnel: asked.tunnel,
  release: "shop@1.4.2",
  environment: "production",
  transportOptions: asked.header ? { headers: { [asked.header]: "checkout" } } : {},
});
client.on("afterSendEvent", ({ event_id, exception, message }, answer) => {
  tell({ event_id, status: answer.statusCode, limits: answer.headers?.["x-sentry-rate-limits"] });
});
Sentry.setUser({ id: "7" });

click("order", () => checkout(CART));
click("order later", async () => checkout({ id: 1008, items: null }));
click("order again", () => {
  try {
    placeOrder(CART);
  } catch (error) {
    Sentry.captureException(error);
  }
});
