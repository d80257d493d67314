// The line `export * from "@solo-io/proxy-runtime/proxy"` is forgotten.
import { Context, RootContext, registerRootContext } from "@solo-io/proxy-runtime";

class Root extends RootContext {
  createContext(id: u32): Context {
    return new Context(id, this);
  }
}
registerRootContext((id: u32) => new Root(id), "plugin");
