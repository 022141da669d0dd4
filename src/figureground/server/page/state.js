

/* What all parts of the page share. */
import { View } from "./view.js";

export const $ = id => document.getElementById(id);
/** The pictures, in the order of the queue. */
export const items = [];
export const view = new View($("view"), $("slider"), $("line"));
/** What is chosen; `server` is what the server offers, `pointer` the last place of the pointer on the stage, `space` whether the bar is held: dragging moves the picture then. */
export const app = { current: null, server: null, tool: "keep", background: "none", color: "#4f86c6", behind: null, pointer: null, space: false, number: 0 };
