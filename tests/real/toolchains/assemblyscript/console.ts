// A plugin that asks for what a browser has.
export * from "./own";

export function proxy_on_tick(id: u32): void {
  console.log("tick");
}
