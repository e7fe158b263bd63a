// The page's entry: theme first (so that nothing flashes), then routing, then the one component.
import { mount } from "svelte";
import App from "./App.svelte";
import { startRouter } from "./lib/router.svelte";
import { startTheme } from "./lib/theme.svelte";
import "./styles/tokens.css";
import "./styles/base.css";

startTheme();
startRouter();
const target = document.getElementById("app");
if (target) mount(App, { target });
