// What every page of the shop has.

/** What the test asks of the page. */
export const asked = Object.fromEntries(new URLSearchParams(location.search));

export const CART = { id: 1007, items: ["tea", "cup"] };

/** Tells the test something. */
export function tell(what) {
  navigator.sendBeacon("/told", JSON.stringify(what));
}

/** Does something as the customer, who clicks on a button. */
export function click(label, action) {
  const button = document.createElement("button");
  button.textContent = label;
  button.addEventListener("click", action);
  document.body.append(button);
  button.click();
}
