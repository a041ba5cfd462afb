// The shop in a browser that is told by a Content-Security-Policy to load no pictures from elsewhere,
// and loads one. What the browser held back, it tells.

import { tell } from "./page.js";

document.addEventListener("securitypolicyviolation", ({ effectiveDirective, blockedURI }) => {
  tell({ effectiveDirective, blockedURI });
});
new Image().src = "https://ads.example/pixel.gif";
