// The shop in a browser, which reports its crashes with the stock @airbrake/browser.
//
// The page's query says where to: `host`, `project` and `key`. Of each notice it tells the id that
// the service gave it, or what went wrong instead.

import { Notifier } from "@airbrake/browser";
import { checkout, placeOrder } from "./cart.js";
import { asked, CART, click, tell } from "./page.js";

const notifier = new Notifier({
  host: asked.host,
  remoteConfigHost: asked.host,
  apmHost: asked.host,
  projectId: Number(asked.project),
  projectKey: asked.key,
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
  tell({ id: notice.id, error: notice.error && String(notice.error) });
  return notice;
};

click("order", () => checkout(CART));
click("order again", () => {
  try {
    placeOrder(CART);
  } catch (error) {
    void notifier.notify(error);
  }
});
