// A plugin that asks for what a browser has.
export * from "./plugin";

export function roll(): f64 {
  return Math.random() + <f64>Date.now();
}
